"""From the `sources` of a config to the rows, batches and losses of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.data.locate import locate
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.errors import DataError
from hrembed.training.batches import schedule
from hrembed.training.trainer import Feed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.training import FinetuneConfig, SourceSection
    from hrembed.runs.record import Run
    from hrembed.types import Pair


def open_sources(config: FinetuneConfig, run: Run) -> list[list[Pair]]:
    """Read the rows of every source, and record them in the run.

    Raises:
        DataError: A source is missing, malformed or too small.
    """
    return [_open(section, number, config, run) for number, section in enumerate(config.sources)]


def _open(section: SourceSection, number: int, config: FinetuneConfig, run: Run) -> list[Pair]:
    path = pairs_file(locate(section.path))
    pairs = read_pairs(path, section.kinds)
    run.add_input(f"source-{number}", path)
    if section.limit is not None and section.limit < len(pairs):
        chosen = np.random.default_rng(config.train.seed).choice(len(pairs), section.limit, replace=False)
        pairs = [pairs[n] for n in sorted(chosen)]
    if len(pairs) < 2:
        raise DataError(f"{path}: training needs two pairs or more, found {len(pairs)}")
    return pairs


def build_feed(config: FinetuneConfig, sources: Sequence[Sequence[Pair]], model: Any, instruction: str) -> Feed:
    """Plan all batches, and choose losses.

    Args:
        config: Validated settings.
        sources: Rows of each source.
        model: The model in training, which the losses hold.
        instruction: What stands for `{instruction}` in prompts.
    """
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    rng = np.random.default_rng(config.train.seed)
    pairs = [pair for source in sources for pair in source]
    batches = schedule(pairs, batch_size=config.train.batch_size, epochs=config.train.epochs, rng=rng)
    columns: dict[str, list[Any]] = {
        "anchor": [pair.anchor for pair in pairs],
        "positive": [pair.positive for pair in pairs],
        "label": list(range(len(pairs))),
    }
    loss = MultipleNegativesRankingLoss(model, scale=1 / config.train.temperature)
    routes = {"anchor": "query", "positive": "document"} if hasattr(model[0], "sub_modules") else {}
    return Feed({"pairs": columns}, {"pairs": loss}, batches, training_prompts(config, model, instruction), routes)


def training_prompts(config: FinetuneConfig, model: Any, instruction: str) -> dict[str, str]:
    """Put in front of training texts what the encoder will put in front of queries and documents."""
    own = model.prompts
    query = config.model.query_prompt or own.get("query") or ""
    names = ("document", "passage", "corpus")
    document = config.model.document_prompt or next((own[name] for name in names if name in own), "") or ""
    filled = [prompt.replace("{instruction}", instruction) for prompt in (query, document)]
    return dict(zip(("anchor", "positive"), filled, strict=True))
