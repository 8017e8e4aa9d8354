"""How long `hrembed --help` takes, beside an import of sentence-transformers, in turns.

python benchmarks/startup.py [--short]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path

from measuring import arguments, in_turns, ratio, record

HREMBED = str(Path(sys.executable).with_name("hrembed"))
COMMANDS = {
    "hrembed --help": [HREMBED, "--help"],
    "hrembed finetune --help": [HREMBED, "finetune", "--help"],
    "import sentence_transformers": [sys.executable, "-c", "import sentence_transformers"],
}


def main() -> None:
    """Measure, and write the rows."""
    options = arguments(__doc__ or "")
    run = partial(subprocess.run, check=True, capture_output=True)
    ways = {name: partial(run, command) for name, command in COMMANDS.items()}
    *ours, plain = COMMANDS
    seconds = in_turns(ways, 1 if options.short else 9)
    rows = [
        {
            "what": f"`{name}`",
            "against": f'`python -c "{plain}"`',
            "target": "at least 10",
            "value": ratio(seconds[plain], seconds[name]),
            "seconds": statistics.median(seconds[name]),
        }
        for name in ours
    ]
    record("startup", options, rows)


if __name__ == "__main__":
    main()
