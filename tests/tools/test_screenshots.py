"""Pictures of pages in the docs: there for every page, and small."""

from __future__ import annotations

import pytest
from PIL import Image
from places import ROOT

from browser import DESKTOP, PHONE
from screenshots import ANSWER, COMMANDS

IMAGES = ROOT / "docs" / "images"


@pytest.mark.parametrize("kind", ["desktop", "phone"])
@pytest.mark.parametrize("name", [*COMMANDS, "runs"])
def test_each_page_of_the_demo_has_a_small_picture(name: str, kind: str):
    file = IMAGES / f"page-{name}-{kind}.png"
    with Image.open(file) as picture:
        assert picture.width == {"desktop": DESKTOP, "phone": PHONE}[kind]
    assert file.stat().st_size < 150_000


def test_the_picture_of_the_readme_is_the_top_of_the_page_of_the_evaluation():
    with Image.open(IMAGES / "demo-scores.png") as top, Image.open(IMAGES / "page-eval-desktop.png") as page:
        assert top.size == (DESKTOP, ANSWER)
        assert page.convert("RGB").crop((0, 0, *top.size)).tobytes() == top.convert("RGB").tobytes()
