"""The checks of a gate on latency and size; a model is opened only where a limit needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.errors import ConfigError, DataError
from hrembed.memory import MB
from hrembed.metrics.gating import judge_limit
from hrembed.models.refs import parse_ref
from hrembed.records.gate import Check
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.latency import cycle, dimensions, milliseconds, model_bytes
from hrembed.scoring.past_evals import texts_of
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.config.gate import GateConfig
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.past_evals import EvaluatedModel
    from hrembed.types import Encoder, Floats

_CONFIDENCE = 0.95  # of times, whatever the level of the quality checks


def cost_checks(
    config: GateConfig, workspace: Workspace, candidate: EvaluatedModel, baseline: EvaluatedModel | None
) -> list[Check]:
    """Check the limits of the config on latency and size.

    Raises:
        ConfigError: A model gives no vectors, and a limit needs them.
        DataError: A model is no longer the one that was evaluated.
    """
    latency, size = config.latency, config.size
    timed = latency.p95_ms is not None or latency.ratio is not None
    checks = list(_size_checks(config, workspace.root, candidate, baseline))
    if not timed and size.dimensions is None:
        return checks
    encoders = [_open(side, workspace) for side in (candidate, baseline) if side is not None]
    if size.dimensions is not None:
        checks.append(_dimensions_check(encoders[0], size.dimensions))
    if timed:
        workspace.progress.note("measuring latency, one query at a time")
        times = milliseconds(encoders, cycle(texts_of(candidate)[0], latency.texts), "query")
        scored = any(not side.section.score.is_plain for side in (candidate, baseline) if side is not None)
        checks += _latency_checks(config, times, " for the vector, without `score`" if scored else "")
    return checks


def _open(side: EvaluatedModel, workspace: Workspace) -> Encoder:
    if not parse_ref(side.section.ref).embeds_texts:
        raise ConfigError(
            f"'{side.model}' has no embeddings, so `latency` and `size.dimensions` do not apply",
            hint="remove these limits, or specify another model",
        )
    encoder = open_encoder(side.section, workspace)
    if encoder.identity != side.identity:
        raise DataError(f"'{side.section.ref}' has changed since '{side.run.name}' evaluated it")
    return encoder


def _dimensions_check(encoder: Encoder, limit: int) -> Check:
    length = dimensions(encoder)
    return Check(
        section="size",
        name="size dimensions",
        asked=f"{limit} dimensions at most",
        outcome="pass" if length <= limit else "fail",
        found=_exact(length, "dimensions"),
        accepted=(None, limit),
        shown=str(length),
    )


def _latency_checks(config: GateConfig, times: list[Floats], of_vectors: str) -> Iterator[Check]:
    """Check milliseconds by query of the candidate and, where there is one, of the baseline."""
    latency, rng = config.latency, np.random.default_rng(config.bootstrap.seed)
    n = len(times[0])
    draws = rng.integers(0, n, size=(config.bootstrap.resamples, n))
    if latency.p95_ms is not None:
        p95 = _estimate(float(np.quantile(times[0], 0.95)), np.quantile(times[0][draws], 0.95, axis=1), n)
        yield Check(
            section="latency",
            name="latency query p95",
            asked=f"95 of 100 queries in {latency.p95_ms:g} ms",
            outcome=judge_limit(p95, low=-np.inf, high=latency.p95_ms),
            accepted=(None, latency.p95_ms),
            shown=f"{p95.value:.2f} ms [{p95.low:.2f}, {p95.high:.2f}]{of_vectors}",
            time=p95,
        )
    if latency.ratio is not None and len(times) > 1:
        drawn_ratios = np.median(times[0][draws], axis=1) / np.median(times[1][draws], axis=1)
        ratio = _estimate(float(np.median(times[0]) / np.median(times[1])), drawn_ratios, n)
        yield Check(
            section="latency",
            name="latency query ratio",
            asked=f"{latency.ratio:g} times the baseline at most",
            outcome=judge_limit(ratio, low=-np.inf, high=latency.ratio),
            accepted=(None, latency.ratio),
            shown=f"{ratio.value:.2f} times [{ratio.low:.2f}, {ratio.high:.2f}]{of_vectors}",
            time=ratio,
        )


def _estimate(value: float, resampled: Floats, n: int) -> Estimate:
    low, high = np.quantile(resampled, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high), n, "queries")


def _size_checks(
    config: GateConfig, root: Path, candidate: EvaluatedModel, baseline: EvaluatedModel | None
) -> Iterator[Check]:
    size = config.size
    if size.model_mb is None and size.ratio is None:
        return
    own_bytes = model_bytes(candidate.section, root)
    if size.model_mb is not None:
        yield _size_check("size model", size.model_mb, own_bytes / MB if own_bytes is not None else None, "MB")
    if size.ratio is not None:
        baseline_bytes = model_bytes(baseline.section, root) if baseline is not None else None
        ratio = own_bytes / baseline_bytes if own_bytes and baseline_bytes else None
        yield _size_check("size ratio", size.ratio, ratio, "times the baseline")


def _size_check(name: str, limit: float, value: float | None, unit: str) -> Check:
    asked = f"{limit:g} {unit} at most"
    if value is None:
        shown = "no weights on this machine"
        return Check(section="size", name=name, asked=asked, outcome="inconclusive", shown=shown)
    return Check(
        section="size",
        name=name,
        asked=asked,
        outcome="pass" if value <= limit else "fail",
        found=_exact(value, unit),
        accepted=(None, limit),
        shown=f"{value:.2f} {unit}",
    )


def _exact(value: float, unit: str) -> Estimate:
    """A number that is counted, not estimated."""
    return Estimate(float(value), float("nan"), float("nan"), 1, unit)
