"""`hrembed export`: a model in a form that other software reads, compared with its source before it is called done."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.commands.export.checks import Judge, calibration, measure_speed
from hrembed.errors import ModelError, ThresholdError
from hrembed.memory import MB
from hrembed.models.exported import NEEDS, check_packages, one_side, open_export, write_export
from hrembed.models.folder import write_title_setting
from hrembed.models.legacy import remove
from hrembed.models.static import is_model2vec
from hrembed.models.transformer import load_model
from hrembed.records.export import ExactExport, ExportRecord, QuantisedExport
from hrembed.reports.conclusions import listed
from hrembed.reports.estimates import format_estimate
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import describe_use, model_folder, pinned, weights_identity
from hrembed.scoring.retrieval import open_task
from hrembed.scoring.varied_texts import difference, probe
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.export import ExportConfig
    from hrembed.records.export import ExportFormat, Speed
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Ints, TitleSides

TOLERANCE = 1e-5


def run_export(config: ExportConfig, workspace: Workspace) -> CommandResult[ExportRecord]:
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
    config = config.model_copy(update={"model": pinned(config.model, workspace)})
    seeds = {"calibration": config.seed, "bootstrap": config.bootstrap.seed}
    phases = ("read the model", *(f"write and compare {name}" for name in config.formats), "measure speed")
    with open_run(workspace, "export", config.model_dump(mode="json"), seeds=seeds, phases=phases) as run:
        run.phases.begin(phases[0])
        folder = model_folder(config.model, workspace.root)
        section = config.model
        identity = weights_identity(folder, section.dtype, section.max_tokens, section.pooling)
        use = describe_use(section, folder, workspace.progress)
        run.add_model("source", identity, str(folder), use)
        with tempfile.TemporaryDirectory(dir=run.path) as cache:
            exporter = _Exporter(config, folder, run, Path(cache), use.normalised_titles or "none")
            formats = {}
            for name in config.formats:
                run.phases.begin(f"write and compare {name}")
                formats[name] = exporter.export(name)
            run.phases.begin(phases[-1])
            timings = exporter.timings()
        record = ExportRecord(formats=formats)
        run.write_metrics(record)
        if timings:
            run.write_timings(timings)
        notice = run.conclude(_conclusion(config, record, run.path))
    removed = [name for name, export in formats.items() if not _kept(export)]
    return CommandResult(
        str(run.path),
        "fail" if removed else "ok",
        record,
        _tables(record, timings, run.path),
        _failure(config, removed),
        notice=notice,
    )


class _Exporter:
    """The source, opened once, and the graphs that passed their comparison."""

    def __init__(self, config: ExportConfig, folder: Path, run: Run, cache: Path, titles: TitleSides) -> None:
        self._config = config
        self._titles = titles
        self._run = run
        whole = _load(config, folder).to("cpu")
        self._source = one_side(whole, config.side)
        self._expected = probe(self._source)
        self._opened: dict[str, Any] = {"torch": self._source}
        self._task = None if config.formats == ("legacy",) else open_task(config.compare_on, run)
        self._judge = None if self._task is None else Judge(config, self._task, whole, cache, titles)

    def export(self, name: ExportFormat) -> ExactExport | QuantisedExport:
        """Write one format, compare it, and remove it where it fails."""
        target = self._run.path / name
        write_export(self._source, target, name, self._calibration(name))
        write_title_setting(target, self._titles)
        try:
            export = self._compared(name, target)
        except BaseException:
            # Also when it was interrupted: what was not compared must not look as if it had been.
            remove(target)
            raise
        if not _kept(export):
            remove(target)
            self._opened.pop(name)
        return export

    def _calibration(self, name: ExportFormat) -> list[dict[str, Ints]]:
        if self._task is None or name != "openvino-int8":
            return []
        return calibration(self._config, self._task, self._source, self._run, self._titles)

    def _compared(self, name: ExportFormat, target: Path) -> ExactExport | QuantisedExport:
        mb = _mb(target)
        if name == "legacy":
            return _exact(mb, difference(self._expected, probe(_load(self._config, target))))
        model = self._opened[name] = open_export(target, threads=_threads())
        found = probe(model)
        if self._judge is not None and name.endswith("-int8"):
            return self._judge.judge(name, model, mb, self._expected, found)
        return _exact(mb, difference(self._expected, found))

    def timings(self) -> dict[str, Speed]:
        """Time the graphs that were kept against torch; empty where there are none."""
        if self._task is None or len(self._opened) == 1:
            return {}
        return measure_speed(self._opened, self._task, self._config.model.batch_size)


def _load(config: ExportConfig, folder: Path) -> Any:
    if is_model2vec(folder):
        raise ModelError(f"'{folder}' is a static embedding model, which has no other layout to export to")
    section = config.model
    return load_model(
        folder,
        dtype=section.dtype,
        max_tokens=section.max_tokens,
        trust_remote_code=section.trust_remote_code,
        pooling=section.pooling,
    )


def _threads() -> int:
    import torch

    return int(torch.get_num_threads())


def _exact(mb: float, gap: float) -> ExactExport:
    if not gap <= TOLERANCE:
        raise ModelError(
            "the exported model produces different vectors than its source (largest difference "
            f"{gap:.2g}); it was removed"
        )
    return ExactExport(mb=mb, difference=gap)


def _kept(export: ExactExport | QuantisedExport) -> bool:
    return isinstance(export, ExactExport) or export.kept


def _mb(folder: Path) -> float:
    return sum(item.stat().st_size for item in folder.rglob("*") if item.is_file()) / MB


def _failure(config: ExportConfig, removed: Sequence[ExportFormat]) -> ThresholdError | None:
    if not removed:
        return None
    return ThresholdError(
        (
            f"{', '.join(removed)}: removed, because `max_loss: {config.max_loss:g}` was exceeded or "
            f"`min_cosine: {config.min_cosine:g}` was not reached"
        ),
        hint="the other formats were written; use openvino or onnx to keep float32",
    )


def _other_formats(config: ExportConfig) -> str:
    """Say which formats there are besides `legacy`, and how to get them; empty where a graph was asked for."""
    if config.formats != ("legacy",) or config.model.dtype != "float32":
        return ""
    graphs = [name for name in NEEDS if name != "legacy"]
    return (
        "`legacy` is the older layout with torch weights. Graphs for OpenVINO and ONNX, in float32 and int8, are "
        f"written with `--set 'formats=[{','.join(graphs)}]'` (needs `pip install 'hrembed[export]'`)."
    )


def _conclusion(config: ExportConfig, record: ExportRecord, folder: Path) -> list[str]:
    """Say which exports give the vectors of their source, which ranks as it does, and where a server finds them."""
    exact = [name for name, export in record.formats.items() if isinstance(export, ExactExport)]
    sentences = []
    if exact:
        largest = max(export.difference for export in record.formats.values() if isinstance(export, ExactExport))
        gives = "gives" if len(exact) == 1 else "give"
        sentences.append(f"{listed(exact)} {gives} the vectors of the source (largest difference {largest:.1e}).")
    for name, export in record.formats.items():
        if isinstance(export, QuantisedExport):
            row = export.ranking
            kept = "ranks as the source does" if export.kept else "was removed, since it ranks worse than the source"
            found = f"{row.difference.value:+.3f} {row.metric} on {row.task}, mean cosine {export.cosine.mean:.4f}"
            sentences.append(f"{name} {kept} ({found}).")
    sentences += filter(None, [_other_formats(config)])
    kept_names = [name for name, export in record.formats.items() if _kept(export)]
    if kept_names:
        return [*sentences, "Next, copy the folder to where your server reads models:", f"  {folder / kept_names[0]}"]
    return [*sentences, "Next, keep float32:", '  hrembed export --set "formats=[openvino]"']


def _tables(record: ExportRecord, timings: Mapping[str, Speed], folder: Path) -> dict[str, list[dict[str, str]]]:
    tables = {"Exports, compared with their source": [_row(name, row, folder) for name, row in record.formats.items()]}
    quantised = {name: export for name, export in record.formats.items() if isinstance(export, QuantisedExport)}
    if quantised:
        tables["int8 against its source"] = [_quantised_row(name, export) for name, export in quantised.items()]
    if timings:
        tables["Time on this machine"] = [
            {
                "format": name,
                "seconds per 1000 texts": f"{speed.seconds_per_1000_texts:.1f}",
                "share of torch": f"{speed.share_of_reference:.2f}",
            }
            for name, speed in timings.items()
        ]
    return tables


def _row(name: str, export: ExactExport | QuantisedExport, folder: Path) -> dict[str, str]:
    return {
        "format": name,
        "folder": str(folder / name) if _kept(export) else "removed",
        "MB": f"{export.mb:.1f}",
        "difference": f"{export.difference:.1e}" if isinstance(export, ExactExport) else "see below",
    }


def _quantised_row(name: str, export: QuantisedExport) -> dict[str, str]:
    ranking = export.ranking
    return {
        "format": name,
        "cosine": f"{export.cosine.mean:.4f}, lowest {export.cosine.lowest:.4f}",
        "alone to batch": f"{export.lowest_cosine_alone_to_batch:.4f}",
        "task": ranking.task,
        "source": format_estimate(ranking.source),
        "export": format_estimate(ranking.export),
        "difference": format_estimate(ranking.difference, sign=True),
        "same top 10": f"{ranking.same_top_10:.2f}",
    }
