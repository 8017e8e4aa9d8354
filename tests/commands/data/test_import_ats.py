"""`data import ats` from the command line, on an export that is invented in `helpers/exports.py`."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from exports import SECRETS, TRADES, applications, write_export
from hrembed.cli.app import main
from hrembed.data.pairs import read_pairs
from hrembed.data.read import read_task
from miniatures import run_import as run

if TYPE_CHECKING:
    from pathlib import Path

SPLIT = ["--set", "dev=0.25", "--set", "test=0.25"]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export")


def products(folder: Path) -> list[Path]:
    return [file for part in ("dev", "test", "audit") for file in sorted((folder / part).rglob("*")) if file.is_file()]


def decisions(folder: Path) -> list[dict[str, str]]:
    with (folder / "decisions.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_an_export_becomes_pairs_tasks_stimuli_and_decisions(capsys, tmp_path, export):
    folder, said, shown = run(capsys, tmp_path, "ats", str(export), *SPLIT)
    assert said["tables"]["jobs"] == {
        "rows": 9, "rejected": 0, "repeated": 0, "empty": 0, "html": 4, "escaped": 2,
    }  # fmt: skip
    assert said["join"] == {
        "joined": 33,
        "without_job": 1,
        "without_candidate": 1,
        "unknown": {},
        "jobs_without_application": 0,
        "candidates_without_application": 0,
        "repeated": 1,
    }
    assert said["tables"]["candidates"]["empty"] == 1
    assert said["left"]["without_text"] == 0, "the person's other row has one"
    groups = said["groups"]
    assert (groups["ads"], groups["jobs"], groups["candidates"], groups["persons"]) == (9, 8, 33, 32)
    stages = said["balance"]["stages"]
    assert (stages["hired"], stages["interview"], stages["withdrawn"], stages["pending"]) == (9, 8, 1, 1)
    assert said["statuses"]["Abgelehnt"] == {"stage": "rejected", "applications": 1}
    assert said["statuses"]["Vorstellungsgespräch"]["stage"] == "interview"
    pairs, test, dev = (
        read_pairs(folder),
        read_task(folder / "test/applications"),
        read_task(folder / "dev/applications"),
    )
    assert len(pairs) == said["pairs"] == said["sides"]["train"]["positive"] == 8
    assert (len(test.queries), len(test.documents)) == (2, said["sides"]["test"]["persons"])
    for side in (test, dev):
        assert {grade for judged in side.qrels.values() for grade in judged.values()} <= {0, 2, 3}
        for query in side.queries:
            title = query.text.partition("\n")[0].lower()
            for document, grade in side.qrels[query.id].items():
                assert next(d.text for d in side.documents if d.id == document).count(f"A {title} since") == 1
                assert grade in {0, 2, 3}
    texts = {pair.anchor for pair in pairs} | {pair.positive for pair in pairs}
    held_out = {text.text for side in (test, dev) for text in (*side.queries, *side.documents)}
    assert not texts & held_out
    assert not any("<" in text or "&" in text for text in texts | held_out)
    assert "Past decisions carry past bias" in shown or "Past decisions carry past bias" in (
        folder / "report.html"
    ).read_text(encoding="utf-8")


def test_nobody_s_name_address_or_sex_is_in_a_product(capsys, tmp_path, export):
    folder, said, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT)
    pairs = read_pairs(folder)
    texts = [text for pair in pairs for text in (pair.anchor, pair.positive, pair.anchor_id, pair.positive_id)]
    texts += [file.read_text(encoding="utf-8") for file in products(folder)]
    texts += [(folder / name).read_text(encoding="utf-8") for name in ("decisions.csv", "metrics.json", "report.html")]
    for text in texts:
        for secret in (*SECRETS, "Annab", "Petro", "@mail"):
            assert secret not in text
    for text in texts[:-3]:
        assert "Female" not in text
    assert said["personal"]["email"] == 32
    assert said["personal"]["phone"] == 32
    assert said["personal"]["name"] >= 64


def test_stimuli_have_a_slot_where_the_name_stood(capsys, tmp_path, export):
    folder, said, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT, "--set", "audit.resumes=5")
    resumes = [json.loads(line) for line in (folder / "audit/resumes.jsonl").read_text(encoding="utf-8").splitlines()]
    jobs = [json.loads(line) for line in (folder / "audit/jobs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert said["stimuli"] == {"jobs": 2, "resumes": 5, "with_name": 5}
    assert all(resume["text"].startswith("{name}\n[EMAIL], tel. [PHONE]\n{name} ") for resume in resumes)
    assert {resume["occupation"] for resume in resumes} - {""} <= {job["occupation"] for job in jobs}
    assert sum(bool(resume["occupation"]) for resume in resumes) >= 2


def test_whoever_applied_to_several_jobs_is_on_one_side(capsys, tmp_path):
    everybody = dict.fromkeys(row["Candidate"] for row in applications()[:32])
    more = [{"Candidate": person, "Job": job, "Status": "Rejected"} for person in everybody for job in ("0", "3", "6")]
    export = write_export(tmp_path / "export", more=more)
    folder, said, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT)
    tasks = [read_task(folder / f"{side}/applications") for side in ("dev", "test")]
    sides = [{pair.positive_id for pair in read_pairs(folder)}, *({d.id for d in task.documents} for task in tasks)]
    assert all(sides)
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert said["left"]["person_elsewhere"] > 20
    assert said["groups"]["persons_with_several_jobs"] == 32


def test_decisions_are_of_whoever_was_judged(capsys, tmp_path, export):
    folder, said, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT)
    rows = decisions(folder)
    assert [*rows[0]] == ["job", "sex", "selected", "stage"]
    assert len(rows) == said["balance"]["decided"] == 30
    assert {row["stage"] for row in rows} == {"hired", "interview", "rejected"}
    assert {(row["stage"], row["selected"]) for row in rows} == {
        ("hired", "yes"), ("interview", "yes"), ("rejected", "no"),
    }  # fmt: skip
    assert said["attributes"] == ["sex"]
    (table,) = said["decisions"]["tables"]
    assert table["attribute"] == "sex"
    assert {row["category"]: row["persons"]["total"] for row in table["rows"]} == {"Female": 16, "Male": 14}


def test_the_stage_that_counts_can_be_chosen(capsys, tmp_path, export):
    folder, said, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT, "--set", "positive=hired")
    assert said["positive_stage"] == "hired"
    assert said["balance"]["positive"] == 9
    test = read_task(folder / "test/applications")
    assert {grade for judged in test.qrels.values() for grade in judged.values()} == {0, 3}
    assert {(row["stage"], row["selected"]) for row in decisions(folder)} >= {("interview", "no"), ("hired", "yes")}


def test_people_turned_down_are_negatives_only_on_request(capsys, tmp_path, export):
    folder, _, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT)
    assert {pair.negatives for pair in read_pairs(folder)} == {()}
    other = tmp_path / "other"
    folder, _, _ = run(capsys, other, "ats", str(export), *SPLIT, "--set", "negatives=1")
    assert {len(pair.negatives) for pair in read_pairs(folder)} == {1}


def test_without_categories_of_people_there_are_no_decisions(capsys, tmp_path):
    export = write_export(tmp_path / "export", without=["Gender"])
    folder, said, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT)
    assert said["decisions"] is None
    assert not (folder / "decisions.csv").exists()
    assert "says nothing of sex, race or ethnicity" in (folder / "report.html").read_text(encoding="utf-8")


def test_a_german_export_is_recognised(capsys, tmp_path):
    names = {
        "Job ID": "Stellen-ID",
        "Title": "Stellentitel",
        "Description": "Beschreibung",
        "Recruiter": "Ansprechpartner",
        "Candidate ID": "Bewerber-ID",
        "First Name": "Vorname",
        "Last Name": "Nachname",
        "Email": "E-Mail-Adresse",
        "Gender": "Geschlecht",
        "Resume": "Lebenslauf",
        "Candidate": "Bewerber-ID",
        "Job": "Stellen-ID",
        "Status": "Bewerbungsstatus",
    }
    export = write_export(tmp_path / "export", delimiter=";", encoding="cp1252", names=names)
    encodings = [w for table in ("jobs", "candidates", "applications") for w in ("--set", f"{table}.encoding=cp1252")]
    _, said, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT, *encodings)
    assert said["pairs"] == 8
    assert said["join"]["joined"] == 33


def test_files_and_columns_can_be_named(capsys, tmp_path, export):
    names = {"Job ID": "a", "Candidate ID": "b", "Job": "c", "Candidate": "d", "Resume": "e", "Last Name": "f"}
    other = write_export(tmp_path / "other", names=names)
    words = [f"--{table}={other / table}.csv" for table in ("jobs", "candidates", "applications")]
    columns = ["jobs.columns.id=a", "candidates.columns={id: b, text: e}", "candidates.name_columns=[f]"]
    columns.append("applications.columns={job: c, candidate: d}")
    sets = [word for column in columns for word in ("--set", column)]
    folder, said, _ = run(capsys, tmp_path, "ats", *words, *sets, *SPLIT)
    assert said["pairs"] == 8
    assert not any("Petro" in pair.positive for pair in read_pairs(folder))


def test_a_recognised_column_can_be_left_out(capsys, tmp_path):
    export = write_export(tmp_path / "export", names={"Gender": "sex"})
    _, said, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT)
    assert said["attributes"] == ["sex"]
    folder, said, shown = run(capsys, tmp_path, "ats", str(export), *SPLIT, "--set", "candidates.columns={sex: null}")
    assert said["attributes"] == []
    assert not (folder / "decisions.csv").exists()
    assert "not used: column 'sex'" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["candidates.name_columns=[Nope]"], "column 'Nope' in `candidates.name_columns` not found"),
        (["candidates.columns={text: Nope}"], "column 'Nope' not found"),
        (["candidates.columns={text: null}"], "no text column found; available"),
        (["candidates.columns={id: null}"], "columns`: 'id' is required"),
        (["jobs.columns={resume: Nope}"], "unknown column 'resume'"),
        (["attributes=[age]"], "column 'age' in `attributes` not found in the candidates or the applications"),
        (["dev=0.5", "test=0.5"], "`dev` and `test` must add up to less than 1, got"),
        (["test=0.01"], "'test' would be empty"),
        (
            ["near.max_changed=0.35"],
            "each of the 8 training pairs contains a text that is identical or nearly identical to one of a",
        ),
        (["source=nowhere"], "'nowhere' does not exist"),
        (["personal_data.types=[email]"], "`personal_data.types` must contain `name`: résumés of an export contain"),
    ],
)
def test_what_cannot_be_is_said(capsys, tmp_path, export, words, text):
    sets = [word for value in words for word in ("--set", value)]
    code = main(["data", "import", "ats", str(export), *SPLIT, *sets, "--runs-dir", str(tmp_path / "runs")])
    said = capsys.readouterr().err
    assert code in (2, 3), said
    assert text in said.replace("\n", " ").replace("  ", " ")
    assert "Traceback" not in said


def test_a_missing_table_is_said(capsys, tmp_path, export):
    (export / "candidates.csv").unlink()
    _, _, said = run(capsys, tmp_path, "ats", str(export), code=3)
    assert "does not contain the table `candidates`" in said
    assert "--candidates FILE" in said
    _, _, said = run(capsys, tmp_path, "ats", str(export / "jobs.csv"), code=3)
    assert "is a file; an export is a folder" in said


def test_an_unknown_status_is_refused_mapped_or_left_out(capsys, tmp_path):
    more = [{"Candidate": applications()[3]["Candidate"], "Job": "1", "Status": "Talent pool"}]
    export = write_export(tmp_path / "export", more=more)
    _, _, said = run(capsys, tmp_path, "ats", str(export), *SPLIT, code=3)
    assert "unknown stage of applications with these statuses: 'Talent pool' (1)" in " ".join(said.split())
    _, record, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT, "--set", 'stages={"talent pool": pending}')
    assert record["balance"]["stages"]["pending"] == 2
    _, record, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT, "--set", "unknown_status=leave-out")
    assert record["join"]["unknown"] == {"Talent pool": 1}
    assert record["balance"]["stages"]["pending"] == 1


def test_tables_that_do_not_belong_together_are_refused(capsys, tmp_path, export):
    text = (export / "jobs.csv").read_text(encoding="utf-8")
    (export / "jobs.csv").write_text(text.replace("\n", "\nX", 8), encoding="utf-8")
    _, _, said = run(capsys, tmp_path, "ats", str(export), *SPLIT, code=3)
    assert "applications refer to a job that is not in the jobs" in " ".join(said.split())


def test_the_page_says_what_past_decisions_look_like_once_and_paints_no_stage(capsys, tmp_path, export):
    folder, record, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT)
    page = (folder / "report.html").read_text(encoding="utf-8")
    verdict, gates = record["decisions"]["verdict"], record["decisions"]["gates"]
    assert f">Past decisions, audited</span><b>{verdict}</b>" in page
    assert "<td>rejected</td>" in page
    for gate in gates:
        assert f"<td>{gate['kind']} by {gate['attribute']}</td>" in page
        assert f"{gate['kind']} by {gate['attribute']}: {gate['verdict']};" not in page


def test_bad_rows_are_listed_and_products_are_kept(capsys, tmp_path, export):
    file = export / "candidates.csv"
    file.write_text(file.read_text(encoding="utf-8") + ",No,Id,,,\nonly one cell\n", encoding="utf-8")
    _, _, said = run(capsys, tmp_path, "ats", str(export), *SPLIT, code=3)
    assert "to accept this, pass `--set max_rejected=2`" in " ".join(said.split())
    (folder,) = (tmp_path / "runs" / "data-import-ats").iterdir()
    rows = [json.loads(line) for line in (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["table"], row["column"]) for row in rows] == [
        ("candidates", "Candidate ID"),
        ("candidates", "First Name"),
    ]
    assert (folder / "pairs.parquet").is_file()
    _, record, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT, "--set", "max_rejected=2")
    assert record["tables"]["candidates"]["rejected"] == 2


def test_products_are_put_where_configs_can_name_them(capsys, tmp_path, export):
    out = tmp_path / "data" / "ats"
    folder, _, _ = run(capsys, tmp_path, "ats", str(export), *SPLIT, "--out", str(out))
    for file in [*products(folder), folder / "pairs.parquet", folder / "decisions.csv"]:
        assert (out / file.relative_to(folder)).read_bytes() == file.read_bytes()
    assert json.loads((out / "import.json").read_text(encoding="utf-8"))["run"] == folder.as_posix()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    without = write_export(tmp_path / "without", without=["Gender"])
    run(capsys, tmp_path, "ats", str(without), "--set", "dev=0", "--out", str(out))
    assert not (out / "decisions.csv").exists()
    assert not (out / "dev").exists()
    assert (out / "mine.txt").read_text(encoding="utf-8") == "mine"
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine", encoding="utf-8")
    _, _, said = run(capsys, tmp_path, "ats", str(export), "--out", str(taken), code=3)
    assert "contains other files, which would be replaced" in " ".join(said.split())


def test_the_same_export_gives_the_same_bytes(capsys, tmp_path, export):
    one, _, _ = run(capsys, tmp_path / "one", "ats", str(export), *SPLIT)
    two, _, _ = run(capsys, tmp_path / "two", "ats", str(export), *SPLIT)
    for name in (
        "pairs.parquet",
        "metrics.json",
        "decisions.csv",
        "audit/resumes.jsonl",
        "test/applications/corpus.jsonl",
    ):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert len(TRADES) == 8


def test_the_shipped_export_can_be_evaluated_and_audited(capsys, tmp_path):
    folder, said, _ = run(capsys, tmp_path, "ats")
    assert said["pairs"] > 80
    runs = ["--runs-dir", str(tmp_path / "runs"), "--json"]
    assert main(["data", "check", str(folder), "--against", str(folder / "test/applications"), *runs]) == 0
    capsys.readouterr()
    sets = [
        "models=[bm25]",
        "baselines=[]",
        f"tasks=[{{path: {folder / 'test/applications'}}}]",
        "retention=[]",
        "robustness.changes=[]",
    ]
    assert main(["eval", *(word for value in sets for word in ("--set", value)), *runs]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    ndcg = metrics["scores"]["applications/test"]["bm25"]["ndcg@10"]["value"]
    assert 0.5 < ndcg < 0.9
    sets = [
        "model.ref=wordllama",
        f"stimuli.jobs={folder / 'audit/jobs.jsonl'}",
        f"stimuli.resumes={folder / 'audit/resumes.jsonl'}",
        "stimuli.names_per_cell=2",
        f"decisions={{path: {folder / 'decisions.csv'}, job: job}}",
        "cues=[]",
        "controls=false",
        "self_check=0",
        "fail_on=never",
    ]
    assert main(["bias-audit", *(word for value in sets for word in ("--set", value)), *runs]) == 0
    audit = json.loads(capsys.readouterr().out)["metrics"]
    assert (audit["jobs"], audit["resumes"]) == (10, 24)
    assert audit["decisions"]["tables"] == said["decisions"]["tables"], "the import prints what the audit says"
