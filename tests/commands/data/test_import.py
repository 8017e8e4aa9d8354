"""`data import onet|esco` from the command line, on releases in miniature."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hrembed.cli.app import main
from hrembed.commands.finetune.card import model_card
from hrembed.config.schema import FinetuneConfig
from hrembed.data import onet
from hrembed.data.pairs import read_pairs, read_related
from hrembed.files import sha256
from hrembed.records.finetune import FinetuneRecord, ParameterCounts, SourceRecord
from hrembed.records.manifest import Attribution, InputEntry, Manifest
from hrembed.runs.record import Run
from hrembed.types import Estimate
from miniatures import CODES, esco_release, onet_release, table, zipped
from miniatures import run_import as run


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return onet_release(tmp_path)


def test_onet_gives_every_kind_with_groups_and_ids(capsys, tmp_path, release):
    folder, metrics, _ = run(capsys, tmp_path, "onet", str(zipped(release)), "--set", "max_occupations=2")
    pairs = read_pairs(folder)
    assert {kind: found["pairs"] for kind, found in metrics["kinds"].items()} == {
        "title": 45, "description": 18, "task": 108, "technology": 36, "ad-profile": 36,
    }  # fmt: skip
    assert all(pair.group and pair.anchor_id and pair.positive_id and pair.family for pair in pairs)
    assert {pair.family for pair in pairs} == {"11", "29", "51"}
    assert not any("Team Leader" in pair.anchor + pair.positive for pair in pairs if pair.kind == "title")
    assert any(pair.anchor == 'The "boss" Bakers' for pair in pairs)
    assert metrics["counts"]["titles dropped: they belong to more than 2 occupations or skills"] == 6
    texts: dict[str, str] = {}
    for pair in pairs:
        for key, text in ((pair.anchor_id, pair.anchor), (pair.positive_id, pair.positive)):
            assert texts.setdefault(key, text) == text
    assert read_related(folder / "pairs.parquet") == {"onet:29-1141.00": ["onet:51-3011.00"]}


def test_ads_and_profiles_share_no_sentence_and_profiles_name_no_title(capsys, tmp_path, release):
    folder, _, _ = run(capsys, tmp_path, "onet", str(release), "--set", "kinds=[ad-profile]")
    pairs = read_pairs(folder)
    for pair in pairs:
        mine, theirs = ({s for s in text.split(".") if "Task" in s} for text in (pair.anchor, pair.positive))
        assert {s.split("Task")[1] for s in mine}.isdisjoint(s.split("Task")[1] for s in theirs)
        assert not any(f"{title} number" in pair.positive or "boss" in pair.positive for title in CODES.values())
    assert pairs


def test_the_source_is_hashed_and_credited_and_the_credit_goes_on(capsys, tmp_path, release):
    folder, _, _ = run(capsys, tmp_path, "onet", str(zipped(release)))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["inputs"]["release"]["sha256"] == sha256(release.with_suffix(".zip"))
    (credit,) = manifest["attributions"]
    assert "O*NET 29.3 Database by the U.S. Department of Labor" in credit["attribution"]
    assert credit["licence"] == "CC BY 4.0"
    words = ["data", "split", str(folder), "--set", "dev=0.34", "--set", "test=0.33", "--json"]
    assert main([*words, "--runs-dir", str(tmp_path / "runs")]) == 0
    split = Path(json.loads(capsys.readouterr().out)["run"])
    assert json.loads((split / "manifest.json").read_text())["attributions"] == [credit]


def test_an_import_repeats_to_the_byte(capsys, tmp_path, release):
    first, _, _ = run(capsys, tmp_path, "onet", str(release))
    second, _, _ = run(capsys, tmp_path, "onet", str(release))
    for name in ("pairs.parquet", "related.parquet", "metrics.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("pack", [Path, zipped])
@pytest.mark.parametrize("form", ["official", "tabiya", "labels", "packed labels"])
def test_esco_in_every_form(capsys, tmp_path, form, pack):
    source = pack(esco_release(tmp_path / "ESCO dataset - v1.2.0", form))
    made, metrics, said = run(capsys, tmp_path, "esco", str(source))
    counts = {kind: found["pairs"] for kind, found in metrics["kinds"].items()}
    skills = 0 if "labels" in form else 3
    assert counts == {"title": 3, "description": 3, "skill": 2, "occupation-skill": skills}
    assert ("no pairs of kind 'occupation-skill'" in said) == ("labels" in form)
    pairs = read_pairs(made)
    assert all(pair.anchor_id and pair.positive_id for pair in pairs)
    ids = {pair.positive_id for pair in pairs if pair.positive == "dress wounds"}
    assert ids == {"esco:skill:s1"}
    (credit,) = json.loads((made / "manifest.json").read_text())["attributions"]
    assert "ESCO classification of the European Commission" in credit["attribution"]
    assert {pair.group for pair in pairs} == {"esco:o1", "esco-skill:s1"}
    assert {(p.anchor, p.positive) for p in pairs if p.kind == "skill"} == {
        ("bandage wounds", "dress wounds"), ("wound care", "dress wounds"),
    }  # fmt: skip
    assert {pair.family for pair in pairs if pair.kind != "skill"} == {"22"}


def test_esco_without_a_source_says_which_file_and_where(capsys, tmp_path):
    _, _, said = run(capsys, tmp_path, "esco", "--set", f"downloads={tmp_path}", code=3)
    assert "https://esco.ec.europa.eu/en/use-esco/download" in said
    assert f"save it as '{tmp_path}/ESCO dataset - v1.2.0 - classification - en - csv.zip'" in said


@pytest.mark.parametrize("name", ["none", "none.zip"])
@pytest.mark.parametrize("taxonomy", ["onet", "esco"])
def test_a_release_that_is_not_there_is_named(capsys, tmp_path, taxonomy, name):
    said = run(capsys, tmp_path, taxonomy, str(tmp_path / name), code=3)[2]
    assert f"'{tmp_path / name}' does not exist" in said
    assert "specify the folder or the ZIP file of the release" in said


def test_a_release_without_a_file_or_with_another_encoding_says_so(capsys, tmp_path):
    folder = esco_release(tmp_path / "esco", "official")
    occupations = folder / "occupations_en.csv"
    good = occupations.read_bytes()
    occupations.write_bytes(good.replace(b"They nurse", b"Th\xe9y nurse"))
    said = run(capsys, tmp_path, "esco", str(folder), code=3)[2]
    assert f"{occupations}:2: column 'description': byte 0xE9 is not valid utf-8" in said
    occupations.write_bytes(good.replace(b"iscoGroup", b"group"))
    said = run(capsys, tmp_path, "esco", str(folder), code=3)[2]
    assert f"{occupations}:1: column 'iscoGroup' not found" in said
    assert "hint" not in said
    occupations.write_bytes(good.replace(b",", b";"))
    assert "detected delimiter: semicolons" in " ".join(run(capsys, tmp_path, "esco", str(folder))[2].split())
    occupations.unlink()
    said = run(capsys, tmp_path, "esco", str(folder), code=3)[2]
    assert "does not contain 'occupations_en.csv'; found: occupationSkillRelations_en.csv, skills_en.csv" in said


@pytest.mark.parametrize(
    ("name", "line", "where"),
    [
        ("Occupation Data.txt", "51-3011.00\tCooks\tThey cook.", "5: column 'O*NET-SOC Code': duplicate value"),
        ("Occupation Data.txt", "35-2014.00\t\tThey cook.", "5: column 'Title': must not be empty"),
        ("Occupation Data.txt", "\tCooks\tThey cook.", "5: column 'O*NET-SOC Code': must not be empty"),
        ("Task Statements.txt", "51-3011.00\tBakers\t011\tTask.", "20: column 'Task ID': duplicate value '011'"),
        ("Task Statements.txt", "51-3011.00\tBakers\t99\t ", "20: column 'Task': must not be empty"),
    ],
)  # fmt: skip
def test_an_id_twice_or_a_hole_names_row_and_column(capsys, tmp_path, release, name, line, where):
    with (release / name).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    for source in (release, zipped(release)):
        assert f"{name}:{where}" in run(capsys, tmp_path, "onet", str(source), code=3)[2]


def test_a_task_said_twice_stands_once(capsys, tmp_path, release):
    """Otherwise it could be dealt to the ads and to the profiles."""
    with (release / "Task Statements.txt").open("a", encoding="utf-8") as stream:
        stream.write("51-3011.00\tBakers\t99\tTASK 0 of bakers!\n")
    _, metrics, _ = run(capsys, tmp_path, "onet", str(release))
    assert metrics["counts"]["tasks dropped: same words twice in one occupation"] == 1
    assert metrics["counts"]["tasks"] == 18


@pytest.mark.parametrize(
    ("form", "name", "line", "where"),
    [
        ("official", "occupations_en.csv", "http://x/o2,2221, ,,", "4: column 'preferredLabel': must not be empty"),
        ("official", "occupations_en.csv", "{uri}/occupation/o1,1,cook,,", "4: column 'conceptUri': duplicate value"),
        ("official", "skills_en.csv", "{uri}/skill/s2,,", "4: column 'preferredLabel': must not be empty"),
        ("official", "skills_en.csv", "{uri}/skill/s1,again,", "4: column 'conceptUri': duplicate value"),
        ("tabiya", "skills.csv", "{uri}/skill/s2,k2,again,", "4: column 'ID': duplicate value 'k2'"),
        ("labels", "skill_labels.csv", "s2,altLabels,alone", "': skill 's2' has no preferred label"),
        ("labels", "skill_labels.csv", "s2,preferredLabel,?", "': skill 's2' has no preferred label"),
    ],
)  # fmt: skip
def test_an_id_twice_or_a_hole_in_esco_is_named(capsys, tmp_path, form, name, line, where):
    folder, uri = esco_release(tmp_path / "esco", form), "http://data.europa.eu/esco"
    with (folder / name).open("a", encoding="utf-8") as stream:
        stream.write(line.replace("{uri}", uri) + "\n")
    said = run(capsys, tmp_path, "esco", str(folder), code=3)[2]
    assert f"{name}{'' if where[0] == chr(39) else ':'}{where.replace('{uri}', uri)}" in said


def test_a_skill_named_twice_for_an_occupation_counts_once(capsys, tmp_path):
    folder = esco_release(tmp_path / "esco", "tabiya")
    with (folder / "occupation_to_skill_relations.csv").open("a") as stream:
        stream.write("k1,optional,k2\n")
    _, metrics, _ = run(capsys, tmp_path, "esco", str(folder))
    assert metrics["kinds"]["occupation-skill"]["pairs"] == 3
    occupations = folder / "occupations.csv"
    occupations.write_text(occupations.read_text().replace(",ID", ",KEY"))
    assert "occupations.csv:1: column 'ID' not found" in run(capsys, tmp_path, "esco", str(folder), code=3)[2]


def test_a_failing_import_touches_nothing_that_was_there(capsys, tmp_path, release):
    folder, _, _ = run(capsys, tmp_path, "onet", str(release))
    before = {path: sha256(path) for path in sorted(folder.iterdir())}
    with (release / "Task Statements.txt").open("a") as stream:
        stream.write("11-1011.00\n")
    run(capsys, tmp_path, "onet", str(release), code=3)
    assert {path: sha256(path) for path in sorted(folder.iterdir())} == before
    (failed,) = [path for path in folder.parent.iterdir() if path != folder]
    assert sorted(path.name for path in failed.iterdir()) == ["config.yaml", "log.txt", "manifest.json"]
    manifest = json.loads((failed / "manifest.json").read_text())
    assert manifest["status"] == "failed"
    assert "Task Statements.txt:20: column 'Title'" in manifest["error"]


def test_a_model_card_carries_the_credit_of_the_pairs(capsys, tmp_path, release):
    folder, _, _ = run(capsys, tmp_path, "onet", str(release))
    tuned = Run(tmp_path, path=tmp_path / "tuned")
    for name, path in {"source-0": folder / "pairs.parquet", "again": folder, "other": release}.items():
        tuned.add_input(name, path)
    assert tuned.manifest.attributions == [Attribution(**vars(onet.source("29.3")))]
    half = Estimate(0.5, 0.4, 0.6, 10, "groups")
    source = SourceRecord(kind="pairs", loss="ranking", rows=3, batches=1, mined=None)
    metrics = FinetuneRecord(
        verdict="better", delta=0.02, confidence=0.95, task="dev", metric="ndcg@10", base=half, tuned=half,
        difference=half, p_value=0.01, tests=(), retention=(), strength=1.0, strengths=(),
        branches=(), pretraining=None, parameters=ParameterCounts(trainable=1, all=2), pairs=3, sources=(source,),
        steps=3, steps_done=3, best_step=3, dev_history=(), loss_history=(),
    )  # fmt: skip
    card = model_card(FinetuneConfig(), metrics, tuned)
    credit = f"* {onet.source('29.3').attribution} <https://www.onetcenter.org/database.html>"
    assert card.count(credit) == 1
    bare = Run(tmp_path, path=tmp_path / "bare", manifest=Manifest(inputs={"source-0": InputEntry(path="", sha256="")}))
    assert "onetcenter" not in model_card(FinetuneConfig(), metrics, bare)


def test_a_release_with_a_hole_says_where(capsys, tmp_path, release):
    titles = release / "Alternate Titles.txt"
    good = titles.read_text()
    titles.write_text(good + "11-1011.00\tshort row\n")
    said = run(capsys, tmp_path, "onet", str(zipped(release)), code=3)[2]
    assert (
        "db_29_3_text/Alternate Titles.txt:17: column 'Alternate Title': expected 5 cells as in the header, got 2"
        in said
    )
    titles.write_text(good.replace("Alternate Title\t", "Other\t"))
    assert (
        "Alternate Titles.txt:1: column 'Alternate Title' not found"
        in run(capsys, tmp_path, "onet", str(release), code=3)[2]
    )
    titles.unlink()
    assert "does not contain 'Alternate Titles.txt'" in run(capsys, tmp_path, "onet", str(release), code=3)[2]


def test_the_credit_names_the_release_that_was_read(capsys, tmp_path, release):
    older = release.rename(release.with_name("db_28_1_text"))
    folder, _, _ = run(capsys, tmp_path, "onet", str(older))
    (credit,) = json.loads((folder / "manifest.json").read_text())["attributions"]
    assert credit["name"] == "O*NET 28.1 Database"
    other = older.rename(older.with_name("mine"))
    folder, _, _ = run(capsys, tmp_path, "onet", str(other), "--set", "release='27.3'")
    assert json.loads((folder / "manifest.json").read_text())["attributions"][0]["name"] == "O*NET 27.3 Database"


def test_two_releases_in_one_place_are_not_mixed(capsys, tmp_path):
    both = tmp_path / "both"
    onet_release(both).rename(both / "db_28_0_text")
    onet_release(both)
    said = run(capsys, tmp_path, "onet", str(both), code=3)[2]
    assert "contains several files 'Occupation Data.txt'" in said
    assert "db_28_0_text/Occupation Data.txt" in said


def test_onet_since_30_3_gives_the_same_pairs_as_before(capsys, tmp_path):
    before = onet_release(tmp_path)
    folder, counts, _ = run(capsys, tmp_path, "onet", str(before))
    after = before.with_name("db_30_3_text")
    after.mkdir()
    renamed = {"Alternate Titles.txt": "Job Titles.txt", "Technology Skills.txt": "Software Skills.txt"}
    for file in before.iterdir():
        text = file.read_text(encoding="utf-8")
        text = text.replace("\tAlternate Title\t", "\tJob Title\t").replace("\tExample\n", "\tWorkplace Example\n")
        (after / renamed.get(file.name, file.name)).write_text(text, encoding="utf-8")
    later, later_counts, _ = run(capsys, tmp_path, "onet", str(after))
    assert later_counts == counts
    assert read_pairs(later) == read_pairs(folder)
    (after / "Job Titles.txt").unlink()
    said = " ".join(run(capsys, tmp_path, "onet", str(after), code=3)[2].split())
    assert "does not contain 'Alternate Titles.txt' or 'Job Titles.txt'" in said


def test_esco_in_another_language_is_read_and_a_second_language_is_named(capsys, tmp_path):
    folder = esco_release(tmp_path / "esco", "official")
    english, counts, _ = run(capsys, tmp_path, "esco", str(folder))
    german = tmp_path / "german"
    german.mkdir()
    for file in folder.iterdir():
        (german / file.name.replace("_en", "_de")).write_bytes(file.read_bytes())
    read, read_counts, _ = run(capsys, tmp_path, "esco", str(german))
    assert (read_counts, read_pairs(read)) == (counts, read_pairs(english))
    for file in folder.iterdir():
        (german / file.name).write_bytes(file.read_bytes())
    said = run(capsys, tmp_path, "esco", str(german))[2]
    assert "to use another language, pass a folder that contains only that one" in " ".join(said.split())
    (german / "occupations_en.csv").rename(german / "occupations_fr.csv")
    said = run(capsys, tmp_path, "esco", str(german), code=3)[2]
    assert "in several languages: de, fr" in " ".join(said.split())


def activities(release: Path) -> Path:
    """Each task is an instance of an activity of its occupation, the first also of one that all have."""
    lines = [
        f"{c}|{t}|{n}{c[:2]}|Task {n} of {t}.|{c[:2]}.{n // 2}|Do {t} work {n // 2}."
        for c, t in CODES.items()
        for n in range(6)
    ]
    lines += [f"{c}|{t}|0{c[:2]}|Task 0 of {t}.|0.0|Do any work." for c, t in CODES.items()]
    table(release / "Tasks to DWAs.txt", "O*NET-SOC Code|Title|Task ID|Task|DWA ID|DWA Title", lines)
    return release


def test_a_task_leads_to_all_its_activities_which_are_the_groups(capsys, tmp_path, release):
    folder, metrics, _ = run(capsys, tmp_path, "onet", str(activities(release)), "--set", "kinds=[activity]")
    pairs = read_pairs(folder)
    assert metrics["kinds"]["activity"] == {"pairs": 21, "groups": 10, "largest_group": 3}
    assert {pair.positive for pair in pairs if pair.anchor == "Task 0 of Bakers."} == {
        "Do Bakers work 0",
        "Do any work",
    }
    assert {pair.group for pair in pairs if pair.positive == "Do any work"} == {"onet:activity:0.0"}


def test_without_the_file_of_links_no_activity_is_found_and_that_is_said(capsys, tmp_path, release):
    _, metrics, said = run(capsys, tmp_path, "onet", str(release), "--set", "kinds=[activity,title]")
    assert metrics["kinds"]["activity"]["pairs"] == 0
    assert "no pairs of kind 'activity'" in said


def test_every_label_of_a_skill_is_paired_with_its_description(capsys, tmp_path):
    source = esco_release(tmp_path / "esco", "labels")
    table(source / "skill_descriptions.csv", "skill_id|description", ['s1|"Clean  a wound\nand cover it."'], ",")
    words = ["esco", str(source), "--set", "kinds=[skill-description]"]
    folder, _, _ = run(capsys, tmp_path, *words)
    found = {(pair.kind, frozenset((pair.anchor, pair.positive))) for pair in read_pairs(folder)}
    labels = ("dress wounds", "bandage wounds", "wound care")
    described = {("skill-description", frozenset((label, "Clean a wound and cover it."))) for label in labels}
    assert found == described


def test_a_line_of_skills_leads_to_what_each_is_called(capsys, tmp_path):
    source = esco_release(tmp_path / "esco", "labels")
    with (source / "skill_labels.csv").open("a") as file:
        file.write("s2,preferredLabel,draw blood\ns2,altLabels,take blood samples\ns3,preferredLabel,swim\n")
    folder, metrics, _ = run(capsys, tmp_path, "esco", str(source), "--set", "kinds=[joined-skill]")
    assert metrics["kinds"]["joined-skill"] == {"pairs": 2, "groups": 2, "largest_group": 1}
    pairs = read_pairs(folder)
    assert {pair.positive for pair in pairs} == {"dress wounds", "draw blood"}
    (line,) = {pair.anchor for pair in pairs}
    assert "take blood samples" in line
    assert "bandage wounds" in line or "wound care" in line
