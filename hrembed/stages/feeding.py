"""From the `sources` of a config to the rows, batches and losses of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.data.locate import locate
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.errors import ConfigError, DataError
from hrembed.models.transformer import load_model
from hrembed.registry import resolve
from hrembed.stages.encoders import model_folder
from hrembed.training.batches import schedule
from hrembed.training.losses import matryoshka
from hrembed.training.trainer import Feed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


def build_feed(
    config: FinetuneConfig, sources: Sequence[Sequence[Pair]], model: Any, runs_dir: Path, instruction: str
) -> Feed:
    """Plan all batches, and choose losses.

    Args:
        config: Validated settings.
        sources: Rows of each source.
        model: The model in training, which the losses hold.
        runs_dir: Folder of all runs, for guides.
        instruction: What stands for `{instruction}` in prompts.

    Raises:
        ConfigError: A loss does not fit the model.
        ModelError: A guide cannot be loaded.
    """
    columns: dict[str, dict[str, list[Any]]] = {}
    losses, batches, start = {}, [], 0
    rng = np.random.default_rng(config.train.seed)
    for number, (section, pairs) in enumerate(zip(config.sources, sources, strict=True)):
        name = f"source-{number}"
        columns[name] = {
            "anchor": [pair.anchor for pair in pairs],
            "positive": [pair.positive for pair in pairs],
            "label": list(range(len(pairs))),
        }
        losses[name] = _loss(section, pairs, config, model, runs_dir)
        batches += [[start + row for row in batch] for batch in _plan(section, pairs, config, rng)]
        start += len(pairs)
    # One source after the other would forget the first; every epoch of one source is already shuffled.
    batches = [batches[n] for n in rng.permutation(len(batches))] if len(sources) > 1 else batches
    routes = {"anchor": "query", "positive": "document"} if hasattr(model[0], "sub_modules") else {}
    return Feed(columns, losses, batches, training_prompts(config, model, instruction), routes)


def _plan(
    section: SourceSection, pairs: Sequence[Pair], config: FinetuneConfig, rng: np.random.Generator
) -> list[list[int]]:
    return schedule(
        pairs,
        batch_size=config.train.batch_size,
        epochs=config.train.epochs,
        rng=rng,
        grouped=section.loss.name == "group-ranking",
        weights=[section.weight] * len(pairs),
    )


def _loss(section: SourceSection, pairs: Sequence[Pair], config: FinetuneConfig, model: Any, runs_dir: Path) -> Any:
    settings: dict[str, Any] = {key: getattr(section.loss, key) for key in type(section.loss).model_fields}
    name, lengths = settings.pop("name"), settings.pop("matryoshka")
    if "guide" in settings:
        guide = settings["guide"]
        settings["guide"] = lambda: load_model(model_folder(guide, runs_dir), max_tokens=config.train.max_tokens)
    loss = resolve("loss", name)(model, pairs, temperature=config.train.temperature, **settings)
    if not lengths:
        return loss
    whole = model.get_embedding_dimension()
    if max(lengths) > whole:
        raise ConfigError(f"`loss.matryoshka` names {max(lengths)} numbers, but the model's vectors have {whole}")
    return matryoshka(model, loss, [*{*lengths, whole}])


def training_prompts(config: FinetuneConfig, model: Any, instruction: str) -> dict[str, str]:
    """Put in front of training texts what the encoder will put in front of queries and documents."""
    own = model.prompts
    query = config.model.query_prompt or own.get("query") or ""
    names = ("document", "passage", "corpus")
    document = config.model.document_prompt or next((own[name] for name in names if name in own), "") or ""
    filled = [prompt.replace("{instruction}", instruction) for prompt in (query, document)]
    return dict(zip(("anchor", "positive"), filled, strict=True))
