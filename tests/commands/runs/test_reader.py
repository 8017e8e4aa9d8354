"""The reader's test: ten questions of somebody who has to decide, and the sentence on the page that answers each."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hrembed.cli.app import main
from hrembed.runs.past import find_run, past_runs

if TYPE_CHECKING:
    from pathlib import Path


class _Reading(HTMLParser):
    """What a reader sees: sentences, each element that is no part of a sentence on a line of its own.

    Attributes:
        said: Text so far; of charts too.
        folded: How many folds stand around the place that is read.
        at_once: Text outside of all folds.
    """

    INSIDE = frozenset({"button", "code", "strong", "b", "a", "span"})

    def __init__(self) -> None:
        super().__init__()
        self.said, self.at_once, self.folded, self._skipped = "", "", 0, 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.folded += tag == "details"
        self._skipped += tag in {"style", "script"}
        if tag not in self.INSIDE:
            self._add("\n")

    def handle_endtag(self, tag: str) -> None:
        self.folded -= tag == "details"
        self._skipped -= tag in {"style", "script"}
        if tag not in self.INSIDE:
            self._add("\n")

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._add(data)

    def _add(self, text: str) -> None:
        self.said += text
        self.at_once += "" if self.folded else text


def read(page: Path) -> _Reading:
    reading = _Reading()
    reading.feed(page.read_text(encoding="utf-8"))
    return reading


def page_of(runs: Path, command: str) -> _Reading:
    run = past_runs(runs, command)[0]
    own = run.path / "report.html"
    return read(own if own.is_file() else runs / "reports" / f"{command}--{run.path.name}.html")


def numbers_of(runs: Path, command: str) -> Any:
    return json.loads((past_runs(runs, command)[0].path / "metrics.json").read_text(encoding="utf-8"))


def test_which_model_won_on_titles_by_how_much_and_is_that_certain(small_runs: Path):
    (row,) = [row for row in numbers_of(small_runs, "eval")["differences"]
              if (row["model"], row["reference"]) == ("char-tfidf", "tfidf")]  # fmt: skip
    assert row["verdict"] == "better"
    difference, (low, high) = row["difference"]["value"], row["difference"]["interval"]
    score = numbers_of(small_runs, "eval")["scores"]["titles/test"]["char-tfidf"]["ndcg@10"]["value"]
    said = page_of(small_runs, "eval").at_once
    assert f"char-tfidf wins on titles/test: {difference:.3f} ndcg@10 ahead of tfidf\n" in said
    assert (
        f"On titles/test, char-tfidf wins: {score:.3f} ndcg@10, {difference:.3f} ahead of tfidf (95 % interval "
        f"{low:+.3f} to {high:+.3f}). The difference is significant after Holm's correction.\n"
    ) in said


def test_is_it_better_than_keyword_search(small_runs: Path):
    assert re.search(r"\n(Not worse than tfidf, though it only counts words: bm25 on titles/test"
                     r"|bm25 is worse than tfidf on every task)\.\n", page_of(small_runs, "eval").at_once)  # fmt: skip


def test_may_this_model_go_live_and_which_check_says_so(small_runs: Path):
    record = numbers_of(small_runs, "gate")
    assert record["verdict"] == "fail"
    said = page_of(small_runs, "gate").at_once
    assert "May the model tfidf go live, compared with char-tfidf?\n" in said
    assert "No, tfidf may not go live\n" in said
    assert "1 of 2 checks do not hold: quality titles/test ndcg@10 loss.\n" in said
    run = past_runs(small_runs, "eval")[1].name
    assert f"1 of 2 checks holds for tfidf against char-tfidf ({run}).\n" in said


def test_what_was_asked_of_a_check_and_what_was_found(small_runs: Path):
    (check,) = [check for check in numbers_of(small_runs, "gate")["checks"] if check["name"].endswith("loss")]
    low, high = check["found"]["interval"]
    value = check["found"]["value"]
    lines = page_of(small_runs, "gate").at_once
    assert "✗ fail\n" in lines
    assert f"Asked: no loss of 0.02 or more. Found: {value:+.3f} [{low:+.3f}, {high:+.3f}].\n" in lines


def test_did_the_training_help_and_what_did_it_cost(small_runs: Path):
    said = page_of(small_runs, "finetune").at_once
    assert "The training made minilm better on titles/test: +0.100 ndcg@10\n" in said
    assert ("On test tasks: better on titles/test (+0.100 ndcg@10, 95 % interval +0.070 to +0.130).\n") in said
    assert (
        "Outside of hiring: cannot tell on questions/test (-0.005 ndcg@10, 95 % interval -0.035 to +0.025; 0.040 would "
        "be seen).\n"
    ) in said


def test_does_the_model_treat_names_of_different_groups_alike(small_runs: Path):
    record = numbers_of(small_runs, "bias-audit")
    said = page_of(small_runs, "bias-audit").at_once
    assert (
        "Does the model char-tfidf treat names of different groups alike, when it ranks 3 résumés under 16 names for "
        "2 jobs?\n"
    ) in said
    headline = {
        "pass": "Pass: no difference between groups beyond the limits",
        "fail": "Fail: groups are treated differently, beyond the limits",
        "inconclusive": "Inconclusive: a difference beyond the limits can be neither shown nor ruled out",
    }[record["verdict"]]
    assert f"{headline}\n" in said
    worst = next(gate for gate in record["gates"] if gate["verdict"] == record["verdict"])
    begins = {
        "pass": "Within the limits: ",
        "fail": "Beyond the limits: ",
        "inconclusive": "Open, neither within the limits nor certain to be beyond them: ",
    }[record["verdict"]]
    (sentence,) = [line for line in said.splitlines() if line.startswith(begins)]
    assert f"{worst['gate']} by {worst['attribute']}" in sentence


def test_what_does_the_audit_not_tell(small_runs: Path):
    page = page_of(small_runs, "bias-audit")
    assert (
        "Test data made by swapping names; by itself not a bias audit under New York City Local Law 144."
        in page.at_once
    )
    assert (
        "\nThe audit does not tell how people are treated: no applicant was observed, only names that were swapped in "
        "test résumés.\n"
    ) in page.said
    assert "What this audit does not tell\n" in page.said


def test_what_does_the_evaluation_not_tell(small_runs: Path):
    assert (
        "\nScores are of these queries and documents; other jobs and other languages may differ. They say how well a "
        "ranking agrees with the judgements of the task, not whether those judgements are fair: hrembed bias-audit "
        "asks that.\n"
    ) in page_of(small_runs, "eval").said.replace("`", "")


@pytest.mark.parametrize(
    ("command", "term", "meaning"),
    [
        ("eval", "Holm", "A correction for looking at many differences at once"),
        ("bias-audit", "impact ratio", "The selection rate of one group divided by that of another"),
        ("finetune", "dev task", "The task that chooses when to stop"),
    ],
)
def test_what_does_that_word_mean(small_runs: Path, command: str, term: str, meaning: str):
    said = page_of(small_runs, command).said
    assert f"\n{term}\n" in said
    assert meaning in said


@pytest.mark.parametrize("command", ["eval", "finetune", "bias-audit"])
def test_what_comes_next(small_runs: Path, command: str):
    lines = [line for line in page_of(small_runs, command).at_once.splitlines() if line]
    following = [n for n, line in enumerate(lines) if line.startswith("Next, ")]
    assert following or command == "bias-audit"
    for n in following:
        assert lines[n + 1].startswith("hrembed ")


def test_how_is_it_repeated(small_runs: Path, capsys: pytest.CaptureFixture[str]):
    """The command is run as it is printed, and gives the numbers of the page."""
    lines = page_of(small_runs, "gate").at_once.splitlines()
    (command,) = {line for line in lines if line.startswith("hrembed gate ")}
    before = len(past_runs(small_runs, "gate"))
    assert main([*shlex.split(command)[1:], "--quiet"]) == 5  # as the gate on the page, it fails
    again = past_runs(small_runs, "gate")
    assert len(again) == before + 1
    first, last = ((run.path / "metrics.json").read_text(encoding="utf-8") for run in (again[0], again[-1]))
    assert json.loads(first)["checks"] == json.loads(last)["checks"]


def test_what_was_run_here_and_what_came_out(small_runs: Path):
    said = read(small_runs / "reports" / "index.html")
    gate = past_runs(small_runs, "gate")[0]
    assert "The newest gate says: fail\n" in said.at_once
    assert (
        f"It is {gate.name}, of {gate.manifest.started[:10]}; its page names the model and every check.\n"
        in said.at_once
    )
    assert "No model was accepted yet.\n" in said.at_once
    names = re.findall(r"\n((?:eval|gate|finetune|bias-audit)/2\w+-\w+)\n", said.at_once)
    shown = [run.name for run in past_runs(small_runs)][: len(names)]
    assert names == shown[::-1]
    assert "ndcg@10 on titles/test (eval)" in said.at_once  # measured twice, so its history stands open


def test_a_run_that_is_asked_for_is_the_one_on_the_page(small_runs: Path):
    run = find_run(small_runs, past_runs(small_runs, "gate")[0].name)
    assert f"Run {run.name} · {run.manifest.started[:10]}" in page_of(small_runs, "gate").at_once
