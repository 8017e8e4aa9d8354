"""Sections that several commands share: models, tasks, intervals."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

from pydantic import Field, field_validator, model_validator

from hrembed.config.section import Section
from hrembed.config.source import parse
from hrembed.data.layout import Form
from hrembed.errors import ConfigError
from hrembed.files import file_name, user_path
from hrembed.metrics.names import parse_metric
from hrembed.models.refs import parse_ref
from hrembed.records.manifest import LexicalKind, Scoring
from hrembed.registry import names, nearest
from hrembed.types import Side, TitleSides

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def checked_ref(ref: str) -> str:
    """Return a model reference that can be read; a `ValueError` says what is wrong with another."""
    try:
        parse_ref(ref)
    except ConfigError as err:
        raise ValueError(f"{err}{'; ' + err.hint if err.hint else ''}") from None
    return ref


def checked_metric(name: str) -> str:
    """Return the name of a metric that is registered; a `ValueError` says what is wrong with another."""
    try:
        metric = parse_metric(name)
        if metric.name not in names("metric"):
            known = ", ".join(names("metric"))
            raise ConfigError(f"unknown metric '{name}'{nearest(metric.name, names('metric'))}", hint=f"known: {known}")
    except ConfigError as err:
        raise ValueError(f"{err}{'; ' + err.hint if err.hint else ''}") from None
    return name


class EndpointSection(Section):
    """A server with OpenAI's embeddings API. Texts leave this machine unless the server runs on it."""

    base_url: str = Field(
        default="https://api.openai.com/v1",
        description="Base URL, with `/v1` where the server expects it; `/embeddings` is appended. Plain http is "
        "allowed "
        "for localhost only.",
    )
    api_key_env: str = Field(
        default="OPENAI_API_KEY",
        description="Name of the environment variable that holds the API key, never the key itself; a server on "
        "localhost needs none.",
    )
    requests_per_minute: int | None = Field(default=None, ge=1, description="Rate limit, spread evenly; null for none.")
    timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="Timeout for the connection and for the whole response."
    )
    attempts: int = Field(
        default=6,
        ge=1,
        le=20,
        description="How often a batch is sent before giving up, when the server is busy or does not respond.",
    )
    canary: float | None = Field(
        default=0.9999,
        ge=0,
        le=1,
        description="Lowest cosine of eight fixed texts to what the endpoint gave when it was first used; below it "
        "the model behind the name has changed, and commands stop. Lower it for an endpoint that is not exact; null "
        "does not look.",
    )
    price_per_million_tokens: float | None = Field(
        default=None, ge=0, description="Price for the cost report, in any currency; null reports tokens only."
    )

    @field_validator("api_key_env")
    @classmethod
    def _a_name(cls, value: str) -> str:
        # The value is not shown: it may be the key itself, which must not reach a run folder either.
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
            raise ValueError(
                "expected the name of an environment variable (capitals, digits and `_`) that contains the "
                "key, not the key itself"
            )
        return value


COLUMNS: dict[str, str] = Field(
    default={},
    description="Name of a column here: its name in the file, as `{anchor: title}`; others are found by "
    "their own or another usual name.",
)
DELIMITER: str | None = Field(
    default=None, min_length=1, max_length=1, description="Between cells; null recognises it."
)
ENCODING: str = Field(default="utf-8", description="Encoding of text files; UTF-16 is known by its byte-order mark.")


class _Table(Protocol):
    @property
    def columns(self) -> Mapping[str, str]: ...
    @property
    def delimiter(self) -> str | None: ...
    @property
    def encoding(self) -> str: ...


Name = TypeVar("Name", str, str | None)


def form_of(section: _Table) -> Form:
    """How the tables of a section are to be read."""
    return Form(section.delimiter, encoding=section.encoding, columns=section.columns)


def known_columns(columns: dict[str, Name], known: Sequence[str]) -> dict[str, Name]:
    """Return names of columns; a `ValueError` says which of them nobody would read."""
    for column in columns:
        if column not in known:
            raise ValueError(f"unknown column '{column}'{nearest(column, known)}; known columns: {', '.join(known)}")
    return columns


NAME: str | None = Field(
    default=None,
    description="Name in every table, plot, page and file; null makes one of the reference or the path.",
)
_LONGEST_NAME = 60
_NOT_IN_NAMES = '/\\#*?[]<>:|"'
"""Parts of paths and patterns, what file systems refuse, and what numbers names."""


class _Named(Protocol):
    @property
    def name(self) -> str | None: ...


def checked_name(name: str | None) -> str | None:
    """Return a name that can stand in tables and be part of a file's name; a `ValueError` says why another cannot."""
    if name is None:
        return None
    if not name.strip():
        raise ValueError("a name must not be empty")
    if name != name.strip() or not name.isprintable():
        raise ValueError("a name must not begin or end with a space, or contain control characters")
    if name[0] in "._":  # hidden files; plots leave such names out of their legend
        raise ValueError(f"a name must not begin with '{name[0]}'")
    if bad := [letter for letter in name if letter in _NOT_IN_NAMES]:
        raise ValueError(f"a name must not contain '{bad[0]}': it is also part of file names")
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a name has at most {_LONGEST_NAME} characters, this one has {len(name)}")
    return name


def check_distinct(sections: Iterable[_Named], what: str) -> None:
    """Refuse two equal names, also where they differ only in what a file's name cannot show.

    Raises:
        ValueError: There are two.
    """
    seen: dict[str, str] = {}
    for name in (section.name for section in sections if section.name is not None):
        file = file_name(name).casefold()
        if file in seen:
            other = f"two {what} are named" if seen[file] == name else f"'{seen[file]}' gives the same file as"
            raise ValueError(f"{other} '{name}'; choose distinct names")
        seen[file] = name


PAIR_COLUMNS = ("anchor", "positive", "group", "family", "anchor_id", "positive_id", "kind", "negative")
SCORE_COLUMNS = ("model", "revision", "task", "split", "subset", "main_score", "mteb_version", "experiment")
SCORED_COLUMNS = ("sentence1", "sentence2", "score")
TASK_COLUMNS = ("_id", "text", "title", "group", "query-id", "corpus-id", *SCORED_COLUMNS, "label", "split")


class TaskSection(Section):
    """A task: a folder in BEIR layout, a file of rows, or a task of mteb."""

    path: str = Field(
        default="shipped:hr-core/test/ad-profile",
        description="Folder with `corpus.jsonl`, `queries.jsonl` and `qrels/`; file with `sentence1`, `sentence2`, "
        "`score` or `text`, `label`; `shipped:NAME` for one of ours; `mteb:NAME` for a task or benchmark of mteb.",
    )
    name: str | None = NAME
    split: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the qrels file without `.tsv`, or the split of the rows that are scored; null when "
        "there is "
        "only one.",
    )
    kind: Literal["auto", "retrieval", "reranking", "similarity", "classification", "clustering"] = Field(
        default="auto", description="Kind of task; `auto` infers it from the files (clustering must be named)."
    )
    text: str = Field(default="text", min_length=1, description="Text column (classification, clustering).")
    label: str = Field(default="label", min_length=1, description="Label column (classification, clustering).")
    columns: dict[str, str] = COLUMNS
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    exclude_self: bool | None = Field(
        default=None,
        description="Leave a document with the id of the query out of its ranking, as BEIR and mteb do; null does so "
        "where the query is that document and is not judged as its own answer.",
    )
    instruction: str = Field(default="", description="Task instruction, for prompts that contain `{instruction}`.")

    _name = field_validator("name")(checked_name)
    _columns = field_validator("columns")(lambda cls, value: known_columns(value, TASK_COLUMNS))


_WIDEST = 64  # tokens of a window; wider ones are nearly whole sentences, and their tokens are gathered in memory


class ScoreSection(Section):
    """How queries and documents are compared: whole vectors, unless one of these is set."""

    windows: tuple[int, ...] | Literal["auto"] = Field(
        default=(),
        description="Tokens of a window, as `[3, 4]`: a text scores as its best window does, for sentences that name "
        "several things; needs a model with mean pooling that runs here. `auto` chooses on `dev`.",
    )
    side: Side = Field(default="query", description="Whose texts are divided into windows.")
    lexical: float | Literal["auto"] = Field(
        default=0.0, description="Weight of a lexical part that is added to the cosine; `auto` chooses on `dev`."
    )
    lexical_kind: LexicalKind = Field(
        default="char-tfidf",
        description="`char-tfidf` (cosine of weighted letters, 0 to 1) or `bm25` (divided by the query's highest "
        "score).",
    )
    dev: TaskSection | None = Field(
        default=None, description="Retrieval task for `auto`, none of whose queries is in a task that is reported."
    )
    metric: str = Field(default="map", description="Metric for `auto`.")

    _metric = field_validator("metric")(checked_metric)

    @classmethod
    def of(cls, scoring: Scoring) -> ScoreSection:
        """The settings that score so."""
        used = {"windows": scoring.windows, "lexical": scoring.lexical}
        side = {"side": scoring.side} if scoring.windows else {}
        kind = {"lexical_kind": scoring.lexical_kind} if scoring.lexical else {}
        return cls.model_validate({**used, **side, **kind})

    @property
    def is_plain(self) -> bool:
        """Whether whole vectors are compared, and nothing else."""
        return not self.windows and not self.lexical

    @property
    def is_open(self) -> bool:
        """Whether something is still to be chosen."""
        return "auto" in (self.windows, self.lexical)

    @field_validator("windows")
    @classmethod
    def _each_once(cls, value: tuple[int, ...] | Literal["auto"]) -> tuple[int, ...] | Literal["auto"]:
        if value == "auto":
            return value
        if any(not 1 <= width <= _WIDEST for width in value):
            raise ValueError(f"window sizes must be between 1 and {_WIDEST} tokens")
        return tuple(sorted(set(value)))

    @field_validator("lexical")
    @classmethod
    def _weight(cls, value: float | Literal["auto"]) -> float | Literal["auto"]:
        if value != "auto" and value < 0:
            raise ValueError("weights must not be negative")
        return value

    @model_validator(mode="after")
    def _all_used(self) -> ScoreSection:
        if self.is_open and self.dev is None:
            raise ValueError("`auto` needs a task that is not reported; set it as `dev`")
        auto = "`windows: auto` or `lexical: auto`"
        for key, used, needs in (
            ("dev", self.is_open, auto),
            ("metric", self.is_open, auto),
            ("side", bool(self.windows), "`windows`"),
            ("lexical_kind", bool(self.lexical), "`lexical`"),
        ):
            if not used and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"`{key}` has no effect without {needs}")
        return self


class ModelSection(Section):
    """A model and how to load it. A reference or the path of a `pick.yaml` may stand in its place."""

    short_form: ClassVar[bool] = True

    ref: str = Field(
        default="minilm",
        description="`minilm`, `hf:ORG/NAME@REVISION`, `path:DIR`, `run:ID`, `openai:MODEL`, `wordllama`, `bm25`, "
        "`tfidf`, `char-tfidf`, `index:DIR` (the search of an index; `eval` and `bias-audit` only) or `trec:PATH` "
        "(TREC run files of an earlier evaluation or of another system; `eval` only).",
    )
    name: str | None = NAME
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32",
        description="Data type of the weights.",
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto",
        description="Engine of a transformer: `torch`; `openvino`, whose graph is compiled once and kept in "
        "`.cache` in "
        "the runs folder (needs `hrembed[export]`); `auto` uses torch for `precision: float32` and OpenVINO "
        "otherwise. Training and `export` always use torch.",
    )
    precision: Literal["float32", "bfloat16", "int8", "auto"] = Field(
        default="float32",
        description="Precision of OpenVINO. `auto` measures once which of torch, float32 and bfloat16 is "
        "fastest on this "
        "machine with a cosine of at least 0.9999 to float32, and remembers it; `int8` is fastest and "
        "changes the vectors.",
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto",
        description="Attention implementation of torch; `auto` leaves it to transformers. `flash_attention_2` needs a "
        "GPU, the package `flash-attn` and half precision.",
    )
    compile: bool = Field(
        default=False,
        description="Compile the transformer with `torch.compile` on its first batch: takes minutes, and pays off for "
        "many texts on a GPU.",
    )
    max_tokens: int | None = Field(
        default=None,
        ge=8,
        le=131072,
        description="Truncate texts to this many tokens; null keeps the model's own limit.",
    )
    pooling: Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"] | None = Field(
        default=None,
        description="Pooling of a plain Transformers checkpoint, which does not say its own; null takes `mean` "
        "(`lasttoken` for a causal language model), with a warning.",
    )
    dimensions: int | None = Field(
        default=None, ge=1, description="Truncate vectors to their first dimensions (Matryoshka); null keeps all."
    )
    batch_size: int = Field(default=32, ge=1, description="Texts per batch.")
    query_prompt: str = Field(
        default="",
        description="Prefix of every query; `{instruction}` is replaced by that of the task. Empty keeps the "
        "model's own "
        "prompt, if it has one.",
    )
    document_prompt: str = Field(
        default="", description="Prefix of every document. Empty keeps the model's own prompt, if it has one."
    )
    normalise_titles: TitleSides | None = Field(
        default=None,
        description="Put English job titles into the singular and into direct order before they are embedded "
        "(`Bakers, Night Shift`: `Night Shift Baker`): those of `queries`, of `both` sides, `none`; null does what the "
        "model stores.",
    )
    trust_remote_code: bool = Field(
        default=False, description="Run Python code that ships with the model. Only for sources you trust."
    )
    search: str | None = Field(
        default=None,
        min_length=1,
        description="`index:DIR`: config of `match` whose `where`, `stages`, `score` and `model` are deployed.",
    )
    endpoint: EndpointSection = EndpointSection()
    score: ScoreSection = ScoreSection()

    _name = field_validator("name")(checked_name)
    _ref = field_validator("ref")(checked_ref)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return cls.of_text(value) if isinstance(value, str) else value

    @classmethod
    def of_text(cls, text: str) -> dict[str, Any]:
        """Read a reference, or the path of what `hrembed select` wrote."""
        return _picked(text) if text.endswith((".yaml", ".yml")) else {"ref": text}

    @model_validator(mode="after")
    def _embeds_what_is_normalised(self) -> ModelSection:
        if self.normalise_titles is not None and not parse_ref(self.ref).embeds_texts:
            raise ValueError(f"`normalise_titles` requires an embedding model, which '{self.ref}' is not")
        return self

    @model_validator(mode="after")
    def _one_arithmetic(self) -> ModelSection:
        if self.backend == "torch" and self.precision != "float32":
            raise ValueError("`precision` is only supported by OpenVINO; for torch, set `dtype`, or remove `backend`")
        graph = self.backend == "openvino" or self.precision != "float32"
        if graph and (self.compile or self.attention != "auto"):
            raise ValueError("`attention` and `compile` are only supported by torch; remove `backend` and `precision`")
        if graph and self.dtype != "float32":
            raise ValueError("OpenVINO graphs are exported from float32; remove `dtype`")
        return self

    @model_validator(mode="after")
    def _something_to_score(self) -> ModelSection:
        ref = parse_ref(self.ref)
        if self.search is not None and not ref.is_index:
            raise ValueError(f"`search` has no effect with `{self.ref}`; it is for `index:DIR`")
        if ref.is_index and not self.score.is_plain:
            raise ValueError("the scoring of an index is that of its `search`, a config of `match`; remove `score`")
        if not self.score.is_plain and not ref.has_vectors:
            raise ValueError(f"`score` requires an embedding model; `{self.ref}` has its own scores")
        if self.score.windows and (ref.is_endpoint or ref.is_vector_table):
            raise ValueError(
                f"`{self.ref}` returns one vector per text, so token windows are not available; remove "
                "`score.windows` (`score.lexical` works with any model)"
            )
        return self


def check_plain_score(section: ModelSection) -> ModelSection:
    """Return a model that is used for its vectors alone; a `ValueError` refuses another scoring than their cosine."""
    if not section.score.is_plain:
        raise ValueError("only embeddings are used here, so `score` has no effect; remove it")
    return section


def check_vectors_alone(section: ModelSection) -> ModelSection:
    """Return a model that stands in no table, either; a `ValueError` refuses a name as well."""
    if section.name is not None:
        raise ValueError("this model stands in no table under a name of its own, so `name` has no effect; remove it")
    return check_plain_score(section)


def _picked(path: str) -> dict[str, Any]:
    """Read the section that `hrembed select` wrote; a `ValueError` says what is wrong with it."""
    try:
        return parse(user_path(path).read_text(encoding="utf-8"), path).values
    except (OSError, UnicodeDecodeError) as err:
        raise ValueError(f"'{path}' cannot be read: {getattr(err, 'strerror', None) or err}") from None
    except ConfigError as err:
        raise ValueError(str(err)) from None


class StagesSection(Section):
    """What ranks candidates of an index, one stage after the other."""

    depth: int = Field(default=100, ge=1, le=10_000, description="Candidates retrieved, at least `k`.")
    bm25: bool = Field(default=False, description="Fuse with BM25 by reciprocal ranks (k = 60).")
    rescore: int = Field(default=100, ge=1, le=1000, description="First ones that `score` scores again.")
    cross_encoder: str | None = Field(
        default=None, min_length=1, description="Cross-encoder, `path:DIR` or `hf:ORG/NAME`."
    )
    cross_encoder_depth: int = Field(default=50, ge=1, le=100, description="First ones that it reads.")

    @model_validator(mode="after")
    def _all_used(self) -> StagesSection:
        if (
            self.cross_encoder is None
            and self.cross_encoder_depth != type(self).model_fields["cross_encoder_depth"].default
        ):
            raise ValueError("`cross_encoder_depth` has no effect without `cross_encoder`")
        return self


class BootstrapSection(Section):
    """Bootstrap intervals."""

    resamples: int = Field(default=2000, ge=100, le=1_000_000, description="Number of resamples.")
    confidence: float = Field(default=0.95, gt=0.5, lt=1, description="Confidence level of every interval.")
    seed: int = Field(default=13, ge=0, description="Random seed.")
