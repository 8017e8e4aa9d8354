"""From the `model` section of a config to something that scores texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.models.refs import parse_ref
from hrembed.models.transformer import TransformerEncoder, folder_identity, load_model
from hrembed.models.weights import locate_weights
from hrembed.registry import resolve
from hrembed.runs.record import find_model, latest_run

if TYPE_CHECKING:
    from hrembed.config.schema import ModelSection
    from hrembed.models.refs import ModelRef
    from hrembed.progress import Progress
    from hrembed.types import Encoder


def model_folder(section: ModelSection, runs_dir: Path) -> Path:
    """Find the folder of a transformer model.

    Raises:
        ModelError: It cannot be found, or is not what it should be.
    """
    ref = parse_ref(section.ref)
    if ref.scheme == "run":
        return find_model(runs_dir, ref.target)
    return locate_weights(ref, trust_remote_code=section.trust_remote_code)


def pinned(section: ModelSection, runs_dir: Path) -> ModelSection:
    """Put the id of the newest run in place of `run:latest`, so that the recorded config can be repeated.

    Raises:
        ModelError: There is no finished run.
    """
    if section.ref != "run:latest":
        return section
    return section.model_copy(update={"ref": f"run:{latest_run(runs_dir)}"})


def open_encoder(section: ModelSection, runs_dir: Path, progress: Progress) -> Encoder:
    """Load whatever the section names.

    Raises:
        ModelError: It cannot be found or loaded.
    """
    ref = parse_ref(section.ref)
    if ref.scheme == "lexical":
        lexical: Encoder = resolve("lexical", ref.target)()
        return lexical
    folder = model_folder(section, runs_dir)
    model = load_model(
        folder,
        dtype=section.dtype,
        max_tokens=section.max_tokens,
        trust_remote_code=section.trust_remote_code,
    )
    return TransformerEncoder(
        model,
        name=short_name(ref),
        identity=identity(section, folder),
        source=str(folder),
        batch_size=section.batch_size,
        prompts=(section.query_prompt, section.document_prompt),
        progress=progress,
    )


def identity(section: ModelSection, folder: Path) -> str:
    """Hash everything that decides the vectors of a transformer model; its name is not part of it."""
    return folder_identity(folder, (section.dtype, section.max_tokens, section.query_prompt, section.document_prompt))


def short_name(ref: ModelRef) -> str:
    """Name for tables; a path is shortened to its last folders."""
    if ref.scheme == "path":
        return f"path:{'/'.join(Path(ref.target).parts[-2:])}"
    if ref.scheme in {"catalogue", "lexical"}:
        return ref.target
    return f"{ref.scheme}:{ref.target}"
