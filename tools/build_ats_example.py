"""Build `data/ats-example`: `python tools/build_ats_example.py data/ats-example data/hr-core`.

An export as an applicant-tracking system writes it, with its usual faults, of a company and people who do not exist.
Ads and résumés are composed of sentences of hr-core's training side, so no text of its development and test sides
occurs. The same sources give byte-equal files on every machine.
"""

from __future__ import annotations

import csv
import html
import io
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from hrembed.files import write_text

from build_hr_core import read_occupations, split_occupations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hr_core_texts import Occupation

SEED = "ats-example 1"
OCCUPATIONS, ADS, CANDIDATES = 48, 60, 300
COMPANY = "Harrow & Finch"


def _words(text: str) -> list[str]:
    return text.split()


WOMEN = _words(
    "Abigail Adaeze Aisha Amelie Anjali Astrid Beatriz Brigid Camille Carmen Chioma Clara Delia Edda Elif Esme Farida "
    "Fiona Hana Imogen Jovana Keiko Latoya Leila Lucinda Maeve Marisol Mei Mireille Nadia Nokuthula Odette "
    "Paloma Priya Renata Rosalind Saoirse Shanice Sunniva Tamsin Thandi Ursula Valentina Wanjiru Xiulan Yasmin Zofia"
)
MEN = _words(
    "Abdul Adrian Alasdair Anders Arjun Basil Benedikt Callum Cedric Chidi Damian Darnell Dmitri Emeka Enrique Fergus "
    "Florian Gareth Giorgos Hamish Hiroshi Ivo Jamal Jarek Joaquin Kofi Leandro Lorcan Malik Marek Mateo Nikhil "
    "Olamide Osman Pascal Rafael Rohan Ruairi Sanjay Stellan Tadeusz Tariq Terrell Thabo Umberto Viktor Wesley Youssef"
)
SURNAMES = _words(
    "Abernathy Adeyemi Albescu Amadi Arrowsmith Aydin Banerjee Bexley Blomqvist Bracewell Castellanos Chaudhry "
    "Coverdale Dabrowski Delacroix Dlamini Dunmore Eastwick Ekwueme Ellerby Farrukh Fennimore Fitzgarrick Gallowglass "
    "Ghorbani Grindrod Haddad Halvorsen Hawksworth Ibarra Iyengar Jagger Jaworski Kamara Kettlewell Kowalczyk Lachance "
    "Langstaffe Lindqvist Mahlangu Marchetti Mbeki Merriweather Nakagawa Netherby Nwosu Oakhampton Okafor Oduya "
    "Pemberley Petrosyan Quintero Ravensdale Rasmussen Sandoval Satterthwaite Shenoy Stavros Szymanski Tachibana "
    "Thistlewood Uchida Underhay Valverde Vandermeer Wakefern Whitlock Xiong Yardley Zambrano Zielinski"
)
STREETS = _words("Alder Beacon Cobbler Drover Elmfield Ferry Granary Harrier")
TOWNS = ("Leeds", "Bristol", "Cardiff", "Glasgow", "Norwich", "Boston", "Denver", "Portland", "Berlin", "Remote")
RACES = ("White", "Black or African American", "Asian", "Hispanic or Latino")
SHARES_OF_RACES = (0.5, 0.2, 0.17, 0.13)
SHORTLISTED = {"Female": 0.40, "Male": 0.46, "": 0.43}
"""Chance that a suitable person is shortlisted: a small difference is planted, so that the audit finds something."""


@dataclass(frozen=True)
class Ad:
    """A row of jobs, and the occupation behind it."""

    occupation: Occupation
    row: Mapping[str, str]


@dataclass(frozen=True)
class Person:
    """A row of candidates, and the occupation behind it."""

    occupation: Occupation
    row: Mapping[str, str]


def build(folder: Path, core: Path) -> Counter[str]:
    """Write `jobs.csv`, `candidates.csv` and `applications.csv`.

    Args:
        folder: Where they go.
        core: `data/hr-core`, with its sources.

    Returns:
        Number of rows written, by file.
    """
    occupations = read_occupations(core / "source" / "families")
    sides = split_occupations(occupations)
    rng = Random(SEED)
    chosen = rng.sample([o for o in occupations if sides[o.id] == "train"], OCCUPATIONS)
    ads, people = make_ads(chosen, rng), make_people(chosen, rng)
    tables: dict[str, list[Mapping[str, str]]] = {
        "jobs.csv": [ad.row for ad in ads],
        "candidates.csv": [person.row for person in people],
        "applications.csv": [*make_applications(ads, people, rng)],
    }
    for name, rows in tables.items():
        write_text(folder / name, as_csv(rows))
    return Counter({name: len(rows) for name, rows in tables.items()})


def as_csv(rows: Sequence[Mapping[str, str]]) -> str:
    """Write rows as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*rows[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def make_ads(occupations: Sequence[Occupation], rng: Random) -> list[Ad]:
    """An ad for each occupation, then second ads of some, and four jobs that were posted again with a word changed."""
    again = 4
    wanted = [*occupations, *rng.sample(occupations, ADS - again - len(occupations))]
    ads = [_ad(n, occupation, rng) for n, occupation in enumerate(wanted)]
    for n, ad in enumerate(rng.sample(ads[: len(occupations)], again), start=len(ads)):
        body = ad.row["Job Description"].replace("this month", "next month")
        ads.append(Ad(ad.occupation, {**ad.row, "Job ID": f"R-{1000 + n}", "Job Description": body}))
    return ads


def _ad(n: int, o: Occupation, rng: Random) -> Ad:
    title = o.title if rng.random() < 0.4 else rng.choice([*o.titles])
    manager = f"{rng.choice(WOMEN + MEN)} {rng.choice(SURNAMES)}"
    town = rng.choice(TOWNS)
    about = (
        f"{COMPANY} runs clinics, shops and workshops in nine towns.",
        f"You join a team of {rng.randint(4, 30)} at our {town} site.",
        f"{COMPANY} has grown from one office to nine, and we are hiring again.",
        "We pay fairly, train on the job and keep our rotas four weeks ahead.",
    )
    names = [name for name, _ in rng.sample([*o.skills], 4)]
    lines = rng.sample([*o.duties], 4)
    contact = (
        f"Questions? Write to {manager}, {_address(manager, 'harrow-finch.example')}, or call +44 20 7946 0{n + 100}. "
        "We close applications at the end of this month."
    )
    row = {
        "Job ID": f"R-{1000 + n}",
        "Job Title": title,
        "Department": o.family.replace("-", " ").capitalize(),
        "Location": town,
        "Hiring Manager": manager,
        "Job Description": _described(rng.choice(about), lines, names, o.qualification, contact, n),
        "Opened On": _day(rng, 0),
    }
    return Ad(o, row)


def _described(about: str, duties: Sequence[str], skills: Sequence[str], needed: str, contact: str, n: int) -> str:
    """Write an ad as HTML, as HTML with escaped tags, or plainly: two, one and one of every four."""
    if n % 4 == 3:
        lines = [about, "", *(f"- {duty}" for duty in duties), "", f"Skills: {', '.join(skills)}. {needed}", contact]
        return "\n".join(lines)
    listed = "".join(f"<li>{html.escape(duty)}</li>" for duty in duties)
    text = (
        f"<p><strong>About us</strong>&nbsp;{html.escape(about)}</p><h3>What you will do</h3><ul>{listed}</ul>"
        f"<p>Skills: <em>{html.escape(', '.join(skills))}</em>.<br>{html.escape(needed)}</p>"
        f"<p>{html.escape(contact)}</p>"
    )
    return html.escape(text) if n % 4 == 1 else text


def make_people(occupations: Sequence[Occupation], rng: Random) -> list[Person]:
    """People with résumés; the last three are in the table twice, and four have no résumé."""
    again = 3
    people: list[Person] = []
    names: set[str] = set()
    for n in range(CANDIDATES - again):
        gender = rng.choice(("Female", "Male"))
        first, last = "", ""
        while not first or f"{first} {last}" in names:
            first, last = rng.choice(WOMEN if gender == "Female" else MEN), rng.choice(SURNAMES)
        names.add(f"{first} {last}")
        people.append(_person(n, occupations[n % len(occupations)], first, last, gender, rng))
    for n, person in enumerate(rng.sample(people[50:], again), start=len(people)):
        text = person.row["Resume"].replace("Notice period: one month", "Notice period: two weeks")
        people.append(Person(person.occupation, {**person.row, "Candidate ID": f"C{5000 + n}", "Resume": text}))
    for n, nothing in zip(rng.sample(range(50), 4), ("", "", "N/A", " "), strict=True):
        people[n] = Person(people[n].occupation, {**people[n].row, "Resume": nothing})
    return people


def _person(n: int, o: Occupation, first: str, last: str, gender: str, rng: Random) -> Person:
    email = _address(f"{first} {last}", rng.choice(("mail.example", "post.example", "inbox.example")))
    phone = f"020 7946 0{rng.randint(100, 999)}" if rng.random() < 0.5 else f"(202) 555-01{rng.randint(10, 99)}"
    told = rng.random()
    row = {
        "Candidate ID": f"C{5000 + n}",
        "First Name": first,
        "Last Name": last,
        "Email": email,
        "Phone": phone,
        "Location": rng.choice(TOWNS),
        "Gender": gender if told < 0.86 else "Prefer not to say" if told < 0.95 else "",
        "Race/Ethnicity": rng.choices(RACES, SHARES_OF_RACES)[0] if told < 0.84 else "I don't wish to answer",
        "Resume": _resume(o, first, last, gender, email, phone, rng),
    }
    return Person(o, row)


def _resume(o: Occupation, first: str, last: str, gender: str, email: str, phone: str, rng: Random) -> str:
    """Write a résumé: the name on top, in a labelled line, or in the third person; some are HTML."""
    years = rng.randint(1, 24)
    done = rng.sample([*o.achievements], rng.choice((2, 3)))
    able = [phrase for _, phrase in rng.sample([*o.skills], 4)]
    employers = [
        f"{rng.choice(SURNAMES)} {rng.choice(('Group', 'Partners', 'Services', 'and Sons'))}" for _ in range(2)
    ]
    street = f"{rng.randint(2, 98)} {rng.choice(STREETS)} Lane"
    closing = rng.choice(("Notice period: one month.", "Available at once.", "References on request."))
    heads: Sequence[Callable[[], list[str]]] = (
        lambda: [f"{first} {last}", f"{street} | {phone} | {email}"],
        lambda: [f"Name: {first} {last}", f"E-mail: {email}", f"Telephone: {phone}"],
        lambda: [f"{last}, {first}", email],
        lambda: [f"{first} {last} ({'she/her' if gender == 'Female' else 'he/him'})", f"{email}, {phone}"],
        lambda: ["Curriculum vitae", f"{'Ms' if gender == 'Female' else 'Mr'} {last} can be reached at {email}."],
    )
    lines = [
        *rng.choice(heads)(),
        rng.choice(
            (
                f"{years} years in the trade, most recently with {employers[0]}.",
                f"{first} brings {years} years of experience, the last {min(years, 4)} of them at {employers[0]}.",
                f"Worked for {employers[0]} and {employers[1]} over {years} years.",
            )
        ),
        *done,
        f"Day to day: {able[0]}; {able[1]}; {able[2]}.",
        f"Also {able[3]}.",
        closing,
    ]
    if rng.random() < 0.1:
        return "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return "\n".join(lines)


def _address(name: str, host: str) -> str:
    return f"{'.'.join(name.lower().split())}@{host}"


def _day(rng: Random, after: int) -> str:
    return (date(2025, 1, 6) + timedelta(days=after + rng.randint(0, 240))).isoformat()


def make_applications(ads: Sequence[Ad], people: Sequence[Person], rng: Random) -> list[dict[str, str]]:
    """Let people apply to jobs of their occupation, of its neighbour, or to any; some rows point nowhere."""
    rows: list[dict[str, str]] = []
    for person in people:
        rows += [_application(person, ad, rng) for ad in _wanted(person, ads, rng)]
    rows += [
        {**row, "Applied On": _day(rng, 241), "Status": "Active", "Stage": "Application Review"}
        for row in rng.sample(rows, 2)
    ]
    for row, column, lost in zip(
        rng.sample(rows, 5),
        ("Candidate ID",) * 3 + ("Job ID",) * 2,
        ("C4901", "C4902", "C4903", "R-77", "R-78"),
        strict=True,
    ):
        rows.append({**row, column: lost})
    rng.shuffle(rows)
    return [{"Application ID": f"A{90_000 + n}", **row} for n, row in enumerate(rows)]


def _wanted(person: Person, ads: Sequence[Ad], rng: Random) -> list[Ad]:
    own = [ad for ad in ads if ad.occupation == person.occupation]
    near = [ad for ad in ads if ad.occupation.id == person.occupation.neighbour]
    chosen = {rng.choice(own).row["Job ID"]: True}
    for _ in range(rng.choice((0, 1, 2, 2))):
        draw = rng.random()
        pool = own if draw < 0.5 else near if draw < 0.65 and near else ads
        chosen[rng.choice(pool).row["Job ID"]] = True
    return [ad for ad in ads if ad.row["Job ID"] in chosen]


def _application(person: Person, ad: Ad, rng: Random) -> dict[str, str]:
    status, stage = _outcome(person, ad, rng)
    if ad.row["Location"] == "Berlin" and status in _GERMAN:
        status, stage = _GERMAN[status], ""
    return {
        "Candidate ID": person.row["Candidate ID"],
        "Job ID": ad.row["Job ID"],
        "Applied On": _day(rng, 0),
        "Status": status,
        "Stage": stage,
    }


_GERMAN = {"Hired": "Eingestellt", "Rejected": "Abgelehnt", "Withdrawn": "Bewerbung zurückgezogen", "Active": "Neu"}


def _outcome(person: Person, ad: Ad, rng: Random) -> tuple[str, str]:
    """Say what became of an application: people of another trade are rarely shortlisted."""
    draw = rng.random()
    if draw < 0.05:
        return "Withdrawn", rng.choice(("Application Review", "Interview"))
    if draw < 0.10:
        return "Active", "Application Review"
    chance = SHORTLISTED.get(person.row["Gender"], SHORTLISTED[""])
    if ad.occupation != person.occupation:
        chance *= 0.6 if ad.occupation.id == person.occupation.neighbour else 0.1
    if rng.random() >= chance * 1.35:
        return "Rejected", "Application Review"
    return rng.choices(
        [
            ("Hired", "Hired"),
            ("Offer declined", "Offer"),
            ("Rejected", "On-site Interview"),
            ("Rejected", "Phone Interview"),
            ("Rejected", "Phone Screen"),
            ("Active", "Phone Screen"),
        ],
        [4, 1, 3, 3, 4, 1],
    )[0]


if __name__ == "__main__":
    counts = build(Path(sys.argv[1]), Path(sys.argv[2]))
    print("\n".join(f"{name}: {number:,}" for name, number in counts.items()))
