"""What groups get of a ranking: reported from a file that stays outside, acted on only where the config says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.cli.app import main
from scipy.stats import hypergeom
from searching import text_index

if TYPE_CHECKING:
    from pathlib import Path

JOB = "Nurse for the ward who dresses wounds."
COUNT = 40
TEXTS = {f"c{n:02}": f"Nurse number {n} who dresses wounds. " + "Bakes bread. " * n for n in range(COUNT)}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    columns = {"country": ["DE" if n % 4 else "AT" for n in range(COUNT)]}
    return text_index(tmp_path_factory.mktemp("groups") / "idx", TEXTS, columns)


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Those with the most bread, who rank last, are group b; one is of a group of one."""
    rows = [f"c{n:02},{'b' if n >= 20 else 'a'}" for n in range(1, COUNT - 1)]
    (tmp_path / "groups.csv").write_text("id,group\nc00,rare\nnobody,a\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path / "groups.csv"


@pytest.fixture
def match(index: Path, groups: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def run(*words: str, code: int = 0) -> Any:
        given = ["match", JOB, "--index", str(index), "--groups", str(groups), *words]
        assert main([*given, "--runs-dir", str(tmp_path / "runs"), "--json"]) == code
        shown = capsys.readouterr()
        return " ".join(shown.err.split()) if code else json.loads(shown.out)["metrics"] | {"err": shown.err}

    return run


def test_shares_are_counted_against_the_pool(match):
    found = match("--k", "10")
    exposure = found["exposure"]
    assert (exposure["pool"], exposure["unknown"], exposure["small"]) == (38, 1, ["rare"])
    ids = [row["id"] for row in found["candidates"]]
    known = [id_ for id_ in ids if 1 <= int(id_[1:]) < 39]
    b = sum(int(id_[1:]) >= 20 for id_ in known)
    at_ten = exposure["groups"]["b"]["cuts"]["10"]
    assert at_ten["count"] == b
    assert at_ten["share"] == pytest.approx(b / len(known))
    assert at_ten["p_value"] == pytest.approx(float(hypergeom.cdf(b, 38, 19, len(known))))
    assert exposure["groups"]["b"]["attention_ratio"] < 1 < exposure["groups"]["a"]["attention_ratio"]
    assert exposure["groups"]["b"]["every_top_p"] < 0.01
    assert exposure["min_skew"]["10"] == at_ten["skew"]
    assert all(row["original_rank"] is None for row in found["candidates"]), "a report changes nothing"


def test_cuts_beyond_the_list_of_asked_candidates_are_counted_too(match):
    exposure = match("--k", "3")["exposure"]
    assert [*exposure["groups"]["a"]["cuts"]] == ["10", "25"]
    assert exposure["depth"] == COUNT


def test_the_pool_is_who_meets_the_conditions(match):
    exposure = match("--where", "country=AT", "--set", "groups.smallest=2")["exposure"]
    assert exposure["pool"] == sum(n % 4 == 0 for n in range(1, 39))
    assert exposure["groups"]["a"]["pool"] == 4


def test_groups_never_reach_the_index_the_list_or_the_page(match, index: Path, tmp_path: Path):
    match("--k", "40")
    assert "rare" not in (index / "index.json").read_text(encoding="utf-8")
    (run,) = (tmp_path / "runs" / "match").iterdir()
    csv = (run / "candidates.csv").read_text(encoding="utf-8").splitlines()
    assert csv[0] == "rank,id,cosine,cosine_rank,column: country"


def test_groups_are_given_places_only_on_request_with_the_warning(match):
    plain = [row["id"] for row in match("--k", "40")["candidates"]]
    found = match("--k", "40", "--set", "groups.rerank.method=det-greedy")
    ids = [row["id"] for row in found["candidates"]]
    assert ids != plain
    assert [plain[row["original_rank"] - 1] for row in found["candidates"]] == ids
    assert "may itself be unlawful" in " ".join(found["err"].split())
    at_ten = found["exposure"]["groups"]["b"]["cuts"]["10"]
    assert at_ten["share"] == pytest.approx(0.5, abs=0.06)
    assert found["exposure"]["reranked"] == "det-greedy"


def test_fa_star_stops_where_chance_explains_the_rest(match):
    settings = ["--set", "groups.rerank={method: fa-star, protected: b}", "--k", "20"]
    found = match(*settings)["exposure"]["groups"]["b"]
    plain = match("--k", "20")["exposure"]["groups"]["b"]
    assert plain["cuts"]["10"]["count"] < found["cuts"]["10"]["count"] < 5
    assert found["every_top_p"] > plain["every_top_p"]


def test_a_batch_reports_means_and_tests_nothing(index: Path, groups: Path, tmp_path: Path, capsys):
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text("".join(json.dumps({"_id": f"j{n}", "text": t}) + "\n" for n, t in enumerate([JOB, "Bakes bread"])))
    given = ["match", "--batch", str(jobs), "--index", str(index), "--groups", str(groups), "--k", "10"]
    assert main([*given, "--runs-dir", str(tmp_path / "runs"), "--json"]) == 0
    exposure = json.loads(capsys.readouterr().out)["metrics"]["exposure"]
    assert exposure["jobs"] == 2
    cut = exposure["groups"]["b"]["cuts"]["10"]
    assert cut["p_value"] is None
    assert 0 < cut["share"] < 1
    total = sum(group["attention"] for group in exposure["groups"].values())
    assert total == pytest.approx(1)


@pytest.mark.parametrize(
    ("content", "settings", "code", "said"),
    [
        ("id,group\nc01,a\nc01,b\n", [], 3, "id 'c01' is in two groups"),
        ("id,group\nx,a\n", [], 3, "has a group for none of the 40 candidates"),
        ("id,sex\nc01,a\n", [], 3, "group"),
        ("id,group\nc01,a\n", ["groups.rerank={method: fa-star, protected: b}"], 2, "has no group 'b'"),
        (None, ["groups.rerank.method=fa-star"], 2, "needs `protected`"),
        (None, ["groups.rerank.alpha=0.2"], 2, "`alpha` has no effect"),
    ],
)
def test_what_is_wrong_is_said(match, groups: Path, content: str | None, settings: list[str], code: int, said: str):
    if content is not None:
        groups.write_text(content, encoding="utf-8")
    assert said in match(*[word for each in settings for word in ("--set", each)], code=code)


def test_settings_without_a_file_have_no_effect(index: Path, tmp_path: Path, capsys):
    words = ["match", JOB, "--index", str(index), "--set", "groups.smallest=2", "--runs-dir", str(tmp_path)]
    assert main(words) == 2
    assert "`smallest` has no effect without `file`" in " ".join(capsys.readouterr().err.split())


def test_ranks_are_not_moved_by_chance_alone(match):
    """Deterministic: two runs give one order."""
    one, other = (match("--set", "groups.rerank.method=det-greedy")["candidates"] for _ in range(2))
    np.testing.assert_array_equal([row["id"] for row in one], [row["id"] for row in other])
