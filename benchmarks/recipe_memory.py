"""Most memory that the recipes take, from a small part of each.

    python benchmarks/recipe_memory.py --pairs FOLDER [--share 0.05] [--short]

The folders `titles` and `skills` below FOLDER hold the files of pairs that each recipe's config names (`onet.parquet`
and so on), as `data import` writes them. Every source takes a share of its rows, so that all kinds of batches of the
recipe occur, of full size; choice of the strength and proof are the recipe's own. Most memory is that of the whole
process of `hrembed finetune`, as its manifest says. A whole training may need somewhat more: it has more batches, so
its largest is larger.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hrembed.config.starters import config_file

from measuring import arguments, record


def part_of(config: dict[str, Any], share: float) -> dict[str, Any]:
    """Settings of a training on a share of the rows of every source."""
    for source in config["sources"]:
        if "limit" in source:
            source["limit"] = max(2, round(source["limit"] * share))
        else:
            source["weight"] = source.get("weight", 1) * share
    return config


def train(config: dict[str, Any], pairs: Path) -> dict[str, Any]:
    """Run `hrembed finetune` in a process of its own, and read its memory and time."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(pairs, Path(folder) / "pairs")
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        command = [sys.executable, "-m", "hrembed", "finetune", "config.json", "--json"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": _here()}
        )
        if done.returncode:
            sys.exit(done.stderr)
        result = json.loads(done.stdout)
        manifest = json.loads((Path(folder) / result["run"] / "manifest.json").read_text(encoding="utf-8"))
    return {
        "steps": result["metrics"]["steps"],
        "peak_memory_mb": manifest["peak_memory_mb"],
        "seconds": manifest["seconds"],
    }


def _here() -> str:
    return str(Path(__file__).parents[1])


def main() -> None:
    """Train on a part of every recipe, print and write the rows."""
    options = arguments(
        __doc__ or "",
        pairs={"type": Path, "required": True, "help": "holds the folders titles and skills"},
        share={"type": float, "default": 0.05},
    )
    rows = []
    for recipe in ("titles", "skills"):
        config = yaml.safe_load(config_file(f"shipped:finetune/{recipe}").read_text(encoding="utf-8"))
        share = options.share / 10 if options.short else options.share
        row = {"what": f"recipe {recipe}, {share:g} of its rows", "target": "at most 3,000 MB"}
        rows.append(row | train(part_of(config, share), options.pairs / recipe))
    record("recipe_memory", options, rows)


if __name__ == "__main__":
    main()
