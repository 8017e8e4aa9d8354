"""`hrembed encode` from databases and from stores, read by processes of their own."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import fsspec.config
import numpy as np
import pytest
from encoding import encode, hashes, profiles
from hrembed.errors import DataError
from hrembed.shards.reading import open_shards

from conftest import jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct horse"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def as_postgres() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A server of the system's packages, as a URL without the password."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    folder, port = Path(tempfile.mkdtemp(prefix="hrembed-pg-")), free_port()
    (folder / "password").write_text(PASSWORD)
    if os.getuid() == 0:
        for each in (folder, folder / "password"):
            shutil.chown(each, "postgres", "postgres")
    data, given = folder / "data", {"cwd": folder, **as_postgres()}
    subprocess.run(
        [found[-1], "-D", data, "-U", "me", "-A", "scram-sha-256", "--pwfile", folder / "password", "-E", "UTF8", "-N"],
        check=True, capture_output=True, **given,
    )  # fmt: skip
    options = ["-c", f"unix_socket_directories={folder}", "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]
    server = subprocess.Popen(
        [found[-1].with_name("postgres"), "-D", data, "-p", str(port), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **given,
    )  # fmt: skip
    try:
        yield f"postgresql+psycopg://me@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def connect(url: str) -> Any:
    """Connect as soon as the server answers."""
    import psycopg

    address = url.replace("+psycopg", "")
    for _ in range(300):
        try:
            return psycopg.connect(address, password=PASSWORD, autocommit=True)
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise TimeoutError(url)


def test_a_query_of_postgresql_is_encoded(tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch):
    with connect(postgres) as connection:
        connection.execute("CREATE TABLE profiles (id uuid, body text, country text, since date, pay numeric, ok bool)")
        connection.cursor().executemany(
            "INSERT INTO profiles VALUES (%s, %s, %s, '2026-11-30', 12.50, true)",
            [(f"00000000-0000-0000-0000-{n:012d}", row["text"], row["country"]) for n, row in enumerate(profiles(23))],
        )
    settings: dict[str, Any] = {
        "input": postgres,
        "query": "SELECT * FROM profiles",
        "columns": {"text": "body"},
        "keep": ("country", "since", "pay", "ok"),
    }
    with pytest.raises(DataError, match=r"the query on 'postgresql.* failed: .*no password supplied"):
        encode(tmp_path, monkeypatch, **settings)
    monkeypatch.setenv("HREMBED_DB_PASSWORD", PASSWORD)
    encode(tmp_path, monkeypatch, **settings)
    shards = open_shards(tmp_path / "out")
    assert shards.ids() == [f"00000000-0000-0000-0000-{n:012d}" for n in range(23)]
    assert shards.manifest.columns == {"country": "string", "since": "string", "pay": "double", "ok": "bool"}
    assert shards.table(["since", "pay", "ok"]).to_pylist()[7] == {"since": "2026-11-30", "pay": 12.5, "ok": True}
    jsonl(tmp_path / "in.jsonl", profiles(23))
    encode(tmp_path, monkeypatch, input=str(tmp_path / "in.jsonl"), out=str(tmp_path / "file"))
    np.testing.assert_array_equal(shards.vectors(), open_shards(tmp_path / "file").vectors())
    for file in [*(tmp_path / "runs").rglob("*"), *(tmp_path / "out").rglob("*")]:
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes()
    # One row changes, one goes: what stands before them is as it was.
    before = hashes(tmp_path / "out")
    with connect(postgres) as connection:
        connection.execute("UPDATE profiles SET body = 'bread' WHERE id = '00000000-0000-0000-0000-000000000015'")
    assert encode(tmp_path, monkeypatch, **settings).metrics.reused == 2
    after = hashes(tmp_path / "out")
    assert [name for name in before if before[name] != after[name]] == ["shard-000001.parquet"]
    with connect(postgres) as connection:
        with pytest.raises(DataError, match="syntax error"):
            encode(tmp_path, monkeypatch, **(settings | {"query": "DELETE FROM profiles", "out": str(tmp_path / "x")}))
        # A SELECT that writes is refused by the server itself: the transaction only reads.
        connection.execute("CREATE FUNCTION empty() RETURNS text LANGUAGE sql AS 'DELETE FROM profiles; SELECT ''a'''")
        query = "SELECT 'a' AS id, empty() AS body"
        with pytest.raises(DataError, match="read-only transaction"):
            encode(
                tmp_path, monkeypatch, input=postgres, query=query, columns={"text": "body"}, out=str(tmp_path / "x")
            )
        assert connection.execute("SELECT count(*) FROM profiles").fetchone() == (23,)


def test_a_query_of_sqlite_is_encoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("CREATE TABLE profiles (id INTEGER, text TEXT)")
    connection.executemany("INSERT INTO profiles VALUES (?, ?)", [(n, r["text"]) for n, r in enumerate(profiles(23))])
    connection.commit()
    connection.close()
    query = "SELECT id, text FROM profiles WHERE id <> 4"
    encode(tmp_path, monkeypatch, input=f"sqlite:///{tmp_path}/x.db", query=query)
    assert open_shards(tmp_path / "out").ids() == [str(n) for n in range(23) if n != 4]


@pytest.fixture
def ftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real server of another protocol, whose files only it can reach by path."""
    if find_spec("pyftpdlib") is None:
        pytest.skip("no FTP server here: pip install pyftpdlib")
    (tmp_path / "store").mkdir()
    port = free_port()
    words = ["-i", "127.0.0.1", "-p", str(port), "-d", str(tmp_path / "store"), "-w", "-u", "me", "-P", "pw"]
    with subprocess.Popen(
        [sys.executable, "-m", "pyftpdlib", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        monkeypatch.setenv("FSSPEC_FTP_USERNAME", "me")
        monkeypatch.setenv("FSSPEC_FTP_PASSWORD", "pw")
        fsspec.config.set_conf_env(fsspec.config.conf)  # as a process that starts now does
        yield f"ftp://127.0.0.1:{port}"
        fsspec.config.conf.pop("ftp")
        server.terminate()


def test_another_store_is_read_and_written(tmp_path: Path, ftp: str):
    source = jsonl(tmp_path / "store/in/rows.jsonl", profiles(25))
    encode(tmp_path, input=f"{ftp}/in/rows.jsonl", out=f"{ftp}/vectors", workers=2)
    encode(tmp_path, input=str(source), out=str(tmp_path / "local"))
    assert hashes(tmp_path / "store/vectors") == hashes(tmp_path / "local")
    assert len(hashes(tmp_path / "local")) == 3
    assert open_shards(f"{ftp}/vectors").ids() == [row["id"] for row in profiles(25)]
    damaged = tmp_path / "store/vectors/shard-000001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert encode(tmp_path, input=f"{ftp}/in/rows.jsonl", out=f"{ftp}/vectors").metrics.reused == 2
    assert hashes(tmp_path / "store/vectors") == hashes(tmp_path / "local")
