"""What models add to the rows of a source before the training: hard negatives, and the targets of a teacher.

Both are cached below `.cache/sources` of the runs folder by the content of the rows. Other texts do not share that
folder: which texts are embedded together changes the last digits of a vector, and a run must repeat to the last digit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from hrembed.config.losses import EmbeddingDistillationLoss, MarginMseLoss
from hrembed.data.pairs import pair_row
from hrembed.errors import DataError
from hrembed.files import write_json
from hrembed.records.base import Record, as_json
from hrembed.records.finetune import MiningFacts
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder, pinned, use_of
from hrembed.text import counted
from hrembed.training.mining import Mined, MiningRule, mine
from hrembed.types import LabelTask, PairTask

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.finetune.sources import Source
    from hrembed.config.finetune import FinetuneConfig, SourceSection
    from hrembed.config.losses import MineSection
    from hrembed.config.parts import ModelSection
    from hrembed.runs.record import Run
    from hrembed.types import Encoder, Floats, Pair, Side

_VERSION = "1"  # of what is cached


class _CachedNegatives(Record):
    """Mined negatives on disk.

    Attributes:
        rows: For each pair the rows in whose `positive` its negatives stand: the user's file holds the texts already.
        facts: How they were found.
    """

    rows: tuple[tuple[int, ...], ...]
    facts: MiningFacts


def enrich(config: FinetuneConfig, sources: Sequence[Source], run: Run, instruction: str) -> list[Source]:
    """Mine negatives and ask teachers where the config says so; models are recorded in the run.

    Args:
        config: Validated settings.
        sources: As `open_sources` reads them.
        run: Records models.
        instruction: What stands for `{instruction}` in prompts.

    Raises:
        ModelError: A model cannot be loaded, or gives no vectors.
        DataError: Nothing is left.
    """
    models = _SourceModels(config, run, instruction)
    return [
        models.enriched(section, number, source)
        for number, (section, source) in enumerate(zip(config.sources, sources, strict=True))
    ]


class _SourceModels:
    """Opens the models that mine and teach, and caches what they give."""

    def __init__(self, config: FinetuneConfig, run: Run, instruction: str) -> None:
        self._config = config
        self._run = run
        self._instruction = instruction

    def enriched(self, section: SourceSection, number: int, source: Source) -> Source:
        if section.mine is not None:
            source = self._mined(section.mine, number, source)
        if not isinstance(section.loss, MarginMseLoss | EmbeddingDistillationLoss):
            return source
        pairs = _pairs_of(source)
        encoder = self._open(section.loss.teacher, f"teacher-{number}", self._folder(pairs))
        if isinstance(section.loss, MarginMseLoss):
            return replace(source, targets=self._differences(encoder, pairs))
        return replace(source, targets=self._targets(encoder, pairs, section.loss.texts))

    def _folder(self, pairs: Sequence[Pair]) -> Path:
        digest = hashlib.sha256(_VERSION.encode())
        for pair in pairs:
            digest.update(json.dumps(pair_row(pair), sort_keys=True).encode())
        return self._run.cache / "sources" / digest.hexdigest()[:32]

    def _open(self, chosen: ModelSection | None, name: str, folder: Path) -> Encoder:
        """Open a model; the base model sees as much of a text as the training does."""
        base = self._config.model.model_copy(update={"max_tokens": self._config.train.max_tokens})
        # The open run is itself newer than any that `run:latest` means, so nobody is told of what is newer.
        section = base if chosen is None else pinned(chosen, Workspace(self._run.root))
        encoder = open_encoder(section, self._run, cache=folder / "vectors")
        self._run.add_model(name, encoder.identity, encoder.source, use_of(encoder))
        return encoder

    def _targets(self, encoder: Encoder, pairs: Sequence[Pair], texts: str) -> tuple[Floats, ...]:
        """Vectors of the columns that are compared."""
        if texts == "anchors":
            return (self._embed(encoder, [pair.anchor for pair in pairs], "query"),)
        if texts == "positives":
            return (self._embed(encoder, [pair.positive for pair in pairs], "document"),)
        return self._vectors(encoder, pairs)

    def _differences(self, encoder: Encoder, pairs: Sequence[Pair]) -> Floats:
        """Cosine of the positive less that of each negative, shape (n, k)."""
        anchors, positives = self._vectors(encoder, pairs)
        of_positive = (anchors * positives).sum(axis=1)
        columns = zip(*(pair.negatives for pair in pairs), strict=True)
        of_negatives = [(anchors * self._embed(encoder, texts, "document")).sum(axis=1) for texts in columns]
        return np.stack([of_positive - of_negative for of_negative in of_negatives], axis=1)

    def _vectors(self, encoder: Encoder, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
        """Unit rows of anchors and of positives."""
        anchors, positives = [pair.anchor for pair in pairs], [pair.positive for pair in pairs]
        return self._embed(encoder, anchors, "query"), self._embed(encoder, positives, "document")

    def _embed(self, encoder: Encoder, texts: Sequence[str], side: Side) -> Floats:
        return np.asarray(encoder.vectors(texts, side, instruction=self._instruction))

    def _mined(self, section: MineSection, number: int, source: Source) -> Source:
        pairs = _pairs_of(source)
        folder = self._folder(pairs)
        encoder = self._open(section.model, f"miner-{number}", folder)
        settings = section.model_dump(exclude={"model"})
        rule = MiningRule(**settings, seed=self._config.train.seed)
        key = repr((_VERSION, encoder.identity, self._instruction, sorted(asdict(rule).items())))
        file = folder / f"mined-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"
        mined = _read(file, pairs)
        if mined is None:
            self._run.progress.note(f"mining hard negatives for {counted(len(pairs), 'pair')}")
            mined = mine(pairs, lambda texts, side: self._embed(encoder, texts, side), rule)
            _write(file, pairs, mined)
        return self._with_negatives(source, pairs, mined)

    def _with_negatives(self, source: Source, pairs: Sequence[Pair], mined: Mined) -> Source:
        """Add the mined negatives after those of the file; a row without any is left out."""
        rows = [
            replace(pair, negatives=(*pair.negatives, *negatives))
            for pair, negatives in zip(pairs, mined.negatives, strict=True)
            if negatives
        ]
        if len(rows) < 2:
            raise DataError(
                (
                    f"mining found negatives for only {len(rows)} of {len(pairs)} pairs: {mined.facts.relevant:,} "
                    f"candidates were excluded as relevant (same group, text or id), and {mined.facts.margin:,} as "
                    "too similar to the positive"
                ),
                hint=(
                    "lower `mine.margin` or `mine.range_min`, or use more pairs: negatives are drawn from the "
                    "positives of other pairs"
                ),
            )
        if len(rows) < len(pairs):
            self._run.progress.note(
                f"skipping {counted(len(pairs) - len(rows), 'pair')}: mining found no negative for them"
            )
        return replace(source, rows=rows, mined=mined.facts)


def _pairs_of(source: Source) -> Sequence[Pair]:
    if isinstance(source.rows, LabelTask | PairTask):
        raise TypeError("only pairs are mined or taught, which the config has checked")
    return source.rows


def _write(file: Path, pairs: Sequence[Pair], mined: Mined) -> None:
    row_of = {pair.positive: row for row, pair in reversed(list(enumerate(pairs)))}
    rows = tuple(tuple(row_of[text] for text in negatives) for negatives in mined.negatives)
    write_json(file, as_json(_CachedNegatives(rows=rows, facts=mined.facts)))


def _read(file: Path, pairs: Sequence[Pair]) -> Mined | None:
    """Read cached negatives; None where there are none, or where the file is damaged."""
    try:
        cached = _CachedNegatives.model_validate_json(file.read_text(encoding="utf-8"))
        negatives = [tuple(pairs[row].positive for row in rows) for rows in cached.rows]
    except (OSError, ValueError, IndexError):
        return None
    return Mined(negatives, cached.facts) if len(negatives) == len(pairs) else None
