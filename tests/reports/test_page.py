"""Pages: nothing a user wrote can become markup, and everything is part of the one file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hrembed.reports.page import Picture, Prose, Table, write_page

if TYPE_CHECKING:
    from pathlib import Path

EVIL = '<script>alert("x")</script>'


def page(tmp_path: Path, *parts) -> str:
    write_page(tmp_path / "page.html", EVIL, EVIL, parts, footer=EVIL)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def test_every_text_is_escaped(tmp_path: Path):
    text = page(tmp_path, Prose(EVIL, [EVIL]), Table(EVIL, [{EVIL: EVIL}], note=EVIL, link=EVIL))
    assert EVIL not in text
    assert text.count("&lt;script&gt;") >= 9


def test_pictures_are_part_of_the_page(tmp_path: Path):
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    text = page(tmp_path, *(Picture(name, tmp_path / name, f"alt of {name}") for name in ("a.svg", "b.png")))
    assert 'src="data:image/svg+xml;base64,' in text
    assert 'src="data:image/png;base64,' in text
    assert 'alt="alt of b.png"' in text
    assert "http" not in text.replace("http-equiv", "")


def test_a_table_names_its_columns_and_rows(tmp_path: Path):
    text = page(tmp_path, Table("Scores", [{"model": "a", "map": "0.1"}, {"model": "b", "map": "0.2"}]))
    assert text.count('<th scope="col">') == 2
    assert text.count("<tr><td>") == 2
    assert page(tmp_path, Table("Empty", [])).count("<td>") == 0


@pytest.mark.parametrize("kind", ["", "verdict-fail"])
def test_prose_shows_its_verdict(tmp_path: Path, kind):
    text = page(tmp_path, Prose("Result", ["One.", "Two."], kind))
    assert ('class="verdict-fail"' in text) is bool(kind)
    assert "<p>One.</p>" in text
