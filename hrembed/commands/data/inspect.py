"""`hrembed data inspect`: what is in a set of pairs or a task."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.config.parts import ModelSection
from hrembed.data.inspect import (
    by_frequency,
    count_pairs,
    count_task,
    group_sizes,
    guess_languages,
    measure,
    measure_groups,
    number,
    pair_repeats,
    sample_by_label,
    sample_rows,
    task_repeats,
)
from hrembed.data.locate import locate
from hrembed.data.pairs import pair_row, pairs_file, read_pairs
from hrembed.data.read import read_every_split
from hrembed.errors import DataError
from hrembed.files import write_jsonl
from hrembed.language import UNSURE
from hrembed.models.refs import parse_ref
from hrembed.models.tokenizer import open_tokenizer, tokenizer_identity
from hrembed.plots.data import Inspection, draw_inspection
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import model_folder, pinned, short_name
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.data import DataInspectConfig
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Ints, Task

_EXAMPLES = 10
_SHOWN_EXAMPLES = 2
_SHOWN_KINDS = 8
_BATCH = 1000
_LINE = 58
_CHARACTERS = 20_000_000
_QUESTIONS = {
    "repeated_rows": "rows that came before",
    "anchor_is_positive": "rows whose anchor is the positive",
    "rows_with_a_text_of_several_groups": "rows with a text of several groups",
    "anchor_ids_with_several_texts": "anchor ids with several texts",
    "positive_ids_with_several_texts": "positive ids with several texts",
    "repeated_queries": "queries that came before",
    "repeated_documents": "documents that came before",
    "query_is_relevant_document": "relevant documents that are the query",
    "texts_of_several_groups": "texts of several groups",
}


@dataclass(frozen=True)
class _Content:
    """A set of pairs or a task, in the form that both share.

    Attributes:
        texts: Distinct texts.
        sides: Side to the position of each of its texts in `texts`.
        kinds: Kind of each row; empty for a task.
        counts: What `count_pairs` or `count_task` says.
        duplicates: What `pair_repeats` or `task_repeats` says.
        groups: Group of each pair or query.
        members: What groups consist of.
        bars: What the picture counts, by name, and what that is.
        examples: A sample of the rows, each with its kind.
    """

    texts: Sequence[str]
    sides: Mapping[str, Ints]
    kinds: Sequence[str]
    counts: Mapping[str, Any]
    duplicates: Mapping[str, Any]
    groups: Sequence[str]
    members: str
    bars: tuple[Mapping[str, int], str]
    examples: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Lengths:
    """How long the texts are.

    Attributes:
        values: Length of each distinct text, shape (T,); 0 where it was not measured.
        rows: Side to the rows of it whose texts were measured, ascending.
        unit: `tokens` or `words`.
        limit: Longest text that the model does not cut; None when there is no limit.
        model: Its short name.
    """

    values: Ints
    rows: Mapping[str, Ints]
    unit: str
    limit: int | None
    model: str


def run_inspect(config: DataInspectConfig, workspace: Workspace) -> CommandResult[Any]:
    """Describe a set of pairs or a task: counts, lengths, duplicates, languages, group sizes, examples.

    Only the tokenizer of the model is read. When the texts hold more than twenty million characters, which
    would keep it busy for minutes, lengths are those of a sample of the rows; all else is counted in full.
    The run folder gets `inspect.png` and, with ten rows of every kind, `examples.jsonl`.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        What is in the data, as numbers and tables.

    Raises:
        DataError: The data are missing, empty or malformed.
        ModelError: The model's tokenizer cannot be found or read.
    """
    section = pinned(ModelSection(ref=config.model), workspace.root)
    config = config.model_copy(update={"model": section.ref})
    with open_run(workspace, "data-inspect", config.model_dump(mode="json"), seeds={"sample": config.seed}) as run:
        content = _open(config, run)
        lengths = _measure(content, section, config.seed, run)
        sizes = group_sizes(content.groups)
        metrics = {
            "counts": content.counts,
            "lengths": _describe_lengths(content, lengths),
            "duplicates": content.duplicates,
            "languages": guess_languages(content.texts, sample=config.language_sample, seed=config.seed),
            "group_sizes": measure_groups(sizes),
        }
        run.write_metrics(metrics)
        write_jsonl(run.path / "examples.jsonl", content.examples)
        draw_inspection(run.path / "inspect.png", _picture(config, content, lengths, sizes, metrics["languages"]))
    return CommandResult(str(run.path), "ok", metrics, _tables(content, metrics))


def _open(config: DataInspectConfig, run: Run) -> _Content:
    path = locate(config.source)
    if (path / "corpus.jsonl").exists():
        run.add_input("source", path)
        return _open_task(path, config.seed)
    file = pairs_file(path)
    if file.is_dir():
        raise DataError(
            f"'{file}' is neither a task (no `corpus.jsonl`) nor the folder of a run that wrote pairs",
            hint="name a file, or a folder inside it",
        )
    run.add_input("source", file)
    return _open_pairs(file, config.seed)


def _open_pairs(file: Path, seed: int) -> _Content:
    pairs = read_pairs(file)
    known: dict[str, int] = {}
    anchors = number((pair.anchor for pair in pairs), known)
    positives = number((pair.positive for pair in pairs), known)
    kinds = [pair.kind for pair in pairs]
    counts = count_pairs(pairs)
    return _Content(
        texts=list(known),
        sides={"anchors": anchors, "positives": positives},
        kinds=kinds,
        counts=counts,
        duplicates=pair_repeats(pairs, list(known), anchors, positives),
        groups=[pair.group for pair in pairs],
        members="pairs",
        bars=(by_frequency(counts["kinds"]), "Pairs of each kind"),
        examples=[pair_row(pairs[n]) for some in sample_by_label(kinds, _EXAMPLES, seed).values() for n in some],
    )


def _open_task(folder: Path, seed: int) -> _Content:
    task = read_every_split(folder, folder.name)
    known: dict[str, int] = {}
    queries = number((query.text for query in task.queries), known)
    documents = number((document.text for document in task.documents), known)
    counts = count_task(task)
    return _Content(
        texts=list(known),
        sides={"queries": queries, "documents": documents},
        kinds=[],
        counts=counts,
        duplicates=task_repeats(task, list(known), queries, documents),
        groups=[query.group for query in task.queries],
        members="queries",
        bars=({f"grade {grade}": n for grade, n in counts["grades"].items()}, "Judgements of each grade"),
        examples=_task_examples(task, seed),
    )


def _task_examples(task: Task, seed: int) -> list[dict[str, Any]]:
    """Put queries beside one of their best documents."""
    texts = {document.id: document.text for document in task.documents}
    examples = []
    for n in sample_by_label(["query"] * len(task.queries), _EXAMPLES, seed)["query"]:
        query = task.queries[n]
        document, grade = max(task.qrels[query.id].items(), key=lambda item: item[1])
        left = {"kind": "query", "group": query.group, "query_id": query.id, "query": query.text}
        examples.append({**left, "document_id": document, "document": texts[document], "grade": grade})
    return examples


def _measure(content: _Content, section: ModelSection, seed: int, run: Run) -> _Lengths:
    ref = parse_ref(section.ref)
    if ref.scheme == "lexical":
        count, unit, limit = _count_words, "words", None
    else:
        tokenizer, limit, body = open_tokenizer(model_folder(section, run.root))
        run.add_model("tokenizer", tokenizer_identity(body), str(body))
        count, unit = partial(_count_tokens, tokenizer), "tokens"
    rows = sample_rows(content.texts, content.sides, characters=_CHARACTERS, seed=seed)
    chosen = np.unique(np.concatenate([content.sides[side][some] for side, some in rows.items()]))
    values = np.zeros(len(content.texts), dtype=np.int64)
    with run.progress.bar(f"{short_name(ref)}: {unit}", len(chosen)) as advance:
        for start in range(0, len(chosen), _BATCH):
            batch = chosen[start : start + _BATCH]
            values[batch] = count([content.texts[n] for n in batch])
            advance(len(batch), "")
    return _Lengths(values, rows, unit, limit, short_name(ref))


def _count_words(texts: list[str]) -> list[int]:
    return [len(re.findall(r"\w+", text)) for text in texts]


def _count_tokens(tokenizer: Any, texts: list[str]) -> list[int]:
    found = tokenizer(texts, return_attention_mask=False, return_token_type_ids=False, verbose=False)
    return [len(tokens) for tokens in found["input_ids"]]


def _describe_lengths(content: _Content, lengths: _Lengths) -> dict[str, Any]:
    names: dict[str, int] = {}
    kinds = number(content.kinds, names)
    sides = {}
    for side, rows in lengths.rows.items():
        values = lengths.values[content.sides[side][rows]]
        of_kinds = {kind: measure(values[kinds[rows] == n], lengths.limit) for kind, n in names.items()}
        sides[side] = {"rows": len(content.sides[side]), **measure(values, lengths.limit), "kinds": of_kinds}
    return {"model": lengths.model, "unit": lengths.unit, "limit": lengths.limit, "sides": sides}


def _picture(
    config: DataInspectConfig, content: _Content, lengths: _Lengths, sizes: Ints, languages: Mapping[str, Any]
) -> Inspection:
    bars, bars_title = content.bars
    return Inspection(
        title=config.source,
        unit=f"{lengths.unit} of {lengths.model}",
        lengths={side: lengths.values[content.sides[side][rows]] for side, rows in lengths.rows.items()},
        limit=lengths.limit,
        members=content.members,
        groups=sizes,
        bars=bars,
        bars_title=bars_title,
        languages=languages["languages"],
        languages_title=f"Languages of {languages['sample']:,} sampled texts\n"
        f"(too short to be asked: {languages['too_short']:,} of all {len(content.texts):,})",
        unsure=UNSURE,
    )


def _tables(content: _Content, metrics: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    lengths, languages = metrics["lengths"], metrics["languages"]
    limit = "no limit" if lengths["limit"] is None else f"the model cuts above {lengths['limit']:,}"
    sample = "" if all(side["rows"] == side["texts"] for side in lengths["sides"].values()) else ", of a sample"
    tables = {
        "Counts": _count_rows(content.counts),
        f"Lengths in {lengths['unit']} of {lengths['model']}{sample} ({limit})": _length_rows(content.counts, lengths),
        "Duplicates": [
            {"what": _QUESTIONS[name], "equal texts": f"{found['exact']:,}"}
            | {"same words": f"{found['same_words']:,}", "of": f"{found['of']:,}"}
            for name, found in content.duplicates.items()
        ],
        f"Languages of {languages['sample']:,} texts": _language_rows(languages),
        f"Group sizes, in {content.members}": _size_rows(metrics["group_sizes"]),
        f"Examples ({_EXAMPLES} of each kind in examples.jsonl)": _example_rows(content.examples),
    }
    return {title: rows for title, rows in tables.items() if rows}


def _count_rows(counts: Mapping[str, Any]) -> list[dict[str, str]]:
    """Write a number a row; of many kinds only the most frequent."""
    rows = []
    for name, value in counts.items():
        text = f"{value:,}" if isinstance(value, int) else ", ".join(_parts(value, in_order=name != "kinds"))
        rows.append({"what": name.replace("_", " "), "number": text})
    return rows


def _parts(values: Mapping[str, Any], *, in_order: bool) -> list[str]:
    shown = list(values if in_order else by_frequency(values))[:_SHOWN_KINDS]
    parts = [f"{name.replace('_', ' ')}: {_short(values[name])}" for name in shown]
    return parts + ([f"{len(values) - len(shown):,} more"] if len(values) > len(shown) else [])


def _length_rows(counts: Mapping[str, Any], lengths: Mapping[str, Any]) -> list[dict[str, str]]:
    def row(kind: str, side: str, found: Mapping[str, Any]) -> dict[str, str]:
        share = found["cut_share"]
        cut = {} if share is None else {"cut": f"{found['cut']:,} ({share:.1%})"}
        head = {"kind": kind} if kinds else {}
        return {**head, "side": side, "texts": f"{found['texts']:,}", **_spread_cells(found), **cut}

    kinds = list(by_frequency(counts.get("kinds", {})))[:_SHOWN_KINDS]
    whole = [row("all", side, found) for side, found in lengths["sides"].items()]
    parts = [row(kind, side, found["kinds"][kind]) for kind in kinds for side, found in lengths["sides"].items()]
    return whole + (parts if len(kinds) > 1 else [])


def _language_rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    shown = list(found["languages"].items())[:_SHOWN_KINDS]
    rows = [{"language": name, "texts": f"{n:,}", "share": f"{n / found['sample']:.1%}"} for name, n in shown]
    return [*rows, {"language": "under four words: not asked", "texts": f"{found['too_short']:,}"}]


def _size_rows(sizes: Mapping[str, Any]) -> list[dict[str, str]]:
    if not sizes["groups"]:
        return []
    largest = f"largest 1 % ({sizes['largest']:,}) hold"
    return [{"groups": f"{sizes['groups']:,}", **_spread_cells(sizes), largest: f"{sizes['largest_share']:.1%}"}]


def _example_rows(examples: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    rows = []
    seen: dict[str, int] = {}
    for example in examples:
        kind = example["kind"]
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= _SHOWN_EXAMPLES and len(seen) <= _SHOWN_KINDS:
            sides = [key for key in ("anchor", "positive", "query", "document") if key in example]
            rows.append({"kind": kind, "group": example["group"], **{key: _line(example[key]) for key in sides}})
    return rows


def _spread_cells(found: Mapping[str, Any]) -> dict[str, str]:
    return {name: _short(found[name]) for name in ("min", "median", "p95", "max")}


def _short(number: float | None) -> str:
    return "" if number is None else f"{number:,.1f}".removesuffix(".0")


def _line(text: str) -> str:
    """Cut a text to one short line."""
    line = " ".join(text.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"
