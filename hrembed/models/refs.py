"""The grammar of model references, and what each kind of reference can do; nothing is loaded here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal, TypeGuard

from hrembed.errors import ConfigError
from hrembed.registry import names, nearest

CATALOGUE = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
STATIC = ("wordllama",)
Prefix = Literal["hf", "path", "run", "openai", "trec", "vectors", "index"]
Scheme = Literal["catalogue", "lexical", "static"] | Prefix
PREFIXES: tuple[Prefix, ...] = ("hf", "path", "run", "openai", "trec", "vectors", "index")
FORMS = "hf:ORG/NAME@REVISION, path:DIR, run:ID, openai:MODEL, trec:PATH, vectors:FILE, index:DIR"


@dataclass(frozen=True)
class ModelRef:
    """A reference taken apart.

    Attributes:
        scheme: What kind of model it names.
        target: Catalogue name, lexical name, name of static vectors, Hub id, folder, run id, name of the model at an
            endpoint, TREC run (a file, or a folder with one file a task), table of vectors, or index.
        revision: Hub revision, or None.
    """

    scheme: Scheme
    target: str
    revision: str | None = None

    @property
    def short_name(self) -> str:
        """Name for tables; a path is shortened to its last two parts."""
        if self.scheme in {"catalogue", "lexical", "static"}:
            return self.target
        if self.scheme in {"path", "trec", "vectors", "index"}:
            return f"{self.scheme}:{'/'.join(PurePath(self.target).parts[-2:])}"
        return f"{self.scheme}:{self.target}"

    @property
    def is_lexical(self) -> bool:
        """Whether it compares words, without any vectors of its own."""
        return self.scheme == "lexical"

    @property
    def is_endpoint(self) -> bool:
        """Whether another machine, or another process, computes its vectors."""
        return self.scheme == "openai"

    @property
    def is_run(self) -> bool:
        """Whether it is the model of a finetune run."""
        return self.scheme == "run"

    @property
    def is_vector_table(self) -> bool:
        """Whether it is a table of vectors that were made elsewhere."""
        return self.scheme == "vectors"

    @property
    def is_rankings(self) -> bool:
        """Whether it holds rankings that were made elsewhere, in place of a model."""
        return self.scheme == "trec"

    @property
    def is_index(self) -> bool:
        """Whether it is the search of an index, with all that ranks there."""
        return self.scheme == "index"

    @property
    def has_weights(self) -> bool:
        """Whether it names a folder of weights: it can be trained, exported, and its size measured."""
        return self.scheme in {"catalogue", "hf", "path", "run"}

    @property
    def embeds_texts(self) -> bool:
        """Whether it turns any text into a vector, so that its speed can be measured; a table of vectors does not."""
        return self.has_weights or self.is_endpoint or self.scheme == "static"

    @property
    def has_vectors(self) -> bool:
        """Whether it gives vectors, at least of the texts that a table of them holds."""
        return self.embeds_texts or self.is_vector_table


def parse_ref(text: str) -> ModelRef:
    """Read a reference: a known name or a scheme with what it names, as the hint of the error lists them.

    Raises:
        ConfigError: No such form or name; the hint lists what is known.
    """
    known = [*CATALOGUE, *STATIC, *names("lexical")]
    if text in CATALOGUE:
        return ModelRef("catalogue", text)
    if text in names("lexical"):
        return ModelRef("lexical", text)
    if text in STATIC:
        return ModelRef("static", text)
    prefix, _, target = text.partition(":")
    if not _is_prefix(prefix) or prefix == text:
        raise ConfigError(
            f"unknown model '{text}'{nearest(text, known)}",
            hint=f"known: {', '.join(known)}, {FORMS}",
        )
    if not target:
        raise ConfigError(f"model '{text}': nothing follows '{prefix}:'")
    if prefix != "hf":
        return ModelRef(prefix, target)
    name, _, revision = target.partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise ConfigError(f"model '{text}': Hub models must have the form hf:ORG/NAME or hf:ORG/NAME@REVISION")
    return ModelRef("hf", name, revision or None)


def _is_prefix(text: str) -> TypeGuard[Prefix]:
    return text in PREFIXES
