"""`hrembed retrain`: look for drift, train where it is worth it, gate the result, register it, build the bridge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.finetune.run import run_finetune
from hrembed.commands.gate.run import run_gate
from hrembed.commands.retrain.bridge import best_way, fit_bridges, judge_bridge, measure_bridges
from hrembed.commands.retrain.conclusion import conclusion_of
from hrembed.commands.retrain.drift import measure_drift
from hrembed.commands.retrain.page import write_report
from hrembed.commands.retrain.tables import retrain_tables
from hrembed.config.eval import EvalConfig
from hrembed.config.finetune import FinetuneConfig, SourceSection
from hrembed.config.gate import BaselineSection, CandidateSection
from hrembed.config.losses import NOT_PAIRS
from hrembed.config.parts import ModelSection, form_of
from hrembed.config.retrain import BASE
from hrembed.data.locate import locate
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.errors import ConfigError, InconclusiveError, ModelError
from hrembed.progress import Silent
from hrembed.records.registry import RegisteredModel
from hrembed.records.retrain import RetrainedModel, Retraining, RetrainRecord, RetrainRuns
from hrembed.runs.model_registry import read_registry, register
from hrembed.runs.past import finished, training_run
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import open_encoder, pinned, use_of
from hrembed.scoring.retrieval import open_task
from hrembed.scoring.tasks import MTEB
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.retrain import RetrainConfig
    from hrembed.progress import Progress
    from hrembed.records.gate import GateRecord
    from hrembed.records.registry import Plan
    from hrembed.records.retrain import Bridge, Drift
    from hrembed.runs.past import PastRun
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Encoder, Pair

_PHASES = (_DRIFT, _TRAIN, _EVALUATE, _GATE, _BRIDGE) = (
    "look for drift",
    "train",
    "evaluate the new model and the one in use",
    "gate",
    "map old vectors to new ones",
)


class Base(NamedTuple):
    """The base model, in use while no trained one is accepted; its name and path are those of its reference."""

    name: str

    @property
    def path(self) -> Path:
        """The reference as a path."""
        return Path(self.name.partition(":")[2] or self.name)


class LastModel(NamedTuple):
    """The model in use.

    Attributes:
        run: Its finetune run, or the base.
        section: How configs name it.
        config: How it was trained; for the base, how the new model is.
        continuations: Times in a row that training went on from the model before.
    """

    run: PastRun | Base
    section: ModelSection
    config: FinetuneConfig
    continuations: int

    @property
    def sources(self) -> tuple[SourceSection, ...]:
        """What it was trained on; nothing for the base."""
        return () if isinstance(self.run, Base) else self.config.sources


class Data(NamedTuple):
    """Training pairs.

    Attributes:
        old: Those that the model in use was trained on.
        new: Those that came since.
    """

    old: Sequence[Pair]
    new: Sequence[Pair]


class Start(NamedTuple):
    """From what training starts.

    Attributes:
        plan: The model in use, or the base again.
        why: The reason.
        continuations: As for `LastModel`, with this training.
    """

    plan: Plan
    why: str
    continuations: int


class Trained(NamedTuple):
    """A new model, and what judged it.

    Attributes:
        model: Its section.
        runs: Folders of the runs that took part.
        gated: Result of the gate.
    """

    model: ModelSection
    runs: RetrainRuns
    gated: CommandResult[GateRecord]


def run_retrain(config: RetrainConfig, workspace: Workspace) -> CommandResult[RetrainRecord]:
    """Run the periodic job; the commands that it calls open runs of their own.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Status `not worth it`, `accepted`, `rejected`, or `outdated` where another model was accepted meanwhile;
        `failure` is the gate's.

    Raises:
        HrembedError: A step failed.
    """
    base = config.finetune.model_copy(update={"model": pinned(config.finetune.model, workspace)})
    config = config.model_copy(update={"finetune": base})
    last = _last(config, workspace.root, workspace.progress)
    config = config.model_copy(update={"last": BASE if isinstance(last.run, Base) else last.run.path.name})
    seeds = {"drift": config.drift.seed}
    with open_run(workspace, "retrain", config.model_dump(mode="json"), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_DRIFT)
        run.add_input("new pairs", pairs_file(locate(config.pairs)))
        data = Data(_old_pairs(last, run), read_pairs(locate(config.pairs)))
        encoder = open_encoder(last.section, workspace)
        run.add_model("last", encoder.identity, encoder.source, use_of(encoder))
        bootstrap = config.gate.bootstrap
        drift = measure_drift(encoder, data.old, data.new, config.drift, bootstrap) if data.old else None
        drifted = drift.drifted() if drift else ()
        if drift is not None and not drifted and not config.force:
            record = RetrainRecord(
                verdict="not worth it", last=last.run.name, drift=drift, drifted=drifted, retraining=None
            )
            run.write_metrics(record)
            notice = run.conclude(conclusion_of(record, config))
            write_report(run, config, record)
            return CommandResult(str(run.path), record.verdict, record, retrain_tables(record), notice=notice)
        start = _choose_start(config, last, drift)
        trained = _train_and_gate(config, last, start, run)
        run.phases.begin(_BRIDGE)
        bridge = _build_bridge(config, encoder, trained.model, data, run)
        entry = register(workspace.root, _registered(last, start, trained, run)).models[-1]
        record = RetrainRecord(
            verdict=entry.status,
            last=last.run.name,
            drift=drift,
            drifted=drifted,
            retraining=Retraining(
                plan=start.plan,
                why=start.why,
                continuations=start.continuations,
                model=RetrainedModel(ref=trained.model.ref, max_tokens=config.finetune.train.max_tokens),
                runs=trained.runs,
                gate=trained.gated.metrics.verdict,
                bridge=bridge,
            ),
        )
        run.write_metrics(record)
        notice = run.conclude(conclusion_of(record, config))
        write_report(run, config, record)
    failure = trained.gated.failure or _outdated(entry, workspace.root)
    return CommandResult(str(run.path), record.verdict, record, retrain_tables(record), failure, notice)


def _outdated(entry: RegisteredModel, runs_dir: Path) -> InconclusiveError | None:
    """Say why a model that passed its gate is not the one in use."""
    in_use = read_registry(runs_dir).accepted()
    if entry.status != "outdated" or in_use is None:
        return None
    return InconclusiveError(
        f"'{entry.model}' passed its gate against '{entry.previous}', but the model in use is '{in_use.model}'",
        hint=(
            f"compare both (`hrembed eval` with run:{in_use.model} and run:{entry.model}, then `hrembed gate`), "
            f"then decide: `hrembed runs accept {entry.model} --by NAME --why TEXT`"
        ),
    )


def _last(config: RetrainConfig, runs_dir: Path, progress: Progress | None = None) -> LastModel:
    """Find the model in use: the one named, else the accepted one, else the base.

    A training that no gate and no person accepted is never in use: one that was killed before its gate left such a run.

    Raises:
        DataError: The run is not there, did not end well, or its settings were edited.
        ModelError: `latest` is named, and the newest training was rejected.
    """
    registry, base = read_registry(runs_dir), config.finetune
    accepted = registry.accepted()
    reference = config.last or (accepted.model if accepted else BASE)
    if reference == BASE:
        section = base.model.model_copy(update={"max_tokens": base.train.max_tokens})
        return LastModel(Base(base.model.ref), section, base, 0)
    run = finished(training_run(runs_dir, reference, progress or Silent()))
    settings = run.settings(FinetuneConfig)
    section = ModelSection(ref=f"run:{run.path.name}", max_tokens=settings.train.max_tokens)
    continuations = accepted.continuations if accepted and accepted.model == run.path.name else 0
    return LastModel(run, section, settings, continuations)


def _old_pairs(last: LastModel, run: Run) -> list[Pair]:
    """Pairs of all sources of the last training; none for the base.

    Raises:
        ConfigError: None of them holds pairs.
    """
    pairs: list[Pair] = []
    of_pairs = [source for source in last.sources if source.loss.name not in NOT_PAIRS]
    for number, source in enumerate(of_pairs):
        run.add_input(f"old pairs {number}", pairs_file(locate(source.path)))
        pairs += read_pairs(locate(source.path), source.kinds, form_of(source))
    if last.sources and not pairs:
        raise ConfigError(
            (f"run '{last.run.name}' was not trained on pairs, so there is nothing to compare the new pairs with"),
            hint="set `last` to another run",
        )
    return pairs


def _choose_start(config: RetrainConfig, last: LastModel, drift: Drift | None) -> Start:
    """Continue from the last model, or start from the base again: by rule, with the reason."""
    if drift is None:
        return Start("restart", "no model has been accepted, so training starts from the base", 0)
    unknown = drift.vocabulary.found
    if last.continuations >= config.continuations:
        return Start("restart", f"{last.continuations} continuations in a row, at most {config.continuations}", 0)
    if unknown > config.restart:
        return Start("restart", f"{unknown:.0%} of the words are unknown, more than {config.restart:.0%}", 0)
    why = f"{unknown:.0%} of the words are unknown, {last.continuations} continuations so far"
    return Start("continue", why, last.continuations + 1)


def _train_and_gate(config: RetrainConfig, last: LastModel, start: Start, run: Run) -> Trained:
    """Train, evaluate both models, and gate the new one."""
    run.phases.begin(_TRAIN)
    run.progress.note(f"{start.plan}: {start.why}")
    trained = run_finetune(_finetune_config(config, last, start), run)
    model = ModelSection(ref=f"run:{Path(trained.run).name}", max_tokens=config.finetune.train.max_tokens)
    proof = config.finetune.proof
    tasks = proof.tests or (config.finetune.dev,)
    asked = EvalConfig(models=(last.section, model), baselines=(), tasks=tasks, retention=proof.retention)
    run.phases.begin(_EVALUATE)
    evaluated = run_evaluate(asked, run)
    sides = {"candidate": CandidateSection(eval=evaluated.run), "baseline": BaselineSection()}
    run.phases.begin(_GATE)
    gated = run_gate(config.gate.model_copy(update=sides), run)
    return Trained(model, RetrainRuns(finetune=trained.run, eval=evaluated.run, gate=gated.run), gated)


def _finetune_config(config: RetrainConfig, last: LastModel, start: Start) -> FinetuneConfig:
    """Settings of the training: new pairs in every branch, and old sources beside them."""
    replay = config.replay if start.plan == "continue" else 1.0
    old = [
        source if source.every_step else source.model_copy(update={"weight": source.weight * replay})
        for source in last.sources
    ]
    new = [SourceSection(path=config.pairs, branch=branch) for branch in last.config.branches]
    model = last.section if start.plan == "continue" else config.finetune.model
    return FinetuneConfig.model_validate({**dict(config.finetune), "model": model, "sources": (*new, *old)})


def _build_bridge(config: RetrainConfig, old: Encoder, section: ModelSection, data: Data, run: Run) -> Bridge:
    """Fit both maps on documents of the pairs, choose one on the dev task, and measure all on the first test task."""
    new = open_encoder(section, run)
    texts = list(dict.fromkeys(pair.positive for pair in (*data.old, *data.new)))[: config.bridge.texts]
    bridges = fit_bridges(old, new, texts, config.bridge)
    for name, bridge in bridges.items():
        columns = {f"to {n}": bridge[:, n].tolist() for n in range(bridge.shape[1])}
        run.write_table(f"bridge-{name.replace(' ', '-')}", columns)
    on_files = [task for task in (*config.finetune.proof.tests, config.finetune.dev) if not task.path.startswith(MTEB)]
    if not on_files:
        raise ModelError(
            "there is no file-based task to evaluate the mapping of old vectors on",
            hint="add one to `finetune.proof.tests`",
        )
    dev, test = open_task(on_files[-1], run), open_task(on_files[0], run)
    best = best_way(measure_bridges(old, new, bridges, dev, config.gate.bootstrap), bridges)
    return judge_bridge(test.name, measure_bridges(old, new, bridges, test, config.gate.bootstrap), best)


def _registered(last: LastModel, start: Start, trained: Trained, run: Run) -> RegisteredModel:
    return RegisteredModel(
        model=Path(trained.runs.finetune).name,
        status="accepted" if trained.gated.failure is None else "rejected",
        previous=last.run.name,
        plan=start.plan,
        continuations=start.continuations,
        retrain=run.path.name,
        gate=Path(trained.runs.gate).name,
        registered=run.manifest.started,
    )
