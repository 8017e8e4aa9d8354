"""The model that a server should run, opened so that it can also be run as servers run it by mistake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from hrembed.errors import ModelError
from hrembed.models.dense import Prompts, normalises
from hrembed.models.exported import one_side
from hrembed.models.refs import parse_ref
from hrembed.models.static import is_model2vec
from hrembed.models.transformer import TransformerBackend, prompts_of
from hrembed.models.weights import check_whole
from hrembed.scoring.encoders import (
    describe_use,
    load_weights,
    model_folder,
    open_static,
    titles_of,
    weights_identity,
)
from hrembed.scoring.varied_texts import row_cosines
from hrembed.titles import normal_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.parts import ModelSection
    from hrembed.models.static import StaticTable
    from hrembed.records.manifest import ModelUse
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Backend, Floats, Side, TitleSides

_POOLINGS = ("cls", "mean", "lasttoken", "max")  # what servers offer


class Changes(NamedTuple):
    """How a model is run otherwise than it says.

    Attributes:
        pooling: Another pooling; None for its own.
        dense: Whether the dense modules behind the pooling are used.
        max_tokens: Another limit; None for its own.
    """

    pooling: str | None = None
    dense: bool = True
    max_tokens: int | None = None


AS_IT_IS = Changes()


class Body(Protocol):
    """What computes raw vectors of texts that have their prompt."""

    @property
    def limit(self) -> int | None:
        """Tokens behind which it cuts; None for no limit."""
        ...

    @property
    def most_tokens(self) -> int | None:
        """Tokens that it can take at most; None where that is not known."""
        ...

    @property
    def pooling(self) -> str:
        """How tokens become a vector; empty where that is one of several or none."""
        ...

    @property
    def has_dense(self) -> bool:
        """Whether a dense module stands behind the pooling."""
        ...

    def encode(self, texts: Sequence[str], prompt: str, changes: Changes = AS_IT_IS) -> Floats:
        """Embed each text alone, shape (n, dim), as long as they come out of the last module."""
        ...

    def pieces(self, text: str) -> list[tuple[str, int]]:
        """Cut a text into pieces that are as long as the limit allows, each with its number of tokens."""
        ...


class TransformerBody:
    """A Sentence Transformers model with one encoder."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._others: dict[Changes, Any] = {}
        modules = [*model.children()]
        kinds = [type(module).__name__ for module in modules]
        self._place = kinds.index("Pooling") if "Pooling" in kinds else None
        mode = getattr(modules[self._place], "pooling_mode", "") if self._place is not None else ""
        self.pooling = mode if isinstance(mode, str) else ""
        self.has_dense = "Dense" in kinds
        self.limit: int | None = model.max_seq_length
        config = getattr(getattr(model[0], "model", None), "config", None)
        positions = getattr(config, "max_position_embeddings", None)
        # Models of RoBERTa's kind have 514 positions for 512 tokens.
        self.most_tokens: int | None = positions - positions % 8 if isinstance(positions, int) else None

    def encode(self, texts: Sequence[str], prompt: str, changes: Changes = AS_IT_IS) -> Floats:
        """Embed each text alone, as `Body` says."""
        model = self._with(changes)
        before = model.max_seq_length
        model.max_seq_length = changes.max_tokens or before
        try:
            vectors = model.encode(
                list(texts), prompt=prompt, batch_size=1, show_progress_bar=False, convert_to_numpy=True
            )
        finally:
            model.max_seq_length = before
        return np.asarray(vectors, dtype=np.float32)

    def _with(self, changes: Changes) -> Any:
        """Put the modules together again with another pooling, or without the dense ones; the weights are the same."""
        changes = changes._replace(max_tokens=None)
        if changes == AS_IT_IS or self._place is None:
            return self._model
        if changes not in self._others:
            from sentence_transformers import SentenceTransformer
            from sentence_transformers.sentence_transformer.modules import Pooling

            modules = [*self._model.children()]
            own = modules[self._place]
            if changes.pooling is not None:
                modules[self._place] = Pooling(own.embedding_dimension, changes.pooling, own.include_prompt)
            kept = [module for module in modules if changes.dense or type(module).__name__ != "Dense"]
            self._others[changes] = SentenceTransformer(modules=kept, device=str(self._model.device))
        return self._others[changes]

    def pieces(self, text: str) -> list[tuple[str, int]]:
        """Cut a text where a tokenizer would, as `Body` says."""
        tokenizer = self._model.tokenizer
        encoded = tokenizer(text, add_special_tokens=False, truncation=False, return_offsets_mapping=True)
        spans = encoded["offset_mapping"]
        if self.limit is None or not spans:
            return [(text, len(spans))]
        size = max(1, self.limit - tokenizer.num_special_tokens_to_add())
        parts = [spans[start : start + size] for start in range(0, len(spans), size)]
        return [(text[part[0][0] : part[-1][1]], len(part)) for part in parts]


class StaticBody:
    """A table of vectors: nothing of it can be run otherwise."""

    limit = most_tokens = None
    pooling = ""
    has_dense = False

    def __init__(self, table: StaticTable) -> None:
        self._table = table

    def encode(self, texts: Sequence[str], prompt: str, changes: Changes = AS_IT_IS) -> Floats:
        """Embed texts; no change has an effect."""
        return self._table.embed(texts, "document", prompt)

    def pieces(self, text: str) -> list[tuple[str, int]]:
        """Give the whole text, with its number of words."""
        return [(text, len(text.split()))]


@dataclass(frozen=True)
class Served:
    """The model that a server should run.

    Attributes:
        whole: The model as other commands run it, with the vectors that they keep.
        bodies: Side to what computes its vectors text by text.
        prompts: What the model or the config puts in front.
        titles: Which texts have their job titles normalised, by the client in any case.
        use: Prompts and pooling.
        dimensions: Numbers of a vector that are kept; None for all.
        is_static: Whether it is a table of vectors, whose lengths mean nothing.
    """

    whole: Backend
    bodies: Mapping[Side, Body]
    prompts: Prompts
    titles: TitleSides
    use: ModelUse | None
    dimensions: int | None
    is_static: bool = False

    def prompt(self, side: Side, instruction: str = "") -> str:
        """What stands in front of the texts of one side."""
        return self.prompts.of(side).replace("{instruction}", instruction)

    def seen(self, texts: Sequence[str], side: Side) -> list[str]:
        """Texts as they are sent, but for the prompt."""
        return [normal_form(text) for text in texts] if normalises(self.titles, side) else list(texts)

    @property
    def sides(self) -> dict[str, Side]:
        """Name to side of what has to be looked at; one where a text is the same on both sides."""
        same = len(set(map(id, self.bodies.values()))) == 1 and self.titles != "queries"
        if len(self.bodies) == 2 and same and self.prompt("query") == self.prompt("document"):
            return {"both": "document"}
        return {side: side for side in self.bodies}

    def cosines(self, own: Floats, found: Floats) -> Floats | None:
        """Compare vectors row by row, in the dimensions that are kept; None where they are not equally many."""
        own, found = own[:, : self.dimensions], found[:, : self.dimensions]
        return row_cosines(own, found) if own.shape == found.shape else None


def open_served(section: ModelSection, side: Side | None, workspace: Workspace) -> Served:
    """Open a model, and its weights.

    Args:
        section: What names it.
        side: The side that the server embeds; None for both.
        workspace: Where runs are, and who is told what of the model is not used.

    Raises:
        ModelError: It cannot be opened, or has an encoder for each side and none was chosen.
    """
    ref = parse_ref(section.ref)
    sides: tuple[Side, ...] = (side,) if side else ("query", "document")
    folder = model_folder(section, workspace.root) if ref.has_weights else None
    if folder is None or is_model2vec(folder):
        table, use = open_static(section, folder, workspace.progress)
        static = StaticBody(table)
        return Served(
            table,
            {each: static for each in sides},
            Prompts(use.query_prompt or "", use.document_prompt or ""),
            titles_of(section, use),
            use=use,
            dimensions=section.dimensions,
            is_static=True,
        )
    check_whole(folder)
    use = describe_use(section, folder, workspace.progress)
    whole = load_weights(section, folder, workspace.progress)
    routed = hasattr(whole[0], "sub_modules")
    if routed and side is None:
        raise ModelError(
            f"'{section.ref}' has separate query and document encoders, of which a server runs one",
            hint="check each server: `--set side=query`, then `--set side=document`",
        )
    body = TransformerBody(one_side(whole, side if routed else None))
    of_model = prompts_of(whole)
    identity = weights_identity(folder, section.dtype, section.max_tokens, section.pooling)
    return Served(
        TransformerBackend(lambda: whole, identity=identity, source=str(folder), batch_size=section.batch_size),
        {each: body for each in sides},
        Prompts(section.query_prompt or of_model["query"], section.document_prompt or of_model["document"]),
        titles_of(section, use),
        use=use,
        dimensions=section.dimensions,
    )


def ways_to_run(served: Served, side: Side) -> dict[str, Changes]:
    """List how servers run a model by mistake: in words, and what is changed."""
    body = served.bodies[side]
    poolings = [pooling for pooling in _POOLINGS if pooling != body.pooling] if body.pooling else []
    ways = {f"{pooling} pooling": Changes(pooling=pooling) for pooling in poolings}
    if body.has_dense:
        ways["without its Dense module"] = Changes(dense=False)
        ways |= {f"{pooling} pooling, without its Dense module": Changes(pooling, dense=False) for pooling in poolings}
    return ways
