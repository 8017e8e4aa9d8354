"""Fetching a release from a server on loopback."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hrembed.data import onet
from hrembed.data.download import download
from hrembed.errors import DataError, HrembedError
from hrembed.files import sha256
from hrembed.progress import Silent
from miniatures import onet_release, zipped
from miniatures import run_import as run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return onet_release(tmp_path)


class _Server(http.server.BaseHTTPRequestHandler):
    """Serves one body; knows ranges; may end early once."""

    body, ranges, cut = b"x" * 500_000, True, 0
    asked: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted[6:-1]) if wanted and self.ranges else 0
        beyond = start >= len(self.body)
        self.send_response(404 if "missing" in self.path else 416 if beyond else 206 if start else 200)
        self.send_header("Content-Length", str(0 if beyond else len(self.body) - start))
        self.end_headers()
        self.wfile.write(self.body[start : self.cut or None])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server():
    handler = type("Handler", (_Server,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield handler, f"http://127.0.0.1:{served.server_port}/db.zip"
        served.shutdown()


def test_a_broken_download_is_resumed(server, tmp_path):
    handler, url = server
    target = tmp_path / "new" / "db.zip"
    handler.cut = 200_000
    with pytest.raises(DataError, match="cannot download") as caught:
        download(url, target, Silent())
    assert f"download {url} with a browser, save it as '{target}', and run the command again" in caught.value.hint
    assert not target.exists()
    handler.cut = 0
    download(url, target, Silent())
    assert target.read_bytes() == handler.body
    assert handler.asked == [None, "bytes=200000-"]
    handler.ranges = False
    target.with_name("db.zip.part").write_bytes(b"old")
    download(url, target, Silent())
    assert target.read_bytes() == handler.body


def test_no_network_and_no_file_say_what_to_fetch(capsys, tmp_path, server, monkeypatch):
    _, url = server
    for address in ("http://127.0.0.1:9/db.zip", url.replace("db", "missing")):
        monkeypatch.setattr(onet, "download_url", lambda release, address=address: address)
        said = run(capsys, tmp_path, "onet", "--set", f"downloads={tmp_path}/none", code=3)[2]
        assert f"cannot download '{address}'" in said
        assert f"save it as '{tmp_path}/none/db_29_3_text.zip'" in said


def test_a_part_that_is_no_beginning_is_fetched_anew(server, tmp_path):
    handler, url = server
    (tmp_path / "db.zip.part").write_bytes(b"y" * 600_000)
    download(url, tmp_path / "db.zip", Silent())
    assert (tmp_path / "db.zip").read_bytes() == handler.body
    assert handler.asked == ["bytes=600000-", None]
    assert [path.name for path in tmp_path.iterdir()] == ["db.zip"]


def test_a_second_break_loses_nothing_of_the_first(server, tmp_path):
    handler, url = server
    target = tmp_path / "db.zip"
    for size in (100_000, 350_000):
        handler.cut = size
        with pytest.raises(DataError, match=f"connection closed after {size:,} of 500,000 bytes"):
            download(url, target, Silent())
        assert (tmp_path / "db.zip.part").stat().st_size == size
    handler.cut = 0
    download(url, target, Silent())
    assert target.read_bytes() == handler.body
    assert handler.asked == [None, "bytes=100000-", "bytes=350000-"]


class _Told(Silent):
    """Remembers the bar."""

    def __init__(self) -> None:
        self.total, self.done = 0, 0

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0):
        self.total, self.done = total, done

        def advance(steps: int, note: str) -> None:
            self.done += steps

        yield advance


def test_a_download_shows_how_far_it_is(server, tmp_path):
    _, url = server
    (tmp_path / "db.zip.part").write_bytes(b"x" * 200_000)
    told = _Told()
    download(url, tmp_path / "db.zip", told)
    assert told.total == 500
    assert 495 <= told.done <= 500


def test_without_a_source_the_release_is_downloaded_once_and_hashed(capsys, tmp_path, release, server, monkeypatch):
    handler, url = server
    handler.body = zipped(release).read_bytes()
    monkeypatch.setattr(onet, "download_url", lambda release: url)
    words = ["onet", "--set", f"downloads={tmp_path}/loads"]
    target = tmp_path / "loads" / "db_29_3_text.zip"
    for _ in range(2):
        folder, metrics, _ = run(capsys, tmp_path, *words)
        inputs = json.loads((folder / "manifest.json").read_text())["inputs"]
        assert inputs["release"] == {"path": str(target), "sha256": sha256(release.with_name(f"{release.name}.zip"))}
        assert metrics["pairs"] > 100
    assert len(handler.asked) == 1


def test_a_download_that_cannot_be_written_says_so(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HrembedError, match=r"cannot write '.*file/db\.zip'"):
        download(server[1], tmp_path / "file" / "db.zip", Silent())


def test_the_address_is_that_of_the_release():
    assert onet.download_url("30.1") == "https://www.onetcenter.org/dl_files/database/db_30_1_text.zip"
