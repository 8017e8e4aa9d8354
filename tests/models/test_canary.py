"""A model that was changed behind its name at an endpoint is seen; an endpoint that is only inexact is not blamed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from answering import KEY, TEXTS, VARIABLE, fixed, made, vector
from hrembed.cli.app import main
from hrembed.config.parts import EndpointSection, ModelSection, TaskSection
from hrembed.errors import ModelError
from hrembed.models.canary import CANARY_TEXTS, sketch
from hrembed.progress import Silent
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import canary_of, open_encoder, open_endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from answering import Server
    from hrembed.models.endpoint import Endpoint


class Told(Silent):
    """Remembers the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrembed.models.endpoint.random.Random.uniform", lambda self, low, high: 0.0)


def section(url: str, **settings: Any) -> EndpointSection:
    return EndpointSection(base_url=url, api_key_env=VARIABLE, attempts=2, **settings)


def asked(server: Server, place: Path, told: Told | None = None, name: str = "m", **settings: Any) -> Endpoint:
    workspace = Workspace(place / "runs", told or Told())
    return open_endpoint(name, section(server.url, **settings), workspace, batch_size=128)


def moved(by: float) -> Any:
    """Answers of a model whose vectors are all moved a little: another one under the same name."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        for n, item in enumerate(answer["data"]):
            item["embedding"] = [number + by * (-1) ** (n + place) for place, number in enumerate(item["embedding"])]
        return answer

    return made(change)


def requests(server: Server) -> list[list[str]]:
    return [body["input"] for _, _, body in server.seen]


def test_the_first_use_keeps_vectors_with_one_request_more(server: Server, tmp_path: Path):
    first = asked(server, tmp_path)
    identity = first.identity
    first.embed(TEXTS, "query", "")
    assert requests(server) == [list(CANARY_TEXTS), TEXTS]
    assert first.usage.requests == 2
    server.seen.clear()
    again = asked(server, tmp_path)
    again.embed(TEXTS, "query", "")
    assert again.identity == identity
    assert requests(server) == [list(CANARY_TEXTS), TEXTS]
    kept = (tmp_path / "runs" / ".cache" / "canaries").glob("*.safetensors")
    (file,) = kept
    assert KEY.encode() not in file.read_bytes()


def test_a_changed_model_stops_before_anything_is_embedded(server: Server, tmp_path: Path):
    identity = asked(server, tmp_path).identity
    server.seen.clear()
    server.script = [moved(0.4)] * 3
    changed = asked(server, tmp_path)
    with pytest.raises(ModelError, match=r"the model behind 'm' at \S+ has changed since 20\d\d-\d\d-\d\d: ") as caught:
        _ = changed.identity
    assert "the lowest cosine of 8 fixed texts is 0." in str(caught.value)
    assert "(limit 0.9999)" in str(caught.value)
    assert caught.value.exit_code == 4
    assert f"hrembed serve-check {server.url} --name m --accept" in caught.value.hint
    with pytest.raises(ModelError, match="has changed"):
        asked(server, tmp_path).embed(TEXTS, "query", "")
    assert TEXTS not in requests(server)
    server.script.clear()
    assert asked(server, tmp_path).identity == identity


def test_another_dimension_is_named(server: Server, tmp_path: Path):
    asked(server, tmp_path).embed(TEXTS, "query", "")

    def longer(answer: dict[str, Any]) -> dict[str, Any]:
        for item in answer["data"]:
            item["embedding"].append(1.0)
        return answer

    server.script = [made(longer)]
    with pytest.raises(ModelError, match="its vectors have 9 numbers, before 8"):
        asked(server, tmp_path).embed(TEXTS, "query", "")


def test_an_inexact_endpoint_keeps_its_identity(server: Server, tmp_path: Path):
    identity = asked(server, tmp_path).identity
    server.script = [moved(0.004)]
    assert asked(server, tmp_path).identity == identity
    server.script = [moved(0.4)]
    assert asked(server, tmp_path, canary=0.2).identity == identity, "a lower limit"


def test_the_identity_is_the_same_where_nothing_was_kept_yet(server: Server, tmp_path: Path):
    """Two machines, or a cache that was removed, and digits that differ from request to request."""
    server.script = [moved(0.0), moved(1e-5)]
    assert asked(server, tmp_path / "a").identity == asked(server, tmp_path / "b").identity
    server.script = [moved(3.0)]
    assert asked(server, tmp_path / "c").identity != asked(server, tmp_path / "a").identity


def test_names_and_addresses_are_kept_apart(server: Server, tmp_path: Path):
    identities = {asked(server, tmp_path, name=name).identity for name in ("m", "n")}
    assert len(identities) == 2
    assert len(list((tmp_path / "runs" / ".cache" / "canaries").glob("*.safetensors"))) == 2


def test_without_a_canary_the_name_is_trusted(server: Server, tmp_path: Path):
    trusting = asked(server, tmp_path, canary=None)
    _ = trusting.identity
    trusting.embed(TEXTS, "query", "")
    assert requests(server) == [TEXTS]
    assert not (tmp_path / "runs").exists()


def test_an_endpoint_that_does_not_answer_leaves_what_is_kept_usable_and_says_so(server: Server, tmp_path: Path):
    identity = asked(server, tmp_path).identity
    server.script = [fixed(503)] * 9
    told = Told()
    waiting = asked(server, tmp_path, told)
    assert waiting.identity == identity
    assert len(told.notes) == 1, "asked once, not in all attempts"
    assert "could not check whether the model 'm' at" in told.notes[0]
    with pytest.raises(ModelError, match="status 503"):
        waiting.embed(TEXTS, "query", "")


def test_an_endpoint_that_comes_back_changed_is_seen_before_it_embeds(server: Server, tmp_path: Path):
    _ = asked(server, tmp_path).identity
    server.script = [fixed(503), moved(0.4)]
    waiting = asked(server, tmp_path)
    _ = waiting.identity
    with pytest.raises(ModelError, match="has changed"):
        waiting.embed(TEXTS, "query", "")


def test_an_endpoint_that_never_answered_is_an_error(server: Server, tmp_path: Path):
    server.script = [fixed(503)] * 2
    with pytest.raises(ModelError, match="no valid response in 2 attempts"):
        _ = asked(server, tmp_path).identity
    assert not list((tmp_path / "runs").rglob("*.safetensors"))


def test_a_damaged_file_is_as_if_it_had_never_been_written(server: Server, tmp_path: Path):
    identity = asked(server, tmp_path).identity
    (file,) = (tmp_path / "runs" / ".cache" / "canaries").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:50])
    assert asked(server, tmp_path).identity == identity
    assert len(file.read_bytes()) > 50


def test_many_that_start_at_once_take_the_same(server: Server, tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        identities = set(pool.map(lambda _: asked(server, tmp_path).identity, range(16)))
    assert len(identities) == 1
    names = {file.suffix for file in (tmp_path / "runs" / ".cache" / "canaries").iterdir()}
    assert names <= {".safetensors", ".lock"}


def test_who_keeps_second_takes_what_the_first_one_kept(server: Server, tmp_path: Path):
    """Between looking and writing, another process with another model behind the same name was faster."""
    workspace = Workspace(tmp_path / "runs")
    canary = canary_of("m", section(server.url), workspace)
    mine, theirs = (np.array([vector(word + text) for text in CANARY_TEXTS]) for word in ("a", "b"))
    kept = canary.keep(theirs, replace=False)
    assert canary.keep(mine, replace=False).fingerprint == kept.fingerprint
    assert canary.keep(mine, replace=True).fingerprint != kept.fingerprint


def test_an_accepted_change_is_another_model_even_where_the_sketch_is_the_same(server: Server, tmp_path: Path):
    canary = canary_of("m", section(server.url), Workspace(tmp_path / "runs"))
    rows = np.array([vector(text) for text in CANARY_TEXTS], dtype=np.float32)
    before = canary.keep(rows, replace=True)
    assert canary.keep(rows * 2, replace=True).fingerprint == before.fingerprint, "lengths do not matter"
    near = rows.copy()
    near[:, 0] += 0.05
    after = canary.keep(near, replace=True)
    assert sketch(after.vectors) == sketch(before.vectors)
    assert after.fingerprint != before.fingerprint


def test_vectors_of_a_model_that_changed_are_no_longer_used(server: Server, tmp_path: Path):
    """The road of a user: kept vectors, a change, the message, the command, and vectors of the new model."""
    workspace = Workspace(tmp_path / "runs", Told())
    model = ModelSection(ref="openai:m", endpoint=section(server.url))
    cache = workspace.cache / "vectors"

    def vectors() -> Any:
        return open_encoder(model, workspace, cache=cache).vectors(TEXTS, "query")

    first = vectors()
    server.seen.clear()
    assert (vectors() == first).all()
    assert requests(server) == [list(CANARY_TEXTS)], "the rest is kept"
    server.script = [moved(0.4)]
    with pytest.raises(ModelError, match="has changed") as caught:
        vectors()
    command = caught.value.hint.split("`")[1].split()
    assert command[-2:] == ["--runs-dir", str(tmp_path / "runs")]
    assert ["--set", f"endpoint.api_key_env={VARIABLE}"] == command[6:8]
    server.script = [moved(0.4)]
    assert main(command[1:]) == 0
    server.script = [moved(0.4)] * 2
    second = vectors()
    assert not np.allclose(second, first, atol=0.01)
    server.script = [moved(0.4)]
    assert (vectors() == second).all()


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_check_without_a_model_says_whether_it_changed(server: Server, tmp_path: Path, capsys, words: list[str]):
    command = ["serve-check", server.url, "--name", "m", "--set", "model=null", "--set",
               f"endpoint.api_key_env={VARIABLE}", "--runs-dir", str(tmp_path / "runs"), *words]  # fmt: skip
    assert main(command) == 0
    (metrics,) = (tmp_path / "runs" / "serve-check").glob("*/metrics.json")
    assert "were kept, for comparison with later ones" in metrics.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(command) == 0
    shown = capsys.readouterr().out
    if words:
        assert json.loads(shown)["metrics"]["canary"]["lowest_cosine"] == pytest.approx(1)
    server.script = [moved(0.4)]
    assert main(command) == 5
    assert "has changed" in " ".join(capsys.readouterr().err.split())
    server.script = [moved(0.4)]
    assert main([*command, "--accept"]) == 0
    server.script = [moved(0.4)]
    assert main(command) == 0


def test_an_evaluation_stops_with_one_message_and_quietly_goes_on_otherwise(
    server: Server, task: Path, tmp_path: Path, capsys
):
    from hrembed.commands.eval.run import run_evaluate
    from hrembed.config.eval import EvalConfig

    def evaluate() -> Any:
        config = EvalConfig(
            models=(ModelSection(ref="openai:m", endpoint=section(server.url)),),
            baselines=(),
            tasks=(TaskSection(path=str(task)),),
        )
        return run_evaluate(config, Workspace(tmp_path / "runs"))

    first = evaluate()
    server.script = [moved(0.4)]
    with pytest.raises(ModelError, match="has changed"):
        evaluate()
    assert evaluate().metrics == first.metrics
