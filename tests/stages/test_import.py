"""`data import` from the command line, on releases in miniature."""

from __future__ import annotations

import gzip
import http.server
import json
import stat
import threading
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.cli.app import main
from hrembed.config.schema import FinetuneConfig
from hrembed.data import onet
from hrembed.data.download import download
from hrembed.data.pairs import read_pairs, read_related
from hrembed.errors import DataError, HrembedError
from hrembed.files import sha256
from hrembed.progress import Silent
from hrembed.runs.record import Run
from hrembed.stages.finetune import _model_card

CODES = {"11-1011.00": "Chief Executives", "29-1141.00": "Registered Nurses", "51-3011.00": "Bakers"}


def table(path: Path, header: str, rows: list[str], mark: str = "\t") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *rows]
    path.write_text("\n".join(line.replace("|", mark) for line in lines) + "\n", encoding="utf-8")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Three occupations; "Team Leader" and one tool belong to all."""
    folder, code = tmp_path / "db_29_3_text", "O*NET-SOC Code"
    each = list(CODES.items())
    table(folder / "Occupation Data.txt", f"{code}|Title|Description", [f"{c}|{t}|They do {t}." for c, t in each])
    titles = [f"{c}|{t}|{t} number {n}||08" for c, t in each for n in range(4)]
    titles += [f"{c}|{t}|Team Leader|TL|08" for c, t in each]
    table(folder / "Alternate Titles.txt", f"{code}|Title|Alternate Title|Short Title|Source(s)", titles)
    table(folder / "Sample of Reported Titles.txt", f"{code}|Title|Reported Job Title|Shown in My Next Move",
          [f'{c}|{t}|The "boss" {t}|Y' for c, t in each])  # fmt: skip
    tasks = [f"{c}|{t}|{n}{c[:2]}|Task {n} of {t}." for c, t in each for n in range(6)]
    table(folder / "Task Statements.txt", f"{code}|Title|Task ID|Task", tasks)
    tools = [f"{c}|{t}|{tool}" for c, t in each for tool in (f"{t} software", "Sheets")]
    table(folder / "Technology Skills.txt", f"{code}|Title|Example", tools)
    related = ["29-1141.00|x|51-3011.00|y|Primary-Long|1", "29-1141.00|x|11-1011.00|y|Supplemental|2"]
    table(folder / "Related Occupations.txt",
          f"{code}|Title|Related O*NET-SOC Code|Related Title|Relatedness Tier|Index", related)  # fmt: skip
    return folder


def zipped(folder: Path) -> Path:
    target = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{folder.name}/{file.name}")
    return target


def run(capsys, tmp_path: Path, *words: str, code: int = 0) -> tuple[Path, dict, str]:
    assert main(["data", "import", *words, "--runs-dir", str(tmp_path / "runs"), "--json"]) == code
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    if code:
        return Path(), {}, shown.err
    result = json.loads(shown.out)
    return Path(result["run"]), result["metrics"], shown.err


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
    assert metrics["counts"]["titles dropped: of more than 2 occupations or skills"] == 6
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


def esco_release(folder: Path, form: str) -> Path:
    """One occupation with three labels, one skill with three; in `labels` the skills have no relations."""
    uri, others = "http://data.europa.eu/esco", '"bandage wounds\nwound care"'
    nurse = f'{uri}/occupation/o1|2221|nurse|"ward nurse\nstaff nurse"|They nurse.'
    if form == "official":
        header = "conceptUri|iscoGroup|preferredLabel|altLabels|description"
        table(folder / "occupations_en.csv", header, [nurse], ",")
        skills = [f"{uri}/skill/s1|dress wounds|{others}"]
        table(folder / "skills_en.csv", "conceptUri|preferredLabel|altLabels", skills, ",")
        relations = [f"{uri}/occupation/o1|essential|{uri}/skill/s1", f"{uri}/occupation/o1|optional|{uri}/skill/s9"]
        header = "occupationUri|relationType|skillUri"
        table(folder / "occupationSkillRelations_en.csv", header, relations, ",")
        return folder
    header = "ORIGINURI|ISCOGROUPCODE|PREFERREDLABEL|ALTLABELS|DESCRIPTION|ID"
    table(folder / "occupations.csv", header, [f"{nurse}|k1"], ",")
    if form == "tabiya":
        skills = [f"{uri}/skill/s1|k2|dress wounds|{others}"]
        table(folder / "skills.csv", "ORIGINURI|ID|PREFERREDLABEL|ALTLABELS", skills, ",")
        header = "OCCUPATIONID|RELATIONTYPE|SKILLID"
        table(folder / "occupation_to_skill_relations.csv", header, ["k1|essential|k2"], ",")
    else:
        labels = ["s1|preferredLabel|dress wounds", "s1|altLabels|bandage wounds", "s1|altLabels|wound care"]
        plain = folder / "skill_labels.csv"
        table(plain, "skill_id|label_type|label", labels, ",")
        if form == "packed labels":
            (folder / "skill_labels.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
            plain.unlink()
    return folder


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
    assert f"put it at '{tmp_path}/ESCO dataset - v1.2.0 - classification - en - csv.zip'" in said


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil.txt", "C:\\evil.txt", "a/..\\..\\evil.txt"])
def test_a_zip_that_escapes_its_folder_is_refused(capsys, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("Occupation Data.txt", "x")
        archive.writestr(name, "x")
    _, _, said = run(capsys, tmp_path, "onet", str(tmp_path / "bad.zip"), code=3)
    assert f"bad.zip': entry '{name}' points outside of the archive" in said
    assert not list(tmp_path.rglob("evil.txt"))


def test_other_tricks_of_zips_are_refused(capsys, tmp_path, monkeypatch):
    link = zipfile.ZipInfo("Occupation Data.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "is a symbolic link" in run(capsys, tmp_path, "onet", str(tmp_path / "link.zip"), code=3)[2]
    (tmp_path / "no.zip").write_bytes(b"PK no zip")
    assert "is not a whole ZIP archive" in run(capsys, tmp_path, "onet", str(tmp_path / "no.zip"), code=3)[2]
    with zipfile.ZipFile(tmp_path / "big.zip", "w") as archive:
        archive.writestr("Occupation Data.txt", "x" * 2000)
    monkeypatch.setattr("hrembed.data.archive.MAX_UNPACKED", 1000)
    assert "would unpack to more than" in run(capsys, tmp_path, "onet", str(tmp_path / "big.zip"), code=3)[2]


def patched(file: Path, offset: int, value: bytes, mark: bytes = b"PK\1\2") -> Path:
    """Overwrite bytes of the first entry, by default in the directory of the ZIP."""
    content = bytearray(file.read_bytes())
    start = content.index(mark) + offset
    content[start : start + len(value)] = value
    file.write_bytes(content)
    return file


def test_an_encrypted_or_damaged_zip_is_refused(capsys, tmp_path, release):
    """Flags are at byte 8 of an entry's record, the method at byte 10."""
    said = run(capsys, tmp_path, "onet", str(patched(zipped(release), 8, b"\1")), code=3)[2]
    assert "entry 'db_29_3_text/Alternate Titles.txt' is encrypted; nothing of the archive was used" in said
    said = run(capsys, tmp_path, "onet", str(patched(zipped(release), 10, b"\x63")), code=3)[2]
    assert "cannot be read: That compression method is not supported" in said
    said = run(capsys, tmp_path, "onet", str(patched(zipped(release), 6, b"\xff\0")), code=3)[2]
    assert "is not a whole ZIP archive: zip file version 25.5" in said
    source = zipped(release)
    source.write_bytes(source.read_bytes()[:-30])
    assert "is not a whole ZIP archive" in run(capsys, tmp_path, "onet", str(source), code=3)[2]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_with_damaged_bytes_is_named(capsys, tmp_path, release, method):
    """Ninety bytes behind the name are those of the text, packed or not."""
    target = tmp_path / "packed.zip"
    with zipfile.ZipFile(target, "w", method) as archive:
        for file in sorted(release.iterdir()):
            archive.write(file, file.name)
    run(capsys, tmp_path, "onet", str(target))
    patched(target, 60, b"\x7f" * 30, mark=b"Occupation Data.txt")
    said = run(capsys, tmp_path, "onet", str(target), code=3)[2]
    assert f"{target}/Occupation Data.txt" in said


@pytest.mark.parametrize("name", ["none", "none.zip"])
@pytest.mark.parametrize("taxonomy", ["onet", "esco"])
def test_a_release_that_is_not_there_is_named(capsys, tmp_path, taxonomy, name):
    said = run(capsys, tmp_path, taxonomy, str(tmp_path / name), code=3)[2]
    assert f"'{tmp_path / name}' does not exist" in said
    assert "give the folder or the ZIP of the release" in said


def test_a_release_without_a_file_or_with_another_encoding_says_so(capsys, tmp_path):
    folder = esco_release(tmp_path / "esco", "official")
    occupations = folder / "occupations_en.csv"
    good = occupations.read_bytes()
    occupations.write_bytes(good.replace(b"They nurse", b"Th\xe9y nurse"))
    said = run(capsys, tmp_path, "esco", str(folder), code=3)[2]
    assert f"{occupations}:2: column 'description': byte 0xE9 is not utf-8" in said
    occupations.write_bytes(good.replace(b"iscoGroup", b"group"))
    said = run(capsys, tmp_path, "esco", str(folder), code=3)[2]
    assert f"{occupations}:1: no column 'iscoGroup'" in said
    occupations.write_bytes(good.replace(b",", b";"))
    assert "set `delimiter`" in run(capsys, tmp_path, "esco", str(folder), code=3)[2]
    occupations.unlink()
    said = run(capsys, tmp_path, "esco", str(folder), code=3)[2]
    assert "has no file 'occupations_en.csv'; it has occupationSkillRelations_en.csv, skills_en.csv" in said


@pytest.mark.parametrize(
    ("name", "line", "where"),
    [
        ("Occupation Data.txt", "51-3011.00\tCooks\tThey cook.", "5: column 'O*NET-SOC Code': '51-3011.00' stands"),
        ("Occupation Data.txt", "35-2014.00\t\tThey cook.", "5: column 'Title': must hold a word"),
        ("Occupation Data.txt", "\tCooks\tThey cook.", "5: column 'O*NET-SOC Code': must hold a word"),
        ("Task Statements.txt", "51-3011.00\tBakers\t011\tTask.", "20: column 'Task ID': '011' stands in row 2"),
        ("Task Statements.txt", "51-3011.00\tBakers\t99\t ", "20: column 'Task': must hold a word"),
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
        ("official", "occupations_en.csv", "http://x/o2,2221, ,,", "4: column 'preferredLabel': must hold a word"),
        ("official", "occupations_en.csv", "{uri}/occupation/o1,1,cook,,", "4: column 'conceptUri': '{uri}/occ"),
        ("official", "skills_en.csv", "{uri}/skill/s2,,", "4: column 'preferredLabel': must hold a word"),
        ("official", "skills_en.csv", "{uri}/skill/s1,again,", "4: column 'conceptUri': '{uri}/skill/s1' stands"),
        ("tabiya", "skills.csv", "{uri}/skill/s2,k2,again,", "4: column 'ID': 'k2' stands in row 2"),
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
    assert "occupations.csv:1: no column 'ID'" in run(capsys, tmp_path, "esco", str(folder), code=3)[2]


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
    tuned = Run(tmp_path / "tuned", {"inputs": {}, "attributions": []})
    for name, path in {"pairs": folder / "pairs.parquet", "again": folder, "other": release}.items():
        tuned.add_input(name, path)
    assert tuned.manifest["attributions"] == [dict(vars(onet.source("29.3")))]
    estimate = {"value": 0.5, "interval": [0.4, 0.6]}
    metrics = {
        "parameters": {"trainable": 1, "all": 2}, "pairs": 3, "metric": "ndcg@10", "task": "dev", "verdict": "better",
        "base": estimate, "tuned": estimate, "difference": estimate,
    }  # fmt: skip
    card = _model_card(FinetuneConfig(), metrics, tuned)
    assert f"* {onet.source('29.3').attribution} <https://www.onetcenter.org/database.html>" in card
    bare = Run(tmp_path / "bare", {"inputs": {"pairs": {"sha256": ""}}, "attributions": []})
    assert "## Training data" not in _model_card(FinetuneConfig(), metrics, bare)


def test_a_release_with_a_hole_says_where(capsys, tmp_path, release):
    titles = release / "Alternate Titles.txt"
    good = titles.read_text()
    titles.write_text(good + "11-1011.00\tshort row\n")
    said = run(capsys, tmp_path, "onet", str(zipped(release)), code=3)[2]
    assert "db_29_3_text/Alternate Titles.txt:17: column 'Alternate Title': the row has 2 cells, the header 5" in said
    titles.write_text(good.replace("Alternate Title\t", "Other\t"))
    assert (
        "Alternate Titles.txt:1: no column 'Alternate Title'" in run(capsys, tmp_path, "onet", str(release), code=3)[2]
    )
    titles.unlink()
    assert "has no file 'Alternate Titles.txt'" in run(capsys, tmp_path, "onet", str(release), code=3)[2]


MAPPED = "columns={anchor: title, positive: text, group: job, anchor_id: id}"


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    file = tmp_path / "jobs.csv"
    file.write_text(
        "title,text,job,id\nNurse,Cares,j1,1\nBaker,Bakes,j2,2\nNurse,Cares,j1,1\nsecret words,,j3,3\n"
        "Cook,Cooks,j4,2\nDriver,Drives\nWaiter,Serves,j5,5\n",
        encoding="utf-8",
    )
    return file


def test_bad_rows_are_listed_and_good_ones_are_kept(capsys, tmp_path, jobs):
    earlier, _, _ = run(capsys, tmp_path, "table", str(jobs), "--set", MAPPED, "--set", "max_rejected=3")
    before = sha256(earlier / "pairs.parquet")
    _, _, said = run(capsys, tmp_path, "table", str(jobs), "--set", MAPPED, code=3)
    assert (
        f"{jobs}:5: column 'text': must be a text that is not empty, found a blank one (3 rows were rejected)" in said
    )
    assert "accept that with `--set max_rejected=3`" in said
    (later,) = [path for path in (tmp_path / "runs" / "data-import-table").iterdir() if path != earlier]
    assert [pair.anchor for pair in read_pairs(later)] == ["Nurse", "Baker", "Waiter"]
    rejected = [json.loads(line) for line in (later / "rejected.jsonl").read_text().splitlines()]
    assert sorted((row["number"], row["column"]) for row in rejected) == [(5, "text"), (6, "id"), (7, "job")]
    assert {"its id stands for another text in row 3"} < {row["reason"] for row in rejected}
    assert "secret" not in (later / "rejected.jsonl").read_text() + (later / "log.txt").read_text()
    assert json.loads((later / "manifest.json").read_text())["status"] == "failed"
    assert sha256(earlier / "pairs.parquet") == before


def test_repeated_pairs_are_left_out_and_counted(capsys, tmp_path, jobs):
    _, metrics, _ = run(capsys, tmp_path, "table", str(jobs), "--set", MAPPED, "--set", "max_rejected=3")
    assert metrics == {"rows": 7, "pairs": 3, "repeated": 1, "rejected": 3}


def test_a_clean_table_has_no_file_of_rejects_and_a_kind(capsys, tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text('{"anchor": "a", "positive": "b"}\n', encoding="utf-8")
    words = ["--set", "columns={}", "--set", "kind=mine"]
    folder, _, _ = run(capsys, tmp_path, "table", str(file), *words)
    assert [(p.anchor, p.kind) for p in read_pairs(folder)] == [("a", "mine")]
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml", "log.txt", "manifest.json", "metrics.json", "pairs.parquet",
    ]  # fmt: skip


def simple(capsys, tmp_path: Path, file: Path, *words: str, code: int = 0):
    """Import a table of `a` and `b`; give the newest run folder, what it rejected, and what it said."""
    before = set((tmp_path / "runs").rglob("manifest.json"))
    columns = "columns={anchor: a, positive: b, anchor_id: id, group: g, kind: k}"
    _, _, said = run(capsys, tmp_path, "table", str(file), "--set", columns, *words, code=code)
    (manifest,) = set((tmp_path / "runs").rglob("manifest.json")) - before
    rejected = manifest.parent / "rejected.jsonl"
    lines = rejected.read_text(encoding="utf-8").splitlines() if rejected.exists() else []
    return manifest.parent, [tuple(json.loads(line).values()) for line in lines], said


ROWS = [{"a": f"title {n}", "b": f"text {n}", "id": str(n), "g": "x", "k": "title"} for n in range(5)]


def test_every_format_gives_the_same_pairs(capsys, tmp_path):
    table(tmp_path / "t.csv", "a|b|id|g|k", ["|".join(row.values()) for row in ROWS], ",")
    table(tmp_path / "t.tsv", "a|b|id|g|k", ["|".join(row.values()) for row in ROWS])
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress((tmp_path / "t.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    (tmp_path / "hub").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "hub" / "train.parquet")
    found = set()
    for name in ("t.csv", "t.tsv", "t.jsonl", "t.jsonl.gz", "t.parquet", "hub"):
        columns = "columns={anchor: a, positive: b, anchor_id: id, group: g, kind: k}"
        source = f"hf:{tmp_path / name}" if name == "hub" else str(tmp_path / name)
        folder, metrics, _ = run(capsys, tmp_path, "table", source, "--set", columns)
        found.add(sha256(folder / "pairs.parquet"))
        assert metrics["pairs"] == 5
        inputs = json.loads((folder / "manifest.json").read_text())["inputs"]
        assert name == "hub" or inputs["table"]["sha256"] == sha256(tmp_path / name)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("t.csv", b"a,b\nx,y\nx2,caf\xe9\nx3,y3\n", (3, "b")),
        ("t.csv", b'a,b\nx,y\nx2,"y"2\nx3,y3\n', (3, "b")),
        ("t.csv", b"a,b\nx,y\nx2\nx3,y3\n", (3, "b")),
        ("t.csv", b"a,b\nx,y\n" + b"z" * (5 * 2**20) + b",y2\nx3,y3\n", (3, "a")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x2", "b": }\n{"a": "x3", "b": "y3"}\n', (2, "b")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"b": "y2"}\n{"a": "x3", "b": "y3"}\n', (2, "a")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"a": "\\ud800", "b": "y2"}\n{"a": "x3", "b": "y3"}\n', (2, "a")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x\\u0000", "b": "y2"}\n{"a": "x3", "b": "y3"}\n', (2, "a")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x2", "b": "y2", "g": 1.5}\n{"a": "x3", "b": "y3"}\n', (2, "g")),
    ],
)
def test_a_broken_row_is_listed_and_the_others_are_kept(capsys, tmp_path, name, content, where):
    file = tmp_path / name
    file.write_bytes(content)
    words = ["--set", "columns={anchor: a, positive: b, group: null}"] if name == "t.csv" else []
    folder, rejected, said = simple(capsys, tmp_path, file, *words, code=3)
    assert [pair.anchor for pair in read_pairs(folder)] == ["x", "x3"]
    assert [row[:2] for row in rejected] == [where]
    assert f"{file}:{where[0]}: column '{where[1]}': {rejected[0][2]}" in said
    kept, again, _ = simple(capsys, tmp_path, file, *words, "--set", "max_rejected=1")
    assert sha256(kept / "pairs.parquet") == sha256(folder / "pairs.parquet")
    assert again == rejected


def test_an_id_of_two_texts_names_row_and_column_and_keeps_the_first(capsys, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b,id,g,k\nNurse,Cares,1,,\nBaker,Bakes,1,,\nNurse,Nurses,1,,\n", encoding="utf-8")
    folder, rejected, said = simple(capsys, tmp_path, file, code=3)
    assert rejected == [(3, "id", "its id stands for another text in row 2")]
    assert f"{file}:3: column 'id': its id stands for another text in row 2" in said
    assert [(pair.anchor, pair.positive) for pair in read_pairs(folder)] == [("Nurse", "Cares"), ("Nurse", "Nurses")]


def test_a_rejected_row_does_not_make_a_good_one_a_repeat(capsys, tmp_path):
    """Row 3 goes for its id; row 4 says the same without an id and is the only one left to say it."""
    file = tmp_path / "t.csv"
    lines = ["a,b,id,g,k", "Nurse,Cares,1,,", "Baker,Bakes,1,,", "Baker,Bakes,,,", "Baker,Bakes,,,"]
    file.write_text("\n".join(lines), encoding="utf-8")
    folder, rejected, _ = simple(capsys, tmp_path, file, "--set", "max_rejected=1")
    assert [row[0] for row in rejected] == [3]
    assert [pair.anchor for pair in read_pairs(folder)] == ["Nurse", "Baker"]
    assert json.loads((folder / "metrics.json").read_text()) == {"rows": 4, "pairs": 2, "repeated": 1, "rejected": 1}


def test_the_same_texts_of_another_group_or_kind_are_no_repeat(capsys, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b,id,g,k\nx,y,,1,\nx,y,,2,\nx,y,,1,other\nx,y,,1,\ny,x,,1,\n", encoding="utf-8")
    folder, _, _ = simple(capsys, tmp_path, file, "--set", "kind=mine")
    assert [(pair.anchor, pair.group, pair.kind) for pair in read_pairs(folder)] == [
        ("x", "1", "mine"), ("x", "2", "mine"), ("x", "1", "other"), ("y", "1", "mine"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"a;b;id;g;k\n1;x;;;\n", "t.csv:1: no column 'a'"),
        ("t.csv", b"a,text,id,g,k\n1,x,,,\n", "t.csv:1: no column 'b'"),
        ("t.csv", b"a,b,id,g,k,caf\xe9,caf\xe9\n", "t.csv:1: column 6 of the header: byte 0xE9 is not utf-8"),
        ("t.csv", b"a,b,id,g,k\n", "t.csv: no row to import"),
        ("t.csv", b"", "t.csv is empty"),
        ("t.jsonl", b"", "t.jsonl: no row to import"),
        ("t.jsonl", b'{"x": 1}\n', "t.jsonl:1: column 'a': is missing"),
        ("t.xlsx", b"PK", "the ending '.xlsx' says no known format"),
        ("t.csv.gz", gzip.compress(b"a,b,id,g,k\n" * 99)[:40], "is not a whole gzip file"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_one_sentence(capsys, tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    folder, _, said = simple(capsys, tmp_path, file, code=3)
    assert message in said
    assert said.count("hrembed: error:") == 1
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "failed"
    assert message in manifest["error"]
    assert not [path for path in folder.iterdir() if "part" in path.name or "unchecked" in path.name]


def test_a_table_of_many_batches_keeps_its_order(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("hrembed.data.repeats._WAITING", 1000)
    file = tmp_path / "t.csv"
    lines = ["a,b,id,g,k", *(f"title {n % 20_003},text {n % 20_003},{n % 20_003},g{n % 7},k" for n in range(45_000))]
    file.write_text("\n".join(lines), encoding="utf-8")
    folder, _, _ = simple(capsys, tmp_path, file)
    pairs = read_pairs(folder)
    expected = dict.fromkeys((f"title {n % 20_003}", f"g{n % 7}") for n in range(45_000))
    assert [(pair.anchor, pair.group) for pair in pairs] == list(expected)


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves one body; knows ranges; may end early once."""

    body, ranges, cut = b"x" * 500_000, True, 0
    asked: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        beyond = start >= len(self.body)
        self.send_response(404 if "missing" in self.path else 416 if beyond else 206 if start else 200)
        self.send_header("Content-Length", str(0 if beyond else len(self.body) - start))
        self.end_headers()
        self.wfile.write(self.body[start : self.cut or None])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server():
    handler = type("Handler", (_Server,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{served.server_port}/db.zip"
        served.shutdown()


def test_a_broken_download_is_resumed(server, tmp_path):
    handler, url = server
    target = tmp_path / "new" / "db.zip"
    handler.cut = 200_000
    with pytest.raises(DataError, match="cannot be fetched") as caught:
        download(url, target, Silent())
    assert f"fetch {url} with a browser, put it at '{target}'" in caught.value.hint
    assert not target.exists()
    handler.cut = 0
    download(url, target, Silent())
    assert target.read_bytes() == handler.body
    assert handler.asked == [None, "bytes=200000-"]
    handler.ranges = False
    target.with_name("db.zip.part").write_bytes(b"old")
    download(url, target, Silent())
    assert target.read_bytes() == handler.body


def test_no_network_and_no_file_say_what_to_fetch(capsys, tmp_path, server, monkeypatch):
    _, url = server
    for address in ("http://127.0.0.1:9/db.zip", url.replace("db", "missing")):
        monkeypatch.setattr(onet, "download_url", lambda release, address=address: address)
        said = run(capsys, tmp_path, "onet", "--set", f"downloads={tmp_path}/none", code=3)[2]
        assert f"'{address}' cannot be fetched" in said
        assert f"put it at '{tmp_path}/none/db_29_3_text.zip'" in said


def test_a_part_that_is_no_beginning_is_fetched_anew(server, tmp_path):
    handler, url = server
    (tmp_path / "db.zip.part").write_bytes(b"y" * 600_000)
    download(url, tmp_path / "db.zip", Silent())
    assert (tmp_path / "db.zip").read_bytes() == handler.body
    assert handler.asked == ["bytes=600000-", None]
    assert [path.name for path in tmp_path.iterdir()] == ["db.zip"]


def test_a_second_break_loses_nothing_of_the_first(server, tmp_path):
    handler, url = server
    target = tmp_path / "db.zip"
    for size in (100_000, 350_000):
        handler.cut = size
        with pytest.raises(DataError, match=f"the connection ended after {size:,} of 500,000 bytes"):
            download(url, target, Silent())
        assert (tmp_path / "db.zip.part").stat().st_size == size
    handler.cut = 0
    download(url, target, Silent())
    assert target.read_bytes() == handler.body
    assert handler.asked == [None, "bytes=100000-", "bytes=350000-"]


class _Told(Silent):
    """Remembers the bar."""

    def __init__(self) -> None:
        self.total, self.done = 0, 0

    @contextmanager
    def bar(self, label: str, total: int):
        self.total = total

        def advance(steps: int, note: str) -> None:
            self.done += steps

        yield advance


def test_a_download_shows_how_far_it_is(server, tmp_path):
    _, url = server
    (tmp_path / "db.zip.part").write_bytes(b"x" * 200_000)
    told = _Told()
    download(url, tmp_path / "db.zip", told)
    assert told.total == 500
    assert 495 <= told.done <= 500


def test_without_a_source_the_release_is_downloaded_once_and_hashed(capsys, tmp_path, release, server, monkeypatch):
    handler, url = server
    handler.body = zipped(release).read_bytes()
    monkeypatch.setattr(onet, "download_url", lambda release: url)
    words = ["onet", "--set", f"downloads={tmp_path}/loads"]
    target = tmp_path / "loads" / "db_29_3_text.zip"
    for _ in range(2):
        folder, metrics, _ = run(capsys, tmp_path, *words)
        inputs = json.loads((folder / "manifest.json").read_text())["inputs"]
        assert inputs["release"] == {"path": str(target), "sha256": sha256(release.with_name(f"{release.name}.zip"))}
        assert metrics["pairs"] > 100
    assert len(handler.asked) == 1


def test_a_download_that_cannot_be_written_says_so(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HrembedError, match=r"cannot write '.*file/db\.zip'"):
        download(server[1], tmp_path / "file" / "db.zip", Silent())


def test_the_address_is_that_of_the_release():
    assert onet.download_url("30.1") == "https://www.onetcenter.org/dl_files/database/db_30_1_text.zip"


def test_the_runs_folder_may_be_relative(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.jsonl").write_text('{"anchor": "a", "positive": "b"}\n', encoding="utf-8")
    assert main(["data", "import", "table", "t.jsonl", "--set", "columns={}", "--quiet"]) == 0
    assert len(read_pairs(Path(capsys.readouterr().out.strip()))) == 1
