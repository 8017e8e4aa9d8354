"""Do the sentences that `match --why` names carry the score? Prints one line for each model.

    python benchmarks/why.py [--short] [--model REF]... [--task TASK]

For each query of a task and one of its best documents, the named sentence is left out of the document, and another of
like length in its place; the share of pairs in which the score falls more without the named one is the faithfulness.
Two sentences are tried by leaving them out, those with the largest losses within the sum; beside them stand those with
the largest shares and those drawn by chance, and the same with one sentence, which then is named untried.
"""

from __future__ import annotations

import argparse
from itertools import product
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
    from hrembed.types import Floats

TASK = "shipped:hr-core/test/ad-profile"


def by_chance(of_sentences: Floats, whole: Floats, other: Floats) -> Floats:
    """Losses that know nothing."""
    return RNG.random(len(of_sentences))


def by_share(of_sentences: Floats, whole: Floats, other: Floats) -> Floats:
    """What each sentence adds, as if that were what is lost without it."""
    return np.asarray(of_sentences @ other)


RNG = np.random.default_rng(0)


def main() -> None:
    """Measure each model, and other ways to name a sentence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="Few pairs: does it run?")
    parser.add_argument("--model", action="append", help="Reference; repeatable.")
    parser.add_argument("--task", default=TASK)
    given = parser.parse_args()
    task = read_task(locate(given.task))
    ways = {"losses within the sum": why.lost_within_sum, "shares": by_share, "chance": by_chance}
    for ref in given.model or ["minilm", "wordllama"]:
        encoder = open_encoder(ModelSection(ref=ref), Workspace(Path("runs")), cache=Path("runs/.cache/vectors"))
        for name, tried in product(ways, (2, 1)):
            with mock.patch.multiple(why, lost_within_sum=ways[name], _TRIED=tried):
                found = why.measure_faithfulness(encoder, task, pairs=24 if given.short else 1000, needed=0.8)
            share, pairs = found.share, f"{found.pairs} pairs ({found.skipped} skipped)"
            print(
                f"{ref}, {task.name}, {found.method}, {tried} tried by {name}: {share.value:.3f} [{share.low:.3f}, "
                f"{share.high:.3f}] of {pairs}; answered from a cosine of {found.answered:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
