"""Tables at the width of a terminal: no word is broken, whatever stands in them."""

import io

import pytest
from hrembed.cli.line_breaks import filled
from hrembed.cli.render import command_lines, fitting, wrap
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

ROW = {
    "task": "ad-profile/test",
    "model": "bm25 - wordllama",
    "metric": "ndcg@10",
    "difference": "-0.233 [-0.294, -0.172]",
    "better / worse": "23 / 132",
    "p (Holm)": "< 0.0001",
    "detectable": "0.090",
    "verdict": "no difference larger than 0.02",
    "run": "runs/eval/20261126T160352Z-c5ba2a74",
}


def printed(rows: list[dict[str, str]], width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(fitting("Paired differences", rows, console))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 160, 240])
def test_every_word_stands_whole_in_one_line(width: int):
    shown = printed([ROW, ROW], width)

    assert max(map(len, shown.splitlines())) <= width
    for word in " ".join([*ROW, *ROW.values()]).split():
        assert any(word in line for line in shown.splitlines()), word


def test_a_wide_terminal_shows_columns_and_a_narrow_one_blocks():
    assert "┏" in printed([ROW], 240)
    assert "┏" not in printed([ROW, ROW], 80)


def test_an_empty_value_is_left_out_of_a_block():
    assert "waiver" not in printed([ROW | {"waiver": ""}], 80)


@given(
    st.dictionaries(st.text("abcdefgh", min_size=1, max_size=9), st.text("xyz -/", max_size=40), min_size=1, max_size=9)
)
def test_no_line_is_wider_than_the_terminal(row: dict[str, str]):
    assert max(map(len, printed([row], 60).splitlines())) <= 60


def test_an_interval_stays_whole_and_so_does_a_small_p_value():
    assert wrap("0.290 [0.243, 0.343]", 14) == "0.290\n[0.243, 0.343]"
    assert wrap("p is < 0.0001", 9) == "p is\n< 0.0001"


def test_few_rows_whose_first_cells_are_names_become_columns():
    rows = [{"model": name, **{f"metric {n}": "0.290 [0.243, 0.343]" for n in range(6)}} for name in ("bm25", "minilm")]
    head, *cells = [line for line in printed(rows, 80).splitlines() if "│" in line or "┃" in line]
    assert head.split() == ["┃", "model", "┃", "bm25", "┃", "minilm", "┃"]
    assert len(cells) == 6
    assert "┃" not in printed([*rows, rows[0]], 80)  # two of one name


def test_tall_cells_make_blocks():
    assert "┃" in printed([{"check": "quality", "asked": "a b c", "found": "d"}], 80)
    assert "┃" not in printed([{"check": "quality", "asked": "word " * 90, "found": "word " * 90}], 80)


def test_a_command_is_broken_as_a_shell_takes_it():
    command = (
        '  hrembed bias-audit --set model.ref=run:20261130T063421Z-1a2b3c4d --set "mitigation.ways=[header, leace]"'
    )
    first, second = command_lines(command, 80)
    assert first == "  hrembed bias-audit --set model.ref=run:20261130T063421Z-1a2b3c4d \\"
    assert second == '    --set "mitigation.ways=[header, leace]"'
    assert command_lines(command, 160) == [command]


def test_many_columns_are_divided_among_tables_that_name_their_rows():
    names = [f"model {n}" for n in range(5)]
    rows = [
        {"component": "accuracy", "measure": f"task {n}", **dict.fromkeys(names, "0.290 [0.243, 0.343]")}
        for n in range(6)
    ]
    heads = [line.split("┃")[1:-1] for line in printed(rows, 80).splitlines() if "component" in line]
    shown = [[cell.strip() for cell in head] for head in heads]
    assert [head[:2] for head in shown] == [["component", "measure"]] * len(shown)
    assert [name for head in shown for name in head[2:]] == names
    assert len(shown) == 2


def test_a_table_without_rows_is_its_title():
    assert printed([], 80).split() == ["Paired", "differences"]


@pytest.mark.parametrize("columns", [20, 80])
def test_a_command_in_a_message_stays_in_one_line_to_be_copied(columns: int):
    command = '`hrembed match "Night nurse, surgical ward" --index vectors`'
    lines = filled(f"hint: no job was given; for example: {command}, or a file of text", columns).splitlines()
    assert [line for line in lines if command in line]
    assert max(len(line.replace(command, "")) for line in lines) <= columns
    assert len(lines) > 1
