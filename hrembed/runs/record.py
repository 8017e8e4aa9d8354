"""Run folders: opened first, closed always, never overwritten."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hrembed.errors import HrembedError, StoppedError
from hrembed.files import (
    cannot_write,
    files_below,
    json_text,
    remove_parts,
    sha256,
    write_json,
    write_parquet,
    write_text,
)
from hrembed.memory import peak_memory_mb
from hrembed.progress import NoPhases, in_time
from hrembed.records.base import as_json, write_record
from hrembed.records.manifest import InputEntry, Manifest, ModelEntry, ModelUse
from hrembed.records.tables import collecting
from hrembed.runs.environment import git_state, machine, threads, versions
from hrembed.runs.past import read_run, resumable_run
from hrembed.runs.workspace import Workspace
from hrembed.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.progress import Phases
    from hrembed.records.base import CommandRecord, Record
    from hrembed.records.manifest import Attribution, Status
    from hrembed.runs.past import PastRun

_log = logging.getLogger("hrembed")


@dataclass
class Run(Workspace):
    """A workspace in which one run is open.

    Attributes:
        path: Folder of the run.
        manifest: What `manifest.json` holds; written when the run opens and when it closes.
        phases: The parts of the run, of which one is going on.
    """

    path: Path = field(kw_only=True)
    manifest: Manifest = field(default_factory=Manifest, kw_only=True)
    phases: Phases = field(default_factory=NoPhases, kw_only=True, repr=False, compare=False)

    def warn(self, text: str) -> None:
        """Show what a reader of the numbers must know."""
        self.progress.note(f"warning: {text}")

    def conclude(self, sentences: Sequence[str]) -> str:
        """Keep what was found and what comes next, for the log, the page and whoever lists runs.

        Args:
            sentences: What was found, two or three, then what to do next; a command to copy is an indented line.

        Returns:
            The same as the notice of a command's result.
        """
        self.manifest.conclusion = [*sentences]
        for sentence in sentences:
            _log.info("%s", sentence)
        return "\n".join(sentences)

    def add_input(self, name: str, path: Path) -> None:
        """Record a file or folder that the run reads, with its hash; what it must be credited for is passed on."""
        self.manifest.inputs[name] = InputEntry(path=path.as_posix(), sha256=sha256(path))
        for attribution in _attributions_of(path):
            self.add_attribution(attribution)

    def add_content(self, name: str, reference: str, sha256_of_content: str) -> None:
        """Record data that came from a library, by the hash of its content."""
        self.manifest.inputs[name] = InputEntry(path=reference, sha256=sha256_of_content)

    def add_attribution(self, attribution: Attribution) -> None:
        """Record whom the outputs must credit."""
        if attribution not in self.manifest.attributions:
            self.manifest.attributions.append(attribution)

    def add_model(self, name: str, identity: str, source: str, use: ModelUse | None = None) -> None:
        """Record a model by the hash of everything that decides its vectors, where it was read, and how it was used."""
        known = {} if use is None else {name: getattr(use, name) for name in ModelUse.model_fields}
        self.manifest.models[name] = ModelEntry(identity=identity, source=source, **known)

    def write_metrics(self, metrics: CommandRecord) -> None:
        """Write `metrics.json`: numbers that the same config gives again, no timings."""
        write_record(self.path / "metrics.json", metrics)

    def write_timings(self, timings: Record | Mapping[str, Record]) -> None:
        """Write `timings.json`: numbers that differ from run to run."""
        write_record(self.path / "timings.json", timings)

    def write_table(self, name: str, columns: Mapping[str, Any]) -> None:
        """Write the rows behind the numbers as `<name>.parquet`."""
        write_parquet(self.path / f"{name}.parquet", columns)


@contextmanager
def open_run(
    workspace: Workspace,
    command: str,
    config: Mapping[str, Any],
    *,
    seeds: Mapping[str, int],
    phases: Sequence[str] = (),
    resume: str | None = None,
) -> Iterator[Run]:
    """Open a run folder, and close it with a status whatever happens inside.

    `config.yaml` (JSON, which is YAML) and `manifest.json` with status `started` are written before
    anything else. The block's outcome becomes `ok`, `failed` with the message, or `interrupted`. What happens meanwhile
    is written to `log.txt`: phases with their times, notes, warnings, the conclusion, the outcome. Of an error only the
    kind stands there, since its message may quote a cell of the data; the manifest holds it.

    Args:
        workspace: Where the run goes, and who receives progress updates.
        command: Name of the command; the run lies in a folder of that name.
        config: Resolved settings.
        seeds: All seeds of the run, by name.
        phases: Its parts, in their order; `run.phases.begin` says which one is going on.
        resume: Name of a run that did not end; it goes on in its own folder, with its own config.

    Raises:
        HrembedError: The folder cannot be made or written, or there is nothing to resume.
    """
    started = time.monotonic()
    if resume is None:
        run = _new_run(workspace, command, config, seeds)
    else:
        run = _reopened(workspace, resumable_run(workspace.root, command, resume))
    _write_manifest(run)
    handler = _log_file(run.path / "log.txt")
    _log.info("hrembed %s: %s %s", __version__, command, "goes on" if resume else "begins")
    try:
        with collecting(run.manifest.tables, run.progress.note), run.progress.phases(*phases) as run.phases:
            yield run
        _close(run, "ok", None, started)
        _log.info("ok after %s", in_time(time.monotonic() - started))
    except BaseException as err:
        status: Status = "interrupted" if isinstance(err, KeyboardInterrupt | StoppedError) else "failed"
        # On a full disk the closing fails as well; the first error is the one that matters.
        with suppress(HrembedError):
            _close(run, status, f"{type(err).__name__}: {err}", started)
        after = in_time(time.monotonic() - started)
        _log.error("%s after %s: %s (its message is in manifest.json)", status, after, type(err).__name__)
        raise
    finally:
        _log.removeHandler(handler)
        handler.close()


def _new_run(workspace: Workspace, command: str, config: Mapping[str, Any], seeds: Mapping[str, int]) -> Run:
    text = json_text(config)
    folder = _new_folder(workspace.root / command, hashlib.sha256(text.encode()).hexdigest()[:8])
    run = Run(workspace.root, workspace.progress, path=folder, manifest=_first_manifest(command, seeds))
    write_text(run.path / "config.yaml", text + "\n")
    return run


def _reopened(workspace: Workspace, past: PastRun) -> Run:
    """Open the folder of a run that did not end; the moments at which it went on are kept, half-written files not."""
    remove_parts(past.path)
    resumed = [*past.manifest.resumed, _now()]
    manifest = past.manifest.model_copy(update={"status": "started", "error": None, "resumed": resumed})
    return Run(workspace.root, workspace.progress, path=past.path, manifest=manifest)


def _first_manifest(command: str, seeds: Mapping[str, int]) -> Manifest:
    return Manifest(
        command=command,
        started=_now(),
        seeds=dict(seeds),
        versions=versions(),
        machine=machine(),
        working_directory_git=git_state(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _new_folder(parent: Path, digest: str) -> Path:
    """Make a folder that did not exist; two runs in one second get different names."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        folder = parent / f"{stamp}-{digest}{suffix}"
        _check_length(folder)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                break
        except OSError as err:
            raise cannot_write(folder, err) from err
        else:
            return folder
    raise HrembedError(f"cannot create a run folder in '{parent}'", hint="specify another folder with `--runs-dir`")


def _check_length(folder: Path) -> None:
    """Refuse a folder whose files would have longer paths than the system takes, before anything is computed.

    Raises:
        HrembedError: The path is too long.
    """
    longest = os.pathconf("/", "PC_PATH_MAX") if hasattr(os, "pathconf") else 260
    length = len(os.fsencode(folder))
    if length + _INSIDE > longest:
        raise HrembedError(
            (
                f"the path of the run folder is too long: it has {length} bytes, and the system allows "
                f"{longest} including the files inside: '{str(folder)[:60]}...'"
            ),
            hint="use a shorter path for `--runs-dir`",
        )


# The longest path inside of a run folder: a result as mteb keeps it, below names of 255 bytes at most.
_INSIDE = 700


def _close(run: Run, status: Status, error: str | None, started: float) -> None:
    manifest = run.manifest
    manifest.status, manifest.error, manifest.threads = status, error, threads()
    manifest.seconds, manifest.peak_memory_mb = round(time.monotonic() - started, 2), peak_memory_mb()
    manifest.outputs = {
        item.relative_to(run.path).as_posix(): sha256(item)
        for item in files_below(run.path)
        if item.name not in {"manifest.json", "log.txt"}
    }
    _write_manifest(run)


def _write_manifest(run: Run) -> None:
    write_json(run.path / "manifest.json", as_json(run.manifest))


def _log_file(path: Path) -> logging.Handler:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    if not _log.level:  # called from Python, where nobody said what to log
        _log.setLevel(logging.INFO)
    _log.addHandler(handler)
    return handler


def _attributions_of(path: Path) -> list[Attribution]:
    """Credits of the run that wrote a file; a task of a run lies up to three folders below its manifest."""
    for folder in [path, *path.absolute().parents][:4]:
        if (folder / "manifest.json").is_file():
            past = read_run(folder)
            return past.manifest.attributions if past else []
    return []
