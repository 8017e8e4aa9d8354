"""A small export of an applicant-tracking system, invented here: eight jobs, four applicants for each, and odd rows."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TRADES = {
    "Baker": "kneads dough and bakes bread before sunrise in a stone oven",
    "Welder": "joins steel tubes by arc and checks every seam with dye",
    "Nurse": "dresses wounds and gives medicine on the surgical ward",
    "Driver": "delivers parcels by van across town and plans each round",
    "Gardener": "prunes hedges and plants borders in public parks",
    "Teacher": "explains fractions to children and marks their exercises",
    "Plumber": "fits boilers and unblocks drains in old houses",
    "Clerk": "files invoices and answers letters from customers",
}
HABITS = (
    "Trained under an uncle and stayed for the early shifts.",
    "Came late to this after a decade at sea.",
    "Keeps calm in a crowd, likes lists and long walks home.",
    "Speaks Welsh, rides a motorcycle, sings in two choirs.",
)
STATUSES = ("Hired", "Rejected", "Interview", "Rejected")
SECRETS = ("Quenby", "Ulverton", "quenby.ulverton", "5550142", "Zebedee", "Moffat")
"""Pieces of names, addresses and numbers of people; no product may hold any."""


def jobs() -> list[dict[str, str]]:
    """Plain, HTML and escaped ads; the last one was posted again."""
    rows = []
    for n, (title, does) in enumerate(TRADES.items()):
        text = f"Our {title.lower()} {does}. We look for somebody who {does} with care, near the harbour number {n}."
        text = [text, f"<p>{text}</p>", f"&lt;p&gt;{text}&amp;nbsp;&lt;/p&gt;"][n % 3]
        contact = " Ask Zebedee Moffat." if n == 0 else ""
        rows.append({"Job ID": f"{n}", "Title": title, "Description": text + contact, "Recruiter": "Zebedee Moffat"})
    again = {**rows[-1], "Job ID": "99", "Description": rows[-1]["Description"].replace("letters", "mail")}
    return [*rows, again]


def candidates() -> list[dict[str, str]]:
    """Four people of each trade, the first with a name of her own kind; the last stands twice, once without a text."""
    rows = []
    for n, (title, does) in enumerate(TRADES.items()):
        for k in range(4):
            first, last = ("Quenby", "Ulverton") if n + k == 0 else (f"Anna{'bcdefghi'[n]}", f"Petro{'klmn'[k]}ova")
            mail = f"{first}.{last}@mail.example".lower()
            text = (
                f"{first} {last}\n{mail}, tel. 020 555 0142\n{first} {does} for {k + 2} years, at site {n}{k}. "
                f"A {title.lower()} since school, with certificate {n * 4 + k} and {k * 3 + 1} prizes in {n + k}. "
                + HABITS[k]
            )
            rows.append(
                {
                    "Candidate ID": f"{mail}",
                    "First Name": first,
                    "Last Name": last,
                    "Email": mail,
                    "Gender": ("Female", "Male")[k % 2],
                    "Resume": text,
                }
            )
    return [*rows, {**rows[-1], "Candidate ID": "twice", "Resume": ""}]


def applications() -> list[dict[str, str]]:
    """Everybody applies to a job of their trade; then a withdrawal, a German status, and rows that point nowhere."""
    people = candidates()
    rows = [
        {"Candidate": people[n * 4 + k]["Candidate ID"], "Job": f"{n}", "Status": STATUSES[k]}
        for n in range(len(TRADES))
        for k in range(4)
    ]
    rows[1]["Status"] = "Withdrawn"
    rows[5]["Status"] = "Abgelehnt"
    rows[6]["Status"] = "Vorstellungsgespräch"
    rows[9]["Status"] = "In review"
    return [
        *rows,
        {"Candidate": "twice", "Job": "99", "Status": "Hired"},
        {"Candidate": "nobody", "Job": "1", "Status": "Hired"},
        {"Candidate": people[0]["Candidate ID"], "Job": "404", "Status": "Hired"},
    ]


def write_export(
    folder: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    names: Mapping[str, str] = {},
    without: Sequence[str] = (),
    more: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Write the three tables.

    Args:
        folder: Where they go.
        delimiter: Between cells.
        encoding: Of the files.
        names: Column -> another name for it.
        without: Columns that are left out.
        more: Further applications.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {"jobs": jobs(), "candidates": candidates(), "applications": [*applications(), *more]}
    for table, rows in tables.items():
        columns = [column for column in rows[0] if column not in without]
        with (folder / f"{table}.csv").open("w", encoding=encoding, newline="") as stream:
            writer = csv.writer(stream, delimiter=delimiter)
            writer.writerow([names.get(column, column) for column in columns])
            writer.writerows([row[column] for column in columns] for row in rows)
    return folder
