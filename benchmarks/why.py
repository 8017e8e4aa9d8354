"""Do the sentences that `match --why` names carry the score? Prints one line for each model.

    python benchmarks/why.py [--short] [--model REF]... [--task TASK]

For each query of a task and one of its best documents, the named sentence is left out of the document, and another of
like length in its place; the share of pairs in which the score falls more without the named one is the faithfulness.
Beside it stands the same for a sentence named by chance and for the longest one, which an explanation must beat.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
from hrembed.config.parts import ModelSection
from hrembed.data.locate import locate
from hrembed.data.read import read_task
from hrembed.runs.workspace import Workspace
from hrembed.scoring import why
from hrembed.scoring.encoders import open_encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from hrembed.scoring.why import Shares
    from hrembed.types import Floats

TASK = "shipped:hr-core/test/ad-profile"


def named_by(weigh: Callable[[Shares], Floats]) -> Callable[..., list[Shares]]:
    """Shares that name another sentence than those of the cosine do."""

    def shares(*args: object) -> list[Shares]:
        return [found._replace(shares=weigh(found)) for found in REAL(*args)]

    return shares


REAL = why.sentence_shares


def main() -> None:
    """Measure each model, and two ways to name a sentence that know nothing of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="Few pairs: does it run?")
    parser.add_argument("--model", action="append", help="Reference; repeatable.")
    parser.add_argument("--task", default=TASK)
    given = parser.parse_args()
    task = read_task(locate(given.task))
    rng = np.random.default_rng(0)
    ways = {
        "named by the model": REAL,
        "named by chance": named_by(lambda found: rng.random(len(found.spans))),
        "the longest": named_by(lambda found: np.array([end - start for start, end in found.spans], dtype=float)),
    }
    for ref in given.model or ["minilm", "wordllama"]:
        encoder = open_encoder(ModelSection(ref=ref), Workspace(Path("runs")), cache=Path("runs/.cache/vectors"))
        for name, shares in ways.items():
            with mock.patch.object(why, "sentence_shares", shares):
                found = why.measure_faithfulness(encoder, task, pairs=24 if given.short else 1000, needed=0.8)
            share = found.share
            print(
                f"{ref}, {task.name}, {found.method}, {name}: {share.value:.3f} [{share.low:.3f}, {share.high:.3f}] of "
                f"{found.pairs} pairs ({found.skipped} skipped); answered from a cosine of {found.answered:.3f}"
            )


if __name__ == "__main__":
    main()
