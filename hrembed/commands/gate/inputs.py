"""What a gate reads: candidate, baseline and their audits, and whether `latest` means what the user thinks it does."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from hrembed.commands.gate.fairness import open_audits
from hrembed.errors import ConfigError, DataError
from hrembed.models.refs import parse_ref
from hrembed.records.gate import JudgedModel
from hrembed.runs.model_registry import read_registry
from hrembed.runs.past import find_run, overtaking
from hrembed.scoring.past_evals import open_evaluated_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hrembed.commands.gate.fairness import Audits
    from hrembed.config.gate import GateConfig
    from hrembed.runs.record import Run
    from hrembed.scoring.past_audits import Audit
    from hrembed.scoring.past_evals import EvaluatedModel


class GateInputs(NamedTuple):
    """What is judged.

    Attributes:
        candidate: The model under test.
        baseline: The model it is compared with; None where all limits are absolute.
        audits: Their audits.
        judged: Both models as the record names them.
    """

    candidate: EvaluatedModel
    baseline: EvaluatedModel | None
    audits: Audits
    judged: tuple[JudgedModel, JudgedModel | None]


def open_inputs(config: GateConfig, run: Run) -> GateInputs:
    """Read both models and their audits, and record which files were read.

    Raises:
        ConfigError: A model or an audit is not there, or both sides are the same model.
        DataError: A run is not whole, or `latest` means one that was overtaken, and the config refuses that.
    """
    overtaken = {
        key: _overtaking(config, run, key, reference) for key, reference in _references(config).items() if reference
    }
    candidate = open_evaluated_model(run.root, config.candidate.eval, config.candidate.model, last=True)
    baseline = None
    if config.baseline is not None:
        reference = config.baseline.eval or str(candidate.run.path)
        baseline = open_evaluated_model(run.root, reference, config.baseline.model, last=False).named_as(candidate)
        if (baseline.run.path, baseline.model) == (candidate.run.path, candidate.model):
            raise ConfigError(
                f"'{candidate.model}' in '{candidate.run.name}' is both candidate and baseline",
                hint="set a different `candidate.model` or `baseline.model`, or `baseline: null`",
            )
    audits = open_audits(config, run.root, candidate, baseline)
    judged = _judged_model(run, "candidate", candidate, audits.candidate, overtaken)
    other = None if baseline is None else _judged_model(run, "baseline", baseline, audits.baseline, overtaken)
    return GateInputs(candidate, baseline, audits, (judged, other))


def settings_that_repeat(config: GateConfig, root: Path) -> dict[str, Any]:
    """Settings with the whole names of runs in the place of `latest` and short ids, so that they repeat this gate.

    A name that leads nowhere stays as it is: the gate says so itself.
    """
    settings = config.model_dump(mode="json")
    for key, reference in _references(config).items():
        side, _, kind = key.partition(".")
        if reference:
            with suppress(DataError):
                run = find_run(root, reference, "eval" if kind == "eval" else "bias-audit")
                settings[side][kind] = run.name if run.path.parent.parent == root else str(run.path)
    return settings


def _references(config: GateConfig) -> dict[str, str | None]:
    """Every run that the gate reads, under its key in the config."""
    audited = config.fairness.verdict != "any" or config.fairness.gap_growth is not None
    compared = config.fairness.verdict == "no-worse" or config.fairness.gap_growth is not None
    baseline = config.baseline
    return {
        "candidate.eval": config.candidate.eval,
        "candidate.audit": config.candidate.audit if audited else None,
        "baseline.eval": baseline.eval if baseline else None,
        "baseline.audit": baseline.audit if baseline and compared else None,
    }


def _overtaking(config: GateConfig, run: Run, key: str, reference: str) -> tuple[str, ...]:
    """Name the runs that were started after the one that `latest` means, and did not end well.

    Raises:
        DataError: There are some, and the config refuses that.
    """
    past = find_run(run.root, reference, "eval" if key.endswith("eval") else "bias-audit")
    newer = overtaking(run.root, reference, past)
    if not newer:
        return ()
    others = f", and {len(newer) - 1} more" if len(newer) > 1 else ""
    message = f"`{key}: {reference}` resolves to {past.in_words}, but {newer[-1].in_words} was started later{others}"
    if config.stale == "refuse":
        raise DataError(
            message,
            hint=(
                f"{'wait until that run ends' if newer[-1].status == 'started' else 'repeat that run'}, or "
                f"remove it: `hrembed runs prune --command {past.command}`; to use the older run anyway, pass "
                "its id or `--set stale=allow`"
            ),
        )
    run.progress.note(message)
    return tuple(each.name for each in newer)


def _judged_model(
    run: Run, side: str, evaluated: EvaluatedModel, audit: Audit | None, overtaken: Mapping[str, tuple[str, ...]]
) -> JudgedModel:
    """Say which model of which run is judged, and record the manifests that were read."""
    past = evaluated.run
    entry = past.manifest.models[evaluated.model]
    run.add_input(f"{side} manifest", past.path / "manifest.json")
    run.add_model(side, evaluated.identity, entry.source, entry)
    if audit is not None:
        run.add_input(f"{side} audit manifest", audit.run.path / "manifest.json")
    return JudgedModel(
        run=past.name,
        started=past.manifest.started,
        status=past.status,
        model=evaluated.model,
        reference=evaluated.section.ref,
        source=entry.source,
        identity=evaluated.identity,
        scoring=entry.scoring.in_words if entry.scoring else "",
        registry=registry_status(run.root, evaluated.section.ref),
        audit=None if audit is None else audit.run.name,
        overtaken_by=(*overtaken.get(f"{side}.eval", ()), *overtaken.get(f"{side}.audit", ())),
    )


def registry_status(root: Path, reference: str) -> str:
    """What the registry says of a model; empty for one that was not trained here."""
    ref = parse_ref(reference)
    if not ref.is_run:
        return ""
    return read_registry(root).status_of(ref.target.rpartition("/")[2])
