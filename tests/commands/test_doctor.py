"""`hrembed doctor`: each planted fault is found, and a machine that is as it should be has none."""

import shutil

import numpy as np
import psutil
import pytest
from hrembed.cli.app import main
from hrembed.commands import doctor
from hrembed.records.doctor import Finding
from hrembed.runs.workspace import Workspace


def test_the_default_model_gives_the_expected_vectors(minilm):
    (finding,) = doctor._vectors()

    assert finding.outcome == "ok", finding.found


def test_other_vectors_are_a_problem(minilm, monkeypatch):
    monkeypatch.setattr(doctor, "_COSINES", tuple(np.add(doctor._COSINES, (0, 0, 0.002))))

    (finding,) = doctor._vectors()

    assert finding.outcome == "problem"
    assert "expected 0.6050, 0.1153, 0.0911" in finding.found


def test_packages_are_as_declared():
    assert [finding.outcome for finding in doctor._packages()] == ["ok", "ok"]


def test_an_old_and_a_missing_package_are_named(monkeypatch):
    real = doctor.version

    def other(name: str) -> str:
        if name == "peft":
            raise doctor.PackageNotFoundError(name)
        return "1.26.4" if name == "numpy" else real(name)

    monkeypatch.setattr(doctor, "version", other)

    finding = list(doctor._packages())[1]

    assert finding.outcome == "problem"
    assert "numpy is 1.26.4, declared is >=2.1" in finding.found
    assert "peft is not installed" in finding.found


def test_a_missing_extra_limits_what_can_be_done_and_is_no_problem(monkeypatch):
    real = doctor.version

    def without_openvino(name: str) -> str:
        if name == "openvino":
            raise doctor.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor, "version", without_openvino)

    found = {finding.subject: finding for finding in doctor._extras()}

    assert found["extra `export`"].outcome == "note"
    assert "hrembed[export]" in found["extra `export`"].advice
    assert found["extra `static`"].outcome == "ok"


def test_too_little_memory_and_disk_are_said(monkeypatch, tmp_path):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1_000_000_000}))
    monkeypatch.setattr(shutil, "disk_usage", lambda place: type("Disk", (), {"free": 5_000_000}))

    (memory,), (disk,) = doctor._memory(), doctor._disk(tmp_path / "not" / "there")

    assert (memory.outcome, memory.found) == ("note", "1,000 MB free")
    assert (disk.outcome, disk.advice) == ("note", "`hrembed runs prune` removes runs that failed")


def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.os, "access", lambda place, mode: False)

    (finding,) = doctor._disk(tmp_path)

    assert finding.outcome == "problem"
    assert "--runs-dir" in finding.advice


def test_a_hub_that_does_not_answer_is_said_with_what_works_without_it(monkeypatch):
    monkeypatch.setattr(doctor, "_answers", lambda address: False)

    (finding,) = doctor._hub()

    assert finding.outcome == "note"
    assert "path:DIR" in finding.advice


def test_nobody_listens_at_a_closed_port():
    assert not doctor._answers("http://127.0.0.1:9")


@pytest.mark.parametrize(("outcome", "status"), [("ok", 0), ("note", 0), ("problem", 5)])
def test_a_problem_decides_the_exit_code(monkeypatch, capsys, tmp_path, outcome, status):
    planted = Finding(subject="planted", outcome=outcome, found="something")
    monkeypatch.setattr(doctor, "_findings", lambda workspace: iter([planted]))

    assert main(["doctor", "--runs-dir", str(tmp_path)]) == status
    printed = capsys.readouterr()
    assert "something" in printed.out
    assert ("planted" in printed.err) is (outcome == "problem")


def test_every_step_finds_something(monkeypatch, tmp_path, minilm):
    monkeypatch.setattr(doctor, "_answers", lambda address: True)
    monkeypatch.setattr(doctor, "_encoding", lambda: [Finding(subject="encoding", outcome="ok", found="left out")])

    result = doctor.examine(Workspace(tmp_path))

    subjects = {finding.subject for finding in result.metrics.findings}
    assert {"Python", "packages", "processor", "GPU", "memory", "disk", "vectors", "encoding", "training"} <= subjects
    assert list(tmp_path.iterdir()) == []
