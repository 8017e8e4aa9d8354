"""Choose the names of the audit from U.S. Census tables.

    python data/names/build.py FIRST_NAMES.csv SURNAMES.csv > data/names/us-census-2020.csv

Both tables are the Census Bureau's 2020 releases (public domain): first names with the shares of race, ethnicity and
sex of their bearers, surnames with the shares of race and ethnicity. Columns: name, count, pctwhite, pctblack, pctapi,
pcthispanic, and for first names pctmale, pctfemale.

A name stands for a group when at least `RACE` percent of its bearers are of that group (first name and surname) and
at least `SEX` percent of one sex. All groups draw their first names at the same points of the log-frequency scale,
so that no group has rarer names than another; surnames likewise.
"""

from __future__ import annotations

import csv
import hashlib
import math
import sys
from pathlib import Path

RACE, SEX, PER_CELL, LOWEST, HIGHEST = 80.0, 95.0, 40, 1_500, 20_000
RACES = {"white": "pctwhite", "black": "pctblack", "hispanic": "pcthispanic", "asian": "pctapi"}
SEXES = {"female": "pctfemale", "male": "pctmale"}
SURNAME_RACE = {"white": 90.0, "black": 70.0, "hispanic": 90.0, "asian": 90.0}
SOURCE = "US Census Bureau 2020 first names and surnames"


def matched(rows: list[dict[str, str]], count: int) -> list[dict[str, str]]:
    """Pick `count` rows nearest to evenly spaced points of log frequency, each row once."""
    points = [math.log(LOWEST) + (math.log(HIGHEST) - math.log(LOWEST)) * (n + 0.5) / count for n in range(count)]
    left, chosen = list(rows), []
    for point in points:
        best = min(left, key=lambda row: (abs(math.log(float(row["count"])) - point), row["name"]))
        left.remove(best)
        chosen.append(best)
    return chosen


def main(first_names: Path, surnames: Path) -> None:
    """Write the table to stdout."""
    firsts = list(csv.DictReader(first_names.open(encoding="utf-8")))
    lasts = list(csv.DictReader(surnames.open(encoding="utf-8")))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["name", "gender", "race", "first_name_count", "first_name_race_pct", "source"])
    for race, column in RACES.items():
        own = [row for row in lasts if float(row[column] or 0) >= SURNAME_RACE[race]]
        families = matched(own, 2 * PER_CELL)
        for offset, (sex, sex_column) in enumerate(SEXES.items()):
            cell = [r for r in firsts if float(r[column] or 0) >= RACE and float(r[sex_column] or 0) >= SEX]
            pairs = [(row, families[2 * place + offset]) for place, row in enumerate(matched(cell, PER_CELL))]
            # In the order of a hash, so that the first few names of a group are as common as all of them.
            for row, family in sorted(pairs, key=lambda pair: hashlib.sha256(pair[0]["name"].encode()).digest()):
                full = f"{row['name'].title()} {family['name'].title()}"
                writer.writerow([full, sex, race, row["count"], row[column], SOURCE])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
