"""From the `model` section of a config to something that scores texts."""

from __future__ import annotations

import hashlib
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from hrembed.config.parts import EndpointSection
from hrembed.data.locate import locate
from hrembed.errors import ConfigError, ModelError
from hrembed.files import sha256
from hrembed.models.canary import Canary
from hrembed.models.dense import DenseEncoder, Prompts
from hrembed.models.endpoint import Endpoint, checked_url
from hrembed.models.folder import outside_parts, read_settings
from hrembed.models.refs import parse_ref
from hrembed.models.static import is_model2vec, open_model2vec, open_wordllama
from hrembed.models.transformer import TransformerBackend, compile_model, load_model
from hrembed.models.vectors import VectorTable
from hrembed.models.weights import check_whole, locate_weights
from hrembed.records.manifest import ModelUse, Scoring
from hrembed.registry import resolve
from hrembed.runs.past import LATEST, trained_model, training_run
from hrembed.scoring.accelerator import Accelerator

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.parts import ModelSection
    from hrembed.models.refs import ModelRef
    from hrembed.models.static import StaticTable
    from hrembed.progress import Progress
    from hrembed.records.manifest import ScoringChoice
    from hrembed.records.usage import EndpointUsage
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Backend, Encoder, TitleSides

_RUNS = "runs"  # where commands look unless they are told


def model_folder(section: ModelSection, runs_dir: Path) -> Path:
    """Find the folder of a transformer model.

    Raises:
        ModelError: It cannot be found, or is not what it should be.
    """
    ref = parse_ref(section.ref)
    if ref.is_run:
        return trained_model(runs_dir, ref.target)
    return locate_weights(ref, trust_remote_code=section.trust_remote_code)


def pinned(section: ModelSection, workspace: Workspace) -> ModelSection:
    """Put the id of the newest training in place of `run:latest`, so that the recorded config can be repeated.

    Raises:
        ModelError: There is no finished run, or the registry says that the newest was rejected.
    """
    ref = parse_ref(section.ref)
    if not ref.is_run or ref.target.rpartition("/")[2] != LATEST:
        return section
    run = training_run(workspace.root, ref.target, workspace.progress)
    return section.model_copy(update={"ref": f"run:{run.path.name}"})


def usage_of(encoder: Encoder | None) -> EndpointUsage | None:
    """What an endpoint counted so far; None for anything else."""
    return encoder.usage if isinstance(encoder, DenseEncoder) else None


def use_of(encoder: Encoder | None) -> ModelUse | None:
    """Prompts and pooling of a model with vectors; None for anything else."""
    return encoder.use if isinstance(encoder, DenseEncoder) else None


def open_encoder(
    section: ModelSection,
    workspace: Workspace,
    *,
    cache: Path | None = None,
    memory_mb: int = 1024,
    choice: ScoringChoice | None = None,
) -> Encoder:
    """Open whatever the section names; weights are loaded when a text has to be embedded.

    Args:
        section: Reference and settings.
        workspace: Where runs go, and who receives progress updates.
        cache: Folder of kept vectors; None keeps none.
        memory_mb: Vectors beyond so many MB are mapped from a file.
        choice: How the scoring of the section was chosen, where it was.

    Raises:
        ConfigError: A run of rankings or an index is no encoder, or it is still to be chosen how it scores.
        ModelError: It cannot be found, or has no windows of tokens and is to be scored by them.
    """
    ref = parse_ref(section.ref)
    if ref.is_rankings:
        raise ConfigError(
            f"`{section.ref}` contains rankings, not a model", hint="it can be used only with `hrembed eval`"
        )
    if ref.is_index:
        raise ConfigError(
            f"`{section.ref}` is the search of an index, not a model",
            hint="it can be used only with `hrembed eval` and `hrembed bias-audit`",
        )
    name_unused(section, ref, workspace.progress)
    if ref.is_lexical:
        lexical: Encoder = resolve("lexical", ref.target)()
        return lexical
    scoring = _scoring(section, choice)
    opened = _open(section, ref, workspace)
    if scoring.windows:
        check_windows(section, opened.use)
    return DenseEncoder(
        opened.backend,
        name=section.name or ref.short_name,
        prompts=opened.prompts or Prompts(section.query_prompt, section.document_prompt),
        titles=titles_of(section, opened.use),
        dimensions=section.dimensions,
        cache=cache,
        memory_mb=memory_mb,
        progress=workspace.progress,
        use=opened.use,
        scoring=scoring,
    )


# What is set for weights that torch or OpenVINO reads here.
_OF_WEIGHTS = {"dtype", "backend", "precision", "attention", "compile", "max_tokens", "pooling", "trust_remote_code"}
_OF_TEXTS = {"query_prompt", "document_prompt", "batch_size"}


def name_unused(section: ModelSection, ref: ModelRef, progress: Progress) -> None:
    """Say which settings of a model are not used, since they belong to models of another kind."""
    usual = type(section)()
    if ref.is_lexical or ref.is_index:
        unused = {*type(section).model_fields} - {"ref", "name", "search"}
    elif ref.is_endpoint:
        unused = _OF_WEIGHTS
    elif ref.is_vector_table:
        unused = {*_OF_WEIGHTS, *_OF_TEXTS, "endpoint"}
    else:
        unused = {"endpoint"}
    given = [f"`{name}`" for name in sorted(unused) if getattr(section, name) != getattr(usual, name)]
    if given:
        progress.note(f"warning: '{section.ref}' does not use {', '.join(given)}, which other kinds of models have")


def _scoring(section: ModelSection, choice: ScoringChoice | None) -> Scoring:
    score = section.score
    if score.windows == "auto" or score.lexical == "auto":
        raise ConfigError(
            f"the `score` of '{section.ref}' has not been chosen yet (`score: auto`)",
            hint="`eval`, `select` and `bias-audit` choose it; for other commands, set the chosen values",
        )
    return Scoring(
        windows=score.windows, side=score.side, lexical=score.lexical, lexical_kind=score.lexical_kind, choice=choice
    )


def check_windows(section: ModelSection, use: ModelUse | None) -> None:
    """Refuse windows of a model whose vector of a text is not the mean of its tokens.

    Raises:
        ModelError: It is something else; a window of tokens would mean nothing.
    """
    pooling = use.pooling if use else None
    if pooling != "mean":
        raise ModelError(
            (
                f"'{section.ref}' uses {pooling or 'a way that is not known'} pooling, so means over token "
                "windows are not meaningful"
            ),
            hint="remove `score.windows`, or use a model with mean pooling; `score.lexical` works with any model",
        )


class _Opened(NamedTuple):
    """What computes vectors, and how: with the prompts of the model and its pooling."""

    backend: Backend
    use: ModelUse | None = None
    prompts: Prompts | None = None  # where the backend does not know those of its model


def _open(section: ModelSection, ref: ModelRef, workspace: Workspace) -> _Opened:
    """Open what computes the vectors; what of a model folder is not used is noted.

    Raises:
        ModelError: It cannot be found.
    """
    if ref.is_endpoint:
        endpoint = open_endpoint(ref.target, section.endpoint, workspace, batch_size=section.batch_size)
        return _Opened(endpoint)
    if ref.is_vector_table:
        return _Opened(VectorTable(locate(ref.target)))
    folder = model_folder(section, workspace.root) if ref.has_weights else None
    if folder is None or is_model2vec(folder):
        table, use = open_static(section, folder, workspace.progress)
        return _Opened(table, use, Prompts(use.query_prompt or "", use.document_prompt or ""))
    check_whole(folder)
    use = describe_use(section, folder, workspace.progress)

    def load() -> object:
        model = load_weights(section, folder, workspace.progress)
        return compile_model(model) if section.compile else model

    identity = weights_identity(folder, section.dtype, section.max_tokens, section.pooling)
    if section.compile or section.attention != "auto":  # rounds in another way
        identity = hashlib.sha256(repr((identity, section.compile, section.attention)).encode()).hexdigest()
    if section.backend == "openvino" or section.precision != "float32":
        graphs = workspace.cache / "graphs"
        accelerator = Accelerator(
            section, graphs, identity=identity, source=folder, load=load, progress=workspace.progress
        )
        return _Opened(accelerator.open(), use)
    backend = TransformerBackend(load, identity=identity, source=str(folder), batch_size=section.batch_size)
    return _Opened(backend, use)


def open_static(section: ModelSection, folder: Path | None, progress: Progress) -> tuple[StaticTable, ModelUse]:
    """Open a table of vectors, and say how it embeds; what of a model folder is not used is noted.

    Args:
        section: Reference and settings.
        folder: Where it lies; None is the one that hrembed ships with.
        progress: Receives progress updates.

    Raises:
        ModelError: A setting has no effect on such a model, or a file is damaged.
    """
    if section.max_tokens is not None:
        raise ModelError(f"static model '{section.ref}' has no maximum length to lower", hint="remove `max_tokens`")
    if section.pooling is not None:
        raise ModelError(f"static model '{section.ref}' always uses mean pooling", hint="remove `pooling`")
    if folder is None:
        own = ModelUse(query_prompt=section.query_prompt, document_prompt=section.document_prompt, pooling="mean")
        return open_wordllama(), own
    use = describe_use(section, folder, progress).model_copy(update={"pooling": "mean"})
    return open_model2vec(folder), use


def load_weights(section: ModelSection, folder: Path, progress: Progress) -> Any:
    """Load a Sentence Transformers model with the settings of a section.

    Raises:
        ModelError: It does not load.
    """
    progress.note(f"loading {section.ref}")
    return load_model(
        folder,
        dtype=section.dtype,
        max_tokens=section.max_tokens,
        trust_remote_code=section.trust_remote_code,
        attention=section.attention,
        pooling=section.pooling,
    )


def titles_of(section: ModelSection, use: ModelUse | None) -> TitleSides:
    """Which texts have their job titles normalised: as the section says, or else the model."""
    return section.normalise_titles or (use.normalised_titles if use else None) or "none"


def open_endpoint(name: str, section: EndpointSection, workspace: Workspace, *, batch_size: int) -> Endpoint:
    """Open a model at an endpoint, with the canary vectors that are kept of it; nothing is sent yet.

    Raises:
        ModelError: Address or variable name are not usable.
    """
    canary = None if section.canary is None else canary_of(name, section, workspace)
    settings = section.model_dump(exclude={"canary"})
    return Endpoint(name, batch_size=batch_size, canary=canary, progress=workspace.progress, **settings)


def canary_of(name: str, section: EndpointSection, workspace: Workspace) -> Canary:
    """What is kept of a model at an endpoint, in the cache folder of the runs.

    Raises:
        ModelError: The address is not usable.
    """
    url = checked_url(section.base_url)
    words = ["hrembed", "serve-check", url, "--name", name, "--accept"]
    if section.api_key_env != EndpointSection.model_fields["api_key_env"].default:
        words += ["--set", f"endpoint.api_key_env={section.api_key_env}"]
    if str(workspace.root) != _RUNS:
        words += ["--runs-dir", str(workspace.root)]
    return Canary(
        workspace.cache / "canaries",
        url,
        name,
        min_cosine=section.canary or 0.0,
        accepting=shlex.join(words),
        progress=workspace.progress,
    )


def describe_use(section: ModelSection, folder: Path, progress: Progress) -> ModelUse:
    """Read prompts, pooling and the base of an adapter out of a model folder; note what of it is not used.

    Raises:
        ModelError: The config asks for another pooling than it says, a file of it is damaged, or the base of an adapter
            is not on this machine.
    """
    stored = read_settings(folder)
    if section.pooling not in {None, stored.pooling} and not stored.assumed_pooling:
        raise ModelError(
            (
                f"'{section.ref}' already defines its pooling "
                f"({stored.pooling or 'without a pooling module'}), which differs from `pooling: "
                f"{section.pooling}`"
            ),
            hint="remove `pooling`; it applies only to plain Transformers checkpoints",
        )
    for remark in stored.remarks(f"'{section.ref}'", section.pooling):
        progress.note(remark)
    if section.normalise_titles is None and stored.normalise_titles != "none":
        progress.note(f"'{section.ref}' contains `normalise_titles: {stored.normalise_titles}`, which is applied")
    return ModelUse(
        query_prompt=section.query_prompt or stored.query_prompt,
        document_prompt=section.document_prompt or stored.document_prompt,
        pooling=section.pooling or stored.pooling or stored.assumed_pooling or None,
        adapter_base=stored.adapter_base.as_posix() if stored.adapter_base is not None else None,
        normalised_titles=section.normalise_titles or stored.normalise_titles,
    )


def weights_identity(folder: Path, dtype: str, max_tokens: int | None, pooling: str | None = None) -> str:
    """Hash weights, tokenizer, pooling, number format and length limit; the name of the folder is not part of it.

    The weights below an adapter count as well, and so does a document prompt that is stored under another name than
    `document`: earlier releases did not use it.

    Raises:
        ModelError: The base of an adapter is not on this machine.
    """
    decides: list[object] = [sha256(folder), dtype, max_tokens]
    decides += [sha256(part) for part in outside_parts(folder)]
    stored = read_settings(folder)
    decides += [f"pooling {pooling}"] if pooling is not None and stored.assumed_pooling else []
    decides += [f"document prompt {stored.document_prompt}"] if stored.hidden_document_prompt else []
    return hashlib.sha256(repr(tuple(decides)).encode("utf-8", "surrogatepass")).hexdigest()
