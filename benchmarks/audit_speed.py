"""A whole `hrembed bias-audit`, and the same with plain `SentenceTransformer.encode` in its place, in turns.

    python benchmarks/audit_speed.py [--short]

80 names × 32 résumés × 4 jobs, without other cues and mitigations. The résumés are those of hr-core under 32 ids.
Everything is counted but the first writing of the graph, whose time stands beside; no vectors are kept between turns.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.config.bias_audit import AuditConfig, MitigationSection, StimuliSection
from hrembed.config.parts import ModelSection
from hrembed.runs.workspace import Workspace

from measuring import HR_CORE, arguments, forget, in_turns, ratio, record

JOBS, RESUMES, CELLS = 4, 32, 8


def stimuli(folder: Path, names: int, resumes: int) -> StimuliSection:
    """Write jobs and résumés of the sizes asked for; names are the shipped ones."""
    sizes = {"jobs": JOBS, "resumes": resumes}
    for part, count in sizes.items():
        lines = (HR_CORE / "audit" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        chosen = [rows[n % len(rows)] for n in range(count)]
        own = [{**row, "_id": f"{part}{n}", "text": f"{row['text']}\nNumber {n}."} for n, row in enumerate(chosen)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own), encoding="utf-8")
    paths = {part: str(folder / f"{part}.jsonl") for part in sizes}
    return StimuliSection(**paths, names_per_cell=max(2, names // CELLS))


def main() -> None:
    """Measure, and write the row."""
    options = arguments(__doc__ or "")
    names, resumes, repeats = (16, 4, 2) if options.short else (80, RESUMES, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shown = stimuli(folder, names, resumes)

        def audit(**settings: Any) -> None:
            forget(folder / "runs" / ".cache" / "vectors")
            config = AuditConfig(
                model=ModelSection(**settings),
                stimuli=shown,
                cues=(),
                mitigation=MitigationSection(ways=()),
                fail_on="never",
            )
            run_bias_audit(config, Workspace(folder / "runs"))

        started = time.perf_counter()
        audit(precision="auto")
        once = time.perf_counter() - started
        taken = in_turns({"plain": audit, "ours": lambda: audit(precision="auto")}, repeats)
    row = {
        "what": f"whole `bias-audit`, {names} names x {resumes} résumés x {JOBS} jobs",
        "against": "the same with plain `encode`",
        "target": "at least 2.5",
        "value": ratio(taken["plain"], taken["ours"]),
        "first_run_seconds": once,
    }
    record("audit_speed", options, [row])


if __name__ == "__main__":
    main()
