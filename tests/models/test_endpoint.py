"""An endpoint: right numbers or one clear error, whatever the server does."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from answering import (
    KEY,
    PASSING,
    TEXTS,
    VARIABLE,
    Hours,
    assert_discreet,
    endpoint,
    expected,
    fixed,
    good,
    made,
    refused,
)
from hrembed.errors import ModelError
from hrembed.progress import Silent
from hrembed.records.usage import EndpointUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from answering import Handler

    Step = Callable[["Handler", list[str]], None]


class Told(Silent):
    """Remembers the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_batch_is_one_request_in_the_form_of_the_api(server):
    asked = endpoint(server.url, model="small")
    vectors = asked.embed(TEXTS, "document", "passage: ")
    assert vectors.dtype == np.float32
    assert (vectors == expected(TEXTS, "passage: ")).all()
    (path, headers, body) = server.seen.pop()
    assert path == "/v1/embeddings"
    texts = ["passage: " + text for text in TEXTS]
    assert body == {"model": "small", "input": texts, "encoding_format": "float"}
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert not server.seen


def test_no_texts_ask_for_nothing(server):
    asked = endpoint(server.url)
    assert asked.embed([], "query", "").shape == (0, 0)
    assert not server.seen
    asked.embed(TEXTS, "query", "")
    assert asked.embed([], "query", "").shape == (0, 8)


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again(server, name):
    server.script[:] = [PASSING[name][0]]
    told = Told()
    asked = endpoint(server.url, timeout_seconds=0.3, progress=told)
    assert (asked.embed(TEXTS, "query", "") == expected(TEXTS)).all()
    assert asked.usage == EndpointUsage(requests=2, retries=1, tokens=None, cost=None)
    assert len(told.notes) == 1
    assert "attempt 1 of 6" in told.notes[0]
    assert_discreet(told.notes[0])


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_is_one_clear_error(server, name):
    step, reason = PASSING[name]
    server.script[:] = [step] * 5
    asked = endpoint(server.url, timeout_seconds=0.3, attempts=2)
    err = refused(asked)
    assert f"'{server.url}' returned no valid response in 2 attempts; last error" in str(err)
    assert re.search(reason, str(err))
    assert len(server.seen) == 2


def test_the_time_is_that_of_the_whole_answer(server):
    """One byte shortly before the end buys no second term."""

    def late(handler: Handler, texts: list[str]) -> None:
        time.sleep(0.5)
        handler.wfile.write(b"H")
        time.sleep(1)

    server.script[:] = [late]
    start = time.monotonic()
    refused(endpoint(server.url, timeout_seconds=0.6, attempts=1))
    assert 0.59 < time.monotonic() - start < 0.95


def test_a_server_that_is_not_there_is_tried_and_named():
    hours = Hours()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    err = refused(endpoint(url, hours, api_key_env="HREMBED_UNSET"))
    assert (
        str(err)
        == f"'{url}' returned no valid response in 6 attempts; last error: connection failed (Connection refused)"
    )
    assert len(hours.slept) == 5


SECRET = f"Incorrect API key provided: {KEY}. You can find yours, '{KEY[:14]}***', in the settings"


REFUSALS: dict[str, tuple[int, Any, str, str]] = {
    "key": (401, {"error": {"message": SECRET}}, r"401 Unauthorized \(Incorrect API key provided: \[key\] ", VARIABLE),
    "forbidden": (403, {"detail": "no access to m"}, r"403 Forbidden \(no access to m\)", VARIABLE),
    "model": (404, {"message": "The model `m` does not exist"}, "does not exist", "model 'm' and `base_url`"),
    "size": (413, b"<html>", "status 413 ", "lower `batch_size`"),
    "length": (400, {"error": "maximum context length is 512 tokens"}, "512 tokens", "smaller `max_tokens`"),
    "many": (422, {"error": "batch size 3 > 2"}, "batch size 3 > 2", "lower `batch_size`"),
    "empty": (
        400,
        {"error": {"message": "'$.input' is invalid"}},
        "input' is invalid",
        "many servers reject empty ones",
    ),
    "no credit": (402, {"error": {"message": "pay"}}, r"402 Payment Required \(pay\)$", "check the model"),
    "strange": (499, {"error": {"message": ["no text"]}}, "rejected the request: status 499$", "check the model"),
    "error as 200": (200, {"error": {"message": "no such model"}}, r"200 OK \(no such model\)", "check the model"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_one_error_at_once(server, name):
    status, body, message, hint = REFUSALS[name]
    server.script[:] = [fixed(status, body)]
    hours = Hours()
    err = refused(endpoint(server.url, hours))
    assert re.search(message, str(err))
    assert hint in err.hint
    assert len(server.seen) == 1
    assert not hours.slept


ECHOES = {
    "whole": (f"Invalid input: {TEXTS[0]} is odd", "Invalid input:..."),
    "cut": (f"bad value '{TEXTS[0][:17]}...{TEXTS[0][-13:]}'", "bad value '..."),
    "middle": (f"at {TEXTS[0][5:]}", "at..."),
    "short": ("the text 'C' has no Content", "the text '..."),
    "repr": (f"see {TEXTS[2]!r}", "see '..."),
    "json": (f"see {json.dumps(TEXTS[2])}", 'see "...'),
    "lines": ("see Bäcker   für\r\nBrötchen, née", "see..."),
    "terminal": ("so\x1b[31m red\x07 \u202e", "so [31m red"),
    "long": ("word " * 100, "word " * 39 + "word..."),
    "none": ("Concise, and no echo", "Concise, and no echo"),
}


@pytest.mark.parametrize("name", ECHOES)
def test_a_message_ends_where_it_echoes_a_text(server, name):
    said, shown = ECHOES[name]
    server.script[:] = [fixed(400, {"error": {"message": said}})]
    err = refused(endpoint(server.url))
    assert str(err) == f"'{server.url}/embeddings' rejected the request: status 400 Bad Request ({shown})"


def as_base64(answer: dict[str, Any]) -> dict[str, Any]:
    for item in answer["data"]:
        item["embedding"] = packed(*item["embedding"])
    return answer


def without_index(answer: dict[str, Any]) -> dict[str, Any]:
    return {"data": [{"embedding": item["embedding"]} for item in answer["data"]]}


def with_more(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "object": "list", "message": "success", "error": "none"}


def shuffled(answer: dict[str, Any]) -> dict[str, Any]:
    return {"data": [answer["data"][place] for place in (2, 0, 1)]}


@pytest.mark.parametrize("change", [as_base64, without_index, shuffled, with_more])
def test_every_form_of_an_answer_gives_the_same_numbers(server, change):
    server.script[:] = [made(change)]
    vectors = endpoint(server.url).embed(TEXTS, "query", "")
    assert vectors.dtype == np.float32
    assert (vectors == expected(TEXTS)).all()


def with_number(value: Any) -> Callable[[dict[str, Any]], Any]:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        answer["data"][1]["embedding"][3] = value
        return answer

    return change


def with_item(**values: Any) -> Callable[[dict[str, Any]], Any]:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        answer["data"][1].update(values)
        return answer

    return change


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "one too few": (lambda answer: {"data": answer["data"][:2]}, "it contains 2 embeddings"),
    "one too many": (lambda answer: {"data": [*answer["data"], answer["data"][0]]}, "it contains 4 embeddings"),
    "NaN": (with_number(float("nan")), "not finite"),
    "infinite": (with_number(float("-inf")), "not finite"),
    "too large": (with_number(1e39), "it contains a number that is not finite or too large"),
    "far too large": (with_number(10**400), "not a list of numbers"),
    "null": (with_number(None), "not a list of numbers"),
    "text": (with_number("0.5"), "not a list of numbers"),
    "boolean": (with_number(True), "not a list of numbers"),
    "nested": (with_number([0.5]), "not a list of numbers"),
    "dimension": (with_item(embedding=[1.0, 2.0]), "dimensions: 2 and 8"),
    "no numbers": (lambda answer: {"data": [{"embedding": []}] * 3}, "dimensions: 0"),
    "no embedding": (lambda answer: {"data": [{}] * 3}, "not a list of numbers"),
    "base64": (
        with_item(embedding="*" + packed(*range(8))),
        "not a list of numbers",
    ),
    "base64 NaN": (with_item(embedding=packed(*[np.nan] * 8)), "not finite"),
    "base64 length": (with_item(embedding=base64.b64encode(b"123456").decode()), "not a list of numbers"),
    "index twice": (with_item(index=0), "its `index` values do not cover each text exactly once"),
    "index beyond": (with_item(index=3), "its `index` values do not cover each text exactly once"),
    "index true": (with_item(index=True), "its `index` values do not cover each text exactly once"),
    "index missing": (
        lambda a: {"data": [a["data"][0], {"embedding": [0] * 8}, a["data"][2]]},
        "its `index` values do not cover each text exactly once",
    ),
    "no data": (lambda answer: {"embeddings": answer["data"]}, "it does not contain the list `data` of embeddings"),
    "data of numbers": (lambda answer: {"data": [1, 2, 3]}, "it does not contain the list `data` of embeddings"),
    "a list": (lambda answer: answer["data"], "it does not contain the list `data` of embeddings"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_numbers_are_an_error_and_not_asked_for_again(server, name):
    change, message = WRONG[name]
    server.script[:] = [made(change)]
    err = refused(endpoint(server.url))
    assert f"'{server.url}' returned an invalid response for 3 texts: " in str(err)
    assert message in str(err)
    assert "check that 'm' is an embedding model of an OpenAI-compatible server" in err.hint
    assert len(server.seen) == 1


def test_waits_double_up_to_a_minute_and_are_random_over_all_of_it():
    """Full jitter: uniform from 0 to the limit, so means of half of it over many clients."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    waits = []
    for client in range(80):
        hours = Hours()
        with pytest.raises(ModelError):
            endpoint(url, hours, model=f"m{client}", attempts=9).embed(["x"], "query", "")
        waits.append(hours.slept)
    shares = np.array(waits) / np.array([1, 2, 4, 8, 16, 32, 60, 60])
    assert shares.shape == (80, 8)
    assert shares.min() >= 0
    assert shares.max() <= 1
    # The standard deviation of a uniform share is 0.289: four standard errors of 80 and of 640 draws.
    assert np.abs(shares.mean(axis=0) - 0.5).max() < 4 * 0.289 / 80**0.5
    assert shares.mean() == pytest.approx(0.5, abs=4 * 0.289 / 640**0.5)
    assert shares.max(axis=0).min() > 0.85
    again = Hours()
    with pytest.raises(ModelError):
        endpoint(url, again, model="m0", attempts=9).embed(["x"], "query", "")
    assert again.slept == waits[0]


def test_the_time_that_a_server_asks_for_is_kept(server):
    date = "Sun, 06 Nov 1994 08:51:42 GMT"  # the server's clock says 08:49:37
    server.script[:] = [fixed(429, Retry_After=asked) for asked in ("7", "33.5", date)]
    hours = Hours()
    endpoint(server.url, hours).embed(TEXTS, "query", "")
    assert hours.slept == [7, 33.5, 125]


@pytest.mark.parametrize(
    "asked",
    ["0", "-5", "soon", "nan", "inf", "Sun, 06 Nov 1994 08:40:00 GMT", "Sun, 99 Nov 99999 08:00:00 GMT"],
)
def test_a_time_that_says_nothing_is_the_usual_wait(server, asked):
    server.script[:] = [fixed(503, Retry_After=asked)]
    hours = Hours()
    endpoint(server.url, hours).embed(TEXTS, "query", "")
    assert len(hours.slept) == 1
    assert 0 < hours.slept[0] <= 1


def test_nobody_waits_for_a_day(server):
    server.script[:] = [fixed(429, {"error": "daily limit"}, Retry_After="86400")]
    hours = Hours()
    err = refused(endpoint(server.url, hours))
    assert f"'{server.url}' asks clients to wait 1,440 minutes: status 429 Too Many Requests (daily limit)" in str(err)
    assert not hours.slept
    server.script[:] = [fixed(429, Retry_After="600")]
    endpoint(server.url, hours).embed(TEXTS, "query", "")
    assert hours.slept == [600]


def test_requests_keep_their_distance_also_repeated_ones(server):
    hours, starts = Hours(), []

    def timed(step: Step) -> Step:
        def taken(handler: Handler, texts: list[str]) -> None:
            starts.append(hours.now)
            step(handler, texts)

        return taken

    server.script[:] = [
        timed(step) for step in (good, good, fixed(500), good, fixed(429, Retry_After="30"), good, good)
    ]
    asked = endpoint(server.url, hours, requests_per_minute=6)
    for _ in range(3):
        asked.embed(TEXTS, "query", "")
    assert starts == pytest.approx([1000, 1010, 1020, 1030])
    asked.embed(TEXTS, "query", "")
    assert starts[4:] == pytest.approx([1040, 1070])
    hours.now = 1075
    asked.embed(TEXTS, "query", "")
    assert starts[6:] == pytest.approx([1080])
    hours.now = 5000  # a long pause is not made up for by a burst
    before = len(hours.slept)
    asked.embed(TEXTS, "query", "")
    asked.embed(TEXTS, "query", "")
    assert hours.slept[before:] == pytest.approx([10])


def test_no_limit_means_no_wait(server):
    hours = Hours()
    asked = endpoint(server.url, hours)
    for _ in range(3):
        asked.embed(TEXTS, "query", "")
    assert not hours.slept
