"""Pages: nothing a user wrote can become markup, and everything is part of the one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hrembed.reports.page import Drawing, Figure, Listing, Page, Picture, Prose, Section, Table, tone_of, write_page

if TYPE_CHECKING:
    from pathlib import Path

EVIL = '<script>alert("x")</script>'


def page(tmp_path: Path, *parts, **changes) -> str:
    content = Page(
        "A page", "today", "What is it?", Prose("It is so", ["One sentence."]), details=[Section("All", parts)]
    )
    write_page(tmp_path / "page.html", Page(**{**vars(content), **changes}))
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_every_text_is_escaped(tmp_path: Path):
    table = Table(EVIL, [{EVIL: EVIL}], note=EVIL, link=EVIL, filters=(EVIL,))
    text = page(
        tmp_path, Prose(EVIL, [EVIL, f"  {EVIL}"]), table, Listing(EVIL, EVIL),
        title=EVIL, subtitle=EVIL, asked=EVIL, answer=Prose(EVIL, [EVIL]), footer=EVIL, repeat=EVIL,
        figures=[Figure(EVIL, EVIL, EVIL, "pass", EVIL)],
    )  # fmt: skip
    assert EVIL not in text
    assert text.count("&lt;script&gt;") >= 20
    assert text.count("<script>") == 1


def test_the_answer_comes_first_then_numbers_pictures_detail_and_the_way_to_repeat_it(tmp_path: Path):
    drawing = Drawing("Drawn", "<svg class='wide-one'/>", "<svg class='narrow-one'/>")
    text = page(
        tmp_path, Prose("Deep", ["Inside."]), figures=[Figure("Score", "0.71")], lead=[drawing], pictures=[drawing],
        origin=[Table("Inputs", [{"name": "a"}])], repeat="hrembed eval runs/eval/1/config.yaml",
    )  # fmt: skip
    order = [
        "What is it?", "It is so", "0.71", "wide-one", "<h2>Pictures", "<h2>Detail", "Deep", "<h2>Inputs",
        "hrembed eval runs", "<caption>Inputs",
    ]  # fmt: skip
    places = [text.index(what) for what in order]
    assert places == sorted(places)
    assert text.startswith("<!DOCTYPE html>")
    assert "<details open" not in text


def test_pictures_are_part_of_the_page(tmp_path: Path):
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    text = page(tmp_path, *(Picture(name, tmp_path / name, f"alt of {name}") for name in ("a.svg", "b.png")))
    assert 'src="data:image/svg+xml;base64,' in text
    assert 'src="data:image/png;base64,' in text
    assert 'alt="alt of b.png"' in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_table_names_its_columns_and_rows(tmp_path: Path):
    rows = [{"model": "a", "verdict": "better"}, {"model": "b", "verdict": "worse"}]
    text = page(tmp_path, Table("Scores", rows, filters=("verdict",)))
    assert text.count('<th scope="col">') == 2
    assert text.count("<tr><td>") == 2
    assert '<td class="is-pass">better</td>' in text
    assert "<option>better</option><option>worse</option>" in text
    assert page(tmp_path, Table("Empty", [])).count("<td>") == 0
    assert "<td>better</td>" in page(tmp_path, Table("Stages", rows, toned=False))


def test_a_table_whose_section_has_its_name_shows_it_once(tmp_path: Path):
    text = page(tmp_path, details=[Section("Growth", [Table("Growth", [{"a": "1"}]), Table("More", [{"a": "1"}])])])
    assert '<caption class="unseen">Growth</caption>' in text
    assert "<caption>More</caption>" in text


def test_an_outcome_that_is_the_number_itself_is_said_once(tmp_path: Path):
    once = page(tmp_path, figures=[Figure("Bias audit", "inconclusive", "", "inconclusive", "inconclusive")])
    assert once.count(">inconclusive<") == 1
    beside = page(tmp_path, figures=[Figure("Score", "0.7", "", "pass", "better")])
    assert ">0.7<" in beside
    assert ">better<" in beside


@pytest.mark.parametrize(
    ("word", "tone"),
    [
        ("pass", "pass"), ("worse", "fail"), ("inconclusive; about 900 names per group", "inconclusive"),
        ("cannot tell", "inconclusive"), ("passable", ""), ("", ""), ("0.71", ""),
    ],
)  # fmt: skip
def test_outcomes_have_a_tone_and_other_words_none(word: str, tone: str):
    assert tone_of(word) == tone


@pytest.mark.parametrize("kind", ["", "fail"])
def test_prose_shows_its_verdict(tmp_path: Path, kind):
    text = page(tmp_path, Prose("Result", ["One.", "Two."], kind))
    assert ('class="verdict-fail"' in text) is bool(kind)
    assert "<p>One.</p>" in text


def test_a_command_stands_apart_from_the_sentence_before_it(tmp_path: Path):
    text = page(tmp_path, answer=Prose("So", ["Next, audit it:", "  hrembed bias-audit --set model.ref=<X>"]))
    assert '<pre class="command" tabindex="0">hrembed bias-audit --set model.ref=&lt;X&gt;</pre>' in text


def test_a_term_is_explained_where_it_is_first_said_and_listed(tmp_path: Path):
    text = page(tmp_path, Prose("", ["The impact ratio is 0.9. The impact ratio holds.", "After Holm, it passes."]),
                Table("t", [{"detectable": "0.1"}]))  # fmt: skip
    assert text.count('popovertarget="term-impact-ratio"') == 1
    assert text.count('id="term-impact-ratio"') == 1
    assert "1 is equal, 0.8 means four selected" in text
    assert "<dt>Holm</dt>" in text
    assert "<dt>detectable difference</dt>" in text  # said by the head of a column, which holds no button of its own
    assert "<dt>BM25</dt>" not in text
