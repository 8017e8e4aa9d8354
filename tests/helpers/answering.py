"""A server that answers as it is told, for tests of endpoints."""

from __future__ import annotations

import hashlib
import http.server
import json
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.errors import ModelError
from hrembed.models.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Step = Callable[["Handler", list[str]], None]


KEY = "sk-proj-Zq81LmQ0vTtXw93"
VARIABLE = "HREMBED_TEST_KEY"
TEXTS = ["Ward nurse in Leeds, Jane Example", "C", "Bäcker für\nBrötchen, née Ünal"]


def vector(text: str) -> list[float]:
    """Eight numbers that float32 holds exactly."""
    return [(byte - 100) / 64 for byte in hashlib.sha256(text.encode()).digest()[:8]]


def content(texts: list[str], **more: Any) -> dict[str, Any]:
    return {"data": [{"index": n, "embedding": vector(text)} for n, text in enumerate(texts)], **more}


class Handler(http.server.BaseHTTPRequestHandler):
    """Takes the next step of the script; without one it answers as it should."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        script = self.server.script  # type: ignore[attr-defined]
        step = script.pop(0) if script else good
        step(self, body["input"])

    def do_CONNECT(self) -> None:
        self.server.seen.append((self.path, dict(self.headers), None))  # type: ignore[attr-defined]
        self.send_error(502)

    def reply(self, status: int, body: bytes, *, length: int | None = None, **headers: str) -> None:
        self.send_response(status, headers.pop("reason", None))
        for name, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return "Sun, 06 Nov 1994 08:49:37 GMT"

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def good(handler: Handler, texts: list[str]) -> None:
    handler.reply(200, json.dumps(content(texts)).encode())


def fixed(status: int, body: Any = b"", **headers: Any) -> Step:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda handler, texts: handler.reply(status, raw, **headers)


def made(change: Callable[[dict[str, Any]], Any]) -> Step:
    """A good answer that is changed before it is sent."""
    return lambda handler, texts: handler.reply(200, json.dumps(change(content(texts))).encode())


def truncated(handler: Handler, texts: list[str]) -> None:
    """Whole JSON, so that only the length tells."""
    body = json.dumps(content(texts)).encode()
    handler.reply(200, body, length=len(body) + 100)


def dripping(start: bytes) -> Step:
    """A byte every 5 ms: each comes long before a socket's own timeout."""

    def step(handler: Handler, texts: list[str]) -> None:
        handler.wfile.write(start)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            handler.wfile.write(b" ")
            time.sleep(0.005)

    return step


def closed(handler: Handler, texts: list[str]) -> None:
    handler.close_connection = True


def half(handler: Handler, texts: list[str]) -> None:
    body = json.dumps(content(texts)).encode()
    handler.reply(200, body[: len(body) // 2])


def broken_chunks(size: bytes) -> Step:
    def step(handler: Handler, texts: list[str]) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(size + b"\r\n{}\r\n")
        handler.close_connection = True

    return step


def not_http(handler: Handler, texts: list[str]) -> None:
    handler.wfile.write(f"{KEY} {texts[0]}\r\n\r\n".encode())
    handler.close_connection = True


HTML = b"<html><body>Bad gateway for " + TEXTS[0].encode() + b"</body></html>"


PASSING: dict[str, tuple[Step, str]] = {
    "429 with a time": (fixed(429, {"error": {"message": "slow down"}}, Retry_After="7"), "429 Too Many.*slow down"),
    "429": (fixed(429), "status 429 Too Many Requests$"),
    **{str(code): (fixed(code, b"<html>"), f"status {code} ") for code in (408, 409, 425, 500, 502, 503, 504)},
    "529": (fixed(529, reason=KEY), "status 529 Overloaded$"),
    "closed": (closed, "connection closed without a response"),
    "truncated": (truncated, "the response was truncated"),
    "half": (half, "the response is not valid JSON, or is truncated"),
    "nothing": (fixed(200), "the response is not valid JSON, or is truncated"),
    "deep": (fixed(200, b"[" * 200_000), "the response is not valid JSON, or is truncated"),
    "html": (fixed(200, HTML, Content_Type="text/html"), "the response is not valid JSON, or is truncated"),
    "chunk": (broken_chunks(b"ff"), "the response was truncated"),
    "negative chunk": (broken_chunks(b"-5"), "the response is not HTTP|truncated"),
    "drip": (dripping(b"HTTP/1.0 200 OK\r\n\r\n"), r"no complete response within 0.3 s"),
    "headers": (dripping(b"HTTP/1.0 200 OK\r\nX:"), r"no complete response within 0.3 s"),
    "not http": (not_http, "the response is not HTTP"),
}


class Server(http.server.ThreadingHTTPServer):
    """A server with a script and a memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Step] = []
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def serving() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


class Hours:
    """Time that passes only when someone sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def endpoint(url: str, hours: Hours | None = None, model: str = "m", **settings: Any) -> Endpoint:
    hours = hours or Hours()
    given: dict[str, Any] = {"api_key_env": VARIABLE, "timeout_seconds": 5, **settings}
    return Endpoint(model, base_url=url, clock=lambda: hours.now, sleep=hours.sleep, **given)


def expected(texts: list[str], prompt: str = "") -> np.ndarray:
    return np.array([vector(prompt + text) for text in texts], dtype=np.float32)


def assert_discreet(shown: str, texts: list[str] = TEXTS) -> None:
    """Neither the key nor a name nor any long piece of a text."""
    assert KEY[:12] not in shown
    assert KEY[-8:] not in shown
    pieces = [text[at : at + 12] for text in texts for at in range(max(1, len(text) - 11)) if len(text) > 3]
    assert not [piece for piece in pieces if piece in shown]


def refused(asked: Endpoint, texts: list[str] = TEXTS) -> ModelError:
    with pytest.raises(ModelError) as caught:
        asked.embed(texts, "query", "")
    assert caught.value.hint
    assert_discreet("".join(traceback.format_exception(caught.value)) + caught.value.hint, texts)
    assert len(str(caught.value)) < 400
    return caught.value
