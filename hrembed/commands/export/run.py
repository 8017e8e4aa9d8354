"""`hrembed export`: a model in a form that other software reads, compared with its source before it is called done."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.commands.export.checks import Judge, calibration, difference, probe, seconds
from hrembed.errors import ModelError, ThresholdError
from hrembed.models.exported import check_packages, one_side, open_export, write_export
from hrembed.models.legacy import remove
from hrembed.models.static import is_model2vec
from hrembed.models.transformer import load_model
from hrembed.reports.estimates import format_estimate
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import model_folder, pinned, weights_identity
from hrembed.scoring.retrieval import open_task
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.export import ExportConfig
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace

TOLERANCE = 1e-5


def run_export(config: ExportConfig, workspace: Workspace) -> CommandResult[Any]:
    """Write a model in other forms, each in a folder of the run.

    An export that fails its comparison is removed: float32 that gives other vectors is an error, int8 beyond the limits
    of the config a failure after all others were written.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Size of each export, and how it compares with its source. Timings are in `timings.json`.

    Raises:
        DataError: The data to compare or calibrate on are missing or malformed.
        ModelError: A package is missing, the model has no such form, or the export gives other vectors.
    """
    for name in config.formats:
        check_packages(name)
    config = config.model_copy(update={"model": pinned(config.model, workspace.root)})
    seeds = {"calibration": config.seed, "bootstrap": config.bootstrap.seed}
    with open_run(workspace, "export", config.model_dump(mode="json"), seeds=seeds) as run:
        folder = model_folder(config.model, workspace.root)
        run.add_model("source", weights_identity(folder, config.model.dtype, config.model.max_tokens), str(folder))
        with tempfile.TemporaryDirectory(dir=run.path) as cache:
            exporter = _Exporter(config, folder, run, Path(cache))
            rows: dict[str, dict[str, Any]] = {}
            for name in config.formats:
                workspace.progress.note(f"writing {name}")
                rows[name] = exporter.export(name)
            timings = exporter.timings(workspace.progress)
        run.write_metrics({"formats": rows})
        if timings:
            run.write_timings(timings)
    failed = [name for name, row in rows.items() if not row.get("kept", True)]
    tables = _tables(rows, timings, run.path)
    return CommandResult(str(run.path), "fail" if failed else "ok", {"formats": rows}, tables, _failure(config, failed))


class _Exporter:
    """The source, opened once, and the graphs that passed their comparison."""

    def __init__(self, config: ExportConfig, folder: Path, run: Run, cache: Path) -> None:
        self._config = config
        self._run = run
        whole = _load(config, folder).to("cpu")
        self._source = one_side(whole, config.side)
        self._expected = probe(self._source)
        self._opened = {"torch": self._source}
        self._task = None if config.formats == ("legacy",) else open_task(config.compare_on, run)
        self._judge = None if self._task is None else Judge(config, self._task, whole, cache)

    def export(self, name: str) -> dict[str, Any]:
        """Write one format, compare it, and remove it where it fails."""
        target = self._run.path / name
        write_export(self._source, target, name, self._calibration(name))
        try:
            row: dict[str, Any] = {"mb": _mb(target), **self._compared(name, target)}
        except BaseException:
            # Also when it was interrupted: what was not compared must not look as if it had been.
            remove(target)
            raise
        if not row.get("kept", True):
            remove(target)
            self._opened.pop(name)
        return row

    def _calibration(self, name: str) -> list[Any]:
        if self._task is None or name != "openvino-int8":
            return []
        return calibration(self._config, self._task, self._source, self._run)

    def _compared(self, name: str, target: Path) -> dict[str, Any]:
        if name == "legacy":
            return {"difference": _within(difference(self._expected, probe(_load(self._config, target))))}
        model = self._opened[name] = open_export(target, threads=_threads())
        found = probe(model)
        if self._judge is not None and name.endswith("-int8"):
            return self._judge.judge(name, model, self._expected, found)
        return {"difference": _within(difference(self._expected, found))}

    def timings(self, progress: Progress) -> dict[str, dict[str, float]]:
        """Time the graphs that were kept against torch; nothing where there are none."""
        if self._task is None or len(self._opened) == 1:
            return {}
        progress.note("timing")
        return seconds(self._opened, self._task, self._config.model.batch_size)


def _load(config: ExportConfig, folder: Path) -> Any:
    if is_model2vec(folder):
        raise ModelError(f"'{folder}' is a table of static vectors, which has no other layout")
    section = config.model
    trust = section.trust_remote_code
    return load_model(folder, dtype=section.dtype, max_tokens=section.max_tokens, trust_remote_code=trust)


def _threads() -> int:
    import torch

    return int(torch.get_num_threads())


def _within(gap: float) -> float:
    if not gap <= TOLERANCE:
        raise ModelError(
            f"the export gives other vectors than its source (largest difference {gap:.2g}); it was removed"
        )
    return gap


def _mb(folder: Path) -> float:
    return sum(item.stat().st_size for item in folder.rglob("*") if item.is_file()) / 2**20


def _failure(config: ExportConfig, failed: Sequence[str]) -> ThresholdError | None:
    if not failed:
        return None
    return ThresholdError(
        f"{', '.join(failed)}: beyond `max_loss: {config.max_loss:g}` or `min_cosine: {config.min_cosine:g}`, removed",
        hint="the other formats were written; openvino and onnx keep float32",
    )


def _tables(
    rows: Mapping[str, Mapping[str, Any]], timings: Mapping[str, Mapping[str, float]], folder: Path
) -> dict[str, list[dict[str, str]]]:
    tables = {"Exports, compared with their source": [_row(name, row, folder) for name, row in rows.items()]}
    judged = {name: row for name, row in rows.items() if "ranking" in row}
    if judged:
        tables["int8 against its source"] = [_judged(name, row) for name, row in judged.items()]
    if timings:
        tables["Time on this machine"] = [
            {
                "format": name,
                "seconds per 1000 texts": f"{row['seconds_per_1000_texts']:.1f}",
                "share of torch": f"{row['share_of_reference']:.2f}",
            }
            for name, row in timings.items()
        ]
    return tables


def _row(name: str, row: Mapping[str, Any], folder: Path) -> dict[str, str]:
    return {
        "format": name,
        "folder": str(folder / name) if row.get("kept", True) else "removed",
        "MB": f"{row['mb']:.1f}",
        "difference": f"{row['difference']:.1e}" if "difference" in row else "see below",
    }


def _judged(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    ranking, cosine = row["ranking"], row["cosine"]
    return {
        "format": name,
        "cosine": f"{cosine['mean']:.4f}, lowest {cosine['lowest']:.4f}",
        "alone to batch": f"{row['lowest_cosine_alone_to_batch']:.4f}",
        "task": ranking["task"],
        "source": format_estimate(ranking["source"]),
        "export": format_estimate(ranking["export"]),
        "difference": format_estimate(ranking["difference"], sign=True),
        "same top 10": f"{ranking['same_top_10']:.2f}",
    }
