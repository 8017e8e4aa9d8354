"""Sources of training: which rows and settings they take, and what is told about others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hrembed.cli.app import main
from hrembed.commands.finetune.plan import build_plan
from hrembed.commands.finetune.run import run_finetune
from hrembed.commands.finetune.sources import Source, open_sources
from hrembed.config.finetune import FinetuneConfig, GistLoss, GroupRankingLoss, RankingLoss, SourceSection
from hrembed.config.losses import (
    BatchHardLoss,
    CosentLoss,
    InvarianceLoss,
    MarginMseLoss,
    MineSection,
)
from hrembed.data.locate import locate
from hrembed.data.pairs import read_pairs, write_pairs
from hrembed.errors import DataError
from hrembed.models.transformer import load_model
from hrembed.records.finetune import SourceFacts
from hrembed.runs.workspace import Workspace
from hrembed.types import Pair
from pydantic import ValidationError
from source_runs import Run, config_of, fed

from conftest import jsonl


def test_negatives_are_read_in_every_form(tmp_path: Path):
    rows = [
        {"anchor": "a", "positive": "p", "negative": ["x", "y"]},
        {"anchor": "b", "positive": "q", "negative": "z"},
        {"anchor": "c", "positive": "r", "negative": None},
        {"anchor": "d", "positive": "s"},
    ]
    expected = [("x", "y"), ("z",), (), ()]
    pairs = read_pairs(jsonl(tmp_path / "n.jsonl", rows))
    assert [pair.negatives for pair in pairs] == expected
    write_pairs(tmp_path / "n.parquet", pairs)
    assert read_pairs(tmp_path / "n.parquet") == pairs
    (tmp_path / "n.csv").write_text("anchor,positive,negative\na,p,x\nb,q,\n", encoding="utf-8")
    assert [pair.negatives for pair in read_pairs(tmp_path / "n.csv")] == [("x",), ()]


@pytest.mark.parametrize("wrong", [["x", " "], [["x"]], 3, ["x", None]])
def test_a_negative_that_is_no_text_is_named(tmp_path: Path, wrong):
    file = jsonl(tmp_path / "n.jsonl", [{"anchor": "a", "positive": "p", "negative": wrong}])
    with pytest.raises(DataError, match=r"n.jsonl:1: column 'negative': expected non-empty text, got"):
        read_pairs(file)


def test_an_import_keeps_a_negative_column(tmp_path: Path, capsys):
    rows = [{"ad": f"ad {n}", "cv": f"cv {n}", "rejected": [f"no {n}"]} for n in range(3)]
    argv = ["data", "import", "table", str(jsonl(tmp_path / "t.jsonl", rows)), "--runs-dir", str(tmp_path / "r")]
    argv += ["--set", "columns={anchor: ad, positive: cv, negative: rejected}", "--quiet"]
    assert main(argv) == 0
    assert [p.negatives for p in read_pairs(Path(capsys.readouterr().out.strip()))] == [("no 0",), ("no 1",), ("no 2",)]


def test_every_row_gets_as_many_negatives_as_the_one_with_the_fewest(tiny_model, task, tmp_path: Path):
    rows = [
        {"anchor": f"a{n}", "positive": f"p{n}", "negative": [f"x{n}", f"y{n}", f"z{n}"][: 2 + n % 2]} for n in range(6)
    ]
    config = config_of(tiny_model, task, SourceSection(path=str(jsonl(tmp_path / "n.jsonl", rows))))
    (source,) = open_sources(config, Run())
    assert [pair.negatives for pair in source.rows] == [(f"x{n}", f"y{n}") for n in range(6)]
    assert source.facts == SourceFacts(kind="pairs", negatives=2, negatives_unused=3)


PAIR = {"anchor": "a", "positive": "p"}
MALFORMED = [
    (
        [PAIR, {**PAIR, "negative": "x"}, PAIR],
        RankingLoss(),
        r"s\.jsonl:1: column 'negative': empty, .* \(2 empty in total\)",
    ),
    ([{**PAIR, "negative": ["x", "P!"]}] * 2, RankingLoss(), r"s\.jsonl:1: .* same text as the positive"),
    (
        [PAIR, PAIR],
        MarginMseLoss(name="margin-mse"),
        r"s.jsonl: column 'negative' is missing; the loss `margin-mse` requires it",
    ),
    (
        [{**PAIR, "negative": ["x", "y"]}] * 2,
        GistLoss(name="gist"),
        r"the loss `gist` expects one negative per row, found 2",
    ),
    ([PAIR, PAIR], CosentLoss(name="cosent"), r"s.jsonl:1: column 'score': missing; the row has"),
    ([{**PAIR, "score": "high"}] * 2, CosentLoss(name="cosent"), r"s.jsonl:1: column 'score': not a number"),
    ([{**PAIR, "score": None}] * 2, CosentLoss(name="cosent"), r"s.jsonl:1: column 'score': not a number"),
    (
        [{**PAIR, "score": 3}] * 4,
        CosentLoss(name="cosent"),
        r"s.jsonl: all scores are equal, so the correlation is undefined",
    ),
    ([{"text": f"t{n}", "label": "a"} for n in range(4)], BatchHardLoss(name="batch-hard"), r"the same label"),
    (
        [{"text": f"t{n}", "label": "ab"[n == 3]} for n in range(4)],
        BatchHardLoss(name="batch-hard"),
        r"the loss `batch-hard` needs at least two labels with two texts each, found {'a': 3, 'b': 1}",
    ),
    ([PAIR, PAIR], BatchHardLoss(name="batch-hard"), r"s.jsonl:1: column 'text': missing; the row has"),
]


@pytest.mark.parametrize(("rows", "loss", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_what_a_loss_cannot_use_is_named(tiny_model, task, tmp_path: Path, rows, loss, message):
    config = config_of(tiny_model, task, SourceSection(path=str(jsonl(tmp_path / "s.jsonl", rows)), loss=loss))
    with pytest.raises(DataError, match=message):
        open_sources(config, Run())


def test_a_table_without_its_column_is_named_with_the_file(tiny_model, task, tmp_path: Path):
    (tmp_path / "s.csv").write_text("anchor,positive\na,b\nc,d\n", encoding="utf-8")
    config = config_of(tiny_model, task, SourceSection(path=str(tmp_path / "s.csv"), loss=CosentLoss(name="cosent")))
    with pytest.raises(DataError, match=r"s\.csv:1: column 'score' not found; available: 'anchor', 'positive'"):
        open_sources(config, Run())
    (tmp_path / "nan.csv").write_text("anchor,positive,score\na,b,1\nc,d,nan\n", encoding="utf-8")
    config = config_of(tiny_model, task, SourceSection(path=str(tmp_path / "nan.csv"), loss=CosentLoss(name="cosent")))
    with pytest.raises(DataError, match=r"nan.csv:3: column 'score': not a number"):
        open_sources(config, Run())


DISTIL = {"name": "embedding-distillation"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sources": [{"loss": {"name": "batch-hard"}, "mine": {}}]}, "the loss `batch-hard` does not use"),
        ({"sources": [{"loss": DISTIL, "mine": {}}]}, "does not use negatives; remove `mine`"),
        ({"sources": [{"loss": {"name": "gist"}, "mine": {"count": 2}}]}, "the loss `gist` expects one negative"),
        ({"sources": [{"loss": {"name": "cosent"}, "kinds": ["title"]}]}, "the loss `cosent` reads rows without"),
        ({"sources": [{"loss": {**DISTIL, "matryoshka": [8]}}]}, "a prefix of the teacher's vectors is not"),
        ({"sources": [{"loss": {**DISTIL, "teacher": {"ref": "bm25"}}}]}, "'bm25' has no embeddings"),
        ({"sources": [{}, {"weight": 2, "loss": {**DISTIL, "every_step": 8}}]}, "`weight` has no effect with"),
        ({"sources": [{"loss": {**DISTIL, "every_step": 8}}]}, "uses `loss.every_step`"),
        ({"sources": [{"mine": {"model": {"ref": "trec:x"}}}]}, "has no embeddings; use an embedding model"),
        ({"sources": [{"mine": {"range_min": 5, "range_max": 6, "count": 2}}]}, "fewer than 2 texts"),
        (
            {"sides": "query", "sources": [{"loss": {"name": "batch-hard", "side": "document"}}]},
            "`sides: query` does not train the document encoder, so `loss.side: document` has no effect",
        ),
        ({"sides": "query", "sources": [{"loss": {**DISTIL, "texts": "positives"}}]}, "`loss.texts: positives` has no"),
        ({"train": {"batch_size": 3}, "sources": [{"loss": {"name": "batch-hard"}}]}, "set `train.batch_size: 4`"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_by_the_config(values, message):
    with pytest.raises(ValidationError, match=message):
        FinetuneConfig.model_validate(values)


def test_mining_that_finds_nothing_is_told(tiny_model, task, tmp_path: Path):
    rows = [{"anchor": f"a{n}", "positive": f"p{n}", "group": "one"} for n in range(6)]
    config = config_of(
        tiny_model, task, SourceSection(path=str(jsonl(tmp_path / "s.jsonl", rows)), mine=MineSection(margin=0))
    )
    with pytest.raises(DataError, match="mining found negatives for only 0 of 6 pairs"):
        fed(config, tmp_path)


def test_the_shipped_labelled_texts_are_a_source(tiny_model, task, tmp_path: Path):
    source = SourceSection(path="shipped:hr-core/bias-language", loss=BatchHardLoss(name="batch-hard"), limit=60)
    plan, _ = fed(config_of(tiny_model, task, source), tmp_path)
    assert len(plan.columns["source-0"]["text"]) == 60
    assert all(len(batch) >= 4 for batch in plan.batches)


def test_rows_of_pairs_are_a_source_as_they_are(tiny_model, task, tmp_path: Path):
    model = load_model(tiny_model)
    pairs = [Pair(f"a{n}", f"p{n}", negatives=(f"n{n}",)) for n in range(4)]
    config = config_of(tiny_model, task, SourceSection())
    plan = build_plan(config, [Source(pairs)], model, tmp_path, "")
    assert plan.columns["source-0"]["negative_1"] == ["n0", "n1", "n2", "n3"]


@pytest.fixture
def resumes(tmp_path: Path) -> Path:
    rows = [{"_id": f"r{n}", "text": f"{{name}}\nprofile {n} of job {n}"} for n in range(6)]
    return jsonl(tmp_path / "resumes.jsonl", rows)


def test_resumes_under_two_names_become_rows(tiny_model, task, tmp_path: Path, pairs, resumes):
    ranking = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking"))
    swaps = SourceSection(path=str(resumes), loss=InvarianceLoss(name="invariance", swaps=4))
    plan, _ = fed(config_of(tiny_model, task, ranking, swaps), tmp_path)
    columns = plan.columns["source-1"]
    assert set(columns) == {"document_1", "document_2"}
    assert plan.sizes()["source-1"] == 24
    for one, two in zip(columns["document_1"], columns["document_2"], strict=True):
        assert one.split("\n")[1:] == two.split("\n")[1:]
        assert one != two
        assert "{name}" not in one
    assert plan.prompts["document_1"] == ""
    used = {text.split("\n")[0] for side in ("document_1", "document_2") for text in columns[side]}
    table = [row.split(",")[0] for row in locate("shipped:names/us-census-2020.csv").read_text().splitlines()[1:]]
    assert used <= {name for cell in range(8) for name in table[40 * cell : 40 * cell + 40][1::2]}  # the other half


def test_invariance_brings_the_two_names_together(tiny_model, task, tmp_path: Path, pairs, resumes):
    ranking = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking"))
    loss = InvarianceLoss(name="invariance", scale=20, every_step=8)
    texts = [(f"Meg Stroup\nprofile {n}", f"Akeem Mosley\nprofile {n}") for n in range(8)]
    apart = []
    for sources in ((ranking,), (ranking, SourceSection(path=str(resumes), loss=loss))):
        run = run_finetune(config_of(tiny_model, task, *sources, max_tokens=64), Workspace(tmp_path)).run
        model = load_model(Path(run) / "model")
        one, two = (model.encode([pair[n] for pair in texts], normalize_embeddings=True) for n in (0, 1))
        apart.append(float(1 - (one * two).sum(axis=1).mean()))
    assert apart[1] < 0.5 * apart[0]


def test_invariance_needs_slots_and_two_groups(tiny_model, task, tmp_path: Path, pairs, resumes):
    loss = InvarianceLoss(name="invariance")
    bare = SourceSection(path=str(jsonl(tmp_path / "x.jsonl", [{"_id": "a", "text": "b"}])), loss=loss)
    with pytest.raises(DataError, match=r"no \{name\} slot"):
        fed(config_of(tiny_model, task, bare), tmp_path)
    (tmp_path / "names.csv").write_text("name,gender,race\nA,f,x\nB,f,x\nC,f,x\n", encoding="utf-8")
    one = loss.model_copy(update={"names": str(tmp_path / "names.csv")})
    with pytest.raises(DataError, match="`invariance` needs names from at least two groups"):
        fed(config_of(tiny_model, task, SourceSection(path=str(resumes), loss=one)), tmp_path)
    with pytest.raises(
        ValidationError, match="`sides: query` does not train the document encoder, so `invariance` has no effect"
    ):
        FinetuneConfig(sources=(SourceSection(), SourceSection(path=str(resumes), loss=loss)), sides="query")
