"""Run the same configs with two checkouts, and compare every number of their `metrics.json`.

    python tools/same_numbers.py OLD_CHECKOUT NEW_CHECKOUT
    python tools/same_numbers.py OLD_CHECKOUT numbers.json      (keeps them, to take the place of OLD_CHECKOUT later)

Needs an interpreter in which the dependencies of both are installed; each checkout is put first on its path. Numbers
are compared by their place in the file, as text and exactly. What may differ, and why, stands in `EXPECTED`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

CORE = "shipped:hr-core"
FEW = "bootstrap={resamples: 500}"

# Each is run as `hrembed ...` in one folder, in this order; `gate` and `compare` take the runs made before.
COMMANDS: dict[str, list[str]] = {
    "data check": ["data", "check", f"{CORE}/pairs/train.jsonl", "--against", f"{CORE}/test/title", "--personal"],
    "data inspect": ["data", "inspect", f"{CORE}/dev/title"],
    "data split": ["data", "split", f"{CORE}/pairs/train.jsonl"],
    "select": ["select", "--set", "probe.models=[bm25, tfidf, wordllama]", "--set", "probe.cost.measure=false"],
    "finetune": [
        "finetune", "--set", f"sources=[{{path: {CORE}/pairs/train.jsonl, limit: 96}}]", "--set", FEW,
        "--set", "train.evaluations=2", "--set", f"proof.tests=[{{path: {CORE}/test/title}}]",
        "--set", "proof.strengths=[0.5]",
    ],
    "eval": [
        "eval", "--set", "models=[{ref: wordllama}, {ref: tfidf}]", "--set", "baselines=[bm25]", "--set", FEW,
        "--set", "worst=3",
    ],
    "eval run": ["eval", "--set", "models=[{ref: minilm}, {ref: 'run:latest'}]", "--set", "baselines=[]", "--set", FEW,
                 "--set", f"tasks=[{{path: {CORE}/test/title}}]", "--set", "robustness.changes=[typos]"],
    "bias-audit": ["bias-audit", "--set", "model.ref=wordllama", "--set", "fail_on=never"],
    "gate": ["gate", "--set", "candidate.eval=latest", "--set", "inconclusive=pass"],
    "compare": ["compare", "eval/latest", "--set", "load=null", "--set", FEW],
}  # fmt: skip

# Numbers that have moved: command, old place, new place (regular expressions), reason.
_NESTED = "an estimate stands under a name of its own"
MOVED: list[tuple[str, str, str, str]] = [
    ("eval.*", r"/slices/(.+)/(\d+)/(value|undefined|interval/\d)", r"/slices/\1/rows/\2/score/\3", _NESTED),
    ("eval.*", r"/slices/(.+)/(\d+)/n", r"/slices/\1/rows/\2/queries", "n of an estimate counts what is resampled"),
    ("eval.*", r"/slices/(.+)/(\d+)/groups", r"/slices/\1/rows/\2/score/n", "the same"),
    (
        "eval.*",
        r"/slices/(.+)/(\d+)/difference/(value|undefined|interval/\d)",
        r"/slices/\1/rows/\2/against_first/difference/\3",
        _NESTED,
    ),
    (
        "eval.*",
        r"/slices/(.+)/(\d+)/difference/(better|worse)",
        r"/slices/\1/rows/\2/against_first/\3",
        "stands beside the estimate",
    ),
    ("eval.*", r"/slices/(.+)/(\d+)/difference/n", r"/slices/\1/rows/\2/against_first/queries", "as above"),
    ("eval.*", r"/slices/(.+)/(\d+)/difference/groups", r"/slices/\1/rows/\2/against_first/difference/n", "as above"),
    ("eval.*", r"/slices/(.+)/(\d+)/difference", r"/slices/\1/rows/\2/against_first", "null for the first model"),
    (
        "bias-audit",
        r"(/.*(?:gaps|contrasts|impact_ratios/[^/]+)/\d+|/gates/\d+/worst)/(value|interval/\d)",
        r"\1/effect/\2",
        _NESTED,
    ),
    ("bias-audit", r"/titles/(score|apart)/(value|interval/\d|n)", r"/titles/\1/difference/\2", _NESTED),
    ("bias-audit", r"/balance/([^/]+)/largest difference", r"/balance/\1/largest_difference", "a name without a blank"),
    ("bias-audit", r"/balance/([^/]+)/(?!largest_difference)([^/]+)", r"/balance/\1/means/\2", "no key among groups"),
    ("bias-audit", r"/cues/([^/]+)/p_holm", r"/cues/\1/p_bh", "corrected by Benjamini and Hochberg all along"),
    ("compare", r"/accuracy/(.+)/(value|n|undefined|interval/\d)", r"/accuracy/\1/score/\2", _NESTED),
]

# Numbers that may differ, come or go: command, place (regular expressions), reason.
EXPECTED: list[tuple[str, str, str]] = [
    (".*", "/schema", "records have a schema number"),
    (".*", ".*/undefined", "every estimate counts the items without a value"),
    ("eval.*", "/facts/.*", "null where a kind of task has no such fact"),
    ("finetune", "/(pretraining|layers|control|sources/.*)", "null where a run has no such part"),
    ("bias-audit", ".*/(effect|difference|excess|rate)/n", "estimates say how many names are behind them"),
    ("bias-audit", "/.*/excess/.*/detectable", "was always null"),
    ("bias-audit", "/(decisions|texts|mitigation|model)", "null where nothing was asked for"),
    ("data check", "/(removed|personal/types/.*/first_rows/.*)", "null where nothing was fixed; the table's rows"),
    ("compare", "/differences/.*/(p_value|p_holm|detectable|better|worse|corrected/.*)", "by the rule of `eval`"),
    ("eval.*", "/slices/.*/(slices|queries)_left_out", "counts in place of a sentence"),
    ("compare", "/training/.*/peak_memory_mb", "MB is 10^6, and memory varies"),
    ("compare", "/training/.*/seconds", "varies"),
    ("select", "/leaderboard/.*/memory_mb", "MB is 10^6"),
    ("finetune|eval.*", "/leaks/.*", "training rows that occur in tasks are counted"),
    ("eval.*", "/robustness/.*/(singular|plural|inverted)/.*", "the shipped config changes titles as well"),
    ("eval.*", "/slices/.*/shared-words/.*", "every task is split by shared words"),
    ("eval", "/(scores|kinds)/questions/test/.*", "general-core grew from 176 to 1,162 items"),
    ("eval", "/differences/1[1-3]/.*", "the same: its three comparisons"),
    ("eval", "/differences/1[4-6]/p_holm", "the same: corrected with the other retention task"),
    ("finetune", "/strengths/.*/(retention|lost)/questions/test.*", "general-core grew"),
    ("data inspect", "/traces/.*", "what exports leave behind is counted"),
    ("gate", "/(candidate|baseline)/.*", "the record names both models; null without an audit"),
]

_RUN_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}(-\d+)?")


def main(old: str, new: str) -> int:
    """Print each number that differs; 1 where one does that is not expected."""
    if new.endswith(".json"):
        Path(new).write_text(json.dumps(numbers(Path(old).resolve())), encoding="utf-8")
        return 0
    before, after = (_numbers_of(Path(source).resolve()) for source in (old, new))
    equal, reasons, unexpected = 0, Counter[str](), []
    for name in COMMANDS:
        places = {_moved(name, place): value for place, value in before.get(name, {}).items()}
        for place in sorted(places.keys() | after[name].keys()):
            if places.get(place) == after[name].get(place):
                equal += 1
            elif reason := _expected(name, place):
                reasons[reason] += 1
            else:
                unexpected.append(f"{name}: {place}: {places.get(place)} -> {after[name].get(place)}")
    for reason, count in reasons.most_common():
        print(f"{count:6} differ: {reason}")
    print("\n".join(unexpected[:200]))
    print(f"{equal} numbers of {len(COMMANDS)} commands are equal, {len(unexpected)} differ without a reason")
    return int(bool(unexpected) or not equal)


def _numbers_of(source: Path) -> dict[str, dict[str, str]]:
    """Run a checkout, or read the numbers that were kept of one."""
    if source.is_dir():
        return numbers(source)
    kept: dict[str, dict[str, str]] = json.loads(source.read_text(encoding="utf-8"))
    return kept


def _moved(name: str, place: str) -> str:
    for command, form, new, _ in MOVED:
        if re.fullmatch(command, name):
            place = re.sub(f"^{form}$", new, place)
    return place


def _expected(name: str, place: str) -> str | None:
    forms = (why for command, form, why in EXPECTED if re.fullmatch(command, name) and re.fullmatch(form, place))
    return next(forms, None)


def numbers(checkout: Path) -> dict[str, dict[str, str]]:
    """Run every command with a checkout; returns command -> place -> number as text."""
    with tempfile.TemporaryDirectory() as folder:
        return _numbers(checkout, Path(folder))


def _numbers(checkout: Path, folder: Path) -> dict[str, dict[str, str]]:
    found = {}
    for name, words in COMMANDS.items():
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", "import sys; from hrembed.cli.app import main; sys.exit(main())", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        ended = sorted((folder / "runs").rglob("metrics.json"), key=lambda file: file.stat().st_mtime_ns)
        if done.returncode not in {0, 3, 5, 6} or not ended:
            raise SystemExit(f"{checkout}: hrembed {' '.join(words)} ended with {done.returncode}\n{done.stderr}")
        found[name] = dict(flat(json.loads(ended[-1].read_text(encoding="utf-8")), ""))
        print(f"{checkout.name}: {name}: {len(found[name])} numbers", file=sys.stderr)
    return found


def flat(value: object, place: str) -> list[tuple[str, str]]:
    """Every number, and every undefined one, with its place; names of runs are told apart by nobody."""
    if isinstance(value, dict):
        return [row for key, item in value.items() for row in flat(item, f"{place}/{_RUN_ID.sub('RUN', key)}")]
    if isinstance(value, list):
        return [
            row for label, item in zip(_labels(value), value, strict=True) for row in flat(item, f"{place}/{label}")
        ]
    return [] if isinstance(value, str | bool) else [(place, repr(value))]


def _labels(items: list[object]) -> list[str]:
    """Positions, or what comparisons say of themselves, so that their order does not matter."""
    names = [
        f"{item['task']} {item['model']}" for item in items if isinstance(item, dict) and {"task", "model"} <= set(item)
    ]
    if len(set(names)) == len(items) > 0:
        return [_RUN_ID.sub("RUN", name) for name in names]
    return [str(number) for number in range(len(items))]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
