"""From the `sources` of a config to the rows, batches and losses of a training."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import ConfigError
from hrembed.models.transformer import load_model
from hrembed.records.finetune import SourceRecord
from hrembed.registry import resolve
from hrembed.scoring.encoders import model_folder
from hrembed.training.batches import schedule
from hrembed.training.losses import matryoshka, scaled, with_auxiliary
from hrembed.training.plan import TrainingPlan
from hrembed.training.row_batches import schedule_labels, schedule_rows
from hrembed.types import LabelTask, PairTask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.commands.finetune.sources import Source
    from hrembed.config.finetune import FinetuneConfig, SourceSection
    from hrembed.types import Ints, Side

_WITHOUT_BATCH_NEGATIVES = {"cosent", "margin-mse", "embedding-distillation", "invariance"}
# Settings of a loss that its function does not take: they chose rows and targets, or wrap the loss.
_NOT_OF_THE_LOSS = {
    "name", "matryoshka", "scale", "teacher", "texts", "every_step", "names", "attributes", "half", "swaps",
}  # fmt: skip
_SIDES: Mapping[str, Side] = {"anchor": "query", "text": "query", "sentence1": "query", "sentence2": "query"}


class _DataSet(NamedTuple):
    """A source as a data set of the trainer.

    Attributes:
        section: Its settings.
        source: Its rows, and what its loss compares them with.
        columns: Its texts, as the loss takes them.
    """

    section: SourceSection
    source: Source
    columns: Mapping[str, Sequence[str]]


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
    every = {
        f"source-{number}": _DataSet(section, source, text_columns(section, source))
        for number, (section, source) in enumerate(zip(config.sources, sources, strict=True))
        if branch in (None, section.branch)
    }
    sides = {name: _SIDES.get(name, "document") for data in every.values() for name in data.columns}
    routes = sides if hasattr(model[0], "sub_modules") else {}
    of_side = training_prompts(config, model, instruction)
    prompts = {name: of_side[side] for name, side in sides.items()}
    losses = {name: _loss(data.section, data.source, config, model, runs_dir) for name, data in every.items()}
    batched = {name: data for name, data in every.items() if not data.section.every_step}
    for number, (name, data) in enumerate(every.items()):
        if data.section.every_step:
            draw = _RowSampler(data.columns, data.section.every_step, (config.train.seed, number))
            for other in batched:
                if batched[other].section.branch == data.section.branch:
                    losses[other] = with_auxiliary(model, losses[other], losses[name], draw, prompts, routes)
    return TrainingPlan(
        columns={name: data.columns for name, data in batched.items()},
        losses={name: losses[name] for name in batched},
        batches=_batches(list(batched.values()), config),
        prompts=prompts,
        routes=routes,
        without_batch_negatives={n for n in batched if batched[n].section.loss.name in _WITHOUT_BATCH_NEGATIVES},
    )


def _batches(data_sets: Sequence[_DataSet], config: FinetuneConfig) -> list[list[int]]:
    """Plan the batches of all data sets, rows counted through all of them."""
    batches: list[list[int]] = []
    start, rng = 0, np.random.default_rng(config.train.seed)
    for section, source, _ in data_sets:
        batches += [[start + row for row in batch] for batch in _schedule(section, source, config, rng)]
        start += source.size
    # One source after the other would forget the first; every epoch of one source is already shuffled.
    return [batches[n] for n in rng.permutation(len(batches))] if len(data_sets) > 1 else batches


class _RowSampler:
    """Draws the auxiliary rows of a batch: others for every batch, the same whenever it comes again."""

    def __init__(self, columns: Mapping[str, Sequence[str]], count: int, seed: Sequence[int]) -> None:
        self._columns = columns
        self._rows = len(next(iter(columns.values())))
        self._count = min(count, self._rows)
        self._seed = seed

    def __call__(self, labels: Sequence[int]) -> tuple[dict[str, list[str]], Ints]:
        """Return texts by column, and the positions of their rows."""
        rows = np.random.default_rng([*self._seed, *labels]).choice(self._rows, self._count, replace=False)
        return {name: [column[row] for row in rows] for name, column in self._columns.items()}, rows


def text_columns(section: SourceSection, source: Source) -> dict[str, list[str]]:
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
    columns = {"anchor": [pair.anchor for pair in rows], "positive": [pair.positive for pair in rows]}
    compared = getattr(section.loss, "texts", "both")
    if compared != "both":
        return {name: texts for name, texts in columns.items() if f"{name}s" == compared}
    for n in range(len(rows[0].negatives)):
        columns[f"negative_{n + 1}"] = [pair.negatives[n] for pair in rows]
    return columns


def texts_of(config: FinetuneConfig, sources: Sequence[Source]) -> list[str]:
    """Every text of every source, with repeats."""
    data_sets = [text_columns(*item) for item in zip(config.sources, sources, strict=True)]
    return [text for columns in data_sets for texts in columns.values() for text in texts]


def _schedule(
    section: SourceSection, source: Source, config: FinetuneConfig, rng: np.random.Generator
) -> list[list[int]]:
    rows, train = source.rows, config.train
    if isinstance(rows, LabelTask):
        return schedule_labels(
            rows.labels, batch_size=train.batch_size, epochs=train.epochs, weight=section.weight, rng=rng
        )
    if isinstance(rows, PairTask) or section.loss.name in _WITHOUT_BATCH_NEGATIVES:
        return schedule_rows(
            source.size, batch_size=train.batch_size, epochs=train.epochs, weight=section.weight, rng=rng
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
    loss, train = section.loss, config.train
    # Keyword arguments of the registered function, which are settings of its section under the same names.
    arguments: dict[str, Any] = {
        name: getattr(loss, name) for name in type(loss).model_fields if name not in _NOT_OF_THE_LOSS
    }
    if "guide" in arguments:
        guide = arguments["guide"]
        arguments["guide"] = lambda: load_model(
            model_folder(guide, runs_dir), max_tokens=train.max_tokens, pooling=guide.pooling
        )
    if source.targets is not None:
        arguments["targets"] = source.targets
    plain = resolve("loss", loss.name)(model, source.rows, temperature=train.temperature, **arguments)
    if not loss.matryoshka:
        return scaled(plain, loss.scale)
    width = model.get_embedding_dimension()
    if max(loss.matryoshka) > width:
        raise ConfigError(
            f"`loss.matryoshka` contains {max(loss.matryoshka)}, but the model has only {width} dimensions"
        )
    return scaled(matryoshka(model, plain, [*{*loss.matryoshka, width}]), loss.scale)


def training_prompts(config: FinetuneConfig, model: Any, instruction: str) -> dict[Side, str]:
    """Put in front of training texts what the encoder will put in front of queries and documents."""
    of_model = model.prompts
    query = config.model.query_prompt or of_model.get("query") or ""
    names = ("document", "passage", "corpus")
    document = config.model.document_prompt or next((of_model[n] for n in names if n in of_model), "") or ""
    return {
        "query": query.replace("{instruction}", instruction),
        "document": document.replace("{instruction}", instruction),
    }


def source_records(config: FinetuneConfig, sources: Sequence[Source], plan: TrainingPlan) -> tuple[SourceRecord, ...]:
    """Say what each source gave: rows, batches, and what was found while reading and mining."""
    ends = np.cumsum(list(plan.sizes().values()))
    places = np.searchsorted(ends, [batch[0] for batch in plan.batches], "right")
    batches: list[int] = np.bincount(places, minlength=len(ends)).tolist()
    of_source = dict(zip(plan.columns, batches, strict=True))
    of_branch: dict[int, int] = defaultdict(int)
    for number, section in enumerate(config.sources):
        of_branch[section.branch] += of_source.get(f"source-{number}", 0)
    return tuple(
        SourceRecord(
            **dict(source.facts),
            loss=section.loss.name,
            rows=source.size,
            batches=of_branch[section.branch] if section.every_step else of_source[f"source-{number}"],
            mined=source.mined,
        )
        for number, (section, source) in enumerate(zip(config.sources, sources, strict=True))
    )
