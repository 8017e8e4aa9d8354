"""`registry.json`: one model in use, nothing lost when two processes write, and who decided."""

from __future__ import annotations

import json
import multiprocessing
from typing import TYPE_CHECKING

import pytest
from hrembed.errors import DataError, HrembedError
from hrembed.records.registry import RegisteredModel
from hrembed.runs import model_registry
from hrembed.runs.model_registry import decide, read_registry, register

if TYPE_CHECKING:
    from pathlib import Path


def statuses(root: Path) -> dict[str, str]:
    return {entry.model: entry.status for entry in read_registry(root).models}


def registered(model: str, status: str) -> RegisteredModel:
    settled = {"plan": "restart", "continuations": 0, "retrain": "r", "gate": "g", "registered": "2026-01-01T00:00:00"}
    return RegisteredModel(model=model, status=status, previous="finetune/a", **settled)


def test_the_registry_has_one_accepted_model_at_most(tmp_path: Path):
    assert read_registry(tmp_path).accepted() is None
    for model, status in (("a", "accepted"), ("b", "rejected"), ("c", "accepted")):
        register(tmp_path, registered(model, status))
    assert [entry.status for entry in read_registry(tmp_path).models] == ["superseded", "rejected", "accepted"]
    assert read_registry(tmp_path).accepted() == registered("c", "accepted")
    content = json.loads((tmp_path / "registry.json").read_text(encoding="utf-8"))
    assert [entry["from"] for entry in content["models"]] == ["finetune/a"] * 3
    (tmp_path / "registry.json").write_text('{"format": 9, "models": []}', encoding="utf-8")
    with pytest.raises(DataError, match="has format 9"):
        read_registry(tmp_path)
    (tmp_path / "registry.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="is corrupt"):
        register(tmp_path, registered("d", "accepted"))


def _register_many(root: Path, name: str) -> None:
    for number in range(25):
        register(root, {"model": f"{name}{number}", "status": "rejected"})


def _decide_many(root: Path) -> None:
    for number in range(25):
        decide(root, f"by-hand{number}", "reject", by="Ada", why="a test")


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_register_many, args=(tmp_path, name)) for name in "ab"]
    workers.append(context.Process(target=_decide_many, args=(tmp_path,)))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(read_registry(tmp_path)) == len(statuses(tmp_path)) == 75
    assert [file.name for file in tmp_path.glob("*.part")] == []


def test_a_registry_that_another_process_holds_is_not_waited_for_without_end(tmp_path: Path, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(model_registry, "_WAIT_S", 0.01)
    with (
        FileLock(tmp_path / ".registry.json.lock"),
        pytest.raises(HrembedError, match=r"another process has locked '.*registry.json' for"),
    ):
        register(tmp_path, {"model": "a", "status": "accepted"})


def test_a_model_supersedes_only_the_one_that_it_was_gated_against(tmp_path: Path):
    register(tmp_path, {"model": "a", "status": "accepted"})
    register(tmp_path, {"model": "b", "status": "accepted", "from": "finetune/a"})
    assert statuses(tmp_path) == {"a": "superseded", "b": "accepted"}
    registry = register(
        tmp_path, {"model": "c", "status": "accepted", "from": "finetune/a"}
    )  # began before b was known
    assert registry.models[-1].status == "outdated"
    assert statuses(tmp_path) == {"a": "superseded", "b": "accepted", "c": "outdated"}
    register(tmp_path, {"model": "d", "status": "rejected", "from": "finetune/a"})
    assert read_registry(tmp_path).accepted().model == "b"


def test_a_decision_is_kept_with_who_made_it_and_why(tmp_path: Path):
    decide(tmp_path, "a", "accept", by="Ada", why="gated by hand")
    decide(tmp_path, "b", "accept", by="Bo", why="better")
    assert statuses(tmp_path) == {"a": "superseded", "b": "accepted"}
    decide(tmp_path, "a", "rollback", by="Ada", why="complaints")
    assert statuses(tmp_path) == {"a": "accepted", "b": "rejected"}
    registry = read_registry(tmp_path)
    assert [made.action for made in registry.of("a").decisions] == ["accept", "rollback"]
    last = registry.of("b").decisions[-1]
    assert (last.action, last.by, last.why) == ("rollback", "Ada", "complaints")
    assert last.time.endswith("+00:00")
    decide(tmp_path, "a", "reject", by="Ada", why="as well")
    assert read_registry(tmp_path).accepted() is None


def test_only_a_model_that_was_in_use_is_gone_back_to(tmp_path: Path):
    register(tmp_path, {"model": "a", "status": "rejected"})
    for model, status in (("a", "rejected"), ("z", "not gated")):
        with pytest.raises(
            DataError, match=f"'{model}' is {status}; `rollback` requires a model that was in use before"
        ) as caught:
            decide(tmp_path, model, "rollback", by="Ada", why="x")
        assert "such models: none" in caught.value.hint
    assert statuses(tmp_path) == {"a": "rejected"}


def test_other_keys_of_an_entry_are_kept(tmp_path: Path):
    register(tmp_path, {"model": "a", "status": "accepted", "ticket": "HR-7"})
    decide(tmp_path, "a", "reject", by="Ada", why="x")
    content = json.loads((tmp_path / "registry.json").read_text(encoding="utf-8"))
    assert content["models"][0]["ticket"] == "HR-7"
    assert read_registry(tmp_path).status_of("b") == "not gated"


@pytest.mark.parametrize(
    "models",
    [
        '[{"model": "a", "status": "acepted"}]',
        '[{"status": "accepted"}]',
        "[3]",
        "null",
        '[{"model": [], "status": 1}]',
    ],
)
def test_a_damaged_registry_is_named_and_not_written(tmp_path: Path, models: str):
    file = tmp_path / "registry.json"
    file.write_text(f'{{"format": 1, "models": {models}}}', encoding="utf-8")
    before = file.read_text(encoding="utf-8")
    with pytest.raises(DataError, match=r"registry.json' is corrupt"):
        decide(tmp_path, "a", "accept", by="Ada", why="x")
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(before)
