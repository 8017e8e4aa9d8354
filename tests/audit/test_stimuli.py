"""Names, cues and the texts that are shown."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.audit.cues import CUE_COLUMNS, TITLE_COLUMNS, foreign_english, read_cues, read_titles
from hrembed.audit.matching import imbalance, matched, syllables
from hrembed.audit.stimuli import (
    choose_names,
    fill,
    half_of,
    name_features,
    spaced,
    stimuli_hash,
    strange_names,
    templates,
    without_header,
    without_slots,
    words_in_braces,
)
from hrembed.data.locate import locate
from hrembed.data.read import read_table
from hrembed.errors import DataError
from hrembed.types import Text

if TYPE_CHECKING:
    from pathlib import Path

RESUMES = templates([Text("r1", "{name}\nNurse. Ward.{pronouns}"), Text("r2", "Driver {name}")])
SHIPPED = list(csv.DictReader(locate("shipped:names/us-census-2020.csv").read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("Anna", 2),
        ("Jane", 1),
        ("Lee", 1),
        ("José García", 4),
        ("Marie Curie", 4),
        ("李小龙", 1),
        ("Zoe", 1),
        ("Bo Ng", 2),
    ],
)
def test_syllables_are_counted_by_rule(name, count):
    assert syllables(name) == count


def test_matching_makes_groups_alike():
    rng = np.random.default_rng(0)
    cells = [np.column_stack([rng.normal(mean, 2, size=100), rng.integers(1, 5, size=100)]) for mean in (0, 1.5)]
    chosen = matched(cells, 30)
    before = abs(cells[0][:, 0].mean() - cells[1][:, 0].mean())
    after = abs(cells[0][chosen[0], 0].mean() - cells[1][chosen[1], 0].mean())
    assert after < 0.2 * before
    assert all(len(set(own.tolist())) == 30 for own in chosen)


def test_the_shipped_names_are_matched():
    assert len(SHIPPED) == 320
    assert len({row["name"] for row in SHIPPED}) == 320
    cells = [f"{row['gender']} {row['race']}" for row in SHIPPED]
    assert [cells.count(cell) for cell in sorted(set(cells))] == [40] * 8
    assert all(float(row["first_name_race_pct"]) >= 80 for row in SHIPPED)
    found = imbalance(name_features(SHIPPED, None), cells)
    assert found["log count of the first name"].largest_difference < 0.25
    assert found["syllables"].largest_difference < 0.5


def test_chosen_names_are_as_many_in_every_cell_and_come_from_it():
    units = choose_names(SHIPPED, ("gender", "race"), 10, [len(row["name"]) for row in SHIPPED]).crossed()
    row_of = {row["name"]: row for row in SHIPPED}
    both = units.groups["gender x race"]
    assert [both.count(cell) for cell in sorted(set(both))] == [10] * 8
    for name, cell in zip(units.names, both, strict=True):
        assert cell == f"{row_of[name]['gender']} {row_of[name]['race']}"
    assert set(units.strata("gender")) == {"asian", "black", "hispanic", "white"}
    assert set(units.strata("gender x race")) == {""}


def test_halves_share_no_name_and_are_whole_together():
    halves = [half_of(SHIPPED, ("gender", "race"), half) for half in ("even", "odd")]
    names = [{row["name"] for row in half} for half in halves]
    assert [len(own) for own in names] == [160, 160]
    assert not names[0] & names[1]
    assert half_of(SHIPPED, ("gender",), "all") == SHIPPED


def test_texts_fill_their_slot_and_empty_the_others():
    assert fill(RESUMES, ["Ada"]) == ["Ada\nNurse. Ward.", "Driver Ada"]
    assert fill(RESUMES, ["she"], "{pronouns}") == ["Nurse. Ward.she", "Driver \nshe"]
    assert without_slots(RESUMES) == ["Nurse. Ward.", "Driver"]
    assert without_header(RESUMES) == ["Nurse. Ward.", "Driver"]
    assert spaced(["a. b\nc"]) == ["a.  b\n\nc"]
    assert fill(templates([Text("r", "{name} knows {Java} and { }")]), ["Ada"]) == ["Ada knows {Java} and { }"]


def test_words_in_braces_that_are_no_slots_belong_to_the_text():
    written = "\\section{welding} {name} runs `echo ${host}` for {sql} teams. {pronouns} {hobby}"
    [resume] = templates([Text("r", written)], ["hobby"])
    kept = "\\section{welding} Ada runs `echo ${host}` for {sql} teams."
    assert fill([resume], ["Ada"]) == [kept]
    assert fill([resume], ["chess"], "{hobby}") == [kept.replace("Ada", "") + "  chess"]
    assert without_slots([resume]) == [kept.replace("Ada", "")]
    assert without_header([resume]) == [kept.replace("Ada", "")]
    assert words_in_braces([resume]) == {"{host}": 1, "{sql}": 1, "{welding}": 1}
    # A wording or a name in braces is not emptied in turn.
    assert fill([resume], ["{pronouns}"])[0].count("{pronouns}") == 1


def test_names_of_other_scripts_are_filled_and_told():
    names = ["محمد علي", "李小龙", "José Ñandú", "O'Neill-Ødegård"]
    assert strange_names(names) == names[:2]
    assert fill([RESUMES[1]], names)[0] == "Driver محمد علي"


def test_stimuli_are_known_by_every_text():
    jobs = [Text("j", "Nurse")]
    assert stimuli_hash(jobs, ["a", "b"]) != stimuli_hash(jobs, ["ab"])


def test_the_shipped_cues_are_whole():
    file = locate("shipped:cues/cues.csv")
    wanted = ["pronouns", "affiliation", "graduation-year", "career-gap", "address"]
    cues = read_cues(file, read_table(file, CUE_COLUMNS), wanted)
    assert {cue: len(set(units.groups[cue])) for cue, units in cues.items()} == {
        "pronouns": 3, "affiliation": 7, "graduation-year": 3, "career-gap": 4, "address": 5,
    }  # fmt: skip
    assert all(len(set(units.held)) == 8 for units in cues.values())
    file = locate("shipped:cues/titles.csv")
    assert len(read_titles(file, read_table(file, TITLE_COLUMNS))) == 40


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,1,x,t"], "needs at least two groups and two variants"),
        (["a,1,x,t", "a,1,y,u", "a,2,x,v"], "has no text for group 'y' and variant '2'"),
        (["a,1,x,t", "a,1,x,u"], ":3: cue 'a': duplicate variant '1' for this group"),
        (["a,1,x,"], ":2: empty cell"),
        (["a,1,x,t,more"], ":2: expected 4 cells as in the header, got 5"),
        (["a,1,x,t", "a,1,y,t", "a,2,x,v", "a,2,y,w"], "the same text for two groups"),
        (["b,1,x,t"], "unknown cue 'a'; available: b"),
    ],
)
def test_cues_that_cannot_be_compared_are_told(tmp_path: Path, rows, message):
    file = tmp_path / "cues.csv"
    file.write_text("\n".join(["cue,variant,group,text", *rows]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_cues(file, read_table(file, CUE_COLUMNS), ["a"])


def test_foreign_english_changes_words_and_misspells_none():
    text = "Led a team of engineers in the design of systems. Wrote reports for the board and kept accounts at home."
    words = {word.strip(".").lower() for word in text.split()}
    for seed in range(8):
        changed = foreign_english(text, seed)
        assert changed != text
        assert foreign_english(text, seed) == changed
        known = words | {word[:-1] for word in words} | {"in", "on", "to", "from", "for"}
        assert {word.strip(".").lower() for word in changed.split()} <= known
    assert foreign_english("日本語", 0) == "日本語"


def test_a_name_table_with_one_group_is_refused():
    rows = [{"name": f"n{n}", "gender": "f"} for n in range(4)]
    with pytest.raises(DataError, match="has only one group, 'f'; there is nothing to compare"):
        choose_names(rows, ("gender",), None)
