"""`hrembed bias-audit` end to end, on models that need no weights."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.cli.app import main
from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.config.bias_audit import (
    AuditConfig,
    DecisionsSection,
    LimitsSection,
    MitigationSection,
    ScoresFile,
    StimuliSection,
)
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.data.locate import locate
from hrembed.errors import DataError, ModelError
from hrembed.metrics.multiplicity import benjamini_hochberg
from hrembed.models.folder import read_settings
from hrembed.models.transformer import load_model
from hrembed.progress import Silent
from hrembed.records.bias_audit import BiasAuditRecord
from hrembed.runs.past import find_run
from hrembed.runs.workspace import Workspace
from pydantic import ValidationError

from conftest import DOCUMENTS, jsonl

TFIDF = ModelSection(ref="tfidf")


def section(stimuli: dict[str, Path], **more) -> StimuliSection:
    return StimuliSection(**{part: str(path) for part, path in stimuli.items()}, **more)


@pytest.fixture
def config(stimuli: dict[str, Path]) -> AuditConfig:
    return AuditConfig(
        model=TFIDF, stimuli=section(stimuli), fail_on="never", self_check=20, bootstrap={"resamples": 300}
    )


@pytest.fixture
def tiny(config: AuditConfig, tiny_model: Path) -> AuditConfig:
    return config.model_copy(update={"model": ModelSection(ref=f"path:{tiny_model}")})


def read(run: str, name: str = "metrics.json"):
    return json.loads((Path(run) / name).read_text(encoding="utf-8"))


def changed(config: AuditConfig, **update) -> AuditConfig:
    return AuditConfig.model_validate({**config.model_dump(), **update})


def test_a_model_is_audited_on_everything(tiny: AuditConfig, tmp_path: Path):
    result = run_bias_audit(tiny, Workspace(tmp_path / "runs"))
    metrics, run = read(result.run), Path(result.run)
    assert set(metrics["attributes"]) == {"gender", "race", "gender x race"}
    assert set(metrics["cues"]) == {"pronouns", "affiliation", "graduation-year", "career-gap", "address", "spelling"}
    assert [row["name"] for row in metrics["controls"]] == [
        "typos",
        "white space",
        "header removed",
    ]
    assert metrics["controls"][2]["shift"] == pytest.approx(0, abs=1e-4)  # the header holds nothing but the name
    assert {row["attribute"] for row in metrics["leakage"]} == set(metrics["attributes"])
    assert len(metrics["titles"]["titles"]) == 40
    assert {row["exact"] for row in metrics["associations"]} == {True}
    assert {row["test"] for row in metrics["self_check"]} >= {"permutation: score", "over cells: t-test of scores"}
    for own in metrics["attributes"].values():
        assert set(own["impact_ratios"]) == {"0.01", "0.02", "0.05", "0.1", "0.2", "0.3", "0.5"}
        assert {"score", "wins", "exposure", "attention", "rank shift", "exclusion"} <= set(own["measures"])
        assert set(own["excess"]) == {"shift", "flip", "1 - RBO", "order"}
    rows = pq.read_table(run / "rows.parquet").to_pydict()
    assert len(rows["score"]) == 2 * 3 * 17
    assert set(rows["name"][:1]) == {""}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count('<svg class="hc"') == 2 * len(list(run.glob("*.svg"))) == 12  # each for a desktop and a phone
    assert "Annex IV" in page
    assert "Local Law 144" in page
    assert "profile" not in (run / "log.txt").read_text(encoding="utf-8")


def test_cues_are_corrected_by_benjamini_and_hochberg_and_say_so(config: AuditConfig, tmp_path: Path):
    result = run_bias_audit(config, Workspace(tmp_path))
    metrics = read(result.run)
    cues = metrics["cues"]
    assert len(cues) == 6
    family = [p for cue in cues.values() for p in (cue["p_value"], cue["measures"]["selected@0.1"]["p_value"])]
    assert [cue["p_bh"] for cue in cues.values()] == benjamini_hochberg(family)[::2]
    assert all("p_holm" not in cue for cue in cues.values())
    assert all("p_holm" in attribute for attribute in metrics["attributes"].values())
    rows = result.tables["Other cues (largest gap of each; not part of the verdict)"]
    assert [row["p (BH)"] for row in rows] == [f"{cue['p_bh']:.4f}" for cue in cues.values()]
    page = (Path(result.run) / "report.html").read_text(encoding="utf-8")
    _, _, glance = page.partition("Cues at a glance")
    assert "p (BH)" in glance[: glance.index("</table>")]


def test_what_a_run_wrote_is_read_back_as_it_was(tiny: AuditConfig, task: Path, tmp_path: Path):
    file = tmp_path / "d.csv"
    file.write_text("sex,selected,job\n" + "f,1,a\nm,0,a\nm,1,b\nf,0,b\n" * 10, encoding="utf-8")
    config = changed(
        tiny,
        decisions={"path": str(file), "attributes": ["sex"], "job": "job"},
        mitigation={"ways": ["header", "leace"], "task": {"path": str(task)}},
    )
    result = run_bias_audit(config, Workspace(tmp_path / "runs"))
    record = find_run(tmp_path / "runs", "latest").record(BiasAuditRecord)
    assert record.model_dump_json(by_alias=True) == result.metrics.model_dump_json(by_alias=True)
    gap = record.attributes["gender"].gaps[0]
    assert (gap.first, gap.second, gap.effect.n, gap.effect.unit) == ("female", "male", 8, "names")
    assert record.cues["pronouns"].gaps[0].effect.unit == "wordings"
    assert record.cues["pronouns"].gaps[0].effect.n == 8
    assert [row.model for row in record.mitigation] == [None, "model-leace"]
    assert "Local Law 144" in result.notice


def test_the_same_config_gives_the_same_bytes(tiny: AuditConfig, tmp_path: Path):
    first, second = (Path(run_bias_audit(tiny, Workspace(tmp_path)).run) for _ in range(2))
    for name in ("metrics.json", "rows.parquet", "per_name.parquet", "gaps.svg", "sweep.svg"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_scores_of_another_system_give_the_same_verdicts(tiny: AuditConfig, tmp_path: Path):
    first = read(run_bias_audit(tiny, Workspace(tmp_path)).run)
    rows = pq.read_table(next((tmp_path / "bias-audit").iterdir()) / "rows.parquet").to_pydict()
    file = tmp_path / "scores.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["job", "resume", "name", "score"])
        writer.writerows(zip(*(rows[key] for key in ("job", "resume", "name", "score")), strict=True))
    second = read(
        run_bias_audit(changed(tiny, model=None, scores=ScoresFile(path=str(file))), Workspace(tmp_path / "b")).run
    )
    for key in ("jobs", "resumes", "names", "self_check", "stimuli_sha256"):
        assert first[key] == second[key]
    for name, own in first["attributes"].items():
        assert own["gaps"] == second["attributes"][name]["gaps"]
    assert second["leakage"] == []


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["j1,r1,,0.5"], r"101 scores are missing; first: job 'j1', résumé 'r1', 'Namefb0'"),
        (["j9,r1,,0.5"], "job 'j9' is not among the stimuli"),
        (["j1,r1,,0.5", "j1,r1,,0.6"], ":3: duplicate score for this job, résumé and name"),
        (["j1,r1,,high"], "expected a numeric score, got 'high'"),
    ],
)
def test_scores_that_do_not_fit_are_told(config: AuditConfig, tmp_path: Path, lines, message):
    file = tmp_path / "scores.csv"
    file.write_text("\n".join(["job,resume,name,score", *lines]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        run_bias_audit(changed(config, model=None, scores={"path": str(file)}), Workspace(tmp_path))


def test_vectors_of_somebody_else_give_the_same_numbers(tiny: AuditConfig, tiny_model: Path, tmp_path: Path):
    plain = changed(tiny, cues=[], controls=False)
    texts = run_bias_audit(changed(plain, texts_only=True), Workspace(tmp_path / "texts")).run
    table = pq.read_table(Path(texts) / "texts.parquet").to_pydict()
    assert table["kind"].count("job") == 2
    assert len(table["text"]) == 2 + 3 * 17
    words = [line.split(",")[1] for line in locate("shipped:cues/words.csv").read_text(encoding="utf-8").split()[1:]]
    names = sorted({name for name in table["name"] if name})
    distinct = sorted({*table["text"], *words, *names})
    vectors = load_model(tiny_model).encode(distinct, normalize_embeddings=True)
    pq.write_table(pa.table({"text": distinct, "vector": vectors.tolist()}), tmp_path / "v.parquet")
    ref = {"ref": f"vectors:{tmp_path / 'v.parquet'}"}
    ours, theirs = (
        read(run_bias_audit(own, Workspace(tmp_path / name)).run)
        for name, own in (("a", plain), ("b", changed(plain, model=ref)))
    )
    for name, own in ours["attributes"].items():
        values = [[gap["effect"]["value"] for gap in side["gaps"]] for side in (own, theirs["attributes"][name])]
        assert values[0] == pytest.approx(values[1], abs=1e-5)
    pq.write_table(pa.table({"text": distinct[:3], "vector": vectors[:3].tolist()}), tmp_path / "v.parquet")
    with pytest.raises(ModelError, match="has no vector for"):
        run_bias_audit(changed(plain, model=ref), Workspace(tmp_path / "c"))


def test_real_decisions_alone_make_the_tables_of_the_law(tmp_path: Path, capsys):
    rows = ["sex,race_ethnicity,selected,job"]
    rows += [f"{'f' if n % 2 else 'm'},{'ab'[n % 3 == 0]},{int(n % 5 < 2 - n % 2)},j{n // 2 % 4}" for n in range(400)]
    rows += [",a,1,j0"]
    file = tmp_path / "d.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    argv = ["bias-audit", "--set", "model=null", "--set", f"decisions={{path: {file}, job: job}}"]
    assert main([*argv, "--set", "fail_on=never", "--runs-dir", str(tmp_path / "runs"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    tables = content["metrics"]["decisions"]["tables"]
    assert [table["attribute"] for table in tables] == ["sex", "race_ethnicity", "sex x race_ethnicity"]
    women = tables[0]["rows"][0]
    assert women["category"] == "f"
    assert women["persons"] == {"selected": 40, "total": 200}
    assert women["ratio"] == pytest.approx(0.5)
    assert women["below"]
    assert women["missing"] == 24  # 0.8 * 0.4 * 200 - 40
    assert tables[0]["rows"][-1]["note"] == "unknown"
    assert tables[0]["within_jobs"]["rows"]["f"]["strata"] == 4
    page = (Path(content["run"]) / "report.html").read_text(encoding="utf-8")
    assert "6 RCNY" in page
    assert "that rule sets no limit" in page


def test_names_of_any_script_are_audited_and_told(config: AuditConfig, stimuli, tmp_path: Path):
    text = stimuli["names"].read_text(encoding="utf-8")
    for old, new in (("Namefb0", "فاطمة الزهراء"), ("Namefb1", "王秀英"), ("Namemw0", "Владимир <b>")):
        text = text.replace(old, new)
    stimuli["names"].write_text(text, encoding="utf-8")
    metrics = read(run_bias_audit(config, Workspace(tmp_path)).run)
    assert metrics["names"] == 16
    assert metrics["names_not_latin"] == 3


def test_markup_in_stimuli_stays_text(config: AuditConfig, stimuli, tmp_path: Path):
    evil = "<script>alert(1)</script>"
    rows = [{"_id": evil, "text": "{name} nurse on the ward " + evil}, {"_id": "r2", "text": "{name} brakes and cars"}]
    jsonl(stimuli["resumes"], rows)
    stimuli["names"].write_text(
        stimuli["names"].read_text(encoding="utf-8").replace("female", "<i>female"), encoding="utf-8"
    )
    page = (Path(run_bias_audit(config, Workspace(tmp_path)).run) / "report.html").read_text(encoding="utf-8")
    assert evil not in page
    assert "&lt;i&gt;female" in page


def test_one_resume_is_refused_and_one_name_a_group_is_inconclusive(config: AuditConfig, stimuli, tmp_path: Path):
    stimuli["names"].write_text("name,gender\nAda,f\nBob,m\n", encoding="utf-8")
    few = changed(config, stimuli=section(stimuli, attributes=["gender"]))
    metrics = read(run_bias_audit(few, Workspace(tmp_path)).run)
    assert metrics["verdict"] == "inconclusive"
    assert metrics["self_check"] == []
    jsonl(stimuli["resumes"], [{"_id": "r1", "text": "{name} nurse"}])
    with pytest.raises(DataError, match="at least two résumés are needed to estimate how much scores vary"):
        run_bias_audit(config, Workspace(tmp_path))


def test_ten_thousand_jobs_come_in_chunks(stimuli, tmp_path: Path, monkeypatch):
    from hrembed.commands.bias_audit import scores as audit_scoring

    monkeypatch.setattr(audit_scoring, "_NUMBERS", 100_000)
    words = " ".join(DOCUMENTS.values()).split()
    rng = np.random.default_rng(0)
    jobs = [{"_id": f"j{n}", "text": " ".join(rng.choice(words, 6)) + " ward cars"} for n in range(10_000)]
    jsonl(stimuli["jobs"], jobs)
    own = AuditConfig(
        model=TFIDF, stimuli=section(stimuli), fail_on="never", self_check=0, cues=(), controls=False,
        cuts=(0.1,), bootstrap={"resamples": 200},
    )  # fmt: skip
    metrics = read(run_bias_audit(own, Workspace(tmp_path)).run)
    assert metrics["jobs"] == 10_000
    assert len(metrics["attributes"]["gender"]["jobs"]) == 20
    assert metrics["attributes"]["gender"]["gaps"][0]["effect"]["value"] == pytest.approx(0, abs=1e-9)


def test_what_could_be_done_is_measured_and_saved(tiny: AuditConfig, task: Path, tmp_path: Path):
    ways = ("header", "average", "leace", "mean-difference")
    mitigation = MitigationSection(ways=ways, task=TaskSection(path=str(task)))
    section = tiny.model.model_copy(update={"normalise_titles": "queries"})
    changed = tiny.model_copy(update={"mitigation": mitigation, "model": section})
    run = Path(run_bias_audit(changed, Workspace(tmp_path)).run)
    rows = {row["way"]: row for row in read(str(run))["mitigation"]}
    assert rows["header"]["after"]["largest_gap"] == pytest.approx(0, abs=1e-6)
    assert rows["average"]["after"]["largest_gap"] == pytest.approx(0, abs=1e-6)
    assert rows["leace"]["leakage_on_its_own_names"] == {"gender": 0.5, "race": 0.5}  # exactly chance: false success
    assert 0 <= rows["leace"]["after"]["utility"] <= 1
    for way in ("leace", "mean-difference"):
        assert read_settings(run / f"model-{way}").normalise_titles == "queries"
        model = load_model(run / f"model-{way}")
        vectors = model.encode(["nurse on the ward", "car mechanic"])
        assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)


def test_a_lexical_model_has_nothing_to_change(config: AuditConfig, tmp_path: Path):
    ways = MitigationSection(ways=("leace",))
    with pytest.raises(ModelError, match="`mitigation` requires an embedding model"):
        run_bias_audit(config.model_copy(update={"mitigation": ways}), Workspace(tmp_path))


def test_flips_and_recall_are_judged_on_request(tiny: AuditConfig, stimuli, tmp_path: Path):
    for part in ("jobs", "resumes"):
        rows = [json.loads(line) for line in stimuli[part].read_text(encoding="utf-8").splitlines()]
        jsonl(stimuli[part], [{**row, "occupation": f"o{n % 2}"} for n, row in enumerate(rows)])
    strict = tiny.model_copy(update={"limits": LimitsSection(flip=0.3, recall=0.5)})
    metrics = read(run_bias_audit(strict, Workspace(tmp_path)).run)
    gates = {(row["attribute"], row["gate"]) for row in metrics["gates"]}
    assert {("gender", "excess flips"), ("gender", "recall gap")} <= gates
    assert len(gates) == 12
    assert "ndcg@10" in metrics["attributes"]["gender"]["measures"]


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"model": None}, "nothing to audit"),
        (
            {"scores": {"path": "x.csv"}},
            "specify either `model` or `scores`, not both; to use `scores`, set `model: null`",
        ),
        (
            {"model": None, "decisions": {"path": "x"}, "mitigation": {"ways": ["leace"]}},
            "`mitigation` requires a `model`",
        ),
        ({"decisions": {"path": "x", "selected": None}}, "specify at least one of the columns `selected` and `score`"),
        ({"headline_cut": 0.15}, "not one of `cuts`"),
    ],
)
def test_configs_that_make_no_sense_are_told(update, message):
    with pytest.raises(ValidationError, match=message):
        AuditConfig.model_validate(update)


def test_decisions_join_an_audit_of_names(config: AuditConfig, tmp_path: Path):
    file = tmp_path / "d.csv"
    file.write_text("sex,race_ethnicity,score\n" + "f,a,0.5\nm,b,0.7\n" * 40, encoding="utf-8")
    own = config.model_copy(update={"decisions": DecisionsSection(path=str(file), selected=None, score="score")})
    metrics = read(run_bias_audit(own, Workspace(tmp_path)).run)
    assert metrics["decisions"]["tables"][0]["kind"].startswith("scoring rate")
    assert metrics["decisions"]["tables"][0]["rows"][0]["persons"] == {"selected": 0, "total": 40}
    assert {gate["verdict"] for gate in metrics["gates"]} <= {"pass", "inconclusive"}
    assert metrics["decisions"]["verdict"] == "fail"  # nobody of f is above the median
    assert metrics["verdict"] == "fail"


class Notes(Silent):
    """Keeps the notes that a command shows."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note."""
        self.lines.append(text)


def test_words_in_braces_of_a_resume_are_shown_and_named(stimuli: dict[str, Path], config: AuditConfig, tmp_path: Path):
    """Slots are `{name}` and the cues; a LaTeX command or a template string is part of the text."""
    lines = stimuli["resumes"].read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    rows[0]["text"] += "\n\\textit{welding} ${path} {pronouns}"
    stimuli["resumes"].write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    notes = Notes()
    run = run_bias_audit(changed(config, texts_only=True, cues=[]), Workspace(tmp_path / "runs", notes)).run
    table = pq.read_table(Path(run) / "texts.parquet").to_pydict()
    shown = [text for id_, text in zip(table["id"], table["text"], strict=True) if id_ == rows[0]["_id"]]
    assert len(shown) > 2
    assert all(text.endswith("\\textit{welding} ${path}") for text in shown)
    assert any(
        "{path} in 1, {welding} in 1" in note and "résumés: left unchanged; supported slots" in note
        for note in notes.lines
    ), notes.lines
