"""`hrembed export`: a model in a form that other software reads, compared with its source before it is called done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError
from hrembed.models.legacy import remove, write_legacy
from hrembed.models.static import is_model2vec
from hrembed.models.transformer import load_model
from hrembed.progress import Silent
from hrembed.runs.record import open_run
from hrembed.stages.encoders import model_folder, pinned, weights_identity
from hrembed.types import StageResult

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.export import ExportConfig
    from hrembed.progress import Progress
    from hrembed.types import Floats

TOLERANCE = 1e-5
# Short, long, empty, not English, not letters: what may go another way through another layout.
_TEXTS = [
    "Nurse",
    "Registered nurse for the night shift of a surgical ward, with two years of experience",
    "Looks after patients and writes down what was done. " * 60,
    "",
    "Ingénieur en génie logiciel · Köln",
    "C++ / C# / .NET 8",
]


def run_export(config: ExportConfig, runs_dir: Path, progress: Progress | None = None) -> StageResult:
    """Write a model in other layouts, each in a folder of the run.

    Args:
        config: Validated settings.
        runs_dir: Folder of all runs.
        progress: Told what advances.

    Returns:
        Folder, size and largest difference of each export.

    Raises:
        ModelError: The model has no such form, or the export gives other vectors; it is removed then.
    """
    progress = progress or Silent()
    config = config.model_copy(update={"model": pinned(config.model, runs_dir)})
    with open_run(runs_dir, "export", config.model_dump(mode="json"), seeds={}) as run:
        folder = model_folder(config.model, runs_dir)
        run.add_model("source", weights_identity(folder, config.model.dtype, config.model.max_tokens), str(folder))
        source = _load(config, folder)
        expected, rows = _vectors(source), {}
        for name in config.formats:
            progress.note(f"writing {name}")
            target = run.path / name
            write_legacy(source, target)
            rows[name] = {
                "difference": _difference(expected, _vectors(_load(config, target)), target),
                "mb": _mb(target),
            }
        run.write_metrics({"formats": rows})
    table = [
        {
            "format": name,
            "folder": str(run.path / name),
            "MB": f"{row['mb']:.1f}",
            "difference": f"{row['difference']:.1e}",
        }
        for name, row in rows.items()
    ]
    return StageResult(str(run.path), "ok", {"formats": rows}, {"Exports, compared with their source": table})


def _load(config: ExportConfig, folder: Path) -> Any:
    if is_model2vec(folder):
        raise ModelError(f"'{folder}' is a table of static vectors, which has no other layout")
    section = config.model
    trust = section.trust_remote_code
    return load_model(folder, dtype=section.dtype, max_tokens=section.max_tokens, trust_remote_code=trust)


def _vectors(model: Any) -> Floats:
    return np.asarray(model.encode(_TEXTS, show_progress_bar=False), dtype=np.float32)


def _difference(expected: Floats, found: Floats, folder: Path) -> float:
    gap = float(np.abs(expected - found).max())
    if not gap <= TOLERANCE:
        remove(folder)
        raise ModelError(
            f"the export gives other vectors than its source (largest difference {gap:.2g}); it was removed"
        )
    return gap


def _mb(folder: Path) -> float:
    return sum(item.stat().st_size for item in folder.rglob("*") if item.is_file()) / 2**20
