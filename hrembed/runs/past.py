"""Past runs: found by a short name, read only while their files have the hashes of the manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hrembed.errors import DataError, HrembedError, ModelError
from hrembed.files import sha256
from hrembed.records.base import read_record, validated
from hrembed.records.manifest import Manifest

if TYPE_CHECKING:
    from hrembed.records.base import M, R

LATEST = "latest"


@dataclass(frozen=True)
class PastRun:
    """A run folder whose manifest could be read.

    Attributes:
        path: The folder.
        manifest: Content of `manifest.json`.
    """

    path: Path
    manifest: Manifest

    @property
    def command(self) -> str:
        """What was run."""
        return self.manifest.command or self.path.parent.name

    @property
    def name(self) -> str:
        """Command and id, as the commands take it: `eval/20260301T101500Z-3f9c2a1b`."""
        return f"{self.command}/{self.path.name}"

    @property
    def status(self) -> str:
        """`started`, `ok`, `failed` or `interrupted`."""
        return self.manifest.status

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
            raise DataError(f"run '{self.name}' wrote no '{name}'")
        if not file.is_file():
            raise DataError(f"'{file}' is gone", hint="restore the run folder, or repeat the run")
        if sha256(file) != outputs[name]:
            raise DataError(
                f"'{file}' is not what the run wrote: its SHA-256 differs from the manifest",
                hint="restore it, or repeat the run with its `config.yaml`",
            )
        return file

    def json(self, name: str) -> Any:
        """Content of a JSON file of the run, verified."""
        return json.loads(self.verified(name).read_text(encoding="utf-8"))

    def record(self, kind: type[R]) -> R:
        """What the run said, verified.

        Raises:
            DataError: The file was edited, or written by a version whose records have another shape.
        """
        file = self.verified("metrics.json")
        return read_record(kind, file.read_text(encoding="utf-8"), str(file))

    def settings(self, kind: type[M]) -> M:
        """Settings of the run, verified.

        Raises:
            DataError: They were edited, or are those of another version.
        """
        failure = f"'{self.path / 'config.yaml'}' is not a config of this version of hrembed"
        return validated(kind, self.json("config.yaml"), failure)

    def records(self, name: str, kind: type[M]) -> dict[str, M]:
        """Records by name from a JSON file that the run wrote beside its metrics, verified.

        Raises:
            DataError: The file was edited, or written by a version whose records have another shape.
        """
        failure = f"'{self.path / name}' is not what this version of hrembed writes"
        return {key: validated(kind, content, failure) for key, content in self.json(name).items()}

    def table(self, name: str) -> dict[str, list[Any]]:
        """Columns of `<name>.parquet` of the run, verified."""
        import pyarrow.parquet as pq

        found: dict[str, list[Any]] = pq.read_table(self.verified(f"{name}.parquet")).to_pydict()
        return found


def past_runs(root: Path, command: str | None = None) -> list[PastRun]:
    """List the runs below a folder, oldest first; folders without a readable manifest are left out.

    Args:
        root: Folder of all runs.
        command: Only runs of this command.
    """
    found = []
    for file in root.glob(f"{command or '*'}/*/manifest.json"):
        run = read_run(file.parent)
        if run is not None:
            found.append(run)
    return sorted(found, key=_age)


def find_run(
    root: Path, reference: str, command: str | None = None, *, latest: Literal["finished", "newest"] = "finished"
) -> PastRun:
    """Find a run; every command finds past runs by this function.

    Args:
        root: Folder of all runs.
        reference: `COMMAND/ID`, an id, the folder, or `latest` (also `COMMAND/latest`).
        command: What the run must be of; None for any.
        latest: Which run `latest` means: the newest that ended well, or the newest whatever became of it.

    Raises:
        DataError: There is none, several have the id, or it is of another command.
    """
    folder = Path(reference).expanduser()
    if (folder / "manifest.json").is_file():
        run = read_run(folder)
        if run is None:
            raise DataError(f"'{folder / 'manifest.json'}' cannot be read")
    elif folder.is_absolute():
        raise DataError(f"there is no run in '{folder}'", hint="name the folder that holds its `manifest.json`")
    else:
        run = _by_name(root, reference, command, latest)
    if command is not None and run.command != command:
        raise DataError(f"run '{run.name}' is of `{run.command}`, where one of `{command}` is needed")
    return run


def finished(run: PastRun) -> PastRun:
    """Return the run when it ended well.

    Raises:
        DataError: It did not.
    """
    if run.status != "ok":
        raise DataError(f"run '{run.name}' ended with status '{run.status}', so its numbers are not complete")
    return run


def resumable_run(root: Path, command: str, reference: str) -> PastRun:
    """Find a run that can go on; `latest` is the newest run.

    Raises:
        DataError: There is no such run.
        HrembedError: It ended well.
    """
    run = find_run(root, reference, command, latest="newest")
    if run.status == "ok":
        raise HrembedError(f"run '{run.name}' ended well; there is nothing to resume")
    return run


def training_run(root: Path, reference: str) -> PastRun:
    """Find a finetune run that wrote a model.

    Raises:
        ModelError: There is no such run, or it did not end well.
    """
    try:
        run = find_run(root, reference, "finetune")
    except DataError as err:
        raise ModelError(str(err), hint=err.hint) from err
    if run.status != "ok":
        raise ModelError(
            f"run '{run.name}' ended with status '{run.status}' and has no final model",
            hint=f"its last checkpoint is path:{run.path / 'checkpoints' / 'last'}, if there is one",
        )
    return run


def trained_model(root: Path, reference: str) -> Path:
    """Find the model folder of a finetune run, every file with the hash that the manifest says.

    Raises:
        ModelError: There is no such run, it did not end well, or a file of the model was changed since.
    """
    run = training_run(root, reference)
    try:
        for name in run.manifest.outputs:
            if name.startswith("model/"):
                run.verified(name)
    except DataError as err:
        raise ModelError(str(err), hint=err.hint) from err
    return run.path / "model"


def _by_name(root: Path, reference: str, command: str | None, latest: str) -> PastRun:
    kind, _, name = reference.rpartition("/")
    kind = kind or command or ""
    candidates = past_runs(root, kind or None)
    if name == LATEST:
        matches = [run for run in candidates if latest == "newest" or run.status == "ok"][-1:]
    else:
        matches = [run for run in candidates if run.path.name == name]
    if len(matches) > 1:
        raise DataError(f"several runs are called '{name}'", hint=f"write {' or '.join(run.name for run in matches)}")
    if matches:
        return matches[0]
    wanted = f"{kind} run" if kind else "run"
    missing = f"finished {wanted}" if name == LATEST else f"{wanted} '{name}'"
    if not candidates:
        first = kind.replace("data-", "data ", 1)
        raise DataError(f"there is no {missing} in '{root}'", hint=f"run `hrembed {first}` first" if kind else "")
    newest = candidates[-1]
    raise DataError(
        f"there is no {missing} in '{root}'; the newest is '{newest.name}' ({newest.status})",
        hint="list them: hrembed runs list",
    )


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
