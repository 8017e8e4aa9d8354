"""The grammar of model references; nothing is loaded here."""

from __future__ import annotations

from dataclasses import dataclass

from hrembed.errors import ConfigError
from hrembed.registry import names, nearest

CATALOGUE = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
SCHEMES = ("hf", "path", "run", "openai", "trec", "vectors")
STATIC = ("wordllama",)
FORMS = "hf:ORG/NAME@REVISION, path:DIR, run:ID, openai:MODEL, trec:PATH, vectors:FILE"


@dataclass(frozen=True)
class ModelRef:
    """A reference taken apart.

    Attributes:
        scheme: `catalogue`, `lexical`, `static`, `hf`, `path`, `run`, `openai`, `trec` or `vectors`.
        target: Catalogue name, lexical name, name of static vectors, Hub id, folder, run id, name of the model at an
            endpoint, TREC run (a file, or a folder with one file a task), or table of vectors.
        revision: Hub revision, or None.
    """

    scheme: str
    target: str
    revision: str | None = None


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
    scheme, colon, target = text.partition(":")
    if not colon or scheme not in SCHEMES:
        raise ConfigError(
            f"unknown model '{text}'{nearest(text, known)}",
            hint=f"known: {', '.join(known)}, {FORMS}",
        )
    if not target:
        raise ConfigError(f"model '{text}' names nothing after '{scheme}:'")
    if scheme != "hf":
        return ModelRef(scheme, target)
    name, _, revision = target.partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise ConfigError(f"model '{text}': write a Hub model as hf:ORG/NAME or hf:ORG/NAME@REVISION")
    return ModelRef("hf", name, revision or None)
