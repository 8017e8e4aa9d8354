"""What models add to the rows of a source before the training: hard negatives, and what a teacher says.

Both are kept below `.cache/sources` of the runs folder by the content of the rows. Other texts do not share that place:
which texts are embedded together moves the last digits of a vector, and a run must repeat to the last digit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from hrembed.config.losses import EmbeddingDistillationLoss, MarginMseLoss
from hrembed.data.pairs import pair_row
from hrembed.errors import DataError
from hrembed.files import write_json
from hrembed.scoring.encoders import open_encoder, pinned
from hrembed.training.mining import Mined, MiningRule, mine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.finetune.sources import Source
    from hrembed.config.finetune import FinetuneConfig, SourceSection
    from hrembed.config.losses import MineSection
    from hrembed.config.parts import ModelSection
    from hrembed.runs.record import Run
    from hrembed.types import Encoder, Floats, Pair, Side

_VERSION = "1"  # of what is kept


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
    helper = _Helper(config, run, instruction)
    return [
        helper.enriched(section, number, source)
        for number, (section, source) in enumerate(zip(config.sources, sources, strict=True))
    ]


class _Helper:
    """Opens the models of sources, and keeps what they say."""

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
        section = base if chosen is None else pinned(chosen, self._run.root)
        encoder = open_encoder(section, self._run, cache=folder / "vectors")
        self._run.add_model(name, encoder.identity, encoder.source)
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
        own = (anchors * positives).sum(axis=1)
        columns = zip(*(pair.negatives for pair in pairs), strict=True)
        others = [(anchors * self._embed(encoder, texts, "document")).sum(axis=1) for texts in columns]
        return np.stack([own - other for other in others], axis=1)

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
        found = _read(file, pairs)
        if found is None:
            self._run.progress.note(f"looking for hard negatives of {len(pairs):,} pairs")
            found = mine(pairs, lambda texts, side: self._embed(encoder, texts, side), rule)
            _write(file, pairs, found)
        return self._with(source, pairs, found, section.count)

    def _with(self, source: Source, pairs: Sequence[Pair], found: Mined, count: int) -> Source:
        """Add the mined negatives behind the given ones; a row without any is left out."""
        kept = [
            replace(pair, negatives=(*pair.negatives, *mined))
            for pair, mined in zip(pairs, found.negatives, strict=True)
            if mined
        ]
        if len(kept) < 2:
            raise DataError(
                f"mining found negatives for {len(kept)} of {len(pairs)} pairs: {found.facts['relevant']:,} candidates "
                f"were relevant by group, text or id, {found.facts['margin']:,} not far enough below the positive",
                hint="lower `mine.margin` or `mine.range_min`, or use more pairs: negatives are their positives",
            )
        if len(kept) < len(pairs):
            self._run.progress.note(f"{len(pairs) - len(kept):,} pairs are left out: mining found no negative for them")
        return replace(source, rows=kept, facts={**source.facts, "mined": {"count": count, **found.facts}})


def _pairs_of(source: Source) -> Sequence[Pair]:
    return cast("Sequence[Pair]", source.rows)  # the config lets no others be mined or taught


def _write(file: Path, pairs: Sequence[Pair], found: Mined) -> None:
    """Keep negatives as rows in whose `positive` they stand: texts are in the user's file already."""
    row_of = {pair.positive: row for row, pair in reversed(list(enumerate(pairs)))}
    rows = [[row_of[text] for text in own] for own in found.negatives]
    write_json(file, {"rows": rows, "facts": found.facts})


def _read(file: Path, pairs: Sequence[Pair]) -> Mined | None:
    """Read what was kept; None where there is nothing, or nothing whole."""
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        negatives = [tuple(pairs[row].positive for row in own) for own in held["rows"]]
        facts = {key: float("nan") if value is None else value for key, value in held["facts"].items()}
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    return Mined(negatives, facts) if len(negatives) == len(pairs) else None
