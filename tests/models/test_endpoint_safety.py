"""What an endpoint may not do: fill the memory, redirect, learn the key, stand in for another."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from answering import (
    KEY,
    TEXTS,
    VARIABLE,
    Hours,
    content,
    dripping,
    endpoint,
    expected,
    fixed,
    made,
    refused,
    truncated,
)
from hrembed.errors import ModelError
from hrembed.records.usage import EndpointUsage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from answering import Handler

    Step = Callable[["Handler", list[str]], None]


def test_usage_counts_all_requests_and_what_answers_tell(server):
    def telling(usage: Any) -> Step:
        return made(lambda answer: {**answer, "usage": usage})

    asked = endpoint(server.url, price_per_million_tokens=20.0)
    asked.embed(TEXTS, "query", "")
    assert asked.usage == EndpointUsage(requests=1, retries=0, tokens=None, cost=None)
    server.script[:] = [
        fixed(500),
        truncated,
        telling({"prompt_tokens": 900, "total_tokens": 1000}),
        telling({"prompt_tokens": 500, "total_tokens": None}),
        telling(None),
        telling({"total_tokens": "many", "prompt_tokens": -3}),
        fixed(200, {"data": [], "usage": {"total_tokens": 250}}),
    ]
    for _ in range(4):
        asked.embed(TEXTS, "query", "")
    refused(asked)
    assert asked.usage == EndpointUsage(requests=8, retries=2, tokens=1750, cost=asked.usage.cost)
    assert asked.usage.cost == pytest.approx(0.035)
    free = endpoint(server.url)
    server.script[:] = [telling({"total_tokens": 5})]
    free.embed(TEXTS, "query", "")
    assert free.usage == EndpointUsage(requests=1, retries=0, tokens=5, cost=None)


def test_an_answer_may_not_fill_the_memory(server):
    server.script[:] = [
        fixed(200, b" " * 2_200_000),
        fixed(200, b" " * 2_000_000 + json.dumps(content(["x"])).encode()),
    ]
    err = refused(endpoint(server.url), ["x"])
    assert "exceeds 2,097,152 bytes, which is too large for one batch of embeddings" in str(err)
    assert (endpoint(server.url).embed(["x"], "query", "") == expected(["x"])).all()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server, other, status):
    server.script[:] = [fixed(status, Location=f"{other.url}/embeddings?key={KEY}")]
    err = refused(endpoint(server.url))
    assert f"rejected the request: status {status} " in str(err)
    assert "set `base_url` to the final address" in err.hint
    assert not other.seen
    assert len(server.seen) == 1


def test_what_goes_to_this_machine_goes_through_no_proxy(server, other, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, other.url.removesuffix("/v1"))
    endpoint(server.url).embed(TEXTS, "query", "")
    assert not other.seen
    err = refused(endpoint("https://embeddings.invalid/v1", attempts=1))
    assert "connection failed" in str(err)
    ((path, headers, _),) = other.seen
    assert path == "embeddings.invalid:443"
    assert KEY not in str(headers)


def test_the_key_is_read_when_it_is_needed_and_kept_nowhere(server, monkeypatch):
    asked = endpoint(server.url)
    monkeypatch.setenv(VARIABLE, "  another-key\n")
    asked.embed(TEXTS, "query", "")
    assert server.seen.pop()[1]["Authorization"] == "Bearer another-key"
    assert "another-key" not in repr(asked) + repr(vars(asked))
    for empty in (None, " "):
        monkeypatch.setenv(VARIABLE, empty) if empty else monkeypatch.delenv(VARIABLE)
        asked.embed(TEXTS, "query", "")
        assert "Authorization" not in server.seen.pop()[1]


def test_a_server_elsewhere_needs_a_key():
    err = refused(endpoint("https://embeddings.invalid/v1", api_key_env="HREMBED_UNSET"))
    assert (
        str(err)
        == "'https://embeddings.invalid/v1' requires a key, but the environment variable HREMBED_UNSET is not set"
    )
    assert "set HREMBED_UNSET" in err.hint


@pytest.mark.parametrize("key", [f"{KEY}\nX-Evil: 1", f"{KEY} {KEY}", f"“{KEY}”"])
def test_a_key_that_is_none_is_not_sent_and_not_shown(server, monkeypatch, key):
    monkeypatch.setenv(VARIABLE, key)
    assert f"the environment variable {VARIABLE} contains characters that are not allowed in an API key" in str(
        refused(endpoint(server.url))
    )
    assert not server.seen


@pytest.mark.parametrize("name", [KEY, "hf_abcdefghij", "", "1A", "A-B", "$OPENAI_API_KEY"])
def test_a_key_in_place_of_its_variable_is_not_shown(name):
    with pytest.raises(ModelError, match="`api_key_env` is not a valid name of an environment variable") as caught:
        endpoint("https://a.example/v1", api_key_env=name)
    assert not name or name.strip("$") not in (str(caught.value) + caught.value.hint).replace("OPENAI_API_KEY", "", 1)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("api.openai.com/v1", "`base_url` must be an http or https URL"),
        ("ftp://a.example/v1", "`base_url` must be an http or https URL"),
        ("https://", "`base_url` must be an http or https URL"),
        ("https://a.example:port/v1", "`base_url` must be an http or https URL"),
        ("https://a.example:99999/v1", "`base_url` must be an http or https URL"),
        ("https://[::1/v1", "`base_url` must be an http or https URL"),
        ("https://a.example/v 1", "`base_url` must be an http or https URL"),
        ("https://a.example/v1\r\nX: y", "`base_url` must be an http or https URL"),
        ("https://münchen.example/v1", "`base_url` must be an http or https URL"),
        ("https://me:secret@a.example/v1", "`base_url` for 'a.example' must not contain a user, a query or a fragment"),
        (
            "https://a.example/v1?key=secret",
            "`base_url` for 'a.example' must not contain a user, a query or a fragment",
        ),
        ("https://a.example/v1#secret", "`base_url` for 'a.example' must not contain a user, a query or a fragment"),
        ("http://a.example/v1", "unencrypted"),
        ("http://localhost.a.example/v1", "unencrypted"),
        ("http://192.168.0.7/v1", "unencrypted"),
        ("http://128.0.0.1/v1", "unencrypted"),
    ],
)
def test_addresses_that_would_not_work_or_not_be_safe(url, message):
    with pytest.raises(ModelError, match=message) as caught:
        endpoint(url)
    assert caught.value.hint
    assert "secret" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1:11434", "[::1]:80"])
def test_plain_http_is_for_this_machine(host):
    assert endpoint(f"http://{host}/v1").source == f"http://{host}/v1"


def test_a_name_of_this_machine_is_reached(server):
    assert endpoint(server.url.replace("127.0.0.1", "LocalHost")).embed(TEXTS, "query", "").shape == (3, 8)


def test_the_path_is_what_was_written_and_embeddings(server):
    for path, asked in (("", ""), ("/", ""), ("/v1", "/v1"), ("/v1//", "/v1"), ("/a/B/", "/a/B")):
        endpoint(server.url.removesuffix("/v1") + path).embed(TEXTS, "query", "")
        assert server.seen.pop()[0] == f"{asked}/embeddings"


def test_the_identity_is_that_of_address_and_model():
    base = endpoint("https://a.example/v1")
    assert base.source == "https://a.example/v1"
    assert len(base.identity) == 64
    same = endpoint("https://A.example/v1/", batch_size=7, api_key_env="OTHER", attempts=1, timeout_seconds=1)
    assert (same.identity, same.source, same.batch_size) == (base.identity, base.source, 7)
    others = [
        endpoint("https://a.example/v2"),
        endpoint("https://a.example/v1", model="n"),
        endpoint("https://a.example"),
    ]
    assert len({base.identity, *(asked.identity for asked in others)}) == 4


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl, which makes the certificates, is not installed")

    def make(name: str) -> tuple[Path, Path]:
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        words = (
            f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -keyout {key}"
        )
        command = [program, *words.split(), "-out", str(cert), "-addext", f"subjectAltName={name}"]
        subprocess.run(command, check=True, capture_output=True)
        return key, cert

    return make


@pytest.mark.parametrize(
    ("name", "trusted", "message"),
    [
        ("IP:127.0.0.1", True, ""),
        ("IP:127.0.0.1", False, "is not valid: self.signed certificate"),
        ("DNS:other.example", True, "is not valid: IP address mismatch"),
    ],
)
def test_certificates_are_verified(server, certificate, monkeypatch, name, trusted, message):
    key, cert = certificate(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    hours = Hours()
    asked = endpoint(server.url.replace("http:", "https:"), hours)
    if not message:
        server.script[:] = [truncated, dripping(b"HTTP/1.0 200 OK\r\n\r\n")]
        asked = endpoint(asked.source, hours, timeout_seconds=0.4)
        assert (asked.embed(TEXTS, "query", "") == expected(TEXTS)).all()
        assert len(server.seen) == 3
        return
    with pytest.raises(ModelError, match=message):
        asked.embed(TEXTS, "query", "")
    assert not server.seen
    assert not hours.slept


def test_a_dimension_must_stay_that_of_earlier_batches(server):
    asked = endpoint(server.url)
    asked.embed(TEXTS[:2], "query", "")
    server.script[:] = [made(lambda answer: {"data": [{"embedding": [0.5] * 7}]})]
    with pytest.raises(ModelError, match="vectors of dimension 7, but 8 before"):
        asked.embed(TEXTS[2:], "query", "")
    assert (asked.embed(TEXTS[2:], "query", "") == expected(TEXTS[2:])).all()
