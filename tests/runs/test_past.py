"""Which run `latest` means, what is said of newer ones, and folders that hold what was written and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hrembed.config.parts import ModelSection
from hrembed.errors import DataError, ModelError
from hrembed.files import write_text
from hrembed.runs.model_registry import decide, register
from hrembed.runs.past import find_run, overtaking, past_runs, trained_model
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import pinned

if TYPE_CHECKING:
    from pathlib import Path


class Notes:
    """A `Progress` that keeps its notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def bar(self, label: str, total: int, done: int = 0):
        raise AssertionError

    def note(self, text: str) -> None:
        self.lines.append(text)


def training(root: Path, *, fails: bool = False) -> Path:
    """A finetune run with a model of two files."""
    try:
        with open_run(Workspace(root), "finetune", {}, seeds={}) as run:
            write_text(run.path / "model" / "config.json", "{}")
            write_text(run.path / "model" / "1_Pooling" / "config.json", "{}")
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    return run.path


def test_latest_says_which_newer_runs_did_not_end_well(tmp_path: Path):
    good, bad = training(tmp_path), training(tmp_path, fails=True)
    notes = Notes()
    assert find_run(tmp_path, "finetune/latest", progress=notes).path == good
    (line,) = notes.lines
    assert line.startswith(f"`finetune/latest` resolves to 'finetune/{good.name}' (")
    assert f"but 'finetune/{bad.name}' (" in line
    assert line.endswith("failed) was started later")
    by_name = find_run(tmp_path, good.name, progress=notes)
    assert len(notes.lines) == 1
    assert overtaking(tmp_path, good.name, by_name) == []
    assert overtaking(tmp_path, str(good), by_name) == []
    training(tmp_path)
    assert overtaking(tmp_path, "latest", find_run(tmp_path, "latest", progress=notes)) == []


@pytest.mark.parametrize(
    "text", ['{"models": null}', '{"outputs": [1], "status": "ok"}', "[" * 20_000, "\xff\xfe", None]
)
def test_a_newer_run_with_a_damaged_manifest_is_seen(tmp_path: Path, text: str | None):
    good = training(tmp_path)
    damaged = tmp_path / "finetune" / "29990101T000000Z-00000000"
    damaged.mkdir()
    if text is not None:
        (damaged / "manifest.json").write_text(text, encoding="utf-8")
    run = find_run(tmp_path, "latest", "finetune")
    assert run.path == good
    assert [(newer.status, newer.manifest.started) for newer in overtaking(tmp_path, "latest", run)] == [
        ("damaged", "2999-01-01T00:00:00+00:00")
    ]
    with pytest.raises(DataError, match=r"29990101T000000Z-00000000/manifest\.json'"):
        find_run(tmp_path, damaged.name, "finetune")
    assert len(past_runs(tmp_path)) == 2


@pytest.mark.parametrize("name", ["adapter_config.json", "1_Pooling/extra.json", "2_Dense/model.safetensors"])
def test_a_model_with_a_file_that_was_added_is_refused(tmp_path: Path, name: str):
    folder = training(tmp_path)
    assert trained_model(tmp_path, folder.name) == folder / "model"
    write_text(folder / "model" / name, "{}")
    with pytest.raises(
        ModelError, match=f"{name}' is not part of run 'finetune/{folder.name}': it was added to 'model/' later"
    ):
        trained_model(tmp_path, folder.name)


def test_a_model_with_a_folder_that_was_linked_in_is_refused(tmp_path: Path):
    folder = training(tmp_path)
    write_text(tmp_path / "elsewhere" / "config.json", "{}")
    (folder / "model" / "2_Normalize").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(ModelError, match=r"2_Normalize/config.json' is not part of run '"):
        trained_model(tmp_path, folder.name)


def test_what_desktops_leave_in_a_folder_is_no_file_of_the_model(tmp_path: Path):
    folder = training(tmp_path)
    write_text(folder / "model" / ".DS_Store", "icons")
    assert trained_model(tmp_path, folder.name) == folder / "model"


@pytest.mark.parametrize("reference", ["run:latest", "run:finetune/latest"])
def test_run_latest_is_printed_with_its_status_and_a_rejected_one_refused(tmp_path: Path, reference: str):
    first, second = training(tmp_path), training(tmp_path)
    notes, section = Notes(), ModelSection(ref=reference)
    assert pinned(section, Workspace(tmp_path, notes)).ref == f"run:{second.name}"
    assert notes.lines[-1].endswith("; registry: not gated")
    register(tmp_path, {"model": first.name, "status": "accepted"})
    register(tmp_path, {"model": second.name, "status": "rejected", "gate": "g7"})
    with pytest.raises(
        ModelError, match=f"is 'finetune/{second.name}', which is marked as rejected in the registry by gate g7"
    ) as caught:
        pinned(section, Workspace(tmp_path))
    assert f"run:{second.name} to load it anyway; the model in use is run:{first.name}" in caught.value.hint
    assert pinned(ModelSection(ref=f"run:{second.name}"), Workspace(tmp_path)).ref == f"run:{second.name}"
    with pytest.raises(ModelError, match="which is marked as rejected in the registry"):
        trained_model(tmp_path, reference.removeprefix("run:"))  # whoever does not pin is refused as well
    decide(tmp_path, second.name, "accept", by="Ada", why="looked at it")
    pinned(section, Workspace(tmp_path, notes))
    assert notes.lines[-1].endswith("; registry: accepted")


def test_a_resumed_run_begins_without_half_written_files(tmp_path: Path):
    folder = training(tmp_path, fails=True)
    (folder / "model.part").mkdir()
    (folder / "model.part" / "old.json").write_text("{}", encoding="utf-8")
    write_text(folder / "checkpoints" / "step-7.part", "half")
    with open_run(Workspace(tmp_path), "finetune", {}, seeds={}, resume="latest") as again:
        assert again.path == folder
    outputs = find_run(tmp_path, "latest", "finetune").manifest.outputs
    assert sorted(outputs) == ["config.yaml", "model/1_Pooling/config.json", "model/config.json"]
