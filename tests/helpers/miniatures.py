"""Taxonomies in miniature, and the import of them from the command line."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

from hrembed.cli.app import main

CODES = {"11-1011.00": "Chief Executives", "29-1141.00": "Registered Nurses", "51-3011.00": "Bakers"}


def table(path: Path, header: str, rows: list[str], mark: str = "\t") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *rows]
    path.write_text("\n".join(line.replace("|", mark) for line in lines) + "\n", encoding="utf-8")


def onet_release(place: Path) -> Path:
    """Three occupations; "Team Leader" and one tool belong to all."""
    folder, code = place / "db_29_3_text", "O*NET-SOC Code"
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


def run_import(capsys, tmp_path: Path, *words: str, code: int = 0) -> tuple[Path, dict, str]:
    assert main(["data", "import", *words, "--runs-dir", str(tmp_path / "runs"), "--json"]) == code
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    if code:
        return Path(), {}, shown.err
    result = json.loads(shown.out)
    return Path(result["run"]), result["metrics"], shown.err


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
