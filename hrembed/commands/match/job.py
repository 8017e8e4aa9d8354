"""The job that candidates are ranked for: a text, a file, an id of a table, or standard input."""

from __future__ import annotations

import hashlib
import re
import sys
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from hrembed.data.locate import locate
from hrembed.data.read import read_texts
from hrembed.errors import ConfigError, DataError
from hrembed.files import exists, user_path
from hrembed.registry import nearest
from hrembed.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.types import Text

LONGEST = 200_000
"""Bytes of a job; a model reads some hundred words of them."""
_TEXT_FILES = {"", ".txt", ".md", ".text", ".markdown"}
_LIKE_A_PATH = re.compile(r"[^\s]*[/\\][^\s]*|[^\s]+\.(?:txt|md|text|jsonl?|csv|tsv|parquet|pdf|docx?|html?|rtf|odt)")
_ID = "id:"


class Job(NamedTuple):
    """What candidates are ranked for.

    Attributes:
        text: What is embedded.
        source: Where it came from, in words, without its text.
    """

    text: str
    source: str

    @property
    def sha256(self) -> str:
        """Hash of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_job(given: str | None, jobs: str | None) -> Job:
    """Find out what was meant, and read it.

    An id of the table is taken first, then a file, then a text. What looks like the name of a file and is none is
    refused, since ranking for the words of a path would give an answer to another question.

    Args:
        given: A text, a file, an id of `jobs` (also as `id:ID`), or `-`.
        jobs: Table of jobs; None without one.

    Raises:
        ConfigError: Nothing was given, or an id without a table.
        DataError: It cannot be read, is too long, empty, no UTF-8, or not in the table.
    """
    if given is None or not given.strip():
        raise ConfigError(
            "no job was given", hint='for example: `hrembed match "Night nurse, surgical ward" --index IDX`'
        )
    if given == "-":
        return _checked(_stream(sys.stdin.buffer, "standard input"), "standard input")
    if given.startswith(_ID) and jobs is None:
        raise ConfigError(
            f"`{_shown(given)}` is an id, and no table of jobs was given", hint="set it with `--jobs FILE`"
        )
    if jobs is not None:
        known = {each.id: each.text for each in read_jobs(jobs)}
        wanted = given.removeprefix(_ID)
        if wanted in known:
            return _checked(known[wanted], f"id {printable(wanted)} of {jobs}")
        if given.startswith(_ID) or not re.search(r"\s", given):
            raise DataError(
                f"'{jobs}' has no job '{_shown(wanted)}'{nearest(wanted, known)}",
                hint="use one of its ids, or give a text or a file without `--jobs`",
            )
    path = user_path(given)
    if len(given) < 1024 and "\n" not in given and exists(path):
        return _checked(_file(path), f"file {given}")
    if _LIKE_A_PATH.fullmatch(given.strip()):
        raise DataError(f"file '{_shown(given)}' does not exist", hint="check the path, or write the job as a text")
    return _checked(given, "text")


def read_jobs(table: str) -> list[Text]:
    """Read a table of jobs.

    Raises:
        DataError: Missing, malformed, or a job without a text.
    """
    return read_texts(locate(table))


def _file(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, not a file", hint="give the file of one job, or `--batch` and a table")
    if path.suffix.lower() not in _TEXT_FILES:
        raise DataError(
            f"'{path}': a job is read from plain text, not from '{path.suffix}'",
            hint="save it as text, or pipe the text: `... | hrembed match -` (a table of jobs goes with `--jobs`)",
        )
    try:
        with path.open("rb") as stream:
            return _stream(stream, f"'{path}'")
    except OSError as err:
        raise DataError(f"'{path}' cannot be read: {err.strerror}") from None


def _stream(stream: BinaryIO, name: str) -> str:
    content = stream.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise _too_long(name)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise DataError(
            f"{name} is not UTF-8 text: byte {err.start} is 0x{content[err.start]:02X}", hint="save the job as UTF-8"
        ) from None


def _checked(text: str, source: str) -> Job:
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        raise _too_long(f"the job ({source})")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"the job ({source}) is not UTF-8 text", hint="save the job as UTF-8, and give the file")
    if "\0" in text:
        raise DataError(f"the job ({source}) contains a zero byte", hint="save it as plain text")
    if not any(letter.isalnum() for letter in text):
        raise DataError(f"the job ({source}) contains no word", hint="describe the job in words")
    return Job(text.strip(), source)


def _too_long(name: str) -> DataError:
    return DataError(
        f"{name} is longer than {LONGEST:,} bytes",
        hint="give the text of one job; a table of jobs goes with `--batch`",
    )


def _shown(text: str) -> str:
    return printable(text if len(text) <= 80 else text[:77] + "...")
