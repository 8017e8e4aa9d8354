"""What the processes of a launch run in `test_launch`.

`launched.py train PLAN`: several trainings in one launch, which saves the imports of the others.
`launched.py fail RANK STEP ARGUMENTS...`: the command line, in which one process fails at a step.
`launched.py twice FIRST SECOND ARGUMENTS...`: the command line with --json into one folder, and without into another,
where each step takes long enough to be stopped after it, also on a machine that does other work.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from hrembed.cli.app import entry_point, main
from hrembed.commands.finetune.run import launch_finetune
from hrembed.config.finetune import FinetuneConfig
from hrembed.errors import ModelError
from hrembed.runs.workspace import Workspace
from hrembed.training.callbacks import Watch


def train(plan: str) -> None:
    for name, settings in json.loads(Path(plan).read_text(encoding="utf-8")).items():
        launch_finetune(FinetuneConfig.model_validate(settings), Workspace(Path(plan).parent / name))


def fail(rank: str, step: str, *arguments: str) -> None:
    whole = Watch.step_done

    def broken(self, now, loss, parts):
        if os.environ["RANK"] == rank and now == int(step):
            raise ModelError("the disk is on fire")
        return whole(self, now, loss, parts)

    Watch.step_done = broken
    sys.argv[1:] = arguments
    entry_point()


def twice(first: str, second: str, *arguments: str) -> None:
    if status := main([*arguments, "--runs-dir", first, "--json"]):
        sys.exit(status)
    whole = Watch.step_done

    def slow(self, now, loss, parts):
        time.sleep(0.2)
        return whole(self, now, loss, parts)

    Watch.step_done = slow
    sys.argv[1:] = [*arguments, "--runs-dir", second]
    entry_point()


if __name__ == "__main__":
    {"train": train, "fail": fail, "twice": twice}[sys.argv[1]](*sys.argv[2:])
