"""`hrembed select --refresh`: the public results into mteb's own cache; afterwards no network is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.data.download import download
from hrembed.errors import DataError
from hrembed.selection.refresh import published_file, write_scores

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.progress import Progress

# What mteb's own leaderboard reads (`ResultCache`, branch `cached-data`), and where the file lies if it is in LFS.
PUBLISHED = "https://raw.githubusercontent.com/embeddings-benchmark/results/cached-data/__cached_results.json.gz"
IN_LFS = "https://media.githubusercontent.com/media/embeddings-benchmark/results/cached-data/__cached_results.json.gz"
_GZIP = b"\x1f\x8b"


def refresh(progress: Progress, *, published: str = PUBLISHED, in_lfs: str = IN_LFS) -> Path:
    """Fetch the public results and turn them into a table.

    A broken fetch goes on where it stopped. The scores of the last refresh stay until the new ones are whole.

    Args:
        progress: Shown a bar in kilobytes, then one in models.
        published: Address of the file.
        in_lfs: Address that is asked where the first one gives a pointer.

    Returns:
        The table, which `select` reads when its config names no scores.

    Raises:
        DataError: No network, or not what mteb publishes.
        HrembedError: Something cannot be written.
    """
    file = published_file()
    arriving = file.with_name(f"new-{file.name}")  # the file of the last refresh is replaced only by a whole one
    try:
        _fetch(published, in_lfs, arriving, progress)
    except DataError as err:
        raise DataError(
            f"cannot download the public results: {err}",
            hint=(
                "check the network connection and run `hrembed select --refresh` again, which resumes the "
                "download; without network access, set `scores.path` to a file or `scores.results_dir` to a "
                "folder"
            ),
        ) from None
    arriving.replace(file)
    with progress.bar("reading the results of each model", 0) as advance:
        return write_scores(file, advance)


def _fetch(published: str, in_lfs: str, target: Path, progress: Progress) -> None:
    download(published, target, progress)
    with target.open("rb") as stream:
        head = stream.read(1024)
    if not head.startswith(_GZIP) and b"git-lfs" in head:
        target.unlink()
        download(in_lfs, target, progress)
