"""How much of what people write into a CV is found, and how little else."""

# ruff: noqa: RUF001  (labels in other scripts)
from __future__ import annotations

import json
import logging
import re
import unicodedata
from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from anonymising import anonymise, metrics
from hrembed.commands.data.anonymise import scan
from hrembed.config.data import PersonalSection
from hrembed.data.personal import Finding
from hrembed.progress import Silent
from places import HR_CORE

from build_hr_core import read_occupations
from conftest import SHARED
from hr_core_texts import compose_profile

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger(__name__)

# Written the way people write them, without looking at the rules. `#` is a digit, `%` one from 2 to 9; where only a
# part is personal data, it stands between « and ».
SHAPES = {
    "phone": [
        # United States
        "({us}) %##-####", "{us}-%##-####", "{us}.%##.####", "{us} %##-####", "+1 {us} %## ####", "+1-{us}-%##-####",
        "+1 ({us}) %##-####", "1-{us}-%##-####", "({us})%##-#### x###", "Cell: «{us}.%##.####»", "c: «{us}-%##-####»",
        "Phone «({us}) %##-####»", "+1{us}%######",
        # United Kingdom
        "07### ######", "07### ### ###", "07#########", "+44 7### ######", "+44 (0)7### ######", "+447#########",
        "020 7%## ####", "0161 %## ####", "01%## ######", "(0117) %## ####", "0044 7### ######", "Tel. «01223 ### ###»",
        "Mob: «07### ######»", "m: «07### ### ###»", "+44 20 7%## ####",
        # Germany
        "0151 ########", "0151/########", "0170-%## ## ##", "+49 151 ########", "+49 (0) 30 %######", "030 %######",
        "030/%## ## ##", "(030) %######", "0049 30 %######", "Mobil: «0176 / %## ### ##»", "Telefon: «089 %### ####»",
        "+49-171-%######", "Tel.: «06221 / 54-%###»",
        # France
        "06 ## ## ## ##", "06.##.##.##.##", "01-42-##-##-##", "+33 6 ## ## ## ##", "+33 (0)6 ## ## ## ##",
        "+336########",
        "Tél. : «06 ## ## ## ##»", "Portable : «07########»", "0033 6 ## ## ## ##", "06########",
        # India
        "+91 98### #####", "+91-98########", "098### #####", "Mob: «98########»", "Mobile No. «98### #####»",
        "+91 22 2%## ####", "Ph.: «080-2%## ####»", "(+91) 98########", "0091 98### #####",
        "Contact No. «98########»", "Contact Number: «9%### #####»", "my contact number is «{us} %## ## ##»",
        # Labels of other languages
        "Tlf.: «%# ## ## ##»", "Telefon komórkowy: «60# ### ###»", "Телефон: «8 (9##) ###-##-##»",
        "هاتف: «٠٥٠٧٧١٢٣٤٥»", "电话：«139 #### ####»", "携帯: «090-####-####»", "Puhelin «040 %## ####»",
    ],
    "email": [
        "{f}.{l}@gmail.com", "{f}{l}{n}@yahoo.com", "{F}.{L}@outlook.com", "{i}{l}@alumni.stanford.edu",
        "{f}_{l}@web.de",
        "{f}+jobs@{l}.dev", "{f}.{l}@mail.uni-heidelberg.de", "{f}-{l}@orange.fr", "{l}.{f}{n}@rediffmail.com",
        "contact@{f}{l}.co.uk", "E-Mail: «{f}.{l}@gmx.net»", "<«{f}@{l}.me»>", "mailto:«{f}@{l}.org»",
        "{F}{L}@ICLOUD.COM", "{f} (at) {l} (dot) com", "{f}.{l} [at] gmx [dot] de", "{f}.{l}(at)web.de",
        "{f} dot {l} at gmail dot com", "{f}.{l} @ hotmail.com", "email - «{f}.{l}@btinternet.com»",
        "{i}.{l}@nhs.example", "{f}{n}@protonmail.com", "{f}.{l}@müller-partner.de", "{f}_{n}@rocketmail.com",
        # Encoded, or spaced out
        "{f}.{l}&#64;web.de", "{f}{n}&commat;{l}.org", "{f}.{l}%40gmail.com", "{f}.{l}\u200b@gmx.net",
        "{f}{n}@{l} .com",
        "{f}{l}{n} @ aol . com", "{f}.{l}@<b>{l}</b>.org", "{f}(a){l}.org",
    ],
    "link": [
        "https://www.linkedin.com/in/{f}-{l}-{n}/", "linkedin.com/in/{f}{l}", "www.linkedin.com/in/{f}-{l}",
        "https://uk.linkedin.com/pub/{f}-{l}/{n}", "LinkedIn: «linkedin.com/in/{f}{l}»", "https://github.com/{f}{l}",
        "github.com/{i}{l}", "GitHub: «github.com/{f}-{l}»", "gitlab.com/{f}{l}", "http://www.{f}{l}.com",
        "www.{f}-{l}.de", "https://{f}{l}.io/portfolio?ref=cv", "https://www.xing.com/profile/{F}_{L}",
        "xing.com/profile/{F}_{L}{n}", "https://twitter.com/{f}_{l}", "x.com/{f}{l}", "facebook.com/{f}.{l}.{n}",
        "instagram.com/{f}.{l}", "https://stackoverflow.com/users/{n}/{f}-{l}", "behance.net/{f}{l}",
        "dribbble.com/{f}{l}", "medium.com/@{f}{l}", "https://orcid.org/0000-0002-18{n}-0097",
        "researchgate.net/profile/{F}_{L}", "bit.ly/3{i}{n}x", "kaggle.com/{f}{l}",
        "[my profile](«https://www.linkedin.com/in/{f}{l}»)", "{f}{l}.github.io", "https://{f}{l}.wordpress.com",
        "Portfolio: «{f}{l}.design»", "Website: «{f}-{l}.co.uk»", "youtube.com/@{f}{l}", "t.me/{f}{l}",
        "huggingface.co/{f}{l}", "Twitter: «@{f}{l}»", "https://scholar.google.com/citations?user={i}{n}AAJ",
        "codepen.io/{f}{l}",
    ],
    "birth-date": [
        "DOB: «{d:02}/{m:02}/{y}»", "D.O.B. «{d:02}.{m:02}.{y}»", "Date of birth: «{d} {month} {y}»",
        "Born «{month} {d}, {y}»", "date of birth - «{y}-{m:02}-{d:02}»", "Born on the «{d}th of {month} {y}»",
        "Birthday: «{month} {d}th, {y}»", "geb. «{d:02}.{m:02}.{y}»", "geboren am «{d}. März {y}» in Köln",
        "Geburtsdatum: «{d:02}.{m:02}.{y}»", "né le «{d:02}/{m:02}/{y}»", "née le «{d} avril {y}» à Lyon",
        "Date de naissance : «{d} mai {y}»", "Fecha de nacimiento: «{d} de marzo de {y}»", "DoB «{d}/{m}/{y2:02}»",
        "born in Pune on «{d} {month} {y}»", "Date of Birth : «{d:02}-{month3}-{y}»", "Year of birth: «{y}»",
    ],
    "name": [
        "{F} {L}", "{F} {I}. {L}", "{FU} {LU}", "Dr. {F} {L}", "{F} {LU}", "{F}-{F2} {L}", "Name: «{F} {L}»",
        "Full name: «{F} {L}»", "Name: «{FL} {LL}»", "Candidate: «{F} {L}»", "«{F} {L}», MSc", "Mrs {F} van {L}",
        "{L}, {F}", "{LU}, {F} {I}.", "Name: «{L}, {F}»", "«{F} {L}» (she/her)", "«{F} {L}» | Consultant",
        "<h1>«{F} {L}»</h1>", "<b>Name:</b> «{F} {L}»",
    ],
}  # fmt: skip
# What looks like personal data and is none.
DECOYS = [
    "order no. 0#########",
    "invoice 03########",
    "ticket no. 04########",
    "SKU 0812######",
    "ref. no. 07########",
    "Bestellnummer 05########",
    "batch 2021%%##-11##",
    "part no. 98########",
    "bug 1#######",
    "April and May 2019",
    "March 2018 to April 2021",
    "2015 - 2019",
    "%# 000 000 rows",
    "Windows 10 build 19042.1083",
    "ISO 9001:2015",
    "SAP S/4HANA 1909 2020",
    "EN 60601-1 2005 2012",
    "ports 8080, 8443 and 50000",
    "Team_Lead @ Booking.com",
    "rated 4.5 @ 12 clients",
    "a split of 50%40",
    "Microsoft Azure",
    "€ 45 000 - 60 000",
    "call centre 2015-2019",
    "phone support for 1200 users",
    "mobile apps since 2012",
    "contact with 12 teams",
    "v%.#.####.####",
    "Galaxy S10 2022",
]
DECOY_LINES = [
    "Microsoft Azure | Cloud",
    "Power BI (advanced)",
    "March, April",
    "April May",
    "Leeds, England",
    "Austin, TX",
    "Docker, Kubernetes",
    "Name | Title",
    "Registered Nurse | Leeds",
    "Senior Java Developer - Remote",
]
AREAS = ["212", "415", "312", "617", "303", "206", "713", "404"]
MONTHS = re.findall(r"\w+", "January February March April May June July August September October November December")
FIRST = re.findall(
    r"\S+",
    "Emma Oliver Priya Rahul Sophie Lukas Anna Jürgen Camille Élodie Mateo Lucía Siobhán Kwame Aisha Fatima Wei "
    "Yuki Olga Dmitri Hannah Jamal Ingrid Noah Leila Tomasz Zoë Grace Mark Rose Amit Lakshmi",
)
LAST = re.findall(
    r"\S+",
    "Müller Okafor Raman Sharma Schneider Dubois Lefèvre García O'Brien McKenzie Nguyen Tanaka Ivanova "
    "Petrov Johansson Iyer Kowalski Patel Hassan Obi Fernández Andersson Novak Weiß Baker Hunter Cook Brown "
    "Smith-Jones D'Souza",
)


def invent(type_: str, rng: Random) -> str:
    """Write one piece of personal data the way its owner would, with «type¦ and » around what is personal."""
    first, second, last, month = rng.choice(FIRST), rng.choice(FIRST), rng.choice(LAST), rng.randrange(12)
    low, low_last = (
        re.sub("[^a-z]", "", unicodedata.normalize("NFKD", part.lower()).replace("ß", "ss")) for part in (first, last)
    )
    text = rng.choice(SHAPES[type_]).format(
        us=rng.choice(AREAS), f=low, l=low_last, i=low[0], n=rng.randrange(10, 99), d=rng.randint(4, 28), m=month + 1,
        F=first if type_ == "name" else low.title(), L=last if type_ == "name" else low_last.title(), F2=second,
        I=second[0], FU=first.upper(), LU=last.upper(), FL=first.lower(), LL=last.lower(), y=rng.randint(1955, 2004),
        y2=rng.randint(55, 99), month=MONTHS[month], month3=MONTHS[month][:3],
    )  # fmt: skip
    if type_ == "phone":
        text = re.sub("[#%]", lambda match: str(rng.randint(2 if match.group() == "%" else 0, 9)), text)
    return (text if "«" in text else f"«{text}»").replace("«", f"«{type_}¦")


def plant(profile: str, types: list[str], rng: Random) -> str:
    """Put pieces into a profile: a name on top; the others in a line of contact, between sentences or words."""
    pieces = [invent(type_, rng) for type_ in types if type_ != "name"]
    where = rng.choice(["line", "sentences", "words"])
    if where == "line":
        line = rng.choice([" | ", ", ", " - ", "\n", "; ", " \u2022 "]).join(pieces)
        profile = f"{line}\n{profile}" if rng.random() < 0.6 else f"{profile}\n{line}"
    else:
        marks = [m.end() for m in re.finditer(r"(?<=\.) " if where == "sentences" else r"(?<=[a-z]) ", profile)]
        for at in sorted(rng.sample(marks, min(len(pieces), len(marks))), reverse=True):
            profile = f"{profile[:at]}{pieces.pop()}{rng.choice(['. ', ' ', ', ', '; '])}{profile[at:]}"
    return invent("name", rng) + "\n" + profile if "name" in types else profile


def unmarked(marked: str) -> tuple[str, list[Finding]]:
    """Take the marks out, and say what stood where."""
    text, planted = "", []
    for part in re.split("(«[^»]*»)", marked):
        type_, mark, value = part.strip("«»").partition("¦")
        if mark:
            planted.append(Finding(type_, len(text), len(text) + len(value)))
        text += value if mark else part
    return text, planted


@pytest.fixture(scope="module")
def profiles() -> list[str]:
    """A thousand profiles of all occupations and registers of the shipped corpus."""
    rng = Random("profiles")
    occupations = read_occupations(HR_CORE / "source" / "families")
    return [
        compose_profile(rng.choice(occupations), rng.choice(["train", "dev", "test"]), rng) for _ in range(1000)
    ]  # fmt: skip


SEEDS = ["one", pytest.param("two", marks=pytest.mark.slow)]


def write(path: Path, texts: list[str]) -> Path:
    path.write_text(
        "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(texts)), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("seed", SEEDS)
def test_what_people_write_into_profiles_is_found_and_other_rows_stay_as_they_are(tmp_path, profiles, seed):
    """Prints what `docs/personal-data.md` says: `pytest --log-cli-level=INFO -k what_people_write`."""
    rng = Random(seed)
    rows: list[tuple[str, list[Finding]]] = []
    for profile in profiles:
        types = [type_ for type_ in SHAPES if rng.random() < 0.5]
        rng.shuffle(types)
        rows.append(unmarked(plant(profile, types, rng)))
    source = write(tmp_path / "planted.jsonl", [text for text, _ in rows])
    run = anonymise(source)
    found: dict[int, list[Finding]] = {n: [] for n in range(1, 1001)}
    for row in pq.read_table(run / "findings.parquet").to_pylist():
        found[row["row"]].append(Finding(row["type"], row["start"], row["end"]))

    before, after = (path.read_bytes().split(b"\n") for path in (source, run / "planted.jsonl"))
    clean = [n for n, (_, planted) in enumerate(rows) if not planted]
    assert len(clean) > 20
    assert all(before[n] == after[n] and not found[n + 1] for n in clean)

    planted, covered, exact = Counter(), Counter(), 0
    for n, (text, pieces) in enumerate(rows, start=1):
        exact += found[n] == pieces
        for piece in pieces:
            planted[piece.type] += 1
            hit = any(f.type == piece.type and f.start <= piece.start and piece.end <= f.end for f in found[n])
            covered[piece.type] += hit
            if not hit:
                LOG.info("missed %s: %r", piece.type, text[max(0, piece.start - 12) : piece.end + 12])
    recall = {type_: covered[type_] / planted[type_] for type_ in SHAPES}
    LOG.info("seed %s: %s recall %s, rows found to the letter %.3f", seed, dict(planted), recall, exact / len(rows))
    assert min(planted.values()) > 400
    assert all(recall[type_] >= 0.98 for type_ in ("email", "phone", "link", "birth-date"))
    assert recall["name"] >= 0.9  # names made of ordinary words ("Mark Cook") are missed by design
    assert exact >= 0.9 * len(rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_little_is_found_in_what_only_looks_like_personal_data(tmp_path, profiles, seed):
    """Prints what `docs/personal-data.md` says: `pytest --log-cli-level=INFO -k only_looks_like`."""
    rng, texts = Random(seed), []
    for profile in profiles:
        decoys = [
            re.sub("[#%](?!0)", lambda match: str(rng.randint(2 if match.group() == "%" else 0, 9)), decoy)
            if "50%" not in decoy
            else decoy
            for decoy in rng.sample(DECOYS, 3)
        ]
        line = rng.choice([" | ", ", ", "; "]).join(decoys)
        texts.append(f"{rng.choice(DECOY_LINES)}\n{profile}\n{line}" if rng.random() < 0.5 else f"{profile}\n{line}")
    run = anonymise(write(tmp_path / "decoys.jsonl", texts))
    for row in pq.read_table(run / "findings.parquet").to_pylist():
        text = texts[row["row"] - 1]
        LOG.info("taken for a %s: %r", row["type"], text[max(0, row["start"] - 20) : row["end"] + 12])
    LOG.info("seed %s: %d findings among 3,000 pieces and %d lines", seed, metrics(run)["findings"], len(DECOY_LINES))
    assert metrics(run)["findings"] <= 30  # 1 in 100


def test_nothing_is_found_in_a_thousand_clean_profiles(tmp_path, profiles):
    source = write(tmp_path / "clean.jsonl", profiles)
    run = anonymise(source)
    assert (run / "clean.jsonl").read_bytes() == source.read_bytes()
    assert metrics(run)["findings"] == 0
    assert metrics(run)["rows"] == 1000


@pytest.mark.parametrize("file", sorted(HR_CORE.rglob("*.jsonl")), ids=lambda path: str(path.relative_to(HR_CORE)))
def test_nothing_is_found_in_the_shipped_corpus(tmp_path, file):
    found = scan(
        file,
        ("text", "title", "anchor", "positive"),
        PersonalSection(regions=("US", "GB", "DE", "FR", "IN")),
        tmp_path / "f.parquet",
        Silent(),
    )
    assert found.rows > 0
    assert found.findings == 0, found.types


def tables() -> list[tuple[str, list[str]]]:
    return [
        ("onet/Task Statements.txt", ["Task"]),
        ("onet/Occupation Data.txt", ["Title", "Description"]),
        ("onet/Technology Skills.txt", ["Example"]),
        ("esco/occupations.csv", ["PREFERREDLABEL", "ALTLABELS", "DESCRIPTION", "DEFINITION"]),
        ("esco/ISCOGroups.csv", ["PREFERREDLABEL", "DESCRIPTION"]),
    ]


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("name", "fields"), tables(), ids=lambda value: value if isinstance(value, str) else "")
def test_almost_nothing_is_found_in_taxonomies(tmp_path, name, fields):
    """What remains is a web address that ESCO writes out in a definition."""
    found = scan(SHARED / "data" / name, fields, PersonalSection(), tmp_path / "f.parquet", Silent())
    LOG.info("%s: %d rows, %s", name, found.rows, found.types)
    assert {type_ for type_, counts in found.types.items() if counts.count} <= {"link"}
    assert found.findings == (1 if "esco/occ" in name else 0)
