"""Small data that all tests share."""

from __future__ import annotations

import gc
import json
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from places import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# A busy machine is not slow code, and the examples of one test may share its folder.
settings.register_profile(
    "ours",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("ours")

DOCUMENTS = {
    "d1": "cleans wounds and dresses them on the ward",
    "d2": "gives medicine and checks blood pressure on the ward",
    "d3": "repairs brakes and engines of cars",
    "d4": "changes tyres and oil of cars",
    "d5": "bakes bread before sunrise",
    "d6": "shapes pastry and decorates cakes",
}
QUERIES = {
    "q1": ("nurse for the ward, dresses wounds", "nurse"),
    "q2": ("ward nurse who checks blood pressure", "nurse"),
    "q3": ("car mechanic, brakes and engines", "mechanic"),
    "q4": ("baker for bread and cakes", "baker"),
}
QRELS = {"q1": {"d1": 2, "d2": 1}, "q2": {"d2": 2, "d1": 1}, "q3": {"d3": 2, "d4": 1}, "q4": {"d5": 1, "d6": 1}}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# What a test needs says what kind it is.
MARKER_OF_FIXTURE = {
    "minilm": "model", "tiny_model": "torch", "shallow_model": "torch", "shared": "shared", "registry": "mteb",
}  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures; let the longest start first, so that no processor waits for them at the end."""
    for item in items:
        for fixture, marker in MARKER_OF_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Take what heavy imports left out of the garbage collector's sight: each training walks through all of it."""
    if len(sys.modules) > item.config.stash.get(FROZEN, 0) + 300:
        gc.collect()
        gc.freeze()
        item.config.stash[FROZEN] = len(sys.modules)


FROZEN = pytest.StashKey[int]()  # modules when that was last done


@pytest.fixture(scope="session")
def shared() -> Path:
    """Development data that is not part of the project."""
    if not SHARED.is_dir():
        pytest.skip("development data is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Folder of the real MiniLM weights."""
    from hrembed.models.refs import parse_ref
    from hrembed.models.weights import locate_weights

    return locate_weights(parse_ref("minilm"))


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A BEIR folder of four queries and six documents."""
    folder = tmp_path / "task"
    jsonl(folder / "corpus.jsonl", [{"_id": key, "text": text} for key, text in DOCUMENTS.items()])
    jsonl(folder / "queries.jsonl", [{"_id": k, "text": t, "group": g} for k, (t, g) in QUERIES.items()])
    (folder / "qrels").mkdir()
    rows = [f"{q}\t{d}\t{grade}\n" for q, judged in QRELS.items() for d, grade in judged.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows), encoding="utf-8")
    return folder


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Forty-eight training pairs in twelve groups."""
    rows = [
        {"anchor": f"ad {n} for job {n % 12}", "positive": f"profile {n} of job {n % 12}", "group": f"g{n % 12}"}
        for n in range(48)
    ]
    return jsonl(tmp_path / "pairs.jsonl", rows)


@pytest.fixture
def stimuli(tmp_path: Path) -> dict[str, Path]:
    """Two jobs, three résumés, sixteen names."""
    return write_stimuli(tmp_path)


def write_stimuli(folder: Path) -> dict[str, Path]:
    """Write two jobs, three résumés, sixteen names."""
    names = ["name,gender,race"] + [
        f"Name{g[0]}{r[0]}{n},{g},{r}" for g in ("female", "male") for r in ("black", "white") for n in range(4)
    ]
    (folder / "names.csv").write_text("\n".join(names) + "\n", encoding="utf-8")
    texts = list(DOCUMENTS.values())
    return {
        "jobs": jsonl(folder / "jobs.jsonl", [{"_id": "j1", "text": texts[0]}, {"_id": "j2", "text": texts[3]}]),
        "resumes": jsonl(
            folder / "resumes.jsonl", [{"_id": f"r{n}", "text": "{name}\n" + texts[n]} for n in (1, 2, 4)]
        ),
        "names": folder / "names.csv",
    }


@pytest.fixture(scope="session")
def small_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small runs of every command with a page of its own, with their pages."""
    from hrembed.commands.runs.browse import report_runs
    from small_runs import make_runs

    folder = tmp_path_factory.mktemp("small")
    runs = make_runs(folder, write_stimuli(folder))
    report_runs(runs, [])
    return runs


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random four-layer BERT with a vocabulary of single characters: real code paths, no weights needed."""
    from small_encoders import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def shallow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two layers, for tests of graphs: writing one takes time for each layer."""
    from small_encoders import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("shallow"), layers=2)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trainings that are only read; see `FinishedTrainings`."""
    from finished_trainings import FinishedTrainings

    return FinishedTrainings(tmp_path_factory.mktemp("finished"), tmp_path_factory.getbasetemp())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An endpoint on this machine, to which no proxy leads."""
    from answering import KEY, VARIABLE, serving

    monkeypatch.setenv(VARIABLE, KEY)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield from serving()


@pytest.fixture
def other() -> Iterator[Any]:
    """A second endpoint."""
    from answering import serving

    yield from serving()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks the network fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a test registers is gone after it."""
    import hrembed.mteb as ours

    monkeypatch.setattr(ours._tasks, "_TASKS_REGISTRY", dict(ours._tasks._TASKS_REGISTRY))
    monkeypatch.setattr(ours._tasks, "TASK_LIST", ours._tasks.TASK_LIST)
    return ours
