"""Embeddings from any server that speaks OpenAI's `/v1/embeddings`."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import random
import re
import time
from email.utils import mktime_tz, parsedate_tz
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import numpy as np

from hrembed.errors import ModelError
from hrembed.models.http import NoAnswerError, ask, is_loopback
from hrembed.progress import Silent
from hrembed.records.usage import EndpointUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.models.http import Answer
    from hrembed.progress import Progress
    from hrembed.types import Floats, Side

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_FIRST_WAIT_SECONDS = 1.0
_MOST_WAIT_SECONDS = 60.0
_MOST_ASKED_SECONDS = 600.0  # a server may ask for a day, which nobody sits through
_BYTES_PER_TEXT = 2**20  # 16,384 numbers in full are 0.4 MB
_MOST_BYTES = 2**29
_SHOWN_CHARACTERS = 200
_ECHO_CHARACTERS = 12  # as many in a row that a message shares with a text are taken from it
_KEY_CHARACTERS = 8
_TOO_MUCH = re.compile(r"too (long|large|many|big)|maximum|exceed|token|context|batch", re.IGNORECASE)


class _WrongAnswerError(Exception):
    """An answer is whole, but does not hold the embeddings that were asked for."""


class RefusalError(ModelError):
    """A server does not take a request, and another attempt would not change that.

    Attributes:
        status: HTTP status of its answer; below 300 where an error was sent as if it were none.
    """

    def __init__(self, message: str, *, hint: str, status: int) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Ask(Protocol):
    """Embeds texts, shape (n, dim); in so many attempts, or as many as an endpoint usually has."""

    def __call__(self, texts: Sequence[str], attempts: int | None = None) -> Floats:
        """Raise `ModelError` where there is no usable answer."""
        ...


class Watch(Protocol):
    """Notices another model behind the same name; see `hrembed.models.canary.Canary`."""

    def fingerprint(self, ask: Ask) -> str:
        """What stands for the model in its identity; raises `ModelError` where the model has changed."""
        ...

    def check(self, ask: Ask) -> None:
        """Raise `ModelError` where the model has changed, before anything is embedded."""
        ...


class Endpoint:
    """A `Backend` that asks a server; see `hrembed.types.Backend`. Not for several threads at once.

    A whole batch is one request. It is repeated on 408, 409, 425, 429, 500, 502, 503, 504, 529, without a connection,
    and without a whole answer in time; before repetition n it waits a random time up to min(60, 2^(n-1)) seconds, and
    at least as long as `Retry-After` says. Everything else that is wrong is a `ModelError` at once.

    Making one checks the settings; nothing is sent, and the key is not read yet.

    Args:
        model: Name that the server knows.
        base_url: Address with `/v1` where the server wants it; `/embeddings` is put behind it, nothing else is
            added or taken away but slashes at its end. Plain `http` only for this machine.
        api_key_env: Environment variable that holds the key. It may be unset for a server on this machine.
        batch_size: Most texts in a request, 1 or more.
        timeout_seconds: For the connection, and for the whole of an answer.
        attempts: Most requests for a batch, 1 or more.
        requests_per_minute: Requests are at least 60 / this many seconds apart; None for no limit.
        price_per_million_tokens: For `usage`, in any currency.
        canary: Notices another model behind the same name; None trusts the name.
        progress: Receives a note about every repeated request.
        clock: Seconds that never run backwards.
        sleep: Waits so many seconds.

    Raises:
        ModelError: Address or variable name are not usable.

    Source:
        Brooker (2015), "Exponential Backoff And Jitter", AWS Architecture Blog ("full jitter"); RFC 9110, 10.2.3
        (Retry-After).

    Attributes:
        source: The address as it was given, without trailing slashes and with the host in lower case.
        batch_size: Most texts in a request.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        api_key_env: str,
        batch_size: int = 128,
        timeout_seconds: float = 60,
        attempts: int = 6,
        requests_per_minute: int | None = None,
        price_per_million_tokens: float | None = None,
        canary: Watch | None = None,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", api_key_env):  # not shown: it may be the key itself
            raise ModelError(
                "`api_key_env` is not a valid name of an environment variable (capitals, digits and `_`)",
                hint="specify the variable that contains the key, for example OPENAI_API_KEY, not the key itself",
            )
        self.source = checked_url(base_url)
        self._named = hashlib.sha256(json.dumps([self.source, model]).encode()).hexdigest()
        self._canary = canary
        self._identity: str | None = None
        self.batch_size = batch_size
        self._model, self._key_name = model, api_key_env
        self._timeout, self._attempts, self._price = timeout_seconds, attempts, price_per_million_tokens
        self._gap = 60 / requests_per_minute if requests_per_minute else 0.0
        self._progress, self._clock, self._sleep = progress or Silent(), clock, sleep
        self._jitter = random.Random(self._named)
        self._next = float("-inf")
        self._dimension: int | None = None
        self._requests = self._retries = 0
        self._tokens: int | None = None

    @property
    def identity(self) -> str:
        """SHA-256 of address, model, and what its canary vectors say of it.

        Without a canary it holds nothing of the weights: nobody can tell when the server changes them.

        Raises:
            ModelError: Its vectors are not those of before.
        """
        if self._canary is None:
            return self._named
        if self._identity is None:
            whole = json.dumps([self._named, self._canary.fingerprint(self.embed_plain)])
            self._identity = hashlib.sha256(whole.encode()).hexdigest()
        return self._identity

    @property
    def usage(self) -> EndpointUsage:
        """What was asked for since this object was made."""
        cost = None if self._tokens is None or self._price is None else self._tokens * self._price / 1e6
        return EndpointUsage(requests=self._requests, retries=self._retries, tokens=self._tokens, cost=cost)

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        """Ask for one batch.

        Args:
            texts: Sent in one request; none ask for nothing and give shape (0, dim), or (0, 0) at the start.
            side: Of no effect: servers of this kind know no sides.
            prompt: Put in front of every text.

        Returns:
            Shape (n, dim), float32, finite, as the server sent them.

        Raises:
            RefusalError: The server does not take the request.
            ModelError: No key, no answer in all attempts, or an answer that is not one finite vector of the same
                dimension for each text. The message holds neither the key nor any of the texts.
        """
        if not texts:
            return np.zeros((0, self._dimension or 0), dtype=np.float32)
        if self._canary is not None:
            self._canary.check(self.embed_plain)
        return self._embed(texts, prompt, self._attempts)

    def embed_plain(self, texts: Sequence[str], attempts: int | None = None) -> Floats:
        """Embed texts without a prompt, in batches, whatever the canary says; raises as `embed` does."""
        batches = [texts[start : start + self.batch_size] for start in range(0, len(texts), self.batch_size)]
        return np.concatenate([self._embed(batch, "", attempts or self._attempts) for batch in batches])

    def _embed(self, texts: Sequence[str], prompt: str, attempts: int) -> Floats:
        content = self._ask(texts, prompt, attempts)
        try:
            self._count(content)
            vectors = _vectors(content, len(texts))
            if self._dimension not in {None, vectors.shape[1]}:
                raise _WrongAnswerError(f"vectors of dimension {vectors.shape[1]}, but {self._dimension} before")
        except _WrongAnswerError as err:
            raise ModelError(
                f"'{self.source}' returned an invalid response for {len(texts):,} texts: {err}",
                hint=f"check that '{self._model}' is an embedding model of an OpenAI-compatible server",
            ) from None
        self._dimension = vectors.shape[1]
        return vectors

    def listed_models(self) -> list[str]:
        """Ask once which models the server has; empty where it does not say (many have no `GET /models`).

        Raises:
            ModelError: No key, or one that no header can hold.
        """
        headers = self._headers(self._key())
        try:
            answer = ask(
                f"{self.source}/models", None, headers, timeout_seconds=self._timeout, max_bytes=_BYTES_PER_TEXT
            )
        except NoAnswerError:
            return []
        content = _json(answer.body)
        items = content.get("data") if answer.status == HTTPStatus.OK and isinstance(content, dict) else None
        entries = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
        return [item["id"] for item in entries if isinstance(item.get("id"), str) and item["id"]]

    def _ask(self, texts: Sequence[str], prompt: str, attempts: int) -> Any:
        """Send a batch until there is a whole answer, and give its JSON."""
        key = self._key()
        request = {"model": self._model, "input": [prompt + text for text in texts], "encoding_format": "float"}
        body = json.dumps(request).encode()
        for attempt in itertools.count(1):
            self._keep_rate()
            self._requests += 1
            self._retries += attempt > 1
            try:
                return self._once(body, key, texts)
            except NoAnswerError as err:
                if attempt >= attempts:
                    raise ModelError(
                        f"'{self.source}' returned no valid response in {attempt} attempts; last error: {err}",
                        hint="check the address and the server, lower `requests_per_minute`, or try again later",
                    ) from None
                self._rest(attempt, err)
        return None

    def _once(self, body: bytes, key: str, texts: Sequence[str]) -> Any:
        answer = ask(
            f"{self.source}/embeddings",
            body,
            self._headers(key),
            timeout_seconds=self._timeout,
            max_bytes=min(_MOST_BYTES, _BYTES_PER_TEXT * (len(texts) + 1)),
        )
        content = _json(answer.body)
        message = _showable(_said(content), key, texts)
        if 200 <= answer.status < 300 and not message:
            if content is None:
                raise NoAnswerError("the response is not valid JSON, or is truncated")
            return content
        status = f"status {answer.status} {_phrase(answer.status)}".rstrip() + (f" ({message})" if message else "")
        if answer.status in _AGAIN:
            raise NoAnswerError(status, _asked_wait(answer))
        raise self._refusal(answer, status)

    @staticmethod
    def _headers(key: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "hrembed"}
        return {**headers, "Authorization": f"Bearer {key}"} if key else headers

    def _refusal(self, answer: Answer, status: str) -> RefusalError:
        """Phrase a status that another attempt does not change."""
        if answer.status in {401, 403}:
            hint = f"check the key in the environment variable {self._key_name}, and its permissions"
        elif answer.status == 404:
            hint = f"check the model '{self._model}' and `base_url`, which usually ends in /v1"
        elif answer.status == 413 or (answer.status in {400, 422} and _TOO_MUCH.search(status)):
            hint = "lower `batch_size`, or truncate the texts with a smaller `max_tokens`"
        elif 300 <= answer.status < 400:
            hint = (
                "redirects are not followed, so that the key is not sent elsewhere; set `base_url` to the final address"
            )
        else:
            hint = f"check the model '{self._model}', the texts (many servers reject empty ones) and your account"
        message = f"'{self.source}/embeddings' rejected the request: {status}"
        return RefusalError(message, hint=hint, status=answer.status)

    def _key(self) -> str:
        """Read the key anew for every batch, so that it stands in no attribute."""
        key = os.environ.get(self._key_name, "").strip()
        if not key and not is_loopback(self.source):
            raise ModelError(
                f"'{self.source}' requires a key, but the environment variable {self._key_name} is not set",
                hint=f"set {self._key_name}, or specify another variable with `api_key_env`",
            )
        if not all("!" <= character <= "~" for character in key):
            raise ModelError(
                (f"the environment variable {self._key_name} contains characters that are not allowed in an API key"),
                hint="set it again without spaces, line breaks and typographic quotes",
            )
        return key

    def _keep_rate(self) -> None:
        wait = self._next - self._clock()
        if wait > 0:
            self._sleep(wait)
        self._next = max(self._next, self._clock()) + self._gap

    def _rest(self, attempt: int, err: NoAnswerError) -> None:
        longest = min(_MOST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
        wait = max(err.wait, self._jitter.uniform(0, longest))
        if wait > _MOST_ASKED_SECONDS:
            raise ModelError(
                f"'{self.source}' asks clients to wait {wait / 60:,.0f} minutes: {err}",
                hint="try again later; hrembed waits at most ten minutes",
            ) from None
        self._progress.note(f"'{self.source}': {err}; retrying in {wait:.1f} s (attempt {attempt} of {self._attempts})")
        self._sleep(wait)

    def _count(self, content: Any) -> None:
        usage = content.get("usage") if isinstance(content, dict) else None
        stated = [usage.get(name) for name in ("total_tokens", "prompt_tokens")] if isinstance(usage, dict) else []
        counts = [count for count in stated if type(count) is int and count >= 0]
        if counts:
            self._tokens = (self._tokens or 0) + counts[0]


def checked_url(base_url: str) -> str:
    """Refuse an address that would give away the key or hold one; return it without slashes at its end."""
    try:
        parts = urlsplit(base_url)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not re.fullmatch(r"[!-~]+", base_url):
        raise ModelError("`base_url` must be an http or https URL", hint="for example https://api.openai.com/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:  # not shown: it may hold a password
        raise ModelError(
            f"`base_url` for '{parts.hostname}' must not contain a user, a query or a fragment",
            hint="specify only the address; put the key in the environment variable given by `api_key_env`",
        )
    if parts.scheme == "http" and not is_loopback(base_url):
        raise ModelError(
            f"'{base_url}' would transmit the key and the texts unencrypted",
            hint=("use https; plain http is allowed only for servers on this machine (localhost, 127.0.0.1 or [::1])"),
        )
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _json(body: bytes) -> Any:
    """Read JSON; None when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _phrase(status: int) -> str:
    """Name a status ourselves: the server's own words may echo the request."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else ""


def _asked_wait(answer: Answer) -> float:
    """Read `Retry-After` in seconds: a number, or a date, which is compared with the server's own clock."""
    stated = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", stated):
        return float(stated)
    until, now = parsedate_tz(stated), parsedate_tz(answer.headers.get("Date", ""))
    try:
        return max(0.0, mktime_tz(until) - (mktime_tz(now) if now else time.time())) if until else 0.0
    except (ValueError, OverflowError):
        return 0.0


def _said(content: Any) -> str:
    """Find the message in the forms that servers use for errors."""
    if not isinstance(content, dict) or "data" in content:  # some servers send errors with status 200
        return ""
    error = content.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    return next((said for said in (inner, content.get("message"), content.get("detail")) if isinstance(said, str)), "")


def _showable(said: str, key: str, texts: Sequence[str]) -> str:
    """Take the key, and all from the first piece of a text on, out of what a server says; one line, cut."""
    words = "".join(letter if letter.isprintable() else " " for letter in said).split()
    pieces = {key[start : start + _KEY_CHARACTERS] for start in range(max(1, len(key) - _KEY_CHARACTERS + 1))} - {""}
    line = " ".join("[key]" if any(piece in word for piece in pieces) else word for word in words)
    escaped = [json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in texts for ascii_only in (True, False)]
    forms = {" ".join(form.split()) for form in (*texts, *escaped)} - {""}
    end = min(len(line), _SHOWN_CHARACTERS)
    for form in forms:
        if len(form) < _ECHO_CHARACTERS:
            found = re.search(rf"(?<!\w){re.escape(form)}(?!\w)", line)
            end = min(end, found.start() if found else end)
            continue
        starts = range(min(end, len(line) - _ECHO_CHARACTERS + 1))
        end = next((start for start in starts if line[start : start + _ECHO_CHARACTERS] in form), end)
    return line[:end].rstrip() + ("..." if end < len(line) else "")


def _vectors(content: Any, count: int) -> Floats:
    """Check an answer and give its vectors in the order of the texts, shape (count, dim)."""
    items = content.get("data") if isinstance(content, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _WrongAnswerError("it does not contain the list `data` of embeddings")
    if len(items) != count:
        raise _WrongAnswerError(f"it contains {len(items):,} embeddings")
    if any("index" in item for item in items):
        places = [item.get("index") for item in items]
        if not all(type(place) is int for place in places) or sorted(places) != list(range(count)):
            raise _WrongAnswerError("its `index` values do not cover each text exactly once")
        items = sorted(items, key=lambda item: item["index"])
    rows = [_row(item.get("embedding")) for item in items]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1 or lengths[0] == 0:
        raise _WrongAnswerError(f"invalid vector dimensions: {' and '.join(map(str, lengths))}")
    vectors = np.stack(rows)
    if not np.isfinite(vectors).all():
        raise _WrongAnswerError("it contains a number that is not finite or too large")
    return vectors


def _row(embedding: Any) -> Floats:
    """Read one vector: a list of numbers, or the bytes of little-endian float32 in base64."""
    try:
        if isinstance(embedding, str):
            return np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4").astype(np.float32)
        if isinstance(embedding, list) and all(type(number) in {int, float} for number in embedding):
            with np.errstate(over="ignore"):  # becomes infinite, and is refused
                return np.array(embedding, dtype=np.float64).astype(np.float32)
    except (ValueError, OverflowError):
        pass
    raise _WrongAnswerError("an embedding is not a list of numbers")
