"""Job titles in the other number and order: which words change, and which texts are left alone."""

from __future__ import annotations

import pytest
from hrembed.titles import inverted, normal_form, plural, singular, without_inversion
from hypothesis import given, settings
from hypothesis import strategies as st

# One, several: both ways.
NUMBERS = {
    "Baker": "Bakers",
    "night nurse": "night nurses",
    "GALLEY COOK": "GALLEY COOKS",
    "Harbour Watchman": "Harbour Watchmen",
    "Ferry Stewardess": "Ferry Stewardesses",
    "Sales Clerk": "Sales Clerks",
    "Customer Services Operations Manager": "Customer Services Operations Managers",
    "Physics Tutor": "Physics Tutors",
    "Dock Secretary": "Dock Secretaries",
    "Parish Clerk and Deputy Registrar": "Parish Clerks and Deputy Registrars",
    "Potter, Weaver or Dyer": "Potters, Weavers or Dyers",
    "Roofer/Tiler": "Roofers/Tilers",
    "Roofer / Slate Tiler": "Roofers / Slate Tilers",
    "Keeper of Coins": "Keepers of Coins",
    "Master at Arms": "Masters at Arms",
    "Attorney-at-Law": "Attorneys-at-Law",
    "Editor-in-chief": "Editors-in-chief",
    "Harp Tutor (evenings)": "Harp Tutors (evenings)",
    "Dyer - Wool and Silks": "Dyers - Wool and Silks",
    "Crane Driver II": "Crane Drivers II",
    "Crane Driver, Level 3": "Crane Drivers, Level 3",
    "Cook, Officers Mess": "Cooks, Officers Mess",
    "Tester, except Cable Testers": "Testers, except Cable Testers",
    "co-ordinator": "co-ordinators",
    "Sr. Dock Foreman": "Sr. Dock Foremen",
    "Env. Tester, A. B. Dock": "Env. Testers, A. B. Dock",
    "RN": "RNs",
    "Deputy CEO": "Deputy CEOs",
    "Masseuse": "Masseuses",
    "Lab Tech": "Lab Techs",
}


@pytest.mark.parametrize(("one", "several"), NUMBERS.items())
def test_heads_alone_change_their_number(one, several):
    assert plural(one) == several
    assert singular(several) == one
    assert plural(several) == several
    assert singular(one) == one


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Sales",
        "Human Resources",
        "data analytics",
        "project management",
        "wireless sensors and routers",
        "mergers and acquisitions",
        "operate lighters and bollards",
        "pressure meters",
        "insert semen",
        "We are looking for bakers.",
        "Dough kit. Sieves, sugar, mixing bowls, bakers",
        "The night shift needs two cooks",
        "Bakers wanted.\nNights only",
        "assists " * 20 + "bakers",
        "bakers@example.org",
        "pflegefachkräfte",
        "看護師",
    ],
)
@pytest.mark.parametrize("change", [singular, inverted, normal_form])
def test_other_texts_are_left_alone(change, text):
    assert change(text) == text


def test_the_last_head_decides():
    assert singular("Potters and Weavers Supervisor") == "Potters and Weavers Supervisor"
    assert plural("Potters and Weavers Supervisor") == "Potters and Weavers Supervisors"
    assert singular("Potters and Kilns") == "Potters and Kilns"
    assert singular("Dyers of Wool Weavers") == "Dyer of Wool Weavers"
    assert singular("Potter, Glazier, and Kiln Tenders") == "Potter, Glazier, and Kiln Tender"


# Behind a comma, in front.
ORDERS = {
    "Bakers, Night Shift": "Night Shift Bakers",
    "Welders, Ship": "Ship Welders",
    "Tutor, Harp and Lute": "Harp and Lute Tutor",
    "Guards, Dock, Yard, and Quay": "Dock, Yard, and Quay Guards",
    "Keepers, Children's Zoo": "Children's Zoo Keepers",
}


@pytest.mark.parametrize(("behind", "front"), ORDERS.items())
def test_inversion_goes_both_ways(behind, front):
    assert inverted(behind) == front
    assert inverted(front) == behind
    assert without_inversion(behind) == front
    assert without_inversion(front) == front


def test_inversion_of_several_heads_goes_one_way():
    assert inverted("Dyers and Weavers, Wool") == "Wool Dyers and Weavers"
    assert inverted("Wool Dyers and Weavers") == "Wool Dyers and Weavers"


def test_capitals_follow_the_first_word():
    assert without_inversion("Bakers, night shift") == "Night shift bakers"
    assert without_inversion("RNs, night shift") == "Night shift RNs"
    assert without_inversion("bakers, night shift") == "night shift bakers"
    assert inverted("Night shift bakers") == "Bakers, Night shift"


@pytest.mark.parametrize(
    "title",
    [
        "Bakers",
        "Bakers, Except Head Bakers",
        "Bakers, including Apprentices",
        "Guards, All Other",
        "Bakers, Butchers, and Cheesemongers",
        "Bakers, and others",
        "Dyers and Weavers, Wool and Silk",
        "Guards, Dock, Night Shift",
        "Guards, Dock and Yard, Night Shift",
        "Bakers, Level 3",
        "Bakers, Night Shift (London)",
        "Bakers of Bread, Night Shift",
        "Bakers, one two three four five six seven eight nine",
        "Bakers,",
        "Bakers, ",
    ],
)
def test_what_has_no_clear_order_stays(title):
    assert inverted(title) == title


def test_the_normal_form_is_singular_and_direct():
    assert normal_form("Bakers, Night Shift") == "Night Shift Baker"
    assert normal_form("Dyers and Weavers, Wool") == "Wool Dyer and Weaver"
    assert normal_form("Night Shift Baker") == "Night Shift Baker"


anything = st.text(max_size=60)
words = [
    "Baker",
    "nurses",
    "Sales",
    "Head",
    "women",
    "of",
    "and",
    "/",
    ",",
    ", and ",
    "except",
    "II",
    "(",
    "CEOs",
    "ics",
]
titles = st.lists(st.sampled_from(words) | st.text("aensr ,", max_size=4), max_size=9).map(" ".join)


@pytest.mark.parametrize("change", [singular, plural, without_inversion, normal_form])
@given(text=anything | titles)
@settings(max_examples=200)
def test_changes_are_idempotent_and_leave_something(change, text):
    changed = change(text)
    assert change(changed) == changed
    assert bool(changed.strip()) is bool(text.strip())


@given(text=anything | titles)
@settings(max_examples=200)
def test_words_are_moved_and_not_lost(text):
    moved = inverted(text)
    assert sorted(moved.replace(",", " ").lower().split()) == sorted(text.replace(",", " ").lower().split())


HEADS = ["Baker", "Nurse", "Watchman", "Clerk", "Secretary", "Coach", "Actress", "Chief", "Masseuse", "Attorney"]


@given(front=st.lists(st.sampled_from(["Dock", "Sales", "night", "Physics"]), max_size=3), head=st.sampled_from(HEADS))
@settings(max_examples=100)
def test_number_goes_there_and_back(front, head):
    one = " ".join([*front, head])
    assert plural(one) != one
    assert singular(plural(one)) == one
