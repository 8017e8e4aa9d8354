"""From the `sources` of a config to the rows, batches and losses of a training."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.commands.finetune.sources import count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.commands.finetune.sources import Source
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.training.plan import TrainingPlan

from typing import TYPE_CHECKING

from hrembed.errors import ConfigError
from hrembed.models.transformer import load_model
from hrembed.registry import resolve
from hrembed.scoring.encoders import model_folder
from hrembed.training.batches import schedule
from hrembed.training.losses import beside, matryoshka, scaled
from hrembed.training.plan import TrainingPlan
from hrembed.training.row_batches import schedule_labels, schedule_rows
from hrembed.types import LabelTask, PairTask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.commands.finetune.sources import Source
    from hrembed.config.finetune import FinetuneConfig, SourceSection
    from hrembed.types import Ints, Side


def build_plan(
    config: FinetuneConfig,
    sources: Sequence[Source],
    model: Any,
    runs_dir: Path,
    instruction: str,
    branch: int | None = None,
) -> TrainingPlan:
    """Plan all batches, and choose losses.

    Args:
        config: Validated settings.
        sources: Rows of each source, and what its loss compares them with.
        model: The model in training, which the losses hold.
        runs_dir: Folder of all runs, for guides.
        instruction: What stands for `{instruction}` in prompts.
        branch: Leave the sources of other branches out; None plans them all.

    Raises:
        ConfigError: A loss does not fit the model.
        ModelError: A guide cannot be loaded.
    """
    from transformers import set_seed

    set_seed(config.train.seed)  # a loss may start from random numbers
    every = enumerate(zip(config.sources, sources, strict=True))
    chosen = {f"source-{n}": item for n, item in every if branch in (None, item[0].branch)}
    columns = {name: text_columns(*item) for name, item in chosen.items()}
    sides = {name: _SIDES.get(name, "document") for own in columns.values() for name in own}
    routes = sides if hasattr(model[0], "sub_modules") else {}
    own = training_prompts(config, model, instruction)
    prompts = {name: own[side] for name, side in sides.items()}
    losses = {name: _loss(*item, config, model, runs_dir) for name, item in chosen.items()}
    for section, loss, drawn in _company(chosen, columns, losses, config.train.seed):
        beside_it = [name for name in losses if chosen[name][0].branch == section.branch]
        losses |= {name: beside(model, losses[name], loss, drawn, prompts, routes) for name in beside_it}
    batches = _batches({name: chosen[name] for name in columns}, config)
    for name, texts in columns.items():
        texts |= {"label": list(range(count(chosen[name][1].rows)))}
    return TrainingPlan(
        columns, losses, batches, prompts, routes, {n for n in columns if chosen[n][0].loss.name in _GIVEN}
    )


def _company(
    chosen: Mapping[str, tuple[SourceSection, Source]], columns: dict[str, Any], losses: dict[str, Any], seed: int
) -> list[tuple[SourceSection, Any, _Drawn]]:
    """Take the sources that accompany every step out of the others."""
    return [
        (section, losses.pop(name), _Drawn(columns.pop(name), section.every_step, (seed, number)))
        for number, (name, (section, _)) in enumerate(chosen.items())
        if section.every_step
    ]


def _batches(chosen: Mapping[str, tuple[SourceSection, Source]], config: FinetuneConfig) -> list[list[int]]:
    """Plan the batches of all sources, rows counted through all of them."""
    found: list[list[int]] = []
    start, rng = 0, np.random.default_rng(config.train.seed)
    for section, source in chosen.values():
        found += [[start + row for row in batch] for batch in _plan(section, source, config, rng)]
        start += count(source.rows)
    # One source after the other would forget the first; every epoch of one source is already shuffled.
    return [found[n] for n in rng.permutation(len(found))] if len(chosen) > 1 else found


class _Drawn:
    """Draws the rows of a source that accompany a batch: others for every batch, the same whenever it comes again."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], count: int, seed: Sequence[int]) -> None:
        self._columns = columns
        self._rows = len(next(iter(columns.values())))
        self._count = min(count, self._rows)
        self._seed = seed

    def __call__(self, labels: Sequence[int]) -> tuple[dict[str, list[Any]], Ints]:
        """Return texts by column, and the numbers of their rows."""
        rows = np.random.default_rng([*self._seed, *labels]).choice(self._rows, self._count, replace=False)
        return {name: [column[row] for row in rows] for name, column in self._columns.items()}, rows


_SIDES: Mapping[str, Side] = {"anchor": "query", "text": "query", "sentence1": "query", "sentence2": "query"}
_GIVEN = {"cosent", "margin-mse", "embedding-distillation", "invariance"}


def text_columns(section: SourceSection, source: Source) -> dict[str, list[Any]]:
    """Lay the texts of a source out as its loss takes them; the name of a column decides on which side it is embedded.

    Sentences and labelled texts are queries, as `eval` embeds them: neither is a document that answers the other.
    """
    rows = source.rows
    if isinstance(rows, LabelTask):
        name = "document" if getattr(section.loss, "side", "query") == "document" else "text"
        return {name: [text.text for text in rows.texts]}
    if isinstance(rows, PairTask):
        sides = (rows.first, rows.second)
        return {name: [text.text for text in side] for name, side in zip(source.columns, sides, strict=True)}
    if section.loss.name == "invariance":  # a résumé is a document, under both names
        return {"document_1": [pair.anchor for pair in rows], "document_2": [pair.positive for pair in rows]}
    found = {"anchor": [pair.anchor for pair in rows], "positive": [pair.positive for pair in rows]}
    kept = getattr(section.loss, "texts", "both")
    if kept != "both":
        return {name: texts for name, texts in found.items() if f"{name}s" == kept}
    for n in range(len(rows[0].negatives)):
        found[f"negative_{n + 1}"] = [pair.negatives[n] for pair in rows]
    return found


def texts_of(config: FinetuneConfig, sources: Sequence[Source]) -> list[str]:
    """Every text of every source, with repeats."""
    columns = [text_columns(*item) for item in zip(config.sources, sources, strict=True)]
    return [text for own in columns for texts in own.values() for text in texts]


def _plan(section: SourceSection, source: Source, config: FinetuneConfig, rng: np.random.Generator) -> list[list[int]]:
    rows, train = source.rows, config.train
    if isinstance(rows, LabelTask):
        return schedule_labels(
            rows.labels, batch_size=train.batch_size, epochs=train.epochs, weight=section.weight, rng=rng
        )
    if isinstance(rows, PairTask) or section.loss.name in _GIVEN:
        return schedule_rows(
            count(rows), batch_size=train.batch_size, epochs=train.epochs, weight=section.weight, rng=rng
        )
    return schedule(
        rows,
        batch_size=train.batch_size,
        epochs=train.epochs,
        rng=rng,
        grouped=section.loss.name == "group-ranking",
        weights=[section.weight] * len(rows),
    )


def _loss(section: SourceSection, source: Source, config: FinetuneConfig, model: Any, runs_dir: Path) -> Any:
    settings: dict[str, Any] = {key: getattr(section.loss, key) for key in type(section.loss).model_fields}
    name, lengths, factor = settings.pop("name"), settings.pop("matryoshka"), settings.pop("scale")
    if "guide" in settings:
        guide = settings["guide"]
        settings["guide"] = lambda: load_model(model_folder(guide, runs_dir), max_tokens=config.train.max_tokens)
    for key in (
        "teacher",
        "texts",
        "every_step",
        "names",
        "attributes",
        "half",
        "swaps",
    ):  # they chose rows and targets
        settings.pop(key, None)
    if source.targets is not None:
        settings["targets"] = source.targets
    loss = resolve("loss", name)(model, source.rows, temperature=config.train.temperature, **settings)
    if not lengths:
        return scaled(loss, factor)
    whole = model.get_embedding_dimension()
    if max(lengths) > whole:
        raise ConfigError(f"`loss.matryoshka` names {max(lengths)} numbers, but the model's vectors have {whole}")
    return scaled(matryoshka(model, loss, [*{*lengths, whole}]), factor)


def training_prompts(config: FinetuneConfig, model: Any, instruction: str) -> dict[Side, str]:
    """Put in front of training texts what the encoder will put in front of queries and documents."""
    own = model.prompts
    query = config.model.query_prompt or own.get("query") or ""
    names = ("document", "passage", "corpus")
    document = config.model.document_prompt or next((own[name] for name in names if name in own), "") or ""
    return {
        "query": query.replace("{instruction}", instruction),
        "document": document.replace("{instruction}", instruction),
    }


def sources_json(config: FinetuneConfig, sources: Sequence[Source], plan: TrainingPlan) -> list[dict[str, Any]]:
    """Write down what each source gave: rows, batches, and what was found while reading and mining."""
    ends = np.cumsum([len(columns["label"]) for columns in plan.columns.values()])
    places = np.searchsorted(ends, [batch[0] for batch in plan.batches], "right")
    batches = dict(zip(plan.columns, np.bincount(places, minlength=len(ends)).tolist(), strict=True))
    of_branch: dict[int, int] = defaultdict(int)
    for name, own in batches.items():
        of_branch[config.sources[int(name.removeprefix("source-"))].branch] += own
    every = {f"source-{n}": of_branch[own.branch] for n, own in enumerate(config.sources) if own.every_step}
    return [
        {
            "loss": section.loss.name,
            "rows": count(source.rows),
            "batches": (batches | every)[f"source-{n}"],
            **source.facts,
        }
        for n, (section, source) in enumerate(zip(config.sources, sources, strict=True))
    ]
