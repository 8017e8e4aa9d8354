"""Write what every command prints at 80 columns to `tests/cli/golden`, for review and for the test that compares it.

python tools/golden_outputs.py           (all; trains tiny models, two minutes)
python tools/golden_outputs.py quick     (those that train nothing)
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

_TESTS = Path(__file__).resolve().parent.parent / "tests"


def main(which: str) -> None:
    """Go through the commands, and replace the texts."""
    sys.path[:0] = [str(_TESTS), str(_TESTS / "helpers")]
    golden = import_module("golden")
    for name, steps in (("quick", golden.QUICK), ("trained", golden.TRAINED)):
        if which in {"all", name}:
            with tempfile.TemporaryDirectory() as folder:
                golden.write(steps, Path(folder).resolve())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "all")
