"""The unit of memory, and the peak of a process."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hrembed.memory import MB

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
