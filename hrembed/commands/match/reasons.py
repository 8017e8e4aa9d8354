"""Why candidates have their cosines, in sentences, for models with which such reasons were measured to hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.data.personal import TAGS, replaced
from hrembed.models.dense import DenseEncoder
from hrembed.records.match import Reasons, SentenceShare
from hrembed.scoring.retrieval import open_task
from hrembed.scoring.why import closest_sentences, known_faithfulness, sentence_shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.match import WhySection
    from hrembed.data.personal import Finder
    from hrembed.records.match import Faithfulness
    from hrembed.runs.record import Run
    from hrembed.scoring.search_pipeline import Found, SearchPipeline
    from hrembed.scoring.why import Shares

PAIRS = 200
"""Most pairs of a query and a document on which reasons of a model are tested."""
# Cosines of the text that is kept and of the vector that is stored; int8 moves one by 0.002.
_SAME_TEXT = 0.01


def measured(pipeline: SearchPipeline, section: WhySection, run: Run) -> Faithfulness:
    """Say how far reasons of this model can be relied on; measured once, and kept beside the cached vectors.

    Raises:
        DataError: The task is missing, or has no documents of several sentences.
        ModelError: A text cannot be embedded.
    """
    encoder = pipeline.query_side.encoder
    task = open_task(section.task, run)
    found, new = known_faithfulness(
        encoder,
        task,
        run.manifest.inputs[task.name].sha256,
        run.cache / "why",
        pairs=PAIRS,
        needed=section.needed,
    )
    if new:
        run.progress.note(
            f"measured once for {encoder.name}: named sentences carried {found.share.value:.0%} of scores"
        )
    return found


def reasons_of(
    pipeline: SearchPipeline,
    job: str,
    candidates: Sequence[Found],
    section: WhySection,
    faithfulness: Faithfulness,
    finder: Finder,
    *,
    show_text: bool,
    run: Run,
) -> list[Reasons | None]:
    """Name the sentences that carried each cosine; None where the kept text is not the one that was embedded.

    Args:
        pipeline: What ranked.
        job: Its text.
        candidates: The list.
        section: How many sentences.
        faithfulness: Measured with this model, and passed.
        finder: Finds personal data in what is shown.
        show_text: Whether sentences of candidates are shown, and not only their places.
        run: Is told of texts that are not those of their vectors.

    Raises:
        DataError: The index holds no texts.
        ModelError: A text cannot be embedded.
    """
    encoder = pipeline.query_side.encoder
    if isinstance(encoder, DenseEncoder):
        encoder = encoder.without_cache()  # a sentence of somebody who is forgotten must not stay there
    texts = pipeline.texts([row.id for row in candidates])
    query = pipeline.query_side.vectors([job])
    documents = encoder.vectors(texts, "document")
    fresh = (documents @ query[0]).astype(np.float64)
    of_texts = sentence_shares(encoder, texts, "document", np.repeat(query, len(texts), axis=0))
    of_job = sentence_shares(encoder, [job] * len(texts), "query", documents)
    closest = closest_sentences(encoder, [(job, text) for text in texts])
    found: list[Reasons | None] = []
    other = 0
    for row, text, cosine, own, asked, best in zip(candidates, texts, fresh, of_texts, of_job, closest, strict=True):
        if abs(cosine - row.cosine) > _SAME_TEXT:
            other += 1
            found.append(None)
            continue
        found.append(
            Reasons(
                candidate=_largest(own, text, section.sentences, finder if show_text else None),
                job=_largest(asked, job, section.sentences, finder),
                unanswered=tuple(int(place) for place in np.flatnonzero(best < faithfulness.answered)),
                other=own.other,
                cosine=float(cosine),
            )
        )
    if other:
        run.warn(
            f"the kept texts of {other} candidates do not give the vectors of the index; no reasons are shown for them"
        )
    return found


def _largest(shares: Shares, text: str, count: int, finder: Finder | None) -> tuple[SentenceShare, ...]:
    """Sentences without which most is lost, redacted where there is a finder, else without their words."""
    return tuple(
        SentenceShare(
            place=int(place),
            start=shares.spans[place][0],
            end=shares.spans[place][1],
            share=float(shares.shares[place]),
            loss=float(shares.losses[place]),
            text=None if finder is None else redacted_piece(text, shares.spans[place], finder),
        )
        for place in shares.order[:count]
    )


def redacted_piece(text: str, span: tuple[int, int], finder: Finder) -> str:
    """A piece of a text with placeholders for what is found in the whole: a rule may need what stands around it."""
    start, end = span
    inside = [
        type(finding)(finding.type, max(finding.start, start) - start, min(finding.end, end) - start)
        for finding in finder.find(text)
        if finding.start < end and finding.end > start
    ]
    return replaced(text[start:end], inside, lambda finding, _: f"[{TAGS[finding.type]}]")
