"""The finalists of the probe after a short fine-tuning: the best base is not always the best after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hrembed.commands.finetune.run import run_finetune
from hrembed.config.finetune import FinetuneConfig
from hrembed.config.load import load_config
from hrembed.config.starters import config_file
from hrembed.models.refs import parse_ref
from hrembed.records.select import TunedModel
from hrembed.scoring.encoders import open_encoder, use_of
from hrembed.scoring.retrieval import compare, estimate, groups_of, score_task

if TYPE_CHECKING:
    from hrembed.commands.select.probe import Probe, Probed
    from hrembed.config.parts import ModelSection
    from hrembed.config.select import SelectConfig, TransferSection
    from hrembed.metrics.intervals import Difference
    from hrembed.runs.record import Run
    from hrembed.types import Estimate, Floats


class Tuned(NamedTuple):
    """A finalist after tuning.

    Attributes:
        base: The finalist.
        run: Id of the finetune run.
        values: Metric of each query of the probe, shape (Q,).
        estimate: Their mean.
        gain: Tuned minus base.
        behind: Against the best tuned model; None for that itself.
    """

    base: Probed
    run: str
    values: Floats
    estimate: Estimate
    gain: Difference
    behind: Difference | None = None


def run_transfer(config: SelectConfig, probe: Probe, run: Run) -> list[Tuned]:
    """Fine-tune the best trainable finalists briefly, and measure them on the probe again, best first.

    Nothing is chosen on the probe: the weights at the end of the training are taken.

    Raises:
        HrembedError: The config of the training, its data or a model is not usable.
    """
    trainable = [row for row in probe.finalists if parse_ref(row.candidate.section.ref).has_weights]
    chosen = trainable[: config.transfer.finalists]
    if not chosen:
        return []
    plan = _plan(config.transfer, run)
    groups, metric = groups_of(probe.task), config.probe.metric
    tuned = []
    for row in chosen:
        run.progress.note(f"transfer: fine-tuning {row.name} briefly")
        result = run_finetune(brief(plan, config.transfer, row.candidate.section), run)
        name = Path(result.run).name
        section = row.candidate.section.model_copy(update={"ref": f"run:{name}"})
        encoder = open_encoder(section, run)
        run.add_model(f"{row.name}, tuned", encoder.identity, encoder.source, use_of(encoder))
        values = score_task(encoder, probe.task, [metric])[metric]
        gain = compare(values, row.values, groups, config.bootstrap)
        tuned.append(Tuned(row, name, values, estimate(values, groups, config.bootstrap), gain))
    best, *others = sorted(tuned, key=lambda row: -row.estimate.value)
    return [best, *(o._replace(behind=compare(o.values, best.values, groups, config.bootstrap)) for o in others)]


def _plan(section: TransferSection, run: Run) -> FinetuneConfig:
    path = config_file(section.config or "shipped:finetune")
    run.add_input("transfer", path)
    return load_config(path, FinetuneConfig)


def brief(plan: FinetuneConfig, section: TransferSection, model: ModelSection) -> FinetuneConfig:
    """The same training for every model, one pass over few rows, without the proof that a model to be shipped needs."""
    values = plan.model_dump()
    values["model"] = model.model_dump()
    for source in values["sources"]:
        source["limit"] = min(source["limit"] or section.pairs, section.pairs)
    values["train"] |= {"epochs": 1, "evaluations": 1, "patience": None, "saves": 0}
    values["proof"] |= {"tests": (), "retention": (), "strengths": (), "strength": 1.0}
    return FinetuneConfig.model_validate(values)


def tuned_model(row: Tuned) -> TunedModel:
    """A tuned finalist as the record holds it; the id of its run holds the time, and stands in `timings.json`."""
    return TunedModel(
        base=row.base.name,
        score=row.estimate,
        gain=row.gain.estimate,
        difference_to_best=None if row.behind is None else row.behind.estimate,
    )
