"""What every command prints at 80 columns: one road through all of them, on tiny models, with still clocks.

`tools/golden_outputs.py` writes what comes out to `tests/cli/golden`, and a test compares it.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from exports import write_export
from hrembed.cli.app import app, main
from hrembed.cli.line_breaks import filled
from hrembed.progress import Journal
from hrembed.records.compare import EmbeddingTimes, ModelCost, SizeCost
from hrembed.records.doctor import Finding
from hrembed.records.select import Footprint
from miniatures import esco_release, onet_release
from typer.main import get_command

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).resolve().parent.parent / "cli" / "golden"
WIDTH = 80

_RUN_ID = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
_HASH = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b(?=\s*(│|$))", re.MULTILINE)
_FRACTION = re.compile(r"(?<![\w.])([+-]?\d)\.(\d{2,4})(?![\w.])")

Step = tuple[str, ...]


def all_commands() -> list[str]:
    """Names of all commands, as `data import onet`."""

    def below(command: Any, words: tuple[str, ...]) -> Iterator[str]:
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                yield from below(child, (*words, name))
        else:
            yield " ".join(words)

    return sorted(below(get_command(app), ()))


def file_of(command: str) -> Path:
    """Where the output of a command is kept."""
    return FOLDER / f"{command.replace(' ', '-')}.txt"


# Each step is a command line; it belongs to the golden text of its command.
_MODELS = ("--set", "models=[bm25, wordllama]", "--set", "baselines=[]")
_TASKS = (
    "--set",
    "tasks=[{path: shipped:hr-core/dev/ad-profile}]",
    "--set",
    "retention=[{path: shipped:general-core/questions}]",
)
_QUICK = ("--set", "bootstrap.resamples=200")
QUICK: tuple[Step, ...] = (
    ("configs",),
    ("init", "project", "--preset", "table"),
    ("schema", "export"),
    ("doctor",),
    ("data", "import", "onet", "db_29_3_text"),
    ("data", "import", "esco", "esco"),
    ("data", "import", "table", "jobs.csv", "--set", "columns={anchor: title, positive: text, group: job}",
     "--set", "max_rejected=1"),
    ("data", "import", "ats", "export", "--out", "ats"),
    ("data", "split", "run:data-import-onet/latest", "--set", "dev=0.34", "--set", "test=0.33"),
    ("data", "inspect", "run:data-import-onet/latest", "--set", "model=path:tiny"),
    ("data", "check", "pairs.jsonl", "--against", "task"),
    ("data", "check", "leaking.jsonl", "--against", "task", "--fix"),
    ("data", "anonymise", "profiles.jsonl", "--set", "fields=[text]", "--set", "keep_map=true"),
    ("data", "restore", "run:data-anonymise/latest"),
    ("select", *_QUICK, "--set", "probe.models=[wordllama, bm25]", "--set", "shortlist=3"),
    ("eval", *_MODELS, *_TASKS, *_QUICK, "--set", "robustness.changes=[typos]"),
    ("eval", *_MODELS, *_TASKS, *_QUICK, "--set", "robustness.changes=[typos]", "--verbose"),
    ("bias-audit", "--set", "model.ref=wordllama", "--set", "stimuli={names: names.csv, names_per_cell: 4}",
     "--set", "fail_on=never", "--set", "cues=[spelling]", "--set", "self_check=2", *_QUICK),
    ("encode", "task/corpus.jsonl", "--model", "wordllama", "--id", "_id", "--out", "vectors"),
    ("index", "build", "vectors", "--out", "index"),
    ("index", "stats", "index"),
    ("match", "ward nurse who dresses wounds", "--index", "index"),
    ("index", "update", "index", "vectors"),
    ("index", "forget", "index", "d1"),
    ("index", "switch", "index"),
    ("compare", "eval/latest"),
    ("gate", *_QUICK),
    ("runs", "list"),
    ("runs", "show", "gate/latest"),
    ("runs", "diff", "FIRST_CHECK", "data-check/latest"),
    ("runs", "report", "gate/latest"),
    ("eval", "--set", "tasks=[{path: nowhere}]"),
    ("runs", "prune"),
)  # fmt: skip
_TRAIN = (
    "model.ref=path:tiny",
    "method={name: full}",
    "sources=[{path: pairs.jsonl}]",
    "train={epochs: 1, batch_size: 8, evaluations: 1, max_tokens: 32}",
    "dev={path: task}",
    "proof={tests: [{path: task}], retention: [], strengths: [0.5]}",
)
TRAINED: tuple[Step, ...] = (
    ("finetune", *(word for setting in _TRAIN for word in ("--set", setting))),
    ("export", "--set", "model.ref=run:latest", "--set", "formats=[legacy]"),
    ("decision", "decision.yaml"),
    ("demo", "demo.yaml"),
    ("retrain", "retrain.yaml"),
    ("runs", "accept", "FIRST_MODEL", "--by", "Ada Lovelace", "--why", "passed the gate"),
    ("runs", "accept", "LAST_MODEL", "--by", "Ada Lovelace", "--why", "better on titles"),
    ("runs", "rollback", "FIRST_MODEL", "--by", "Ada Lovelace", "--why", "complaints since Monday"),
    ("runs", "reject", "FIRST_MODEL", "--by", "Ada Lovelace", "--why", "ranks nurses below porters"),
)  # fmt: skip


def outputs(steps: tuple[Step, ...], folder: Path) -> dict[str, str]:
    """Go through the steps in a folder; returns command -> what its steps printed, errors among it."""
    texts: dict[str, str] = {}
    with _still(folder):
        _write_data(folder)
        for step in steps:
            command = next(name for name in all_commands() if tuple(name.split()) == step[: len(name.split())])
            words = [_named(word) for word in step]
            printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
            with redirect_stdout(printed), redirect_stderr(printed):
                code = main(words)
            said = printed.buffer.getvalue().decode()  # type: ignore[attr-defined]
            line = " ".join(f'"{word}"' if " " in word else word for word in words)
            ended = f"[exit code {code}]\n" if code else ""
            texts[command] = texts.get(command, "") + masked(f"$ hrembed {line}\n{said}{ended}\n", step)
    return texts


def _named(word: str) -> str:
    """Put the id of a run where a step asks for one of those before it."""
    command, place = {
        "FIRST_MODEL": ("finetune", 0),
        "LAST_MODEL": ("finetune", -1),
        "FIRST_CHECK": ("data-check", 0),
    }.get(word, ("", 0))
    if not command:
        return word
    run = sorted((Path("runs") / command).iterdir())[place]
    return run.name if command == "finetune" else f"{command}/{run.name}"


def masked(text: str, step: Step) -> str:
    """Take out what differs between runs and machines, with something of the same width."""
    text = _TIME.sub("YYYY-MM-DDTHH:MM:SS+00:00", text)
    text = _HASH.sub("xxxxxxxxxxxx", _RUN_ID.sub(r"\1-xxxxxxxx", text))
    text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    if step in TRAINED:
        text = _FRACTION.sub(lambda found: re.sub(r"\d", "#", found[0]), text)
    return text


class _Clock(datetime):
    """A clock that goes on by a minute each time it is read."""

    reads = 0

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        cls.reads += 1
        return datetime(2026, 1, 5, 9, tzinfo=UTC) + timedelta(minutes=cls.reads)


class _Still(Journal):
    """A journal whose clock stands still, and which gives no sign of life."""

    def __init__(self, display: Any) -> None:
        super().__init__(display, clock=lambda: 0.0, pause=1e6)


_FOOTPRINT = Footprint(device="CPU", start_seconds=1.5, texts_per_second=1234.0, peak_memory_mb=345.0, load=0.5)


def _cost(request: Any) -> ModelCost:
    """Costs of a model that are the same on every machine."""
    vectors = None if request.section.ref == "bm25" else EmbeddingTimes(sizes=(100, 200), seconds=(0.1, 0.2))
    growth = [
        SizeCost(documents=n, search_ms=n / 1000, search_measured=n < 5000, index_mb=n / 1000, embed_seconds=n / 1000,
                 embed_measured=n < 5000)
        for n in request.load.sizes
    ]  # fmt: skip
    return ModelCost(
        dimensions=256 if vectors else None,
        load_seconds=1.0,
        query_ms=(1.0, 2.0, 3.0),
        document_ms=(1.5, 2.5, 3.5) if vectors else None,
        texts_per_second=1000.0,
        peak_memory_mb=400.0,
        embedding=vectors,
        growth=tuple(growth),
        search_exponent=1.0,
        load=0.5,
    )


_FINDINGS = (
    Finding(subject="packages", outcome="ok", found="Python 3.11.9 and 31 packages fit what hrembed 0.1.0 declares"),
    Finding(subject="extras", outcome="note", found="export and graphs are not installed",
            advice="`pip install 'hrembed[export]'` where models are to be written for other servers"),
    Finding(subject="vectors", outcome="problem", found="the cosine of two texts is 0.412 and should be 0.873",
            advice="report it with the output of `hrembed doctor --json`"),
)  # fmt: skip


@contextmanager
def _still(folder: Path) -> Iterator[None]:
    """Work in a folder, at 80 columns, with clocks and measurements that stand still."""
    before = Path.cwd()
    _Clock.reads = 0
    environment = {"COLUMNS": str(WIDTH), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "TERM": "dumb"}
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, environment))
        for target, value in (
            ("hrembed.runs.record.datetime", _Clock),
            ("hrembed.runs.model_registry.datetime", _Clock),
            ("hrembed.runs.record.time", SimpleNamespace(monotonic=lambda: 0.0)),
            ("hrembed.runs.record.peak_memory_mb", lambda: 500.0),
            ("hrembed.runs.workspace.Journal", _Still),
            ("hrembed.cli.render.WIDTH", WIDTH),
            ("hrembed.cli.app.filled", partial(filled, columns=WIDTH)),
            ("hrembed.cli.render.filled", partial(filled, columns=WIDTH)),
            ("hrembed.commands.select.probe.footprints", lambda *_: [_FOOTPRINT]),
            ("hrembed.commands.compare.run.measure_cost", _cost),
            ("hrembed.commands.doctor._findings", lambda _: iter(_FINDINGS)),
        ):
            stack.enter_context(patch(target, value))
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def _write_data(folder: Path) -> None:
    """Write small data of every kind."""
    from conftest import DOCUMENTS, QRELS, QUERIES, jsonl

    jsonl(folder / "task" / "corpus.jsonl", [{"_id": key, "text": text} for key, text in DOCUMENTS.items()])
    jsonl(folder / "task" / "queries.jsonl", [{"_id": k, "text": t, "group": g} for k, (t, g) in QUERIES.items()])
    (folder / "task" / "qrels").mkdir()
    judged = [f"{query}\t{key}\t{grade}\n" for query, found in QRELS.items() for key, grade in found.items()]
    (folder / "task" / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(judged), encoding="utf-8"
    )
    pairs = [
        {"anchor": f"ad {n} for job {n % 12}", "positive": f"profile {n} of job {n % 12}", "group": f"g{n % 12}"}
        for n in range(48)
    ]
    jsonl(folder / "pairs.jsonl", pairs)
    (query, *_), (document, *_) = QUERIES["q1"], [DOCUMENTS["d1"]]
    jsonl(folder / "leaking.jsonl", [*pairs, {"anchor": query, "positive": document, "group": "nurse"}])
    profile = {"id": "1", "text": "Ada Lovelace, ada@example.org, +44 20 7946 0937. Cleans wounds on the ward."}
    jsonl(folder / "profiles.jsonl", [profile, {"id": "2", "text": "Repairs brakes."}])
    rows = ["job,title,text", "1,nurse,cleans wounds", "1,ward nurse,cleans wounds", "2,baker,bakes bread", "3,,drives"]
    (folder / "jobs.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    names = [f"Name{g[0]}{r[0]}{n},{g},{r}" for g in ("female", "male") for r in ("black", "white") for n in range(4)]
    (folder / "names.csv").write_text("\n".join(["name,gender,race", *names]) + "\n", encoding="utf-8")
    onet_release(folder)
    esco_release(folder / "esco", "official")
    write_export(folder / "export")
    _write_configs(folder)


def _write_configs(folder: Path) -> None:
    """Write the settings of commands that run others, which are too long for a command line; JSON is YAML."""
    base = {
        "model": {"ref": "path:tiny"},
        "sources": [{"path": "pairs.jsonl"}],
        "method": {"name": "full"},
        "train": {"epochs": 1, "batch_size": 8, "evaluations": 1, "max_tokens": 32},
        "dev": {"path": "task"},
        "proof": {"tests": [], "retention": [], "strengths": []},
    }
    tasks: dict[str, Any] = {
        "baselines": ["bm25"],
        "tasks": [{"path": "task"}],
        "retention": [],
        "robustness": {"changes": []},
    }
    scratch = {"name": "scratch", "vocabulary": 256, "layers": 1, "width": 24, "heads": 2, "mlm": {"epochs": 1}}
    probe = {"models": ["bm25", {"ref": "path:tiny"}], "task": {"path": "task"}, "shortlisted": False}
    audit = {"stimuli": {"names": "names.csv", "names_per_cell": 4}, "cues": [], "fail_on": "never", "self_check": 2}
    configs = {
        "decision": {"tuned": base, "scratch": {**base, "method": scratch}, "eval": tasks},
        "demo": {"select": {"probe": probe, "shortlist": 3}, "finetune": base, "eval": tasks, "audit": audit},
        "retrain": {
            "pairs": "pairs.jsonl",
            "finetune": {**base, "proof": {**base["proof"], "tests": [{"path": "task"}]}},  # type: ignore[dict-item]
            "gate": {"inconclusive": "pass"},
            "bridge": {"rank": 8},
        },
    }
    for name, config in configs.items():
        (folder / f"{name}.yaml").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def write(steps: tuple[Step, ...], work: Path) -> None:
    """Write the golden texts of the commands in these steps."""
    prepare(work)
    for command, text in outputs(steps, work).items():
        file = file_of(command)
        file.write_text(text, encoding="utf-8")


def prepare(folder: Path) -> None:
    """Put the model that is fine-tuned into a folder."""
    from small_encoders import save_tiny_model

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(save_tiny_model(folder / "made"), folder / "tiny")
    shutil.rmtree(folder / "made")
