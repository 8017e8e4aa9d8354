"""Reasons: sentences add up to the cosine, and are shown only where they were measured to carry it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.cli.app import main
from hrembed.commands.match import reasons
from hrembed.config.parts import ModelSection
from hrembed.data.locate import locate
from hrembed.data.read import read_task
from hrembed.models.cache import count_keys, text_keys
from hrembed.runs.workspace import Workspace
from hrembed.scoring import why
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.why import (
    closest_sentences,
    known_faithfulness,
    measure_faithfulness,
    method_of,
    sentence_shares,
    without,
)
from searching import CANDIDATES, text_index

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.types import Encoder

JOB = "Nurse for the ward who dresses wounds. Gives medicine at night. Free parking. Call max@example.org."
TASK = "shipped:hr-core/test/ad-profile"


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return open_encoder(ModelSection(ref="wordllama"), Workspace(tmp_path_factory.mktemp("static")))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_index(tmp_path_factory.mktemp("why") / "idx")


@pytest.fixture(autouse=True)
def few_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reasons, "PAIRS", 20)


@pytest.fixture
def match(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> Any:
        given = ["match", JOB, "--index", str(index), "--why", *words]
        assert main([*given, "--runs-dir", str(tmp_path / "runs"), "--json"]) == 0
        return json.loads(capsys.readouterr().out)["metrics"]

    return run


class WholeVectors:
    """A model that gives whole vectors only."""

    name = identity = source = "whole"

    def __init__(self, model: Encoder) -> None:
        self._model = model

    def vectors(self, texts, side, *, instruction=""):
        return self._model.vectors(texts, side, instruction=instruction)


def check_sum(encoder: Encoder, texts: list[str]) -> None:
    query = encoder.vectors([JOB], "query")
    cosines = encoder.vectors(texts, "document") @ query[0]
    found = sentence_shares(encoder, texts, "document", np.repeat(query, len(texts), axis=0))
    sums = [shares.shares.sum() + shares.other for shares in found]
    np.testing.assert_allclose(sums, cosines, atol=1e-5)
    assert all(len(shares.shares) == len(shares.spans) for shares in found)


def test_shares_add_up_to_the_cosine(static: Encoder):
    """Trap 22."""
    check_sum(static, [*CANDIDATES.values(), "one", "no stop at the end\nand a line"])


def test_shares_of_a_transformer_add_up_to_the_cosine(minilm: Path, tmp_path: Path):
    check_sum(open_encoder(ModelSection(ref="minilm"), Workspace(tmp_path)), [*CANDIDATES.values()][:3])


def test_a_share_belongs_to_the_sentence_of_its_words(static: Encoder):
    """Two sentences swapped: their shares swap as well, since a static model knows no order."""
    query = static.vectors([JOB], "query")
    one, other = sentence_shares(
        static,
        ["Dresses wounds on the ward. Likes long walks.", "Likes long walks. Dresses wounds on the ward."],
        "document",
        np.repeat(query, 2, axis=0),
    )
    np.testing.assert_allclose(one.shares, other.shares[::-1], atol=1e-6)
    assert one.shares[0] > one.shares[1]


def test_other_models_leave_out_one_sentence_after_another(static: Encoder):
    whole = WholeVectors(static)
    query = static.vectors([JOB], "query")
    text = CANDIDATES["c1"]
    (found,) = sentence_shares(whole, [text], "document", query)
    before = static.vectors([text], "document")[0] @ query[0]
    for span, share in zip(found.spans, found.shares, strict=True):
        after = static.vectors([without(text, span)], "document")[0] @ query[0]
        assert share == pytest.approx(before - after, abs=1e-6)
    assert np.isnan(found.other)
    assert method_of(whole) == "leave one sentence out"
    assert method_of(static) == "token shares"


def test_what_is_named_first_was_left_out(static: Encoder):
    """Two sentences are tried; the order is that of what the cosine really loses."""
    query = static.vectors([JOB], "query")
    text = CANDIDATES["c2"] + " Bandages. Reads charts."
    (found,) = sentence_shares(static, [text], "document", query)
    assert int(np.isfinite(found.losses).sum()) == 2
    assert np.isfinite(found.losses[found.order[:2]]).all()
    before = static.vectors([text], "document")[0] @ query[0]
    after = static.vectors([without(text, found.spans[found.order[0]])], "document")[0] @ query[0]
    assert found.losses[found.order[0]] == pytest.approx(before - after, abs=1e-6)
    assert sorted(found.order.tolist()) == [*range(len(found.spans))]
    assert found.losses[found.order[0]] >= found.losses[found.order[1]]


def test_losses_within_the_sum_are_exact_for_a_model_without_context(static: Encoder):
    query = static.vectors([JOB], "query")
    text = CANDIDATES["c1"]
    (parts,) = static.token_parts([text], "document")
    estimated = why._within_sum(parts, why.sentences(text), query[0])
    (found,) = sentence_shares(static, [text], "document", query)
    tried = found.order[:2]
    np.testing.assert_allclose(estimated.losses[tried], found.losses[tried], atol=1e-5)


def test_without_leaves_no_gap():
    assert without("One.  Two. Three.", (6, 10)) == "One. Three."
    assert without("One. Two.", (0, 4)) == "Two."


def test_faithfulness_is_what_leaving_out_gives(static: Encoder):
    found = measure_faithfulness(static, read_task(locate(TASK)), pairs=40, needed=0.8)
    assert found.pairs + found.skipped == 40
    assert found.passes == (found.share.value >= 0.8)
    assert found.share.low <= found.share.value <= found.share.high
    assert 0 < found.answered < 1


def test_a_sentence_named_by_chance_does_not_pass(static: Encoder, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(why, "lost_within_sum", lambda of_sentences, *_: rng.random(len(of_sentences)))
    monkeypatch.setattr(why, "_TRIED", 1)
    found = measure_faithfulness(static, read_task(locate(TASK)), pairs=100, needed=0.8)
    assert not found.passes
    assert 0.3 < found.share.value < 0.7


def test_a_measurement_is_kept_for_one_model_and_task(static: Encoder, tmp_path: Path):
    task = read_task(locate(TASK))
    first, new = known_faithfulness(static, task, "hash", tmp_path, pairs=12, needed=0.5)
    again, second = known_faithfulness(static, task, "hash", tmp_path, pairs=12, needed=1.0)
    assert (new, second) == (True, False)
    assert again.share == first.share
    assert again.passes == (first.share.value >= 1.0), "what is needed is that of the config"
    assert known_faithfulness(static, task, "other", tmp_path, pairs=12, needed=0.5)[1]
    next(tmp_path.glob("*.json")).write_text("{}")
    assert len([*tmp_path.glob("*.json")]) == 2


def test_closest_sentences_find_what_is_answered(static: Encoder):
    job = "Dresses wounds. Flies helicopters."
    (found,) = closest_sentences(static, [(job, "Bakes bread. Dresses wounds on a ward.")])
    assert found.shape == (2,)
    assert found[0] > found[1]
    assert closest_sentences(static, [("Dresses wounds.", "")])[0].tolist() == [-1.0]


def test_match_shows_reasons_of_a_model_that_passes(match, index: Path):
    found = match("--set", "why.needed=0.5", "--show-text")
    assert found["faithfulness"]["passes"]
    best = found["candidates"][0]
    why_best = best["reasons"]
    assert len(why_best["candidate"]) == min(3, len(CANDIDATES[best["id"]].split(". ")))
    assert why_best["cosine"] == pytest.approx(best["cosine"], abs=1e-6)
    losses = [each["loss"] for each in why_best["candidate"]]
    assert losses[0] >= losses[1]
    said = CANDIDATES[best["id"]].replace("jane.doe@example.org", "[EMAIL]")
    assert all(each["text"] in said for each in why_best["candidate"])
    assert why_best["unanswered"], "nobody offers free parking"
    assert "max@example.org" not in json.dumps(found)


def test_sentences_of_candidates_are_texts(match, tmp_path: Path):
    """Without `--show-text` their places are named, and the words of the job alone."""
    found = match("--set", "why.needed=0.5")
    assert all(each["text"] is None for row in found["candidates"] for each in row["reasons"]["candidate"])
    assert any("dresses wounds" in (each["text"] or "") for each in found["candidates"][0]["reasons"]["job"])
    for file in (tmp_path / "runs" / "match").rglob("*"):
        if file.is_file():
            assert b"Sterilises instruments" not in file.read_bytes(), file


def test_no_sentence_of_a_candidate_stays_in_the_cache(match, tmp_path: Path):
    """`index forget` takes whole texts out of it, and knows no pieces of them."""
    match("--set", "why.needed=0.5", "--show-text")
    cache = tmp_path / "runs" / ".cache" / "vectors"
    assert count_keys(cache, text_keys([JOB])) == 1, "the job is kept"
    pieces = [text[start:end] for text in CANDIDATES.values() for start, end in why.sentences(text)]
    left_out = [without(text, span) for text in CANDIDATES.values() for span in why.sentences(text)]
    assert count_keys(cache, text_keys([*pieces, *left_out, *CANDIDATES.values()])) == 0


def test_a_model_that_does_not_pass_shows_nothing_and_says_so(index: Path, tmp_path: Path, capsys, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(why, "lost_within_sum", lambda of_sentences, *_: rng.random(len(of_sentences)))
    monkeypatch.setattr(why, "_TRIED", 1)
    given = ["match", JOB, "--index", str(index), "--why", "--show-text"]
    assert main([*given, "--runs-dir", str(tmp_path / "runs")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "No sentences are shown: leaving out the named sentence lowered the score" in shown
    assert "at least 80% is needed" in shown
    assert match_runs(tmp_path)["faithfulness"]["passes"] is False
    assert all(row["reasons"] is None for row in match_runs(tmp_path)["candidates"])


def match_runs(tmp_path: Path) -> Any:
    (folder,) = (tmp_path / "runs" / "match").iterdir()
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_texts_that_are_not_those_of_the_vectors_have_no_reasons(tmp_path: Path, capsys):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from hrembed.index.exact import ROWS

    index = text_index(tmp_path / "idx")
    (file,) = index.rglob(ROWS)
    table = pq.read_table(file)
    table = table.set_column(
        table.column_names.index("text"), "text", pa.array(["Sells flowers in spring."] * len(table))
    )
    pq.write_table(table, file)
    given = ["match", JOB, "--index", str(index), "--why", "--set", "why.needed=0.5"]
    assert main([*given, "--runs-dir", str(tmp_path / "runs")]) == 0
    assert "do not give the vectors of the index" in " ".join(capsys.readouterr().err.split())
    assert all(row["reasons"] is None for row in match_runs(tmp_path)["candidates"])
