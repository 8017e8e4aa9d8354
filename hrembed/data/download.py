"""Fetching one published file: shown, resumed, and there whole or not at all."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING

from hrembed.errors import DataError
from hrembed.files import cannot_write

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from pathlib import Path

    from hrembed.progress import Progress

_CHUNK = 2**18
_TIMEOUT_SECONDS = 30


def download(url: str, target: Path, progress: Progress) -> None:
    """Fetch a file; what an earlier, broken attempt left in `<name>.part` is not fetched again.

    Args:
        url: Where it is.
        target: Where it goes; its folder is made.
        progress: Receives progress updates, in kilobytes.

    Raises:
        DataError: No network, no such file, or the connection broke; the hint says what to fetch by hand.
        HrembedError: The file cannot be written.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        done = part.stat().st_size if part.exists() else 0
        with _open(url, done) as response:
            _copy(response, part, done if response.status == 206 else 0, progress, target.name)
        part.replace(target)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as err:
        reason = getattr(err, "reason", None) or err
        raise DataError(f"cannot download '{url}': {reason}", hint=by_hand(url, target)) from None
    except OSError as err:
        raise cannot_write(target, err) from err


def by_hand(url: str, target: Path) -> str:
    """Say which file to fetch, and where to put it."""
    return f"download {url} with a browser, save it as '{target}', and run the command again"


def _open(url: str, done: int) -> HTTPResponse:
    headers = {"User-Agent": "hrembed", **({"Range": f"bytes={done}-"} if done else {})}
    request = urllib.request.Request(url, headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)  # type: ignore[no-any-return]
    except urllib.error.HTTPError as err:
        if done and err.code == 416:  # the part is not a beginning of what is there now
            return _open(url, 0)
        raise


def _copy(response: HTTPResponse, part: Path, done: int, progress: Progress, name: str) -> None:
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else 0
    bar = progress.bar(f"fetching {name} (kB)", total // 1000, done // 1000)
    with part.open("ab" if done else "wb") as out, bar as advance:
        while chunk := response.read(_CHUNK):
            out.write(chunk)
            advance(len(chunk) // 1000, "")
    if total and part.stat().st_size != total:
        raise HTTPException(f"connection closed after {part.stat().st_size:,} of {total:,} bytes")
