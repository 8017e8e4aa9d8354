"""A name audit of the search as deployed beside that of the model alone, on the shipped stimuli.

    python benchmarks/deployed_audit.py [--short] [--model REF] [--backend exact|lancedb]

Four systems rank the same résumés under the same names: the model, its index, the index with BM25 fused, and that with
a condition that half of the résumés meet, whatever the name. Printed are the gates of each with their intervals, and
nDCG@10 on hr-core ad-profile, whose profiles are the rows of the index. Names are test data: this is no Local Law 144
audit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from hrembed.audit.stimuli import fill, without_slots
from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.bias_audit.stimuli import open_stimuli
from hrembed.commands.encode.run import run_encode
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.index.build import run_build
from hrembed.config.bias_audit import AuditConfig
from hrembed.config.encode import EncodeConfig
from hrembed.config.eval import EvalConfig
from hrembed.config.index import IndexBuildConfig
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring import score_choice
from hrembed.scoring.index_system import Stimuli

if TYPE_CHECKING:
    from typing import Any

CORPUS = Path(__file__).resolve().parents[1] / "data/hr-core/test/ad-profile/corpus.jsonl"


def main() -> None:
    """Build the index, measure quality, and audit the four systems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="Few names and resamples: does it run?")
    parser.add_argument("--model", default="wordllama")
    parser.add_argument("--backend", default="exact", choices=["exact", "lancedb"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), given.model, given.backend, short=given.short)


def measure(folder: Path, model: str, backend: str, *, short: bool) -> None:
    """Print what each system does to quality and to names."""
    workspace, resamples = Workspace(folder / "runs"), 200 if short else 2000
    table = folder / "corpus.jsonl"
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    table.write_text("".join(json.dumps({**row, "half": n % 2}) + "\n" for n, row in enumerate(rows)), encoding="utf-8")
    run_encode(
        EncodeConfig.model_validate(
            {"input": str(table), "out": str(folder / "vectors"), "model": model, "keep": ["text", "half"]}
        ),
        workspace,
    )
    run_build(
        IndexBuildConfig(shards=str(folder / "vectors"), out=str(folder / "idx"), backend=backend, filters=("half",)),
        workspace,
    )
    systems: dict[str, Any] = {"model": {"ref": model}}
    for name, settings in {
        "index": {},
        "index, BM25": {"stages": {"bm25": True}},
        "index, BM25, condition": {"stages": {"bm25": True}, "where": ["half=0"]},
    }.items():
        config = folder / f"{name}.yaml"
        config.write_text(json.dumps(settings), encoding="utf-8")
        systems[name] = {"ref": f"index:{folder / 'idx'}", "search": str(config), "name": name}
    quality(systems, workspace, resamples)
    for name, section in systems.items():
        audit(name, section, workspace, resamples, short=short)


def quality(systems: dict[str, Any], workspace: Workspace, resamples: int) -> None:
    """Print nDCG@10 of each system, and its difference to the model."""
    config = EvalConfig.model_validate(
        {
            "models": [*systems.values()],
            "baselines": [],
            "retention": [],
            "worst": 0,
            "bootstrap": {"resamples": resamples},
        }
    )
    for models in run_evaluate(config, workspace).metrics.scores.values():
        for name, scores in models.items():
            found = scores["ndcg@10"]
            print(f"{name}: nDCG@10 {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]", flush=True)


def audit(name: str, section: dict[str, Any], workspace: Workspace, resamples: int, *, short: bool) -> None:
    """Print the gates of a system; half of the résumés meet the condition under all names."""
    config = AuditConfig.model_validate(
        {
            "model": section,
            "fail_on": "never",
            "controls": False,
            "cues": [],
            "bootstrap": {"resamples": resamples},
            "stimuli": {"names_per_cell": 5} if short else {},
        }
    )
    with open_run(workspace, "bias-audit", {}, seeds={}) as run:
        stimuli = open_stimuli(config, run)
    names = len(stimuli.names.names)
    half = {text: {"half": n % 2} for n, text in enumerate(without_slots(stimuli.resumes))}
    half |= {text: {"half": n // names % 2} for n, text in enumerate(fill(stimuli.resumes, stimuli.names.names))}
    opened = score_choice.open_index_system
    with mock.patch.object(
        score_choice,
        "open_index_system",
        lambda *args, **options: opened(*args, **options, stimuli=Stimuli({"half": "int64"}, half)),
    ):
        record = run_bias_audit(config, workspace).metrics
    for gate in record.gates:
        worst, effect = gate.worst, gate.worst.effect
        print(
            f"{name}: {gate.attribute}, {gate.gate}: {worst.first} against {worst.second} {effect.value:.3f} "
            f"[{effect.low:.3f}, {effect.high:.3f}], p {gate.p_value:.3g}: {gate.verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
