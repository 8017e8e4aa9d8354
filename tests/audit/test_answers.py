"""Unknown and declined answers, and one category in several spellings."""

from __future__ import annotations

import pytest
from hrembed.audit.answers import is_unknown, read_answers, spelling_key


@pytest.mark.parametrize(
    "cell",
    [
        *("", "  ", "-", "--", "?", "N/A", "n/a", "NA", "#N/A", "<NA>", "nan", "NaN", "None", "NULL", "(blank)"),
        *("unknown", "Unknown", "UNKNOWN", "Gender: unknown", "Unknown Race", "Unknown/Not disclosed", "Undisclosed"),
        *("Prefer not to say", "prefer-not-to-say", "PREFER_NOT_TO_SAY", "I prefer not to answer this question"),
        *("Decline To Self Identify", "Declined to self-identify", "I decline to voluntarily self-identify"),
        *("I don't wish to answer", "I don\u2019t wish to answer", "I do not wish to self-identify at this time"),
        *("I choose not to disclose", "Choose Not To Disclose (CND)", "Did not answer", "I'd rather not say"),
        *("Not specified", "Race not specified", "Not disclosed / prefer not to say", "No response", "Opted out"),
        *("Prefer to not say", "Information not provided", "Non-disclosed", "UNK", "Self-identification declined"),
        *("keine Angabe", "k. A.", "Pr\u00e9f\u00e8re ne pas r\u00e9pondre", "Prefiero no decirlo", "NS/NC"),
        *("Not yet answered", "Left blank", "Not classified", "Redacted", "Information withheld", "U", "n.v.t."),
        *("Race and ethnicity unknown", "EEO declined", "No EEO data", "No gender provided", "None given"),
        *("Wol\u0119 nie odpowiada\u0107", "\u4e0d\u660e"),
        *("\uc54c \uc218 \uc5c6\uc74c", "\u043d\u0435 \u0443\u043a\u0430\u0437\u0430\u043d\u043e"),
    ],
)  # fmt: skip
def test_usual_ways_not_to_answer_are_unknown(cell):
    assert is_unknown(cell)


@pytest.mark.parametrize(
    "cell",
    [
        *("No", "Other", "Not Hispanic or Latino", "I do not have a disability", "I am not a protected veteran"),
        *("Prefer to self-describe", "Two or more races", "Black / African American", "<40", "40+", "0", "X"),
        *("I do not identify as transgender", "Native American", "Not listed", "Non-binary", "none of the above"),
    ],
)
def test_answers_that_resemble_a_refusal_are_answers(cell):
    assert not is_unknown(cell)


def test_the_words_of_the_config_replace_or_extend_the_usual_ones():
    assert is_unknown("Not sure yet", ("usual", "not sure yet"))
    assert is_unknown("N/A", ("usual", "not sure yet"))
    assert not is_unknown("N/A", ("not sure yet",))
    assert not is_unknown("N/A", ())
    assert is_unknown(" ", ())


def test_spellings_of_one_category_are_joined_under_the_most_frequent():
    answers = read_answers(["Black", "black ", "BLACK", "Black", "Non-binary", "non binary", "N/A", ""], [1] * 8)
    assert answers.categories == ("Black", "Black", "Black", "Black", "Non-binary", "Non-binary", None, None)
    assert answers.spellings == {"Black": ("black", "BLACK"), "Non-binary": ("non binary",)}
    assert answers.unknown == {"N/A": 1, "": 1}


def test_counts_decide_which_spelling_is_the_most_frequent():
    assert read_answers(["f", "F"], [3, 90]).categories == ("F", "F")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("M", "Male"),
        ("female", "F"),
        ("White", "White (Not Hispanic or Latino)"),
        ("Asian, not Hispanic", "Asian"),
        ("Black/African American", "Black or African American (Not Hispanic or Latino) (United States of America)"),
        ("Hispanic/Latino", "Hispanic or Latino of any race"),
        ("American Indian & Alaskan Native", "American Indian or Alaska Native"),
        ("Native Hawaiian or Other Pacific Islander", "Native Hawaiian/Pacific Islander"),
        ("2 or more races", "Two or More Races"),
    ],
)
def test_forms_write_the_categories_of_eeo_1_in_several_ways(one, other):
    answers = read_answers([one, other, one], [1, 1, 1])
    assert answers.categories == (one, one, one)
    assert answers.spellings == {one: (other,)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hispanic or Latino", "Not Hispanic or Latino"),
        ("White", "White (Hispanic or Latino)"),
        ("Asian", "Pacific Islander"),
        ("M", "F"),
        ("Male", "Transgender male"),
    ],
)
def test_other_categories_stay_apart(one, other):
    assert read_answers([one, other], [1, 1]).categories == (one, other)


def test_signs_that_distinguish_categories_are_kept():
    assert spelling_key("<40") != spelling_key("40+")
    assert spelling_key("Caf\u00e9") == spelling_key("CAFE\u0301")
    assert spelling_key("a - b") != spelling_key("a b")
