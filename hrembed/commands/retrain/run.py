"""`hrembed retrain`: look for drift, train where it is worth it, gate the result, register it, build the bridge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.finetune.run import run_finetune
from hrembed.commands.gate.run import run_gate
from hrembed.commands.retrain.bridge import fit_bridges, in_one_line, measure_bridges
from hrembed.commands.retrain.drift import look_for_drift
from hrembed.config.eval import EvalConfig
from hrembed.config.finetune import FinetuneConfig, SourceSection
from hrembed.config.gate import BaselineSection, CandidateSection
from hrembed.config.losses import NOT_PAIRS
from hrembed.config.parts import ModelSection
from hrembed.data.locate import locate
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.errors import ConfigError, ModelError
from hrembed.reports.estimates import format_estimate
from hrembed.runs.model_registry import accepted, read_registry, register
from hrembed.runs.past import find_run, finished
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.retrieval import open_task
from hrembed.scoring.tasks import MTEB
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.retrain import RetrainConfig
    from hrembed.runs.past import PastRun
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Encoder, Pair


class Last(NamedTuple):
    """The model in use.

    Attributes:
        run: Its finetune run.
        config: How it was trained.
        continuations: How many times in a row it went on from another.
    """

    run: PastRun
    config: FinetuneConfig
    continuations: int


class Data(NamedTuple):
    """Pairs that the last model was trained on, and those that came since."""

    old: Sequence[Pair]
    new: Sequence[Pair]


def run_retrain(config: RetrainConfig, workspace: Workspace) -> CommandResult[Any]:
    """Run the periodic job; the commands that it calls open runs of their own.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Status `not worth it`, `accepted` or `rejected`; `failure` is the gate's.

    Raises:
        HrembedError: There is no model in use, or a step failed.
    """
    last = _last(config, workspace.root)
    config = config.model_copy(update={"last": last.run.path.name})
    with open_run(workspace, "retrain", config.model_dump(mode="json"), seeds={"drift": config.drift.seed}) as run:
        run.add_input("new pairs", pairs_file(locate(config.pairs)))
        data = Data(_old_pairs(last, run), read_pairs(locate(config.pairs)))
        section = ModelSection(ref=f"run:{last.run.path.name}", max_tokens=last.config.train.max_tokens)
        encoder = open_encoder(section, workspace)
        run.add_model("last", encoder.identity, encoder.source)
        bootstrap = config.gate.bootstrap
        drift = look_for_drift(encoder, data.old, data.new, config.drift, bootstrap)
        drifted = [kind for kind, row in drift.items() if row["drifted"]]
        metrics: dict[str, Any] = {"last": last.run.name, "drift": drift, "drifted": drifted}
        if not drifted and not config.force:
            metrics["verdict"] = "not worth it"
            run.write_metrics(metrics)
            return CommandResult(str(run.path), "not worth it", metrics, _tables(metrics))
        metrics |= _plan(config, last, drift)
        gated, more = _train_and_gate(config, last, section, metrics, workspace)
        metrics |= more
        metrics |= _bridge(config, encoder, ModelSection.model_validate(more["model"]), data, run)
        register(workspace.root, _entry(metrics, run))
        run.write_metrics(metrics)
    return CommandResult(str(run.path), metrics["verdict"], metrics, _tables(metrics), gated.failure)


def _last(config: RetrainConfig, runs_dir: Path) -> Last:
    """Find the model in use: the one named, the accepted one, or the newest.

    Raises:
        DataError: The run is not there, did not end well, or its settings were edited.
    """
    entry = accepted(read_registry(runs_dir))
    reference = config.last or (entry["model"] if entry else "latest")
    run = finished(find_run(runs_dir, reference, "finetune"))
    mine = entry if entry and entry["model"] == run.path.name else {}
    return Last(run, FinetuneConfig.model_validate(run.json("config.yaml")), int(mine.get("continuations", 0)))


def _old_pairs(last: Last, run: Run) -> list[Pair]:
    """Pairs of all sources of the last training.

    Raises:
        ConfigError: None of them holds pairs.
    """
    found: list[Pair] = []
    for number, source in enumerate(_pair_sources(last)):
        run.add_input(f"old pairs {number}", pairs_file(locate(source.path)))
        found += read_pairs(locate(source.path), source.kinds)
    if not found:
        raise ConfigError(
            f"run '{last.run.name}' was trained on no source with pairs, so there is nothing to compare new ones with",
            hint="name another run in `last`",
        )
    return found


def _pair_sources(last: Last) -> list[SourceSection]:
    return [source for source in last.config.sources if source.loss.name not in NOT_PAIRS]


def _plan(config: RetrainConfig, last: Last, drift: dict[str, Any]) -> dict[str, Any]:
    """Continue from the last model, or start from the base again: by rule, with the reason."""
    unknown = drift["vocabulary"]["found"]
    if last.continuations >= config.continuations:
        why = f"{last.continuations} continuations in a row, at most {config.continuations}"
    elif unknown > config.restart:
        why = f"{unknown:.0%} of the words are unknown, more than {config.restart:.0%}"
    else:
        why = f"{unknown:.0%} of the words are unknown, {last.continuations} continuations so far"
        return {"plan": "continue", "why": why, "continuations": last.continuations + 1}
    return {"plan": "restart", "why": why, "continuations": 0}


def _train_and_gate(
    config: RetrainConfig, last: Last, section: ModelSection, metrics: dict[str, Any], workspace: Workspace
) -> tuple[CommandResult[Any], dict[str, Any]]:
    """Train, evaluate both models, and gate the new one; returns the gate's result, and what belongs to metrics."""
    going_on = metrics["plan"] == "continue"
    workspace.progress.note(f"{metrics['plan']}: {metrics['why']}")
    share = config.replay if going_on else 1.0
    old = [
        source if source.every_step else source.model_copy(update={"weight": source.weight * share})
        for source in last.config.sources
    ]
    new = [SourceSection(path=config.pairs, branch=branch) for branch in last.config.branches]
    update: dict[str, Any] = {"sources": (*new, *old)}
    if going_on:
        update["model"] = section
    settings = FinetuneConfig.model_validate({**dict(config.finetune), **update})
    trained = run_finetune(settings, workspace)
    model = ModelSection(ref=f"run:{Path(trained.run).name}", max_tokens=config.finetune.train.max_tokens)
    proof = config.finetune.proof
    tasks = proof.tests or (config.finetune.dev,)
    asked = EvalConfig(models=(section, model), baselines=(), tasks=tasks, retention=proof.retention)
    evaluated = run_evaluate(asked, workspace)
    sides = {"candidate": CandidateSection(eval=evaluated.run), "baseline": BaselineSection()}
    gated = run_gate(config.gate.model_copy(update=sides), workspace)
    through = gated.failure is None
    return gated, {
        "verdict": "accepted" if through else "rejected",
        "model": model.model_dump(mode="json"),
        "runs": {"finetune": trained.run, "eval": evaluated.run, "gate": gated.run},
        "gate": gated.status,
    }


def _bridge(config: RetrainConfig, old: Encoder, section: ModelSection, data: Data, run: Run) -> dict[str, Any]:
    """Fit both maps on documents of the pairs, choose one on the dev task, and measure all on the first test task."""
    new = open_encoder(section, run)
    texts = list(dict.fromkeys(pair.positive for pair in (*data.old, *data.new)))[: config.bridge.texts]
    bridges = fit_bridges(old, new, texts, config.bridge)
    for name, bridge in bridges.items():
        columns = {f"to {n}": bridge[:, n].tolist() for n in range(bridge.shape[1])}
        run.write_table(f"bridge-{name.replace(' ', '-')}", columns)
    asked = [task for task in (*config.finetune.proof.tests, config.finetune.dev) if not task.path.startswith(MTEB)]
    if not asked:
        raise ModelError(
            "there is no task on files to measure the bridge on", hint="name one in `finetune.proof.tests`"
        )
    tasks = [open_task(section, run) for section in (asked[-1], asked[0])]
    best = measure_bridges(old, new, bridges, tasks[0], config.gate.bootstrap)["best"]
    found = measure_bridges(old, new, bridges, tasks[1], config.gate.bootstrap, best)
    line = in_one_line(found)
    run.progress.note(line)
    return {"bridge": found, "notice": line}


def _entry(metrics: dict[str, Any], run: Run) -> dict[str, Any]:
    return {
        "model": Path(metrics["runs"]["finetune"]).name,
        "status": metrics["verdict"],
        "from": metrics["last"],
        "plan": metrics["plan"],
        "continuations": metrics["continuations"],
        "retrain": run.path.name,
        "gate": Path(metrics["runs"]["gate"]).name,
        "registered": run.manifest.started,
    }


def _tables(metrics: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    drift = [
        {
            "drift": kind,
            "found": f"{row['found']:.3f}",
            "counts from": f"{row['limit']:g}",
            "drifted": "yes" if row["drifted"] else "no",
        }
        for kind, row in metrics["drift"].items()
    ]
    tables = {"Drift": drift}
    if "plan" in metrics:
        tables["Retraining"] = [
            {"plan": metrics["plan"], "why": metrics["why"], "gate": metrics["gate"], "model": metrics["verdict"]}
        ]
        tables["Bridge"] = [
            {
                "way": way,
                metrics["bridge"]["metric"]: format_estimate(entry["score"]),
                "difference to the old model": format_estimate(entry["difference"], sign=True),
            }
            for way, entry in metrics["bridge"]["ways"].items()
        ]
    return tables
