"""`hrembed bias-audit` on recorded decisions: what is read, what is said, and how the command ends."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.cli.app import main
from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.bias_audit.tables import other_cuts
from hrembed.config.bias_audit import AuditConfig, DecisionsSection
from hrembed.errors import DataError
from hrembed.records.bias_audit import BiasAuditRecord
from hrembed.runs.past import find_run
from hrembed.runs.workspace import Workspace
from pydantic import ValidationError

from conftest import jsonl

if TYPE_CHECKING:
    from hrembed.types import CommandResult


def audit(tmp_path: Path, text: str, **decisions: Any) -> CommandResult[BiasAuditRecord]:
    """Audit a table, on `sex` unless other attributes are named."""
    file = tmp_path / "d.csv"
    file.write_text(text, encoding="utf-8")
    return run_bias_audit(config(file, **decisions), Workspace(tmp_path / "runs"))


def config(file: Path, **decisions: Any) -> AuditConfig:
    return AuditConfig.model_validate(
        {"model": None, "decisions": {"path": str(file), "attributes": ["sex"], **decisions}}
    )


def people(**rates: tuple[int, int]) -> str:
    """A table with one row for each person: category -> selected, all."""
    rows = [f"{name},{int(n < selected)}" for name, (selected, total) in rates.items() for n in range(total)]
    return "\n".join(["sex,selected", *rows]) + "\n"


def ratios(record: BiasAuditRecord, table: int = 0) -> dict[str, float]:
    assert record.decisions is not None
    return {row.category: row.ratio for row in record.decisions.tables[table].rows if row.note != "unknown"}


def page(result: CommandResult[BiasAuditRecord]) -> str:
    text = (Path(result.run) / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"</?(?:button|code)[^>]*>", "", text)  # stand within sentences
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def test_those_who_declined_are_no_category_and_are_named(tmp_path: Path):
    text = people(F=(27, 100), M=(30, 100)) + "I don't wish to answer,1\nDecline To Self Identify,1\n,1\n" * 9
    result = audit(tmp_path, text)
    assert ratios(result.metrics) == pytest.approx({"F": 0.9, "M": 1.0})
    decisions = result.metrics.decisions
    assert decisions is not None
    assert decisions.unknown == {"sex": 27}
    assert decisions.unknown_answers["sex"]["Decline To Self Identify"] == 9
    assert "'Decline To Self Identify' 9, an empty cell 9" in result.notice
    assert "People of unknown category, of 227: sex 27" in page(result)


def test_an_answer_of_the_users_own_is_unknown_on_request(tmp_path: Path):
    text = people(F=(27, 100), M=(30, 100), Withdrawn=(50, 50))
    assert "Withdrawn" in ratios(audit(tmp_path, text).metrics)
    told = audit(tmp_path, text, unknown=["usual", "withdrawn"])
    assert set(ratios(told.metrics)) == {"F", "M"}
    assert "'Withdrawn' 50" in told.notice


def test_spellings_are_joined_and_told(tmp_path: Path):
    result = audit(tmp_path, people(F=(14, 50), f=(13, 50), M=(15, 60)) + "M ,1\n" * 15 + "m,0\n" * 25)
    assert ratios(result.metrics) == pytest.approx({"F": 0.9, "M": 1.0})
    assert "'F' is also spelled 'f'; 'M' is also spelled 'm'" in result.notice


def test_counts_give_what_their_people_give(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    rows = audit(tmp_path / "a", people(F=(50, 100), M=(60, 110)) + ",1\n,0\n").metrics.decisions
    counts = audit(tmp_path / "b", "sex,applicants,selected\nF,100,50\nM,110,60\nunknown,2,1\n")
    other = counts.metrics.decisions
    assert rows is not None
    assert other is not None
    assert rows.model_dump_json(include={"tables", "gates"}) == other.model_dump_json(include={"tables", "gates"})
    assert (rows.persons, other.persons) == (212, 212)
    assert (rows.counted_by, other.counted_by) == ("", "applicants")
    assert "212 people in 3 rows of counts (column `applicants`)" in counts.notice


@pytest.mark.parametrize("header", ["# of Applicants", "number_of_applicants", "Total candidates", "n"])
def test_columns_of_counts_are_known_by_their_usual_names(tmp_path: Path, header):
    text = f'sex,{header},selected\nF,"1,100",550\nM,1100.0,660\n'
    assert ratios(audit(tmp_path, text).metrics) == pytest.approx({"F": 5 / 6, "M": 1.0})


def test_a_number_beside_each_person_is_no_count(tmp_path: Path):
    result = audit(tmp_path, "sex,n,selected\n" + "F,1,1\nF,2,0\nM,3,1\nM,4,0\n" * 10)
    assert result.metrics.decisions is not None
    assert result.metrics.decisions.persons == 40
    assert "Unused columns: n" in result.notice


def test_counts_with_jobs_and_scores(tmp_path: Path):
    text = "sex,job,applicants,selected,high\nF,a,50,20,25\nM,a,50,25,25\nF,b,80,8,30\nM,b,20,2,15\n"
    record = audit(tmp_path, text, job="job", scored="high").metrics.decisions
    assert record is not None
    assert [table.kind for table in record.tables] == ["selection rate", "scoring rate (as counted)"]
    assert record.tables[0].within_jobs is not None
    assert record.tables[0].within_jobs.rows["F"].strata == 2
    assert record.tables[1].rows[0].persons.selected == 55


def test_counts_of_scores_need_no_selection(tmp_path: Path):
    text = "sex,applicants,high\nF,200,90\nM,200,100\n"
    result = audit(tmp_path, text, selected=None, scored="high")
    assert ratios(result.metrics) == pytest.approx({"F": 0.9, "M": 1.0})


def test_a_table_of_frequencies_is_one_of_counts(tmp_path: Path):
    text = "sex,admitted,applicants\nF,yes,50\nF,no,50\nM,yes,60\nM,no,40\n"
    assert ratios(audit(tmp_path, text, selected="admitted").metrics) == pytest.approx({"F": 5 / 6, "M": 1.0})
    with pytest.raises(
        DataError, match=r":3: .* is ambiguous: it could be the number of selected people out of 50"
    ) as refused:
        audit(tmp_path, text.replace("yes", "1").replace("no", "0"), selected="admitted")
    assert "yes or no" in refused.value.hint


def test_the_unknown_of_a_published_table_need_no_outcome(tmp_path: Path):
    text = "sex,applicants,selected\nF,200,90\nM,200,100\nMissing,350,NA\nNot disclosed,50,\n"
    result = audit(tmp_path, text)
    assert ratios(result.metrics) == pytest.approx({"F": 0.9, "M": 1.0})
    decisions = result.metrics.decisions
    assert decisions is not None
    unknown = decisions.tables[0].rows[-1]
    assert (unknown.persons.selected, unknown.persons.total) == (None, 400)
    assert np.isnan(unknown.rate.value)
    shown = result.tables["Real decisions, selection rate by sex"][-1]
    assert (shown["selected"], shown["rate"]) == ("400 people", "")
    with pytest.raises(DataError, match=":3: column 'selected': expected a number of people, got 'NA'"):
        audit(tmp_path, text.replace("M,200,100", "M,200,NA"), applicants="applicants")


def test_jobs_in_several_spellings_are_one_stratum(tmp_path: Path):
    text = "sex,job,selected\n" + "F,Nurse,1\nF,nurse ,0\nM,NURSE,1\nM,Nurse,1\nM,,1\nF,,1\n" * 10
    result = audit(tmp_path, text, job="job")
    decisions = result.metrics.decisions
    assert decisions is not None
    assert decisions.tables[0].within_jobs is not None
    assert decisions.tables[0].within_jobs.rows["F"].strata == 1
    assert "'Nurse' is also spelled 'nurse', 'NURSE'" in result.notice
    assert "20 people have no job in the file" in result.notice


def test_groups_of_names_are_joined_and_never_unknown(stimuli: dict[str, Path], tmp_path: Path):
    table = stimuli["names"].read_text(encoding="utf-8")
    settings = {
        "model": {"ref": "tfidf"},
        "stimuli": {part: str(path) for part, path in stimuli.items()},
        **{"fail_on": "never", "self_check": 0, "cues": [], "controls": False, "bootstrap": {"resamples": 200}},
    }
    stimuli["names"].write_text(table.replace("female", "Female ", 1), encoding="utf-8")
    run = run_bias_audit(AuditConfig.model_validate(settings), Workspace(tmp_path / "runs"))
    assert run.metrics.attributes["gender"].sizes == {"female": 8, "male": 8}
    stimuli["names"].write_text(table.replace("female", "N/A", 1), encoding="utf-8")
    with pytest.raises(DataError, match="name 'Namefb0': 'N/A' in column 'gender' is not a group"):
        run_bias_audit(AuditConfig.model_validate(settings), Workspace(tmp_path / "runs"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "tsv"])
def test_other_tables_are_read_alike(tmp_path: Path, kind):
    people = [("F", 1.0), ("F", 0.0), ("M", 1.0), ("M", 1.0), ("Prefer not to say", 0.0), ("M", None)] * 5
    file = tmp_path / f"d.{kind}"
    if kind == "parquet":
        sexes, chosen = ([row[n] for row in people] for n in (0, 1))
        nan = [float("nan") if value is None else value for value in chosen]
        pq.write_table(pa.table({"sex": sexes, "selected": nan}), file)
    elif kind == "jsonl":
        jsonl(file, [{"sex": sex, "selected": None if chosen is None else bool(chosen)} for sex, chosen in people])
    else:
        cells = "".join(f"{sex}\t{'' if chosen is None else chosen}\n" for sex, chosen in people)
        file.write_text(f"sex\tselected\n{cells}", encoding="utf-8")
    result = run_bias_audit(config(file, undecided="drop"), Workspace(tmp_path / "runs"))
    assert ratios(result.metrics) == pytest.approx({"F": 0.5, "M": 1.0})
    assert result.metrics.decisions is not None
    assert (result.metrics.decisions.dropped, result.metrics.decisions.unknown) == (5, {"sex": 5})


COUNTS = {"applicants": "applicants"}


@pytest.mark.parametrize(
    ("text", "decisions", "message", "hint"),
    [
        ("sex,many,selected\nF,100,50\n", {}, ":2: column 'selected': invalid decision '50'", "decisions.applicants="),
        ("sex,applicants,selected\nF,100,150\n", COUNTS, ":2: .* is 150, but the row counts 100 people", ""),
        ("sex,applicants,selected\nF,many,1\n", COUNTS, "expected a number of people, got 'many'", ""),
        ("sex,applicants,selected\nF,10,1\nM,10,2\nTotal,20,3\n", {}, ":4: 'Total' in column 'sex' is the sum", "row"),
        ("job,sex,applicants,selected\nA,F,9,1\nA,M,9,2\nAll jobs,F,9,1\n", {"job": "job"}, ":4: 'All jobs' in", ""),
        ("sex,race,applicants,selected\nF,All,9,1\nM,All,9,2\nAll,X,9,1\nAll,Y,9,2\n", {}, ":4: 'All' in", "twice"),
        ("sex,selected\nF,1\nM,\n", {}, ":3: column 'selected': invalid decision ''", "decisions.undecided=drop"),
        ("sex,selected\nF,hired\n", {}, ":2: column 'selected': invalid decision 'hired'", "decisions.selected=COLUMN"),
        ("sex,selected,high\nF,1,1\n", {"scored": "high"}, "contains counts, but", "decisions.applicants="),
        ("sex,selected\nF,\nM,\n", {"undecided": "drop"}, "no row contains a decision", ""),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_used_say_where_and_what_next(tmp_path: Path, text, decisions, message, hint):
    with pytest.raises(DataError, match=message) as refused:
        audit(tmp_path, text, **decisions)
    assert hint in refused.value.hint
    for setting in re.findall(r"--set decisions\.(\w+)=", refused.value.hint):
        assert setting in DecisionsSection.model_fields


def test_scores_may_have_a_decimal_comma(tmp_path: Path):
    text = "sex;score\nF;0,75\nF;0,5\nM;12,25\nM;1\n"
    tables = [audit(tmp_path, form, selected=None, score="score").metrics for form in (text, text.replace(",", "."))]
    assert ratios(tables[0]) == ratios(tables[1]) == {"F": 0.0, "M": 1.0}
    with pytest.raises(
        DataError, match="expected a numeric score, got '1,250'"
    ):  # a thousand and more, or a little more than one?
        audit(tmp_path, "sex;score\nF;1,250\n", selected=None, score="score")


def test_decisions_as_pandas_writes_them_are_read(tmp_path: Path):
    text = "sex,selected\n" + "F,1.0\nF,0.0\nM,1.0\nM,1.0\nM,\n" * 5
    result = audit(tmp_path, text, undecided="drop")
    assert ratios(result.metrics) == pytest.approx({"F": 0.5, "M": 1.0})
    assert result.metrics.decisions is not None
    assert result.metrics.decisions.dropped == 5
    assert "5 rows without a decision or a score were skipped, the first in line 6" in page(result)


def test_every_two_of_three_attributes_have_a_table(tmp_path: Path):
    rows = [f"{'FM'[n % 2]},{'ab'[n // 2 % 2]},{'yo'[n // 4 % 2]},{int(n % 3 == 0)}" for n in range(240)]
    text = "\n".join(["sex,race,age,selected", *rows, ",a,y,1", "F,N/A,y,0"])
    record = audit(tmp_path, text, attributes=["sex", "race", "age"]).metrics.decisions
    assert record is not None
    names = ["sex", "race", "age", "sex x race", "sex x age", "race x age", "sex x race x age"]
    assert [table.attribute for table in record.tables] == names
    assert record.unknown == dict(zip(names, (1, 1, 0, 2, 1, 1, 2), strict=True))
    assert [table.judged for table in record.tables] == [True] * 6 + [False]
    assert {gate.attribute for gate in record.gates} == set(names[:6])


def test_ties_at_the_median_are_told(tmp_path: Path):
    text = "sex,score\n" + "F,5\nF,4\nM,5\nM,5\n" * 10
    result = audit(tmp_path, text, selected=None, score="score")
    assert "30 of 40 people have exactly the median score 5" in result.notice
    assert "The median is the highest score" in result.notice
    assert result.metrics.verdict == "inconclusive"


def test_tables_of_scores_do_not_speak_of_selection(tmp_path: Path):
    text = "sex,score,job\n" + "".join(f"{'FM'[n % 2]},{n},{n % 3}\n" for n in range(60))
    result = audit(tmp_path, text, selected=None, score="score", job="job")
    for title, rows in result.tables.items():
        if title.startswith("Real decisions"):
            assert {"selected", "below 4/5", "short of 4/5"}.isdisjoint(rows[0])
    assert "those of unknown category included" in page(result)
    decisions = result.metrics.decisions
    assert decisions is not None
    of_job = next(table for table in decisions.tables if table.kind.endswith("of the job)"))
    assert of_job.basis.startswith("No rule defines this rate")
    assert not of_job.judged


@pytest.mark.parametrize(
    ("rates", "fail_on", "code", "verdict"),
    [
        ({"F": (40, 200), "M": (80, 200)}, "fail", 5, "fail"),
        ({"F": (40, 200), "M": (80, 200)}, "never", 0, "fail"),
        ({"F": (4, 10), "M": (6, 10)}, "fail", 0, "inconclusive"),
        ({"F": (4, 10), "M": (6, 10)}, "fail-or-inconclusive", 6, "inconclusive"),
        ({"F": (490, 1000), "M": (500, 1000)}, "fail-or-inconclusive", 0, "pass"),
        ({"F": (5, 5)}, "fail-or-inconclusive", 6, "inconclusive"),
    ],
)
def test_real_decisions_have_a_verdict_and_an_exit_code(tmp_path: Path, capsys, rates, fail_on, code, verdict):
    file = tmp_path / "d.csv"
    file.write_text(people(**rates), encoding="utf-8")
    argv = ["bias-audit", "--set", "model=null", "--set", f"decisions={{path: {file}, attributes: [sex]}}"]
    assert main([*argv, "--set", f"fail_on={fail_on}", "--runs-dir", str(tmp_path / "runs")]) == code
    shown = capsys.readouterr()
    assert f"Verdict on the real decisions: {verdict}" in " ".join(shown.out.split())
    assert "not law" in shown.out
    assert "names" not in shown.err  # nothing here was about names
    run = find_run(tmp_path / "runs", "latest")
    assert run.record(BiasAuditRecord).verdict == verdict


def test_the_limit_of_the_config_holds_for_decisions(tmp_path: Path):
    file = tmp_path / "d.csv"
    file.write_text(people(F=(300, 1000), M=(500, 1000)), encoding="utf-8")
    strict, lenient = (
        run_bias_audit(
            config(file).model_copy(update={"limits": AuditConfig().limits.model_copy(update={"impact_ratio": limit})}),
            Workspace(tmp_path / "runs"),
        ).metrics
        for limit in (0.8, 0.4)
    )
    assert (strict.verdict, lenient.verdict) == ("fail", "pass")


def test_a_small_category_does_not_decide_by_chance(tmp_path: Path):
    """Among eight categories with one rate the best was chosen by looking; all pairs are corrected for."""
    rng = np.random.default_rng(0)
    failed = 0
    for trial in range(60):
        folder = tmp_path / str(trial)
        folder.mkdir()
        rows = [f"{name},60,{rng.binomial(60, 0.3)}" for name in "abcdefgh"]
        text = "\n".join(["sex,applicants,selected", *rows])
        failed += audit(folder, text).metrics.verdict == "fail"
    assert failed <= 7  # 5 % of 60, and chance


def test_the_statement_says_only_what_was_done(tmp_path: Path):
    result = audit(tmp_path, people(F=(40, 200), M=(80, 200), X=(2, 5)))
    statement = page(result).partition("Statement on validation and testing")[2].partition("Inputs, settings")[0]
    for untrue in ("swapping names", "score gaps", "flips", "exposure", "leakage", "Stimuli", "A/A"):
        assert untrue not in statement
    assert "tables of recorded decisions about 405 people" in statement
    assert "see the verdict on real decisions (fail)" in statement
    assert "historical or test data (6 RCNY sections 5-302 and 5-303): ____" in statement
    assert "Reason (6 RCNY section 5-301(d)): ____" in statement
    assert "Not part of this statement" in statement
    sha256 = find_run(tmp_path / "runs", "latest").manifest.inputs["decisions"].sha256
    assert sha256 in statement
    assert len(sha256) == 64


def test_small_categories_are_named_with_both_bases(tmp_path: Path):
    text = people(A=(300, 600), B=(195, 400), C=(12, 15)) + ",1\n" * 400
    result = audit(tmp_path, text)
    assert (
        "Under 2 % in selection rate by sex: C: 12 of 15, rate 0.800, 1.5% of the known, 1.1% of all." in result.notice
    )
    assert "`decisions.small.base: known`" in result.notice
    excluded = audit(tmp_path, text, small={"treat": "exclude"})
    shown = excluded.tables["Real decisions, selection rate by sex"]
    assert [row["category"] for row in shown] == ["A", "B", "unknown"]
    assert "C: 12 of 15, rate 0.800" in page(excluded)
    counted = audit(tmp_path, text, small={"treat": "count"})
    assert ratios(counted.metrics) == pytest.approx({"A": 0.625, "B": 0.609375, "C": 1.0})
    other = audit(tmp_path, people(A=(450, 900), B=(18, 30)) + ",1\n" * 2000)
    assert "In selection rate by sex also under 2 %, if of all people: B." in other.notice


def test_no_p_value_is_printed_as_zero(tmp_path: Path):
    result = audit(tmp_path, people(F=(100, 2400), M=(400, 2400)))
    for text in (html.unescape(page(result)), str(result.tables), result.notice):
        assert "0.0000" not in text
        assert "p < 0.0001" in text


def test_the_verdict_names_the_cuts_it_does_not_rest_on(stimuli: dict[str, Path], tmp_path: Path):
    """The table of ratios at other cuts is not the verdict; whoever reads only the verdict reads of them too."""
    names = AuditConfig.model_validate(
        {
            "model": {"ref": "tfidf"},
            "stimuli": {part: str(path) for part, path in stimuli.items()},
            "fail_on": "never",
            "self_check": 0,
            "cues": [],
            "controls": False,
            "bootstrap": {"resamples": 200},
        }
    )
    result = run_bias_audit(names, Workspace(tmp_path))
    assert "The verdict on impact ratios is based on a single cut, the top 10%" in result.notice
    box = page(result).partition("What was done")[0]
    assert other_cuts(result.metrics)[0].replace("`", "") in box.replace("&lt;", "<")
    lowered = json.loads(result.metrics.model_dump_json(by_alias=True))
    for ratio in lowered["attributes"]["gender"]["impact_ratios"]["0.3"]:
        ratio["effect"]["value"] = 0.5
    lowered["attributes"]["gender"]["measures"]["selected@0.3"]["p_value"] = 0.01
    (sentence,) = other_cuts(BiasAuditRecord.model_validate(lowered))
    assert re.search(r"Below 0\.8 at other cuts.*gender, top 30%: \w+ / \w+ 0\.500, p = 0\.0100", sentence)


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        (
            {"score": "s", "applicants": "n"},
            "rows with counts have no individual `score`; use `scored`, the number of people above the median",
        ),
        ({"small": {"share": 1.5}}, "less than 1"),
        ({"small": {"treat": "hide"}}, "'blank', 'exclude' or 'count'"),
    ],
)
def test_settings_of_decisions_that_do_not_fit_are_told(decisions, message):
    with pytest.raises(ValidationError, match=message):
        config(Path("x.csv"), **decisions)
