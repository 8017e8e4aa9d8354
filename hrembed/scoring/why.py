"""Which sentences a cosine rests on, and whether that was measured.

The vector of a text whose tokens are averaged is a sum over its tokens, so its cosine with another text is one as well:
tokens are grouped by sentence, and nothing is left over. For other models one sentence after another is left out.
Whether the sentence that is named is the one that the score rests on is measured, since neither says so by itself.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import DataError
from hrembed.files import json_text, write_text
from hrembed.metrics.intervals import mean_interval
from hrembed.models.dense import DenseEncoder
from hrembed.records.base import as_json
from hrembed.records.match import Faithfulness
from hrembed.text import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.records.match import WhyMethod
    from hrembed.types import Encoder, Floats, Ints, Side, Task, Text, TokenParts

_VERSION = 2  # of how shares and faithfulness are computed
_ALIKE = 2.0  # sentences whose lengths differ by no more than this factor are of like length
_CHANCE = 0.95  # share of foreign sentences that are less close than one that counts as an answer
_SEED = 13
_TRIED = 2  # sentences with the largest estimated losses that are left out


class Shares(NamedTuple):
    """What the sentences of a text add to its cosine with another.

    Attributes:
        spans: First character of each sentence and the one behind its last.
        shares: What each adds, shape (sentences,).
        losses: What the cosine loses without each, the text embedded anew, shape (sentences,); NaN where not tried.
        order: Sentences by what is lost without them, the largest loss first.
        other: What stands in no sentence; NaN where shares do not add up.
    """

    spans: list[tuple[int, int]]
    shares: Floats
    losses: Floats
    order: Ints
    other: float


def sentence_shares(encoder: Encoder, texts: Sequence[str], side: Side, others: Floats) -> list[Shares]:
    """Divide the cosine of each text with a vector of the other side among the sentences of the text.

    A share is no loss: without a sentence the rest weighs more, and the tokens of the rest no longer see it. So the
    sentences without whose tokens the sum would lose most are left out, the text is embedded anew, and they are
    ordered by what that really costs.

    Args:
        encoder: Embeds the texts.
        texts: Texts.
        side: Which side they stand on.
        others: Unit vectors of the other side, one for each text, shape (n, dim).

    Raises:
        ModelError: A text cannot be embedded.
    """
    parts = encoder.token_parts(texts, side) if isinstance(encoder, DenseEncoder) else None
    places = [sentences(text) for text in texts]
    if parts is None:
        estimated = [_Estimate(np.zeros(len(own)), np.zeros(len(own)), float("nan"), len(own)) for own in places]
    else:
        estimated = [_within_sum(*each) for each in zip(parts, places, others, strict=True)]
    tried = [np.argsort(-each.losses, kind="stable")[: each.tried] for each in estimated]
    left_out = [[without(text, own[n]) for n in chosen] for text, own, chosen in zip(texts, places, tried, strict=True)]
    scores = _cosines(encoder, [[text, *own] for text, own in zip(texts, left_out, strict=True)], side, others)
    found = []
    for own, each, chosen, (whole, *rest) in zip(places, estimated, tried, scores, strict=True):
        losses = np.full(len(own), np.nan)
        losses[chosen] = whole - np.array(rest)
        confirmed = chosen[np.argsort(-losses[chosen], kind="stable")]
        behind = [n for n in np.argsort(-each.losses, kind="stable") if np.isnan(losses[n])]
        shares = losses if parts is None else each.shares
        order = np.array([*confirmed, *behind], dtype=np.int64)
        found.append(Shares(own, shares, losses, order, each.other))
    return found


class _Estimate(NamedTuple):
    """What is known of the sentences of a text before any is left out.

    Attributes:
        shares: What each adds to the cosine.
        losses: About what the cosine would lose without each.
        other: What stands in no sentence.
        tried: How many are left out.
    """

    shares: Floats
    losses: Floats
    other: float
    tried: int


def _within_sum(parts: TokenParts, places: list[tuple[int, int]], other: Floats) -> _Estimate:
    """Group tokens by sentence, and see what the cosine would be without those of each."""
    vectors, spans = parts
    starts = np.array([start for start, _ in places], dtype=np.int64)
    # A token that begins in the space before a sentence, as those of some tokenizers do, belongs to the sentence.
    owner = np.searchsorted(starts, spans[:, 1] - 1, side="right") - 1
    inside = (spans[:, 0] >= 0) & (owner >= 0)
    of_sentences = np.zeros((len(places), vectors.shape[1]))
    np.add.at(of_sentences, owner[inside], vectors[inside])
    whole = vectors.sum(axis=0)
    shares = of_sentences @ np.asarray(other, dtype=np.float64)
    return _Estimate(
        shares,
        lost_within_sum(of_sentences, whole, other),
        float(whole @ other - shares.sum()),
        min(_TRIED, len(places)),
    )


def lost_within_sum(of_sentences: Floats, whole: Floats, other: Floats) -> Floats:
    """What a cosine loses when the tokens of a sentence are taken out of the sum, shape (sentences,).

    Args:
        of_sentences: Sum of the tokens of each sentence, shape (sentences, dim).
        whole: Sum of all tokens, of length 1, shape (dim,).
        other: The vector that the text is compared with, of length 1.
    """
    rest = whole - of_sentences
    lengths = np.linalg.norm(rest, axis=1)
    return np.asarray(whole @ other - rest @ other / np.where(lengths > 0, lengths, 1))


def _cosines(encoder: Encoder, texts: Sequence[Sequence[str]], side: Side, others: Floats) -> list[list[float]]:
    """Cosines of some texts each with the vector of their row, all embedded at once."""
    flat = [text for row in texts for text in row]
    rows = np.repeat(np.arange(len(texts)), [len(row) for row in texts])
    cosines = (encoder.vectors(flat, side) * np.asarray(others)[rows]).sum(axis=1).tolist() if flat else []
    ends = np.cumsum([len(row) for row in texts]).tolist()
    return [cosines[end - len(row) : end] for row, end in zip(texts, ends, strict=True)]


def method_of(encoder: Encoder) -> WhyMethod:
    """How shares of this model are computed."""
    adds_up = isinstance(encoder, DenseEncoder) and encoder.token_parts(["word"], "document") is not None
    return "token shares" if adds_up else "leave one sentence out"


def without(text: str, place: tuple[int, int]) -> str:
    """Leave a sentence out of a text."""
    start, end = place
    return f"{text[:start].rstrip()} {text[end:].lstrip()}".strip()


def closest_sentences(encoder: Encoder, pairs: Sequence[tuple[str, str]]) -> list[Floats]:
    """Highest cosine of each sentence of a job to any sentence of a candidate, every sentence embedded by itself.

    Args:
        encoder: Embeds sentences.
        pairs: Text of a job, on the side of queries, and text of a candidate, on that of documents.

    Returns:
        For each pair, shape (sentences of the job,); -1 where the candidate has no text.
    """
    asked = _Pieces(encoder, [job for job, _ in pairs], "query")
    given = _Pieces(encoder, [candidate for _, candidate in pairs], "document")
    found = []
    for (job, candidate), of_job, of_candidate in zip(pairs, asked.places, given.places, strict=True):
        best = np.full(len(of_job), -1.0)
        if of_job and of_candidate:
            best = (asked.vectors(job) @ given.vectors(candidate).T).max(axis=1).astype(np.float64)
        found.append(best)
    return found


class _Pieces:
    """The sentences of some texts, embedded at once."""

    def __init__(self, encoder: Encoder, texts: Sequence[str], side: Side) -> None:
        self.places = [sentences(text) for text in texts]
        pieces = {
            text: [text[start:end] for start, end in places] for text, places in zip(texts, self.places, strict=True)
        }
        flat = list(dict.fromkeys(piece for of_text in pieces.values() for piece in of_text))
        row = {piece: n for n, piece in enumerate(flat)}
        self._rows = {text: [row[piece] for piece in of_text] for text, of_text in pieces.items()}
        self._vectors: Floats = encoder.vectors(flat, side)

    def vectors(self, text: str) -> Floats:
        """Vectors of the sentences of a text."""
        return np.asarray(self._vectors[self._rows[text]])


def measure_faithfulness(encoder: Encoder, task: Task, *, pairs: int, needed: float) -> Faithfulness:
    """See whether the named sentence is the one that the score rests on.

    For each query and one of its best judged documents, the named sentence of the document is left out, and another of
    like length in its place; the score should fall more without the named one. Texts are embedded anew each time, so
    this tests the explanation against the model, not against itself.

    Args:
        encoder: The model.
        task: Queries with judged documents.
        pairs: Most pairs, drawn evenly from the queries.
        needed: Share of pairs from which reasons are shown.

    Raises:
        DataError: No pair has two sentences of like length.
        ModelError: A text cannot be embedded.
    """
    chosen = _pairs(task, pairs)
    queries = encoder.vectors([query.text for query, _ in chosen], "query")
    found = sentence_shares(encoder, [document.text for _, document in chosen], "document", queries)
    left_out, rows = [], []
    for row, ((_, document), shares) in enumerate(zip(chosen, found, strict=True)):
        if len(shares.spans) > 1 and (other := _alike(shares)) is not None:
            named = int(shares.order[0])
            left_out += [without(document.text, shares.spans[named]), without(document.text, shares.spans[other])]
            rows.append(row)
    if not rows:
        raise DataError(
            f"{task.name}: no document has two sentences of similar length, so reasons cannot be tested on it",
            hint="set `why.task` to a retrieval task with documents of several sentences",
        )
    scores = (encoder.vectors(left_out, "document").reshape(len(rows), 2, -1) * queries[rows][:, None]).sum(axis=2)
    kept = (scores[:, 0] < scores[:, 1]).astype(np.float64)
    groups = [chosen[row][0].group or chosen[row][0].id for row in rows]
    share = mean_interval(kept, groups, rng=np.random.default_rng(_SEED), unit="groups")
    return Faithfulness(
        identity=encoder.identity,
        method=method_of(encoder),
        task=task.name,
        pairs=len(rows),
        skipped=len(chosen) - len(rows),
        share=share,
        needed=needed,
        answered=_answered(encoder, chosen),
        passes=bool(share.value >= needed),
    )


def _alike(shares: Shares) -> int | None:
    """Sentence whose length is nearest to that of the named one; None where none is of like length."""
    lengths = np.array([end - start for start, end in shares.spans], dtype=np.float64)
    named = int(shares.order[0])
    apart = np.abs(np.log(lengths / lengths[named]))
    apart[named] = np.inf
    nearest = int(np.argmin(apart))
    return nearest if apart[nearest] <= np.log(_ALIKE) else None


def _pairs(task: Task, count: int) -> list[tuple[Text, Text]]:
    """Draw queries, each with one of its best documents, the first by its place in the task."""
    documents = {document.id: document for document in task.documents if document.text}
    usable = []
    for query in task.queries:
        grades = {id_: grade for id_, grade in task.qrels.get(query.id, {}).items() if grade > 0 and id_ in documents}
        if grades:
            best = [id_ for id_ in documents if grades.get(id_) == max(grades.values())]
            usable.append((query, best))
    if not usable:
        raise DataError(f"{task.name} has no query with a relevant document", hint="set `why.task` to another task")
    rng = np.random.default_rng(_SEED)
    rows = np.sort(rng.permutation(len(usable))[:count])
    return [(usable[row][0], documents[usable[row][1][int(rng.integers(len(usable[row][1])))]]) for row in rows]


def _answered(encoder: Encoder, chosen: Sequence[tuple[Text, Text]]) -> float:
    """Cosine that hardly a sentence of a query reaches with a document of another group."""
    foreign = []
    for place, (query, _) in enumerate(chosen):
        others = [document for own, document in chosen if (own.group or own.id) != (query.group or query.id)]
        if others:
            foreign.append((query.text, others[place % len(others)].text))
    return float(np.quantile(np.concatenate(closest_sentences(encoder, foreign)), _CHANCE)) if foreign else float("nan")


def known_faithfulness(
    encoder: Encoder, task: Task, task_hash: str, folder: Path, *, pairs: int, needed: float
) -> tuple[Faithfulness, bool]:
    """Read what was measured for this model, or measure and keep it.

    Args:
        encoder: The model.
        task: What it is measured on.
        task_hash: Hash of the task.
        folder: Where measurements are kept.
        pairs: As in `measure_faithfulness`.
        needed: As there.

    Returns:
        The measurement, and whether it was made now.
    """
    decides = repr((_VERSION, encoder.identity, task_hash, pairs))
    file = folder / f"{hashlib.sha256(decides.encode()).hexdigest()[:32]}.json"
    try:
        known = Faithfulness.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        known = None
    if known is not None and known.identity == encoder.identity:
        return known.model_copy(update={"needed": needed, "passes": known.share.value >= needed}), False
    measured = measure_faithfulness(encoder, task, pairs=pairs, needed=needed)
    write_text(file, json_text(as_json(measured), sort_keys=False) + "\n")
    return measured, True
