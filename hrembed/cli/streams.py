"""Standard output and error: control characters are shown as text, and a closed or full one is one sentence.

All that reaches the terminal goes through here: tables, notes, errors, Typer's words, libraries' warnings, tracebacks.
Only rich, which draws with escape sequences of its own, writes below (`drawn`), what went through `printable` before.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO

from hrembed.errors import HrembedError
from hrembed.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class OutputError(HrembedError):
    """Standard output cannot be written; the run folder is whole all the same."""


class ReaderGoneError(OutputError):
    """The program that reads standard output has ended, as `head` does."""

    exit_code = 141  # 128 + SIGPIPE, as shells report a program that this signal ended


class _Bytes(io.BufferedIOBase):
    """Bytes for a stream of the system.

    Args:
        sink: Where they go; None where the shell closed the stream.
        strict: Raise what the system refuses. Where standard error is refused, there is nowhere left to complain.
    """

    def __init__(self, sink: BinaryIO | None, *, strict: bool) -> None:
        self._sink, self._strict = sink, strict
        self.name = "<output>"

    def write(self, data: Any, /) -> int:
        if not data:  # Typer asks so whether a stream takes bytes
            return 0
        try:
            if self._sink is None:
                raise OSError(errno.EBADF, "it is closed")
            rest = memoryview(data)
            while rest:  # an unbuffered stream may take a part
                rest = rest[self._sink.write(rest) :]
            self._sink.flush()
        except OSError as err:
            self._refuse(err)
        return len(data)

    def _refuse(self, err: OSError) -> None:
        if not self._strict:
            return
        if isinstance(err, BrokenPipeError):
            raise ReaderGoneError("standard output was closed by the reading program") from err
        raise OutputError(f"cannot write to standard output: {err.strerror}") from err

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._sink is not None and self._sink.isatty()

    def fileno(self) -> int:
        if self._sink is None:
            raise io.UnsupportedOperation("fileno")
        return self._sink.fileno()


class _Text(io.TextIOWrapper):
    """Text in which control characters are visible; what the encoding lacks is escaped as well."""

    def __init__(self, data: _Bytes, encoding: str) -> None:
        super().__init__(data, encoding, "backslashreplace", write_through=True)
        self.drawn = io.TextIOWrapper(data, encoding, "backslashreplace", write_through=True)

    def write(self, text: str, /) -> int:
        super().write(printable(text))
        return len(text)


def drawn(stream: TextIO | None) -> TextIO:
    """Return the stream to which rich may write its escape sequences."""
    if stream is None:
        return io.StringIO()
    return stream.drawn if isinstance(stream, _Text) else stream


@contextmanager
def guarded() -> Iterator[None]:
    """Make standard output raise `OutputError`, standard error be silent, where the system refuses to write.

    A stream that is no system's (a notebook's, for example) is left as it is.
    """
    out, err = _guard(sys.stdout, strict=True), _guard(sys.stderr, strict=False)
    with redirect_stdout(out), redirect_stderr(err):
        yield


def _guard(stream: TextIO | None, *, strict: bool) -> TextIO | None:
    if stream is None:
        return _Text(_Bytes(None, strict=strict), "utf-8")
    if isinstance(stream, _Text) or not hasattr(stream, "buffer"):
        return stream
    with suppress(OSError):
        stream.flush()
    return _Text(_Bytes(stream.buffer, strict=strict), stream.encoding or "utf-8")


def discard_rest() -> None:
    """Drop what Python still holds for streams that refused it, or it would complain when it ends."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
