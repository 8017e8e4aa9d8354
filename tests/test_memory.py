"""The unit of memory, the peak of a process, and freed memory that leaves it."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import psutil
import pytest
from hrembed.memory import MB, give_back_freed_memory

TAKES = 300 * MB


@pytest.mark.skipif(sys.platform != "linux", reason="compares with what Linux counts")
def test_the_peak_of_a_process_is_its_own_and_in_megabytes_of_a_million_bytes():
    code = (
        "from hrembed.memory import peak_memory_mb\n"
        "before = peak_memory_mb()\n"
        f"data = bytearray({TAKES})\n"
        "data[::4096] = bytes(len(data[::4096]))\n"
        "print(peak_memory_mb() - before)"
    )
    parent = bytearray(2 * TAKES)  # is no part of it
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(TAKES / MB, rel=0.02)
    assert len(parent) == 2 * TAKES


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone keeps freed memory in this way")
def test_freed_pieces_go_back_to_the_system():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    size = 64_000  # below the size for which glibc asks the system each time
    pieces = [libc.malloc(size) for _ in range(3000)]
    for piece in pieces:
        ctypes.memset(piece, 1, size)
    for piece in pieces[:-1]:  # the last one keeps the heap from shrinking at its end
        libc.free(piece)
    before = psutil.Process().memory_info().rss
    give_back_freed_memory()
    assert before - psutil.Process().memory_info().rss > 100 * MB
    libc.free(pieces[-1])
