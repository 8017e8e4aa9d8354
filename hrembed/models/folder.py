"""What a model folder says of itself, read without its weights: kind, prompts, pooling, and what lies outside of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.errors import ModelError
from hrembed.files import files_below, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrembed.types import TitleSides

# As Sentence Transformers looks for them; the first that is not empty counts here. Since release 5 it adds an empty
# `document` to every model and finds that one first, so that a stored `passage` would never be used.
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_KINDS = {
    "CrossEncoder": "a cross-encoder, which scores pairs of texts and does not embed single texts",
    "SparseEncoder": "a sparse encoder (SPLADE), whose vectors are term weights",
    "MultiVectorEncoder": "a late-interaction model (ColBERT), which returns a vector per token",
}
_KIND_OF_MODULE = {
    "cross_encoder": "CrossEncoder",
    "LogitScore": "CrossEncoder",
    "sparse_encoder": "SparseEncoder",
    "SpladePooling": "SparseEncoder",
    "MLMTransformer": "SparseEncoder",
    "SparseAutoEncoder": "SparseEncoder",
    "SparseStaticEmbedding": "SparseEncoder",
    "multi_vector_encoder": "MultiVectorEncoder",
    "pylate": "MultiVectorEncoder",
}
_KIND_OF_ARCHITECTURE = {
    "ForSequenceClassification": "CrossEncoder",
    "Splade": "SparseEncoder",
    "ColBERT": "MultiVectorEncoder",
    "ColBert": "MultiVectorEncoder",
}
_OLD_POOLING = {  # keys before release 5.4
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_MODULE = re.compile(r"\d+_[A-Z]\w*")
# Pickled weights -> the file beside them that is read in their place.
_SAFE_FORM = {"pytorch_model": "model", "adapter_model": "adapter_model"}
# Of hrembed alone: no other library reads it, or writes it into a copy of the model.
_OURS = "hrembed.json"
_TITLES: dict[object, TitleSides] = {None: "none", "none": "none", "queries": "queries", "both": "both"}


@dataclass(frozen=True)
class StoredSettings:
    """What a model folder says about how texts become vectors.

    Attributes:
        query_prompt: Put in front of queries where the config gives no prompt.
        document_prompt: The same for documents.
        hidden_document_prompt: Whether Sentence Transformers alone would not use it.
        other_prompts: Names of further prompts, which are not used.
        pooling: How token vectors become one, for example `mean`; empty where the folder does not say.
        assumed_pooling: What is taken where it should say so and does not (a plain Transformers checkpoint).
        similarity: What the vectors are to be compared by, for example `cosine`; empty where the folder does not say.
        architecture: Class of the transformer, as its config names it.
        adapter_base: Folder below an adapter that holds the other weights; None without an adapter.
        unread: Pickled weights that a safe form beside them replaces.
        normalise_titles: Which texts have their job titles normalised where the config does not say.
        unlisted: Folders of modules that `modules.json` does not list.
    """

    query_prompt: str = ""
    document_prompt: str = ""
    hidden_document_prompt: bool = False
    other_prompts: tuple[str, ...] = ()
    pooling: str = ""
    assumed_pooling: str = ""
    similarity: str = ""
    architecture: str = ""
    adapter_base: Path | None = None
    unread: tuple[str, ...] = ()
    normalise_titles: TitleSides = "none"
    unlisted: tuple[str, ...] = ()

    def remarks(self, name: str, pooling: str | None = None) -> list[str]:
        """Say what of the folder is not used, and what it leaves open.

        Args:
            name: Of the model, for the user.
            pooling: As the config sets it; None where it does not.
        """
        remarks = []
        if self.architecture.endswith("ForMaskedLM") and self.assumed_pooling:
            remarks.append(
                f"warning: {name} is a masked language model, whose language-modelling head is not used; if it "
                "is a sparse encoder (SPLADE), the vectors are meaningless"
            )
        if self.unlisted:
            remarks.append(
                f"warning: {name} contains {', '.join(self.unlisted)}, which `modules.json` does not list; ignored"
            )
        if self.assumed_pooling and pooling is None:
            remarks.append(
                f"warning: {name} is a plain checkpoint ({self.architecture or 'no architecture named'}) that "
                f"does not state its pooling; using `{self.assumed_pooling}`. Set `pooling` of the model to "
                "the mode that it was trained with, or use a Sentence Transformers folder"
            )
        if self.other_prompts:
            used = f"queries get {self.query_prompt!r}, documents {self.document_prompt!r}"
            names = ", ".join(f"`{each}`" for each in self.other_prompts)
            remarks.append(
                f"{name} contains prompts that are not used: {names} ({used}; to change this, set "
                "`query_prompt` and `document_prompt`)"
            )
        if self.similarity not in {"", "cosine"}:
            remarks.append(
                f"warning: {name} was saved with the similarity `{self.similarity}`, which is ignored: vectors "
                "are compared by cosine"
            )
        if self.unread:
            remarks.append(f"{name} contains pickled weights, which are ignored: {', '.join(self.unread)}")
        return remarks


def read_settings(folder: Path) -> StoredSettings:
    """Read what a model folder says about prompts, pooling and adapters.

    Raises:
        ModelError: A file is no JSON, or the base of an adapter is not on this machine.
    """
    # These files are those of Sentence Transformers and transformers; any of their keys may be missing.
    stored = _json(folder / "config_sentence_transformers.json")
    prompts = {
        str(name): text for name, text in _mapping(stored.get("prompts")).items() if isinstance(text, str) and text
    }
    document = next((name for name in _DOCUMENT_PROMPTS if name in prompts), "")
    config = _json(transformer_folder(folder) / "config.json")
    architecture = next(iter(_texts(config.get("architectures"))), "")
    plain = not (folder / "modules.json").exists() and not is_static(config)
    return StoredSettings(
        query_prompt=prompts.get("query", ""),
        document_prompt=prompts.get(document, ""),
        hidden_document_prompt=document not in {"", "document"},
        other_prompts=tuple(sorted(prompts.keys() - {"query", document})),
        pooling="" if plain else _pooling(folder),
        assumed_pooling=_assumed(architecture, config) if plain else "",
        similarity=str(stored.get("similarity_fn_name") or ""),
        architecture=architecture,
        adapter_base=_adapter_base(transformer_folder(folder)),
        unread=tuple(file.relative_to(folder).as_posix() for file in _pickled(folder, alone=False)),
        normalise_titles=_titles(folder),
        unlisted=() if plain else _unlisted(folder),
    )


def _unlisted(folder: Path) -> tuple[str, ...]:
    """Folders that look like modules (`2_Dense`) and are none."""
    listed = {str(entry.get("path", "")) for entry in _modules(folder)}
    return tuple(name for name in _module_folders(folder) if name not in listed)


def _module_folders(folder: Path) -> list[str]:
    return sorted(
        entry.name for entry in folder.iterdir() if _MODULE.fullmatch(entry.name) and (entry / "config.json").is_file()
    )


def write_title_setting(folder: Path, sides: TitleSides) -> None:
    """Keep in a model folder which texts have their job titles normalised; `none` writes nothing.

    Raises:
        HrembedError: The file cannot be written.
    """
    if sides != "none":
        write_json(folder / _OURS, {"normalise_titles": sides})


def _titles(folder: Path) -> TitleSides:
    stored = _json(folder / _OURS).get("normalise_titles")
    if not isinstance(stored, str | None) or stored not in _TITLES:
        raise ModelError(
            f"'{folder / _OURS}': `normalise_titles` must be `none`, `queries` or `both`, got {stored!r}",
            hint="use the version of hrembed that wrote it, or change the value",
        )
    return _TITLES[stored]


def check_kind(folder: Path) -> None:
    """Refuse a model that gives no single dense vector of a text.

    Raises:
        ModelError: It is a cross-encoder, a classifier, a sparse encoder or a late-interaction model; or a file is no
            JSON.
    """
    kind = str(_json(folder / "config_sentence_transformers.json").get("model_type") or "")
    modules = [str(entry.get("type", "")) for entry in _modules(folder)]
    architectures = [] if modules else _texts(_json(folder / "config.json").get("architectures"))
    for texts, table in ((modules, _KIND_OF_MODULE), (architectures, _KIND_OF_ARCHITECTURE)):
        if kind not in _KINDS:
            kind = next((kind_of for part, kind_of in table.items() if any(part in text for text in texts)), kind)
    if kind in _KINDS:
        named = f" ({architectures[0]})" if architectures else ""
        raise ModelError(
            f"the model in '{folder}' is {_KINDS[kind]}{named}",
            hint="use an embedding model: a Sentence Transformers folder, or a checkpoint without such a head",
        )


def check_modules(folder: Path) -> None:
    """Refuse a folder of Sentence Transformers that lost the file which names its modules: they would not be used.

    Raises:
        ModelError: There are folders such as `1_Pooling`, and no `modules.json`.
    """
    parts = [] if (folder / "modules.json").exists() else _module_folders(folder)
    if parts:
        raise ModelError(
            (f"'{folder}' contains {', '.join(parts)}, but no `modules.json`, so these modules would not be used"),
            hint=("copy the complete model folder, including `modules.json` and `config_sentence_transformers.json`"),
        )


def check_weights(folder: Path) -> None:
    """Refuse a folder without `.safetensors` weights, or with pickled ones that would be read.

    Raises:
        ModelError: It has none, or pickled weights without a safe form beside them, in any part of the folder.
    """
    pickled = next(_pickled(folder, alone=True), None)
    if pickled is not None:
        raise ModelError(
            (f"'{pickled}' contains pickled weights, which can execute code when loaded; hrembed does not load them"),
            hint=(f"convert them to `{_safe_stem(pickled)}.safetensors` in an isolated environment, then delete them"),
        )
    if not any(file.suffix == ".safetensors" for file in files_below(folder)):
        raise ModelError(f"'{folder}' contains no weights (no `.safetensors` file)")


def _pickled(folder: Path, *, alone: bool) -> Iterator[Path]:
    """Yield pickled weights that stand alone, or those with a safe form beside them, which are not read."""
    for file in files_below(folder):
        stem = _safe_stem(file) if file.suffix == ".bin" else ""
        if stem and alone is not any(file.parent.glob(f"{stem}*.safetensors")):
            yield file


def _safe_stem(file: Path) -> str:
    return next((safe for stem, safe in _SAFE_FORM.items() if file.name.startswith(stem)), "")


def outside_parts(folder: Path) -> list[Path]:
    """Folders outside of a model folder that decide its vectors as well: bases of adapters.

    A module behind a link in the folder is no such part: `files_below` the folder are there, too. Sentence Transformers
    reads no module from elsewhere.

    Raises:
        ModelError: A base is not on this machine, or bases go round in a circle.
    """
    parts: list[Path] = []
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        base = _adapter_base(transformer_folder(current))
        if base is None or base in parts:
            continue
        if base.resolve() == folder.resolve():
            raise ModelError(f"the adapter in '{current}' refers to itself as its base model")
        parts.append(base)
        waiting.append(base)
    return parts


def _adapter_base(body: Path) -> Path | None:
    """Folder of the weights below an adapter."""
    file = body / "adapter_config.json"
    if not file.exists():
        return None
    name = str(_json(file).get("base_model_name_or_path") or "")
    if name and Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError):
        raise ModelError(
            f"{file}: base model '{name}' (`base_model_name_or_path`) not found on this machine",
            hint=(
                "relative paths are resolved from the current directory; download Hub models with `hf "
                "download`, or merge the adapter into its base model"
            ),
        ) from None


def transformer_folder(folder: Path) -> Path:
    """Return the folder of the transformer: that of the first module, or the folder itself."""
    modules = _modules(folder)
    return folder / str(modules[0].get("path", "")) if modules else folder


def _modules(folder: Path) -> list[dict[str, Any]]:
    entries = read_json(folder / "modules.json")
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]


def _pooling(folder: Path) -> str:
    """Modes of all poolings in the folder, joined; a router may have several."""
    modes: dict[str, None] = {}
    for file in sorted(folder.glob("*/config.json")):
        config = _json(file)
        mode = config.get("pooling_mode")
        stated = [mode] if isinstance(mode, str) else _texts(mode)
        stated += [name for key, name in _OLD_POOLING.items() if config.get(key) is True]
        if stated:
            without = "" if config.get("include_prompt", True) else " without the prompt"
            modes["+".join(dict.fromkeys(stated)) + without] = None
    return ", ".join(modes)


def _assumed(architecture: str, config: dict[str, Any]) -> str:
    """What Sentence Transformers puts behind a plain checkpoint."""
    causal = architecture.endswith("ForCausalLM") and config.get("is_causal", True)
    return "lasttoken" if causal else "mean"


def is_static(config: dict[str, Any]) -> bool:
    """Whether a `config.json` is that of a static model (model2vec)."""
    return str(config.get("model_type", "model2vec")) == "model2vec"


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def _json(file: Path) -> dict[str, Any]:
    """Read a JSON object of a library; empty where the file is not there."""
    return _mapping(read_json(file))


def read_json(file: Path) -> Any:
    """Read a JSON file of a library; None where it is not there.

    Raises:
        ModelError: It cannot be read, or is not JSON.
    """
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as err:
        raise ModelError(f"'{file}' cannot be read: {str(err).splitlines()[0]}") from None
