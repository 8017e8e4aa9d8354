"""The glossary: one meaning for each spelling, sentences that stand alone, and a page that is made of it."""

from __future__ import annotations

import pytest
from hrembed.reports.glossary import GLOSSARY, lookup, terms_in
from places import ROOT

from site_pages import glossary

TERMS = [term for terms in GLOSSARY.values() for term in terms]


def test_no_spelling_has_two_meanings():
    spellings = [spelling for term in TERMS for spelling in (term.name, *term.also)]
    assert len(spellings) == len(set(spellings)) == len(lookup())
    assert lookup()["SD gap"] == lookup()["score gap"]


def test_every_meaning_is_a_short_text_that_says_something_else_than_the_word():
    for term in TERMS:
        assert term.meaning[0].isupper(), term
        assert term.meaning.endswith((".", ".)")), term
        assert 20 < len(term.meaning) <= 230, (term.name, len(term.meaning))
        assert not term.meaning.lower().startswith(f"{term.name.lower()} "), term


def test_the_words_that_the_issue_names_are_there():
    words = {"Holm", "SD gap", "impact ratio", "excess", "retention", "strength", "detectable difference"}
    assert words <= lookup().keys()


def test_the_page_is_made_of_it():
    assert (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8") == glossary(), "run `make docs`"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("p (Holm)", ["Holm"]),
        ("after Holm's correction", ["Holm"]),
        ("mean score gap (SD)", ["score gap", "standard deviation"]),
        ("impact ratios", ["impact ratio"]),
        ("(+0.113 ndcg@10, 95 % interval +0.080 to +0.147; 0.154 would be seen)",
         ["nDCG@10", "95 % interval", "detectable difference"]),
        ("bm25-street, marginal, strengthen, excessive, a query of a group", []),
    ],
)  # fmt: skip
def test_words_are_found_whole_in_the_text_of_a_page(text: str, names: list[str]):
    assert [term.name for _, _, term in terms_in(text)] == names


def test_every_term_has_a_place_of_its_own_on_a_page():
    assert len({term.anchor for term in TERMS}) == len(TERMS)
