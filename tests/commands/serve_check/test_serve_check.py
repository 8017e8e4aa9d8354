"""A server that gives the model's vectors passes; each way of going wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from answering import KEY
from embedding_servers import NAME, PASSAGE, QUERY, Wrong, error, model_folder, opened, serving, usual
from hrembed.cli.app import main
from hrembed.commands.serve_check.checks import many_texts
from hrembed.commands.serve_check.run import run_serve_check
from hrembed.config.parts import EndpointSection, ModelSection, TaskSection
from hrembed.config.serve_check import ServeCheckConfig
from hrembed.errors import ConfigError, ModelError, ThresholdError
from hrembed.models.static import open_wordllama
from hrembed.runs.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedding_servers import Embed
    from hrembed.records.serve_check import ServeCheckRecord
    from hrembed.types import CommandResult

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrembed.models.endpoint.random.Random.uniform", lambda self, low, high: 0.0)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tiny_model, tmp_path_factory.mktemp("served") / "model")


Check = Any  # from a server to what came of the check


@pytest.fixture
def check(folder: Path, task: Path, tmp_path: Path) -> Check:
    """Check a server against the model, or another folder."""

    def run(wrong: Wrong, model: Path | str = folder, **settings: Any) -> CommandResult[ServeCheckRecord]:
        with serving(wrong) as url:
            given: dict[str, Any] = {"task": TaskSection(path=str(task)), "at_once": 32, **settings}
            config = ServeCheckConfig(
                model=ModelSection(ref=model if isinstance(model, str) else f"path:{model}"),
                endpoint=EndpointSection(base_url=url, attempts=2),
                **given,
            )
            return run_serve_check(config, Workspace(tmp_path / "runs"))

    return run


@pytest.fixture(scope="module")
def static() -> Embed:
    """Vectors of words, which are there at once: for what has nothing to do with how a model is run."""
    table = open_wordllama()
    return lambda texts: table.embed(texts, "query", "")


@pytest.fixture
def quick(check: Check) -> Check:
    """Check a server against vectors of words."""
    return lambda wrong, **settings: check(wrong, model="wordllama", **settings)


def outcomes(result: CommandResult[ServeCheckRecord]) -> dict[str, str]:
    return {row.check: row.outcome for row in result.metrics.checks}


def found(result: CommandResult[ServeCheckRecord], check: str) -> str:
    return next(row.found for row in result.metrics.checks if row.check == check)


def failed(result: CommandResult[ServeCheckRecord]) -> set[str]:
    assert result.status == "fail"
    assert isinstance(result.failure, ThresholdError)
    assert result.failure.exit_code == 5
    assert result.failure.hint
    return {check for check, outcome in outcomes(result).items() if outcome == "fail"}


def test_a_server_that_runs_the_model_as_it_is_passes(check: Check, folder: Path):
    wrong = Wrong(opened(folder))
    result = check(wrong)
    assert result.failure is None, result.failure
    assert set(outcomes(result).values()) == {"pass"}
    record = result.metrics
    assert (record.name, record.verdict) == (NAME, "pass")
    assert record.lowest_cosine > 0.99999
    assert [row.side for row in record.texts] == ["query"] * 8 + ["document"] * 8
    assert not record.explanations
    assert record.ranking.difference.value == 0
    assert record.ranking.texts == 10
    sent = [text for texts in wrong.seen for text in texts]
    assert all(text.startswith((QUERY, PASSAGE)) for text in sent)
    assert max(map(len, wrong.seen)) == 32


def test_the_section_that_is_written_gives_the_models_vectors_in_other_commands(
    check: Check, folder: Path, task: Path, tmp_path: Path
):
    result = check(Wrong(opened(folder)))
    section = yaml.safe_load((Path(result.run) / "served.yaml").read_text(encoding="utf-8"))
    assert section["ref"] == f"openai:{NAME}"
    assert (section["query_prompt"], section["document_prompt"]) == (QUERY, PASSAGE)
    assert f"models.0={result.run}/served.yaml" in result.notice
    with serving(Wrong(opened(folder))) as url:
        section["endpoint"]["base_url"] = url
        from hrembed.commands.eval.run import run_evaluate
        from hrembed.config.eval import EvalConfig

        models = (ModelSection(**section), ModelSection(ref=f"path:{folder}"))
        config = EvalConfig(models=models, baselines=(), tasks=(TaskSection(path=str(task)),))
        (scores,) = run_evaluate(config, Workspace(tmp_path / "runs")).metrics.scores.values()
    served, own = (metrics["ndcg@10"].value for metrics in scores.values())
    assert served == pytest.approx(own, abs=1e-6)


WAYS: dict[str, tuple[dict[str, Any], str, str]] = {
    "CLS": ({"pooling": "cls"}, "pooling", "the server runs the model cls pooling"),
    "last token": ({"pooling": "lasttoken"}, "pooling", "lasttoken pooling"),
    "without Dense": ({"dense": False}, "Dense module", "without its Dense module"),
    "both": ({"dense": False, "pooling": "cls"}, "pooling", "cls pooling, without its Dense module"),
}


@pytest.mark.parametrize("name", WAYS)
def test_another_way_to_run_the_model_is_named(name: str, check: Check, folder: Path):
    changes, cause, words = WAYS[name]
    result = check(Wrong(opened(folder, **changes)))
    assert cause in failed(result)
    assert words in found(result, cause)
    assert "cosine 1.0000" in found(result, cause) or "cosine 0.99999" in found(result, cause)
    best = result.metrics.explanations[0]
    assert best.lowest > 0.9999
    assert words.removeprefix("the server runs the model ") in best.run_as
    assert cause in str(result.failure)
    # What else is right, is said to be right: the cause alone is wrong.
    for other in ("order", "batch", "32 at once", "long text, query side", "empty text, document side", "repeatable"):
        assert outcomes(result)[other] == "pass", (other, found(result, other))


def test_a_missing_projection_of_other_width_is_named_by_both_checks(check: Check, folder: Path):
    result = check(Wrong(opened(folder, dense=False)))
    assert {"dimensions", "Dense module"} <= failed(result)
    assert found(result, "dimensions") == "32 numbers a vector, the model has 24"
    assert outcomes(result)["ndcg@10"] == "not checked"
    assert np.isnan(result.metrics.lowest_cosine)


def test_vectors_that_are_not_normalised_fail_for_their_length_alone(check: Check, folder: Path):
    result = check(Wrong(opened(folder, unit=False)))
    assert failed(result) == {"length of vectors"}
    assert "the model's 1" in found(result, "length of vectors")


def test_normalised_vectors_of_a_model_without_are_a_warning(check: Check, tiny_model: Path, tmp_path: Path):
    plain = model_folder(tiny_model, tmp_path / "plain", unit=False)
    embed = opened(plain)
    result = check(Wrong(lambda texts: (v := embed(texts)) / np.linalg.norm(v, axis=1, keepdims=True)), model=plain)
    assert result.failure is None
    assert outcomes(result)["length of vectors"] == "warning"


def reversed_order(texts: list[str], vectors: np.ndarray) -> tuple[int, Any]:
    status, body = usual(texts, vectors)
    return status, {"data": [{"embedding": row["embedding"]} for row in body["data"][::-1]]}


def sorted_by_length(texts: list[str], vectors: np.ndarray) -> tuple[int, Any]:
    """What a batching server gives that forgets to put texts back, with wrong places at that."""
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    return usual(texts, vectors[order])


@pytest.mark.parametrize("answer", [reversed_order, sorted_by_length])
def test_another_order_is_named_and_nothing_else_is_blamed(answer: Any, quick: Check, static: Embed):
    result = quick(Wrong(static, answer))
    assert {"order"} <= failed(result)
    assert outcomes(result)["batch"] == "pass"
    assert outcomes(result)["vectors"] == "pass"
    assert str(result.failure).endswith("order: vectors come back in another order than their texts")


@pytest.mark.parametrize("limit", [108, 128])
def test_a_text_that_is_cut_elsewhere_is_named(limit: int, check: Check, folder: Path):
    result = check(Wrong(opened(folder, limit=limit)))
    wrong = failed(result)
    assert {"long text, query side", "long text, document side"} <= wrong
    assert not {"vectors, query side", "pooling", "batch", "order"} & wrong
    assert f"it cuts texts at {limit} tokens, the model at 110" in found(result, "long text, query side")


def test_a_mean_of_pieces_is_named(check: Check, folder: Path):
    embed = opened(folder)

    def in_pieces(texts: list[str]) -> np.ndarray:
        # One character is about a token of this model; words keep their pieces.
        rows = []
        for text in texts:
            parts = [text[at : at + 108] for at in range(0, len(text), 108)] or [""]
            rows.append(np.average(embed(parts), axis=0, weights=[max(len(part), 1) for part in parts]))
        return np.array(rows)

    result = check(Wrong(in_pieces))
    assert "long text, query side" in failed(result)
    assert "it cuts nothing off: the mean of" in found(result, "long text, query side")


def test_a_long_text_that_is_refused_is_said_with_the_servers_words(check: Check, folder: Path):
    def answer(texts: list[str], vectors: np.ndarray) -> tuple[int, Any]:
        too_long = any(120 < len(text) < 3000 for text in texts)
        return error(413, "`inputs` must have less than 110 tokens") if too_long else usual(texts, vectors)

    result = check(Wrong(opened(folder), answer))
    assert failed(result) >= {"long text, query side", "long text, document side"}
    assert "status 413" in found(result, "long text, query side")
    assert "must have less than 110 tokens" in found(result, "long text, query side")


def test_a_prompt_that_the_server_adds_is_named(check: Check, folder: Path):
    embed = opened(folder)
    result = check(Wrong(lambda texts: embed([QUERY + text for text in texts])))
    assert failed(result) >= {"prompts", "vectors, query side", "vectors, document side"}
    assert "with 'query: ' put in front by the server" in found(result, "prompts")
    assert outcomes(result)["long text, query side"] == "pass"


def test_a_prompt_that_the_server_leaves_out_is_named(check: Check, folder: Path):
    result = check(Wrong(opened(folder)), prompts="server")
    assert "prompts" in failed(result)
    assert "without the prompt" in found(result, "prompts")


def test_a_server_with_the_prompt_of_one_side_passes_for_it_and_is_named_for_the_other(check: Check, folder: Path):
    embed = opened(folder)
    queries = Wrong(lambda texts: embed([QUERY + text for text in texts]))
    right = check(queries, prompts="server", side="query")
    assert right.failure is None, right.failure
    assert not any(text.startswith(QUERY) for texts in queries.seen for text in texts)
    section = yaml.safe_load((Path(right.run) / "served.yaml").read_text(encoding="utf-8"))
    assert "query_prompt" not in section
    wrong = check(queries, prompts="server", side="document")
    assert "with the prompt 'query: ' in place of 'passage: '" in found(wrong, "prompts")
    assert "prompts" in failed(wrong)


def test_vectors_of_another_width_are_named(check: Check, folder: Path):
    embed = opened(folder)
    result = check(Wrong(lambda texts: embed(texts)[:, :16]))
    assert "dimensions" in failed(result)
    assert found(result, "dimensions") == "16 numbers a vector, the model has 24"


def test_vectors_that_the_server_cuts_as_the_config_asks_pass(check: Check, folder: Path, task: Path, tmp_path: Path):
    embed = opened(folder)
    section = ModelSection(ref=f"path:{folder}", dimensions=16)
    with serving(Wrong(lambda texts: (v := embed(texts)[:, :16]) / np.linalg.norm(v, axis=1, keepdims=True))) as url:
        config = ServeCheckConfig(
            model=section,
            endpoint=EndpointSection(base_url=url),
            task=TaskSection(path=str(task)),
            at_once=16,
        )
        result = run_serve_check(config, Workspace(tmp_path / "runs"))
    assert result.failure is None, result.failure
    assert "cut by the server already" in found(result, "dimensions")


def on(texts_are: Callable[[list[str]], bool], status: int, body: Any) -> Any:
    """A server that fails where a request is so."""

    def answer(texts: list[str], vectors: np.ndarray) -> tuple[int, Any]:
        return (status, body) if texts_are(texts) else usual(texts, vectors)

    return answer


def has_empty(texts: list[str]) -> bool:
    return "" in texts


def test_a_refused_empty_text_is_a_warning_since_nobody_overlooks_it(quick: Check, static: Embed):
    result = quick(Wrong(static, on(has_empty, *error(400, "input must not be empty"))))
    assert result.failure is None, result.failure
    assert outcomes(result)["empty text"] == "warning"
    assert "input must not be empty" in found(result, "empty text")


NAN = b'{"data": [{"index": 0, "embedding": [' + b", ".join([b"NaN"] * 256) + b"]}]}"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, error(500, "division by zero")[1], "returned no valid response in 2 attempts"),
        (200, NAN, "a number that is not finite"),
        (200, b"{not json", "not valid JSON"),
    ],
)
def test_an_empty_text_at_which_the_server_fails_is_named(status, body, words, quick: Check, static: Embed):
    result = quick(Wrong(static, on(has_empty, status, body)))
    assert failed(result) == {"empty text"}
    assert words in found(result, "empty text")


def test_a_batch_that_changes_vectors_is_named(quick: Check, static: Embed):
    embed = static

    def by_company(texts: list[str]) -> np.ndarray:
        """Padding that counts: the more texts there are, the further they move to each other."""
        vectors = embed(texts)
        return vectors + 0.1 * vectors.mean(axis=0) * (len(texts) > 1)

    result = quick(Wrong(by_company))
    assert failed(result) >= {"batch", "32 at once"}
    assert outcomes(result)["order"] == "pass"
    assert outcomes(result)["vectors"] == "pass"


def test_the_most_texts_of_a_request_are_found_and_used(quick: Check, static: Embed):
    wrong = Wrong(static, on(lambda texts: len(texts) > 8, *error(413, "batch size 32 > maximum 8")))
    result = quick(wrong)
    assert result.failure is None, result.failure
    assert outcomes(result)["32 at once"] == "warning"
    assert "at most 8 texts are taken in one request" in found(result, "32 at once")
    assert yaml.safe_load((Path(result.run) / "served.yaml").read_text(encoding="utf-8"))["batch_size"] == 8


def test_a_busy_server_passes_with_a_warning(quick: Check, static: Embed):
    count = iter(range(10_000))
    wrong = Wrong(static, on(lambda texts: next(count) % 5 == 2, *error(429, "slow down")))
    result = quick(wrong)
    assert result.failure is None, result.failure
    assert outcomes(result)["answers"] == "warning"
    assert "had to be repeated" in found(result, "answers")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, error(503, "loading")[1], "status 503"),
        (200, b"<html>", "not valid JSON"),
        (200, NAN, "a number that is not finite"),
        (404, error(404, "no such model")[1], "no such model"),
    ],
)
def test_a_server_without_a_usable_answer_is_an_error_of_the_model(status, body, words, quick: Check, static: Embed):
    with pytest.raises(ModelError, match=words):
        quick(Wrong(static, lambda texts, vectors: (status, body)))


def test_lower_precision_is_told_from_other_weights(check: Check, folder: Path, tiny_model: Path, tmp_path: Path):
    embed = opened(folder)

    def coarse(texts: list[str]) -> np.ndarray:
        vectors = embed(texts)
        noise = np.random.default_rng(abs(hash(tuple(texts))) % 2**32).normal(size=vectors.shape)
        return vectors + 0.015 * noise / np.sqrt(vectors.shape[1])

    result = check(Wrong(coarse))
    assert "vectors, query side" in failed(result)
    assert "lower precision" in found(result, "vectors, query side")

    import torch

    torch.manual_seed(99)
    other = model_folder(tiny_model, tmp_path / "other")
    from sentence_transformers import SentenceTransformer

    changed = SentenceTransformer(str(other), device="cpu")
    for weights in changed[0].parameters():
        torch.nn.init.normal_(weights, std=0.1)
    changed.save_pretrained(str(other), create_model_card=False)
    result = check(Wrong(opened(other)))
    assert "other weights" in found(result, "vectors, query side")
    assert outcomes(result)["long text, query side"] == "not checked"


def test_a_server_that_answers_by_chance_is_named(quick: Check, static: Embed):
    embed, random = static, np.random.default_rng(0)
    result = quick(Wrong(lambda texts: (v := embed(texts)) + 0.1 * random.normal(size=v.shape) / 5))
    assert "repeatable" in failed(result)


def test_several_models_have_to_be_chosen_from(quick: Check, static: Embed):
    wrong = Wrong(static, models=["a", "b"])
    with pytest.raises(ConfigError, match="the server lists 2 models: a, b"):
        quick(wrong)
    assert quick(wrong, name="b").metrics.name == "b"


def test_a_server_without_a_list_is_asked_for_a_default(quick: Check, static: Embed):
    assert quick(Wrong(static, models=None)).metrics.name == "default"


def test_many_texts_differ_and_are_as_many_as_asked():
    assert [len(set(many_texts(number))) for number in (16, 64, 100, 2048)] == [16, 64, 100, 2048]


def test_on_the_command_line(check: Check, folder: Path, task: Path, tmp_path: Path, capsys):
    words = ["--model", f"path:{folder}", "--set", f"task.path={task}", "--runs-dir", str(tmp_path / "runs")]
    with serving(Wrong(opened(folder))) as url:
        assert main(["serve-check", url, *words, "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
    assert shown["metrics"]["verdict"] == "pass"
    with serving(Wrong(opened(folder, pooling="cls"))) as url:
        assert main(["serve-check", url, *words]) == 5
    printed = capsys.readouterr()
    assert "cls pooling" in printed.out
    assert "`--pooling mean`" in printed.err
    (report,) = (file for file in (tmp_path / "runs").rglob("report.html") if "cls pooling" in file.read_text())
    assert not (report.parent / "served.yaml").exists()
    assert main(["serve-check", "ftp://x", *words]) == 4
    assert main(["serve-check", "http://127.0.0.1:1/v1", "--model", "bm25"]) == 2
    assert "is not a model on this machine" in " ".join(capsys.readouterr().err.split())
    config = tmp_path / "c.yaml"
    config.write_text("endpoint: {timeout_seconds: 5}\n", encoding="utf-8")
    assert main(["serve-check", "--config", str(config)]) == 2
    assert "`endpoint.base_url` is not set" in " ".join(capsys.readouterr().err.split())


def test_the_key_is_sent_and_stands_in_no_file(quick: Check, static: Embed, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    wrong = Wrong(static)
    assert quick(wrong).failure is None
    assert wrong.keys == {f"Bearer {KEY}"}
    assert not [file for file in (tmp_path / "runs").rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
