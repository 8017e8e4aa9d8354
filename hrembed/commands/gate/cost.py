"""The checks of a gate on latency and size; a model is opened only where something is asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.gate.check import Check
from hrembed.errors import ConfigError, DataError
from hrembed.metrics.gating import judge_limit
from hrembed.models.refs import parse_ref
from hrembed.reports.estimates import as_json
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.latency import cycle, dimensions, milliseconds, model_bytes
from hrembed.scoring.past_evals import texts_of
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hrembed.config.gate import GateConfig
    from hrembed.progress import Progress
    from hrembed.scoring.past_evals import EvaluatedModel
    from hrembed.types import Encoder, Floats

_MB = 1_000_000
_WIDE = 0.95  # a percentile of times has this interval, whatever the level of the quality checks


def cost_checks(
    config: GateConfig, root: Path, candidate: EvaluatedModel, baseline: EvaluatedModel | None, progress: Progress
) -> list[Check]:
    """Check what the config asks of latency and size.

    Raises:
        ConfigError: The candidate gives no vectors.
        DataError: The model is no longer the one that was evaluated.
    """
    latency, size = config.latency, config.size
    timed = latency.p95_ms is not None or latency.ratio is not None
    found = list(_sizes(config, root, candidate, baseline))
    if not timed and size.dimensions is None:
        return found
    encoders = [_opened(side, root, progress) for side in (candidate, baseline) if side is not None]
    if size.dimensions is not None:
        length = dimensions(encoders[0])
        outcome = "pass" if length <= size.dimensions else "fail"
        asked = f"{size.dimensions} dimensions at most"
        found.append(Check("size", "size dimensions", asked, outcome, str(length)))  # type: ignore[arg-type]
    if timed:
        progress.note("timing one query at a time")
        times = milliseconds(encoders, cycle(texts_of(candidate)[0], latency.texts), "query")
        found += _latencies(config, times)
    return found


def _opened(side: EvaluatedModel, root: Path, progress: Progress) -> Encoder:
    if not parse_ref(side.section.ref).embeds_texts:
        raise ConfigError(
            f"'{side.model}' gives no vectors, so `latency` and `size.dimensions` mean nothing for it",
            hint="leave these limits out, or name another model",
        )
    encoder = open_encoder(side.section, Workspace(root, progress))
    if encoder.identity != side.identity:
        raise DataError(f"'{side.section.ref}' is no longer the model that '{side.run.name}' evaluated")
    return encoder


def _latencies(config: GateConfig, times: list[Floats]) -> Iterator[Check]:
    latency, rng = config.latency, np.random.default_rng(config.bootstrap.seed)
    places = rng.integers(0, len(times[0]), size=(config.bootstrap.resamples, len(times[0])))
    if latency.p95_ms is not None:
        found = _estimate(
            float(np.quantile(times[0], 0.95)), np.quantile(times[0][places], 0.95, axis=1), len(times[0])
        )
        outcome = judge_limit(found, low=-np.inf, high=latency.p95_ms)
        asked = f"95 of 100 queries in {latency.p95_ms:g} ms"
        text = f"{found.value:.2f} ms [{found.low:.2f}, {found.high:.2f}]"
        yield Check("latency", "latency query p95", asked, outcome, text, as_json(found), timed=True)
    if latency.ratio is not None and len(times) > 1:
        draws = np.median(times[0][places], axis=1) / np.median(times[1][places], axis=1)
        found = _estimate(float(np.median(times[0]) / np.median(times[1])), draws, len(times[0]))
        outcome = judge_limit(found, low=-np.inf, high=latency.ratio)
        asked = f"{latency.ratio:g} times the baseline at most"
        text = f"{found.value:.2f} times [{found.low:.2f}, {found.high:.2f}]"
        yield Check("latency", "latency query ratio", asked, outcome, text, as_json(found), timed=True)


def _estimate(value: float, draws: Floats, n: int) -> Estimate:
    low, high = np.quantile(draws, [(1 - _WIDE) / 2, (1 + _WIDE) / 2])
    return Estimate(value, float(low), float(high), n, "queries")


def _sizes(
    config: GateConfig, root: Path, candidate: EvaluatedModel, baseline: EvaluatedModel | None
) -> Iterator[Check]:
    size = config.size
    if size.model_mb is None and size.ratio is None:
        return
    mine = model_bytes(candidate.section, root)
    theirs = model_bytes(baseline.section, root) if baseline is not None else None
    for key, limit, found, unit in (
        ("model", size.model_mb, None if mine is None else mine / _MB, "MB"),
        ("ratio", size.ratio, mine / theirs if mine and theirs else None, "times the baseline"),
    ):
        if limit is None:
            continue
        asked = f"{limit:g} {unit} at most"
        if found is None:
            yield Check("size", f"size {key}", asked, "inconclusive", "a model that does not lie on this machine")
        else:
            yield Check("size", f"size {key}", asked, "pass" if found <= limit else "fail", f"{found:.2f} {unit}")
