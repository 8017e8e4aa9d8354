"""One bias audit that ended, and how far the gaps of two of them lie apart."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import ConfigError, DataError
from hrembed.metrics.probes import interval_of
from hrembed.records.bias_audit import BiasAuditRecord
from hrembed.runs.past import find_run, finished
from hrembed.types import Estimate

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.parts import BootstrapSection
    from hrembed.runs.past import PastRun
    from hrembed.scoring.past_evals import EvaluatedModel
    from hrembed.types import Floats


_COLUMNS = ("score", "effect")


class Audit(NamedTuple):
    """A bias-audit run that ended.

    Attributes:
        run: The run.
        record: What it said.
    """

    run: PastRun
    record: BiasAuditRecord


class Growth(NamedTuple):
    """How much wider a gap is with the candidate.

    Attributes:
        attribute: Column of the names.
        groups: The two groups.
        gap: Absolute gap with the candidate, and with the baseline.
        estimate: The gap with the candidate minus that with the baseline.
    """

    attribute: str
    groups: tuple[str, str]
    gap: tuple[float, float]
    estimate: Estimate


def open_audit(root: Path, reference: str | None, side: EvaluatedModel, key: str) -> Audit:
    """Read the audit of a model.

    Raises:
        ConfigError: None is named.
        DataError: It is of another model, or was edited.
    """
    if reference is None:
        raise ConfigError(
            f"`fairness` requires `{key}`",
            hint=f"run `hrembed bias-audit` on both models, then pass `--set {key}=latest`",
        )
    run = finished(find_run(root, reference, "bias-audit"))
    known = {model.identity for model in run.manifest.models.values()}
    if side.identity not in known:
        raise DataError(
            f"audit '{run.path.name}' was run on a different model than '{side.model}' in '{side.run.name}'",
            hint="run the audit with the same `model` section (weights, prompts, `max_tokens`)",
        )
    return read_audit(run)


def read_audit(run: PastRun) -> Audit:
    """Read what an audit said.

    Raises:
        DataError: It was edited, or written by a version of hrembed whose records have another shape.
    """
    return Audit(run, run.record(BiasAuditRecord))


def check_same_stimuli(first: Audit, second: Audit) -> None:
    """Refuse two audits that showed other texts to their models.

    Raises:
        DataError: They did.
    """
    hashes = [audit.record.stimuli_sha256 for audit in (first, second)]
    if hashes[0] != hashes[1]:
        raise DataError(
            (
                f"the audits used different stimuli: {hashes[0][:12]} in '{first.run.path.name}', "
                f"{hashes[1][:12]} in '{second.run.path.name}'"
            ),
            hint="audit both models with the same jobs, résumés and names",
        )


def gap_growths(candidate: Audit, baseline: Audit, column: str | None, bootstrap: BootstrapSection) -> list[Growth]:
    """Compare the absolute gap of every two groups of names, names resampled inside their groups.

    Args:
        candidate: Audit of the candidate.
        baseline: Audit of the baseline, on the same stimuli.
        column: Column of `per_name.parquet`; None takes `score`, else `effect`.
        bootstrap: How intervals are made.

    Raises:
        ConfigError: There is no such column.
    """
    tables = [audit.run.table("per_name") for audit in (candidate, baseline)]
    chosen = column or next((name for name in _COLUMNS if name in tables[0]), "")
    if any(chosen not in table for table in tables):
        raise ConfigError(
            f"`per_name.parquet` has no column '{chosen}'", hint=f"available columns: {', '.join(tables[0])}"
        )
    values = [np.array(table[chosen], dtype=np.float64) for table in tables]
    growths = []
    for attribute in candidate.record.attributes:
        if attribute in tables[0]:
            groups = np.array(tables[0][attribute])
            for pair in combinations(sorted(set(groups.tolist())), 2):
                parts = [[side[groups == group] for group in pair] for side in values]
                growths.append(_growth(attribute, pair, parts, bootstrap))
    return growths


def _growth(attribute: str, pair: tuple[str, str], parts: list[list[Floats]], bootstrap: BootstrapSection) -> Growth:
    """Compare one gap; `parts` holds the values of both groups with the candidate, then with the baseline."""
    gaps = [abs(float(first.mean() - second.mean())) for first, second in parts]
    rng = np.random.default_rng(bootstrap.seed)
    draws = [np.zeros(bootstrap.resamples), np.zeros(bootstrap.resamples)]
    for place, sign in ((0, 1), (1, -1)):
        n = len(parts[0][place])
        counts = rng.multinomial(n, np.full(n, 1 / n), size=bootstrap.resamples) / n
        for side in (0, 1):
            draws[side] += sign * (counts @ parts[side][place])
    n = min(len(part) for part in parts[0])
    low, high = interval_of(np.abs(draws[0]) - np.abs(draws[1]), n, bootstrap.confidence)
    return Growth(attribute, pair, (gaps[0], gaps[1]), Estimate(gaps[0] - gaps[1], low, high, n, "names"))
