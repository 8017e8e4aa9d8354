"""What a bridge from a tuned model's queries to the base model's stored vectors keeps: the table of `docs/results.md`.

    python benchmarks/bridge.py RUNS_DIR RUN

RUN is a finetune run on the pairs of hr-core whose base is MiniLM. The maps are fitted on the documents of those pairs;
the better one is chosen on the dev task and measured on the test task, whose occupations nobody trained on.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hrembed.commands.retrain.bridge import best_way, bridge_sentence, fit_bridges, judge_bridge, measure_bridges
from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection
from hrembed.config.retrain import BridgeSection
from hrembed.data.locate import locate
from hrembed.data.pairs import read_pairs
from hrembed.records.base import write_record
from hrembed.reports.estimates import format_estimate
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.retrieval import open_task


def main(runs: Path, name: str) -> None:
    """Fit, choose, measure, and print a table."""
    old, new = (
        open_encoder(ModelSection(ref=ref, max_tokens=128), Workspace(runs), cache=runs / ".cache" / "vectors")
        for ref in ("minilm", f"run:{name}")
    )
    pairs = read_pairs(locate("shipped:hr-core/pairs/train.jsonl"))
    bridges = fit_bridges(old, new, list(dict.fromkeys(pair.positive for pair in pairs)), BridgeSection())
    with open_run(Workspace(runs), "bridge", {"run": name}, seeds={}) as run:
        dev, test = (open_task(TaskSection(path=f"shipped:hr-core/{side}/ad-profile"), run) for side in ("dev", "test"))
        best = best_way(measure_bridges(old, new, bridges, dev, BootstrapSection()), bridges)
        bridge = judge_bridge(test.name, measure_bridges(old, new, bridges, test, BootstrapSection()), best)
        write_record(run.path / "metrics.json", bridge)
    print("| way | nDCG@10 | difference to the old model |\n|---|---|---|")
    for way, scored in bridge.ways.items():
        print(f"| {way} | {format_estimate(scored.score)} | {format_estimate(scored.difference, sign=True)} |")
    print(f"\nChosen on the dev task: {best}. {bridge_sentence(bridge)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
