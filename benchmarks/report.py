"""Write `docs/performance.md` from `benchmarks/results/*.json`.

    python benchmarks/report.py [OUT.md]

Short runs are left out where a full one is there, and marked where not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from hrembed.files import write_text

from measuring import RESULTS

OUT = Path(__file__).parents[1] / "docs" / "performance.md"
INTRO = """# Speed

Written by `benchmarks/report.py` from `benchmarks/results/*.json`; `make bench-full` measures anew, `make bench` sees
in a few minutes that every benchmark runs. Each number is the median of ratios between the plain way and ours, which
take turns in one process or run; above 1, ours is faster. A row marked *short* comes from sizes that are too small to
conclude anything from, and a load above the number of threads says that the machine did other work meanwhile.
Benchmarks without a row were not run. What bounds a row that stays below what was asked for stands in it or in the
table of operations.

## How to encode fast

```
hrembed eval --set models.0.precision=auto
```

| key | means |
|---|---|
| `precision: float32`, the default | torch, as Sentence Transformers runs it |
| `backend: openvino` | OpenVINO in float32: vectors equal to 1e-5 |
| `precision: auto` | the fastest of torch, OpenVINO in float32 and in bfloat16 with a cosine of 0.9999 to torch |
| `precision: bfloat16` | OpenVINO in bfloat16, whatever it gives |
| `precision: int8` | OpenVINO, quantised by NNCF on 320 texts of hr-core; vectors change: compare with `hrembed eval` |

OpenVINO comes with `pip install 'hrembed[export]'`; without it torch does the work, and says so. The whole model, from
token numbers to the text's vector, becomes one graph. It is compared with torch on varied texts before it is kept, in
`.cache/graphs` of the folder of the runs, under a hash of weights, tokenizer, length limit and OpenVINO's version;
once it is there, neither torch nor transformers is imported. `auto` measures once for each model, processor and number
of threads, and keeps to what it found, so that a repeated run gives the same numbers. In another folder of runs it
measures again, and where two ways are about equally fast it may choose the other one: name the precision where that
matters.

Distinct texts are encoded once, the longest first, in batches of 1,024 tokens (512 in float32), each by one thread; the
next texts are tokenised meanwhile. With OpenVINO a vector does not depend on the number of threads. Short texts share
rows of 64 tokens, in which a token sees those of its own text alone: the attention of a batch of titles is hundreds of
products of matrices of 5 x 32 numbers otherwise, which take longer than their arithmetic. Whether a model computes the
same vectors that way is tried with torch before its graph is written; one that does not, such as a decoder, keeps a
row for each text.

## How to train fast

* `method: {name: partial, layers: 3}` or `lora` with `layers`, and `train.keep_frozen_mb: 4096`: what the frozen layers
  make of each text is computed once and kept in a file for as long as the training runs. Dropout is off in frozen
  layers then. It takes 4 bytes for each token of all distinct texts and each number of its vector, and nothing is
  computed where that is more than allowed.
* Within a batch equal texts are embedded once, and the others sorted by length, so that little is padded (the losses
  `ranking`, `group-ranking` and `embedding-distillation`). Which pairs meet is not decided by length: batches of texts
  of one length would change what is learnt.
* `train.precision: bfloat16` where the processor has it; `finetune --dry-run` measures both.
* AdamW is torch's fused one.

The ratios to the same dev score below hold more than speed. The plain training does what the library's documentation
does: its batches repeat no text, and texts of one occupation are each other's negatives there; ours keep groups apart.
How much faster the same number of steps is stands beside them.
"""
CLOCKED = """
Where the time of encoding goes, by OpenVINO's own clock on one thread (`benchmarks/operations.py`). Bias and GELU count
to the products before them, the softmax to attention.
"""


def main(out: Path) -> None:
    """Write the page."""
    files = sorted(RESULTS.glob("*.json"))
    full = {file.stem for file in files}
    kept = [file for file in files if not file.stem.endswith("-short") or file.stem.removesuffix("-short") not in full]
    parts = [INTRO.strip(), "## Measured"]
    results = [(json.loads(file.read_text(encoding="utf-8")), file.stem.endswith("-short")) for file in kept]
    results = [each for each in results if "metric" not in each[0]["rows"][0]]  # quality stands in docs/results.md
    if not results:
        parts.append("Nothing yet.")
    for machine in dict.fromkeys(_machine(result) for result, _ in results):
        own = [(result, short) for result, short in results if _machine(result) == machine]
        clocked = [row for result, _ in own for row in result["rows"] if "shares" in row]
        own = [(result, short) for result, short in own if "shares" not in result["rows"][0]]
        head = "| what | against | asked for | measured | more |\n|---|---|---|---|---|"
        rows = [_row(row, result, short) for result, short in own for row in result["rows"] if "value" in row]
        parts += [machine, *(["\n".join([head, *rows])] if rows else [])]
        if clocked:
            parts += [CLOCKED.strip(), "\n".join([_head(clocked), *(_shares(row, clocked) for row in clocked)])]
    write_text(out, "\n\n".join(parts) + "\n")


def _kinds(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(kind for row in rows for kind in row["shares"]))


def _head(rows: list[dict[str, Any]]) -> str:
    names = ["texts", "arithmetic", "texts a second", *_kinds(rows), "GFLOP/s in products of the layers"]
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _shares(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    shares = [f"{row['shares'].get(kind, 0):.0%}" for kind in _kinds(rows)]
    cells = [row["texts"], row["arithmetic"], f"{row['texts_per_second']:,.0f}", *shares]
    cells.append(f"{row['products_gflops']:,.0f}")
    return f"| {' | '.join(cells)} |"


def _machine(result: dict[str, Any]) -> str:
    found = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items() if number)
    return (
        f"{found['processor']}, {found['threads']} threads, {', '.join(found['flags'])}; Python {found['python']}, "
        f"{versions}; at {found['commit']}."
    )


def _row(row: dict[str, Any], result: dict[str, Any], short: bool) -> str:
    value = row["value"]
    shown = "not reached" if value is None else f"{value:.4f}" if "loss" in row["what"] else f"{value:.1f}"
    more = [f"load {result['machine']['load_at_the_end']}"]
    if "bound" in row:
        bound = row["bound"]
        more.insert(
            0, f"{bound['share']:.0%} of {bound['gflops']:,.0f} GFLOP/s, the {bound['arithmetic']} products here"
        )
    if "lowest_cosine" in row:
        more.insert(0, f"lowest cosine {row['lowest_cosine']:.6f}, largest difference {row['largest_difference']:.1e}")
    if "per_second" in row:
        more.insert(
            0, f"{row['per_second']:,.0f} against {row['plain_per_second']:,.0f} texts a second, {row['chosen']}"
        )
    if isinstance(row.get("seconds"), float):
        more.insert(0, f"{row['seconds']:.2f} s")
    if "imports" in row:
        largest = ", ".join(f"{name} {share:.0%}" for name, share in row["imports"].items() if name != "all")
        more.insert(0, f"{row['imports']['all']:.0%} of it is importing ({largest})")
    if "curves" in row:
        more.insert(0, f"{row['note']}; all steps, whatever was learnt: {_all_steps(row['curves']):.1f} times as fast")
    if "first_run_seconds" in row:
        more.insert(0, f"the first run, which writes the graph and measures: {row['first_run_seconds']:.0f} s")
    mark = "*short* " if short else ""
    return f"| {mark}{row['what']} | {row['against']} | {row['target']} | {shown} | {'; '.join(more)} |"


def _all_steps(curves: list[dict[str, list[list[float]]]]) -> float:
    """Median over the rounds of how many times less the steps took, from first to last, scores left out."""
    last = [{way: curve[-1][0] for way, curve in round_.items()} for round_ in curves]
    return median(ends["plain"] / seconds for ends in last for way, seconds in ends.items() if way != "plain")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
