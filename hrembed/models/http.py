"""One HTTP request and its whole answer: verified, within a time and a size, without redirects."""

from __future__ import annotations

import http.client
import io
import ipaddress
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hrembed.errors import ModelError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

_CHUNK = 2**16


class NoAnswerError(Exception):
    """There is no whole answer, but another attempt may bring one.

    Attributes:
        wait: Seconds that the server asks for before the next attempt; 0 when it does not say.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status; 300 and above are answers like any other.
        headers: Looked up in any case of letters.
        body: All of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_loopback(url: str) -> bool:
    """Say whether an address is on this machine: `localhost`, 127.0.0.0/8 or ::1."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def ask(url: str, body: bytes | None, headers: Mapping[str, str], *, timeout_seconds: float, max_bytes: int) -> Answer:
    """Send one request and read its whole answer.

    Redirects are not followed, so that headers with a key reach no other address. The certificate is verified. The
    system's proxies are used, but never for this machine: what is sent there may be in the clear.

    Args:
        url: `http` or `https`, ASCII, without user information.
        body: Sent as it is, with POST; None sends a GET.
        headers: Sent beside those of HTTP.
        timeout_seconds: For making the connection, for sending, and for the whole answer, however many pieces it
            comes in.
        max_bytes: Longest body that is read.

    Raises:
        NoAnswerError: No connection, an answer that breaks off, or none in time. It quotes the operating system, never
            the server.
        ModelError: The certificate is not valid, or the body is too long.
    """
    request = urllib.request.Request(url, data=body, headers=dict(headers))
    try:
        with _opener(url).open(request, timeout=timeout_seconds) as response:
            return Answer(response.status, response.headers, _whole(response, url, max_bytes))
    except (OSError, http.client.HTTPException, ValueError) as err:  # ValueError: a chunk of negative length
        cause = err.reason if isinstance(err, urllib.error.URLError) else err
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise ModelError(
                f"the certificate of '{url}' is not valid: {cause.verify_message}",
                hint=(
                    "check the address; to trust your own certificate authority, set the environment variable "
                    "SSL_CERT_FILE"
                ),
            ) from None
        raise NoAnswerError(_reason(cause, timeout_seconds)) from None


def _whole(response: http.client.HTTPResponse, url: str, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := response.read(_CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise ModelError(
                (
                    f"the response of '{url}' exceeds {max_bytes:,} bytes, which is too large for one batch of "
                    "embeddings"
                ),
                hint="check that the address belongs to an embeddings API",
            )
    if response.length:  # what Content-Length promised beyond it; `read` with a size does not complain
        raise http.client.IncompleteRead(b"", response.length)
    return bytes(body)


def _reason(err: object, timeout_seconds: float) -> str:
    """Phrase a failure without what the server said: it may have echoed the request."""
    if isinstance(err, TimeoutError):
        return f"no complete response within {timeout_seconds:g} s"
    if isinstance(err, http.client.RemoteDisconnected):
        return "connection closed without a response"
    if isinstance(err, http.client.IncompleteRead):
        return "the response was truncated"
    if isinstance(err, http.client.HTTPException | ValueError) and not isinstance(err, OSError):
        return "the response is not HTTP"
    if isinstance(err, ssl.SSLError):
        return f"cannot establish a secure connection ({err.reason or 'closed'})"
    return f"connection failed ({getattr(err, 'strerror', None) or 'refused on the way'})"


def _opener(url: str) -> urllib.request.OpenerDirector:
    proxies = urllib.request.ProxyHandler({} if is_loopback(url) else None)
    return urllib.request.build_opener(proxies, _PlainHandler(), _SecureHandler(), _AsItIs())


class _Timed(io.RawIOBase):
    """Reads a socket until a moment; a socket's own timeout starts anew with every byte."""

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._end = time.monotonic() + (sock.gettimeout() or 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer whose status line, headers and body share one timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock))


class _Plain(http.client.HTTPConnection):
    response_class = _Response


class _Secure(http.client.HTTPSConnection):
    response_class = _Response


class _PlainHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Secure, req, context=ssl.create_default_context())


class _AsItIs(urllib.request.HTTPErrorProcessor):
    """Hands over every answer: no status is an exception, and no redirect is followed."""

    def http_response(self, request: urllib.request.Request, response: http.client.HTTPResponse) -> Any:
        return response

    https_response = http_response
