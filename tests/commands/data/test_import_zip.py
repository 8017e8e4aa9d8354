"""ZIPs that no honest release is, and damaged ones."""

from __future__ import annotations

import stat
import zipfile
from typing import TYPE_CHECKING

import pytest
from miniatures import onet_release, zipped
from miniatures import run_import as run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return onet_release(tmp_path)


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil.txt", "C:\\evil.txt", "a/..\\..\\evil.txt"])
def test_a_zip_that_escapes_its_folder_is_refused(capsys, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("Occupation Data.txt", "x")
        archive.writestr(name, "x")
    _, _, said = run(capsys, tmp_path, "onet", str(tmp_path / "bad.zip"), code=3)
    assert f"bad.zip': entry '{name}' points outside the archive" in said
    assert not list(tmp_path.rglob("evil.txt"))


def test_other_tricks_of_zips_are_refused(capsys, tmp_path, monkeypatch):
    link = zipfile.ZipInfo("Occupation Data.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "is a symbolic link" in run(capsys, tmp_path, "onet", str(tmp_path / "link.zip"), code=3)[2]
    (tmp_path / "no.zip").write_bytes(b"PK no zip")
    assert "is not a valid ZIP archive" in run(capsys, tmp_path, "onet", str(tmp_path / "no.zip"), code=3)[2]
    with zipfile.ZipFile(tmp_path / "big.zip", "w") as archive:
        archive.writestr("Occupation Data.txt", "x" * 2000)
    monkeypatch.setattr("hrembed.data.archive.MAX_UNPACKED", 1000)
    assert "would expand to more than" in run(capsys, tmp_path, "onet", str(tmp_path / "big.zip"), code=3)[2]


def patched(file: Path, offset: int, value: bytes, mark: bytes = b"PK\1\2") -> Path:
    """Overwrite bytes of the first entry, by default in the directory of the ZIP."""
    content = bytearray(file.read_bytes())
    start = content.index(mark) + offset
    content[start : start + len(value)] = value
    file.write_bytes(content)
    return file


def test_an_encrypted_or_damaged_zip_is_refused(capsys, tmp_path, release):
    """Flags are at byte 8 of an entry's record, the method at byte 10."""
    said = run(capsys, tmp_path, "onet", str(patched(zipped(release), 8, b"\1")), code=3)[2]
    assert "entry 'db_29_3_text/Alternate Titles.txt' is encrypted; nothing was extracted" in said
    said = run(capsys, tmp_path, "onet", str(patched(zipped(release), 10, b"\x63")), code=3)[2]
    assert "cannot be read: That compression method is not supported" in said
    said = run(capsys, tmp_path, "onet", str(patched(zipped(release), 6, b"\xff\0")), code=3)[2]
    assert "is not a valid ZIP archive: zip file version 25.5" in said
    source = zipped(release)
    source.write_bytes(source.read_bytes()[:-30])
    assert "is not a valid ZIP archive" in run(capsys, tmp_path, "onet", str(source), code=3)[2]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_with_damaged_bytes_is_named(capsys, tmp_path, release, method):
    """Ninety bytes behind the name are those of the text, packed or not."""
    target = tmp_path / "packed.zip"
    with zipfile.ZipFile(target, "w", method) as archive:
        for file in sorted(release.iterdir()):
            archive.write(file, file.name)
    run(capsys, tmp_path, "onet", str(target))
    patched(target, 60, b"\x7f" * 30, mark=b"Occupation Data.txt")
    said = run(capsys, tmp_path, "onet", str(target), code=3)[2]
    assert f"{target}/Occupation Data.txt" in said
