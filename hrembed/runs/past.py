"""Past runs: found by a short name, read only while their files have the hashes of the manifest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from hrembed.errors import DataError, HrembedError, ModelError
from hrembed.files import exists, files_below, sha256, user_path
from hrembed.progress import Silent
from hrembed.records.base import read_record, typed, validated
from hrembed.records.manifest import Manifest
from hrembed.runs.model_registry import read_registry

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.progress import Progress
    from hrembed.records.base import M, R
    from hrembed.records.manifest import Status
    from hrembed.records.registry import RegisteredModel

LATEST = "latest"
_SHOWN = 3  # runs that a hint names
DAMAGED: Literal["damaged"] = "damaged"
_STAMP = re.compile(r"\d{8}T\d{6}Z")  # what the name of a run folder starts with
_SILENT = Silent()


@dataclass(frozen=True)
class PastRun:
    """A run folder.

    Attributes:
        path: The folder.
        manifest: Content of `manifest.json`.
        damaged: Whether `manifest.json` cannot be read; `manifest` then holds only the command and the time that the
            folder itself tells.
    """

    path: Path
    manifest: Manifest
    damaged: bool = False

    @property
    def command(self) -> str:
        """What was run."""
        return self.manifest.command or self.path.parent.name

    @property
    def name(self) -> str:
        """Command and id, as the commands take it: `eval/20260301T101500Z-3f9c2a1b`."""
        return f"{self.command}/{self.path.name}"

    @property
    def status(self) -> Status | Literal["damaged"]:
        """`started`, `ok`, `failed` or `interrupted`; `damaged` where the manifest cannot be read."""
        return DAMAGED if self.damaged else self.manifest.status

    @property
    def in_words(self) -> str:
        """Name, time and status, for messages."""
        status = "started, not finished" if self.status == "started" else self.status
        return f"'{self.name}' ({self.manifest.started or 'unknown time'}, {status})"

    def holds(self, name: str) -> bool:
        """Whether the run wrote a file of that name."""
        return name in self.manifest.outputs

    def verified(self, name: str) -> Path:
        """Path of a file that the run wrote, with the hash that the manifest says.

        Raises:
            DataError: The run wrote no such file, it is gone, or it was changed since.
        """
        file, outputs = self.path / name, self.manifest.outputs
        if name not in outputs:
            raise DataError(f"run '{self.name}' did not write '{name}'")
        if not file.is_file():
            raise DataError(f"'{file}' is missing", hint="restore the run folder, or repeat the run")
        if sha256(file) != outputs[name]:
            raise DataError(
                f"'{file}' was modified after the run: its SHA-256 differs from the manifest",
                hint="restore it, or repeat the run with its `config.yaml`",
            )
        return file

    def verified_folder(self, name: str) -> Path:
        """Path of a folder that the run wrote, which holds what the manifest lists and nothing else.

        Raises:
            DataError: A file of it is gone, was changed, or was added since.
        """
        folder = self.path / name
        listed = [output for output in self.manifest.outputs if output.startswith(f"{name}/")]
        for output in listed:
            self.verified(output)
        held = {file.relative_to(self.path).as_posix() for file in files_below(folder)} if folder.is_dir() else set()
        if added := sorted(held.difference(listed)):
            raise DataError(
                f"'{self.path / added[0]}' is not part of run '{self.name}': it was added to '{name}/' later"
                + (f", and {len(added) - 1} more" if len(added) > 1 else ""),
                hint="move it elsewhere; to modify the model, copy the folder and use path:DIR",
            )
        return folder

    def text(self, name: str) -> str:
        """Content of a text file of the run, verified.

        Raises:
            DataError: The file was edited, or is no text although the manifest vouches for it.
        """
        file = self.verified(name)
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise DataError(f"'{file}' is not valid UTF-8", hint="repeat the run") from None

    def json(self, name: str) -> Any:
        """Content of a JSON file of the run, verified.

        Raises:
            DataError: The file was edited, or is no JSON although the manifest vouches for it.
        """
        try:
            return json.loads(self.text(name))
        except (json.JSONDecodeError, RecursionError):
            raise DataError(f"'{self.path / name}' is not valid JSON", hint="repeat the run") from None

    def record(self, kind: type[R]) -> R:
        """What the run said, verified.

        Raises:
            DataError: The file was edited, or written by a version whose records have another shape.
        """
        return read_record(kind, self.text("metrics.json"), str(self.path / "metrics.json"))

    def settings(self, kind: type[M]) -> M:
        """Settings of the run, verified.

        Raises:
            DataError: They were edited, or are those of another version.
        """
        failure = f"'{self.path / 'config.yaml'}' is not valid for this version of hrembed"
        return validated(kind, self.json("config.yaml"), failure)

    def records(self, name: str, kind: type[M]) -> dict[str, M]:
        """Records by name from a JSON file that the run wrote beside its metrics, verified.

        Raises:
            DataError: The file was edited, or written by a version whose records have another shape.
        """
        failure = f"'{self.path / name}' does not have the format of this version of hrembed"
        contents = self.json(name)
        if not isinstance(contents, dict):
            raise DataError(failure, hint="repeat the run")
        return {key: validated(kind, content, failure) for key, content in contents.items()}

    def table(self, name: str) -> dict[str, list[Any]]:
        """Columns of `<name>.parquet` of the run, verified.

        Raises:
            DataError: The file was edited, or is no Parquet although the manifest vouches for it.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self.verified(f"{name}.parquet")
        try:
            found: dict[str, list[Any]] = pq.read_table(file).to_pydict()
        except pa.ArrowException:
            raise DataError(f"'{file}' is not a valid Parquet file", hint="repeat the run") from None
        return found


def past_runs(root: Path, command: str | None = None) -> list[PastRun]:
    """List the runs below a folder, oldest first, also those whose manifest is damaged or was never written.

    Args:
        root: Folder of all runs.
        command: Only runs of this command.
    """
    folders = [
        folder
        for folder in root.glob("*/*")  # a command is no pattern, whatever the user writes there
        if (not command or folder.parent.name == command)
        and ((folder / "manifest.json").is_file() or (folder.is_dir() and _STAMP.match(folder.name)))
    ]
    return sorted((read_run(folder) or _damaged(folder) for folder in folders), key=_age)


def _damaged(folder: Path) -> PastRun:
    if stamp := _STAMP.match(folder.name):
        started = datetime.strptime(stamp.group(), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    else:
        started = datetime.fromtimestamp((folder / "manifest.json").stat().st_mtime, UTC)
    told = Manifest(command=folder.parent.name, started=started.isoformat(timespec="seconds"))
    return PastRun(folder, told, damaged=True)


def find_run(
    root: Path,
    reference: str,
    command: str | None = None,
    *,
    latest: Literal["finished", "newest"] = "finished",
    progress: Progress = _SILENT,
) -> PastRun:
    """Find a run; every command finds past runs by this function.

    Args:
        root: Folder of all runs.
        reference: `COMMAND/ID`, an id, the start of one that no other run shares, the folder, or `latest` (also
            `COMMAND/latest`).
        command: What the run must be of; None for any.
        latest: Which run `latest` means: the newest that ended well, or the newest whatever became of it.
        progress: Told which newer runs did not end well, where `latest` means the newest that did.

    Raises:
        DataError: There is none, its manifest is damaged, several have the id or begin with it, or it is of another
            command.
    """
    folder = user_path(reference)
    if exists(folder / "manifest.json"):
        run = read_run(folder) or _damaged(folder)
    elif folder.is_absolute():
        raise DataError(f"'{folder}' is not a run folder", hint="specify the folder that contains `manifest.json`")
    else:
        run = _by_name(root, reference, command, latest)
    if run.damaged:
        raise DataError(
            f"cannot read '{run.path / 'manifest.json'}'",
            hint="restore it from a backup, or remove the run: `hrembed runs prune`",
        )
    if command is not None and run.command != command:
        raise DataError(f"run '{run.name}' belongs to `{run.command}`, but `{command}` is required")
    if latest == "finished":
        for newer in overtaking(root, reference, run):
            progress.note(f"`{reference}` resolves to {run.in_words}, but {newer.in_words} was started later")
    return run


def overtaking(root: Path, reference: str, run: PastRun) -> list[PastRun]:
    """List the runs that were started after the one that `latest` means, and did not end well.

    Args:
        root: Folder of all runs.
        reference: How the run was named; whoever names a run by its id or its folder means that one, so nothing
            overtakes it.
        run: What was found by that name.

    Returns:
        Runs of the same command, the newest last; while a run of that command is open, it is one of them.
    """
    if reference.rpartition("/")[2] != LATEST or exists(user_path(reference) / "manifest.json"):
        return []
    runs = past_runs(root, run.path.parent.name)
    return [newer for newer in runs if _age(newer) > _age(run) and newer.status != "ok"]


def finished(run: PastRun) -> PastRun:
    """Return the run when it ended well.

    Raises:
        DataError: It did not.
    """
    if run.status != "ok":
        raise DataError(f"run '{run.name}' has status '{run.status}', so its results are incomplete")
    return run


def resumable_run(root: Path, command: str, reference: str) -> PastRun:
    """Find a run that can go on; `latest` is the newest run.

    Raises:
        DataError: There is no such run.
        HrembedError: It ended well.
    """
    run = find_run(root, reference, command, latest="newest")
    if run.status == "ok":
        raise HrembedError(f"run '{run.name}' finished successfully; there is nothing to resume")
    return run


def training_run(root: Path, reference: str, progress: Progress = _SILENT) -> PastRun:
    """Find a finetune run that wrote a model; `latest` is the newest one, and never a model that was rejected.

    Args:
        root: Folder of all runs.
        reference: As `find_run` takes it.
        progress: Told which run `latest` means, and what the registry says of it.

    Raises:
        ModelError: There is no such run, it did not end well, or `latest` means a model that was rejected.
    """
    try:
        run = find_run(root, reference, "finetune", progress=progress)
        if reference.rpartition("/")[2] == LATEST:
            _check_not_rejected(root, run, progress)
    except DataError as err:
        raise ModelError(str(err), hint=err.hint) from err
    if run.status != "ok":
        raise ModelError(
            f"run '{run.name}' has status '{run.status}' and no final model",
            hint=f"its last checkpoint, if there is one, is path:{run.path / 'checkpoints' / 'last'}",
        )
    return run


def _check_not_rejected(root: Path, run: PastRun, progress: Progress) -> None:
    registry, model = read_registry(root), run.path.name
    progress.note(f"run:latest is '{run.name}' of {run.manifest.started}; registry: {registry.status_of(model)}")
    entry = registry.of(model)
    if entry is not None and entry.status == "rejected":
        in_use = registry.accepted()
        other = f"; the model in use is run:{in_use.model}" if in_use else ""
        raise ModelError(
            f"`run:latest` is '{run.name}', which is marked as rejected in the registry{_by_whom(entry)}",
            hint=f"use run:{model} to load it anyway{other}",
        )


def _by_whom(entry: RegisteredModel) -> str:
    if entry.decisions:
        last = entry.decisions[-1]
        return f" by {last.by} on {last.time[:10]}: {last.why}"
    return f" by gate {entry.gate}" if entry.gate else ""


def trained_model(root: Path, reference: str) -> Path:
    """Find the model folder of a finetune run, which holds what the manifest lists and nothing else.

    Raises:
        ModelError: There is no such run, it did not end well, or a file of the model was changed or added since.
    """
    run = training_run(root, reference)
    try:
        return run.verified_folder("model")
    except DataError as err:
        raise ModelError(str(err), hint=err.hint) from err


def _by_name(root: Path, reference: str, command: str | None, latest: str) -> PastRun:
    kind, _, name = reference.rpartition("/")
    kind = kind or command or ""
    candidates = past_runs(root, kind or None)
    if name == LATEST:
        matches = [run for run in candidates if latest == "newest" or run.status == "ok"][-1:]
    else:
        matches = [run for run in candidates if run.path.name == name]
        matches = matches or [run for run in candidates if name and run.path.name.startswith(name)]
    if len(matches) > 1:
        known = " or ".join(run.name for run in matches[-_SHOWN:])
        exact = matches[0].path.name == name
        raise DataError(
            f"several runs {'are named' if exact else 'start with'} '{name}'",
            hint=f"use {known}{'' if len(matches) <= _SHOWN else ', the newest of them'}",
        )
    if matches:
        return matches[0]
    wanted = f"{kind} run" if kind else "run"
    missing = f"finished {wanted}" if name == LATEST else f"{wanted} '{name}'"
    if not candidates:
        first = f"{typed(kind)} NAME" if kind == "recipe" else typed(kind)
        raise DataError(f"no {missing} found in '{root}'", hint=f"run `hrembed {first}` first" if kind else "")
    raise DataError(
        f"no {missing} found in '{root}'; the newest is {candidates[-1].in_words}",
        hint="list them: `hrembed runs list`",
    )


def inside_run(root: Path, reference: str, progress: Progress = _SILENT) -> Path:
    """Find a run, or something in its folder.

    Args:
        root: Folder of all runs.
        reference: `COMMAND/ID` or `COMMAND/ID/FILE`; the id as `find_run` takes it.
        progress: Told which newer runs did not end well, where `latest` means the newest that did.

    Raises:
        DataError: There is no such run, or its manifest is damaged.
    """
    command, _, rest = reference.partition("/")
    name, _, file = rest.partition("/")
    return find_run(root, f"{command}/{name}", progress=progress).path / file


def _age(run: PastRun) -> tuple[str, int, str]:
    """Order in time; runs of one second are told apart by when their config was written."""
    config = run.path / "config.yaml"
    written = config.stat().st_mtime_ns if config.is_file() else 0
    return run.manifest.started, written, run.name


def read_run(folder: Path) -> PastRun | None:
    """Read a run folder; None where its manifest cannot be read."""
    try:
        text = (folder / "manifest.json").read_text(encoding="utf-8")
        return PastRun(folder, Manifest.model_validate_json(text))
    except (OSError, ValueError):  # pydantic's errors are ValueErrors
        return None
