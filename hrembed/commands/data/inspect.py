"""`hrembed data inspect`: what is in a set of pairs or a task."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hrembed.config.parts import ModelSection, form_of
from hrembed.data.inspect import (
    by_frequency,
    count_pairs,
    count_task,
    describe_groups,
    describe_lengths,
    factorize,
    group_sizes,
    guess_languages,
    pair_repeats,
    sample_by_label,
    sample_rows,
    task_repeats,
)
from hrembed.data.locate import locate
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.data.personal import CANNOT_SEE, cleaned
from hrembed.data.read import is_task, read_every_split
from hrembed.data.redact import finder_of
from hrembed.data.traces import count_traces
from hrembed.errors import DataError
from hrembed.files import write_jsonl
from hrembed.language import UNSURE
from hrembed.models.refs import parse_ref
from hrembed.models.tokenizer import open_tokenizer, tokenizer_identity
from hrembed.plots.data import Inspection, draw_inspection
from hrembed.records.data import DataInspectRecord, Lengths, PairCounts, SideLengths
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import model_folder, pinned
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from hrembed.config.data import DataInspectConfig
    from hrembed.data.layout import Form
    from hrembed.records.data import (
        GroupSizes,
        LanguageCounts,
        LengthCounts,
        RepeatCounts,
        RepeatKind,
        Spread,
        TaskCounts,
        Trace,
    )
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Ints, Pair, Task

_PHASES = (_READ, _MEASURE, _DESCRIBE) = ("read and count", "measure lengths", "describe")
_EXAMPLES = 10
_NO_TEXTS = "Examples are shown without text, which may contain personal data; `show_text: true` shows redacted text."
_SHOWN_EXAMPLES = 2
_SHOWN_KINDS = 8
_BATCH = 1000
_LINE = 58
_CHARACTERS = 20_000_000
_REPEATS: Mapping[RepeatKind, str] = {
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


_TRACES: Mapping[Trace, str] = {
    "markup": "HTML or XML tags",
    "entities": "HTML entities, as `&amp;`",
    "mojibake": "characters decoded wrongly, as `Ã¯`",
    "spreadsheet": "escapes or formulas of a spreadsheet, as `_x000D_`",
    "missing": "markers of missing values, as `N/A`",
}


@dataclass(frozen=True)
class _Example:
    """A row of the data.

    Attributes:
        kind: Kind of pair, or `query`.
        group: What it belongs to; empty when unknown.
        texts: Side in the singular to its text.
        facts: What else its row says: where it stands, ids, a grade.
    """

    kind: str
    group: str
    texts: Mapping[str, str | list[str]]
    facts: Mapping[str, str | int]


@dataclass(frozen=True)
class _Content:
    """A set of pairs or a task, in the form that both share.

    Attributes:
        texts: Distinct texts.
        sides: Side to the position of each of its texts in `texts`.
        kinds: Kind of each row; empty for a task.
        counts: What the data consists of.
        duplicates: What stands twice.
        groups: Group of each pair or query.
        members: What groups consist of.
        bars: What the picture counts: name to number.
        bars_title: What that is.
        examples: A sample of the rows.
    """

    texts: Sequence[str]
    sides: Mapping[str, Ints]
    kinds: Sequence[str]
    counts: PairCounts | TaskCounts
    duplicates: dict[RepeatKind, RepeatCounts]
    groups: Sequence[str]
    members: str
    bars: Mapping[str, int]
    bars_title: str
    examples: Sequence[_Example]


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
    unit: Literal["tokens", "words"]
    limit: int | None
    model: str


def run_inspect(config: DataInspectConfig, workspace: Workspace) -> CommandResult[DataInspectRecord]:
    """Describe a set of pairs or a task: counts, lengths, duplicates, languages, group sizes, examples.

    Only the tokenizer of the model is read. When the texts hold more than twenty million characters, which
    would keep it busy for minutes, lengths are those of a sample of the rows; all else is counted in full.
    The run folder gets `inspect.png` and, with ten rows of every kind, `examples.jsonl`: row numbers and ids, and on
    request texts after redaction.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        What is in the data, as numbers and tables.

    Raises:
        DataError: The data are missing, empty or malformed.
        ModelError: The model's tokenizer cannot be found or read.
    """
    section = pinned(ModelSection(ref=config.model), workspace)
    config = config.model_copy(update={"model": section.ref})
    seeds = {"sample": config.seed}
    with open_run(workspace, "data-inspect", config.model_dump(mode="json"), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_READ)
        content = _open(config, run)
        run.phases.begin(_MEASURE)
        lengths = _measure(content, section, config.seed, run)
        run.phases.begin(_DESCRIBE)
        sizes = group_sizes(content.groups)
        record = DataInspectRecord(
            counts=content.counts,
            lengths=_describe_lengths(content, lengths),
            duplicates=content.duplicates,
            traces=count_traces(content.texts),
            languages=guess_languages(content.texts, sample=config.language_sample, seed=config.seed),
            group_sizes=describe_groups(sizes),
        )
        run.write_metrics(record)
        examples = _redacted(content.examples) if config.show_text else [_without_texts(e) for e in content.examples]
        write_jsonl(run.path / "examples.jsonl", [_line_of(example) for example in examples])
        draw_inspection(run.path / "inspect.png", _picture(config, content, lengths, sizes, record.languages))
    notice = f"Examples were redacted: {CANNOT_SEE}." if config.show_text else _NO_TEXTS
    return CommandResult(
        str(run.path), "ok", record, _tables(content, record, examples), notice=notice, details=("Examples",)
    )


def _without_texts(example: _Example) -> _Example:
    return replace(example, texts={})


def _redacted(examples: Sequence[_Example]) -> list[_Example]:
    """Put placeholders into all texts of the examples."""

    def clean(value: str | list[str]) -> str | list[str]:
        return cleaned(value, finder) if isinstance(value, str) else [cleaned(text, finder) for text in value]

    finder = finder_of(
        text
        for example in examples
        for value in example.texts.values()
        for text in ([value] if isinstance(value, str) else value)
    )
    return [
        replace(example, texts={side: clean(value) for side, value in example.texts.items()}) for example in examples
    ]


def _line_of(example: _Example) -> dict[str, str | int | list[str]]:
    return {"kind": example.kind, "group": example.group, **example.facts, **example.texts}


def _open(config: DataInspectConfig, run: Run) -> _Content:
    path = locate(config.source)
    if is_task(path):
        run.add_input("source", path)
        return _open_task(path, config.seed, form_of(config))
    file = pairs_file(path)
    if file.is_dir():
        raise DataError(
            f"'{file}' is neither a task (no `corpus.jsonl`) nor a run folder with pairs",
            hint="specify a file, or a subfolder",
        )
    run.add_input("source", file)
    return _open_pairs(file, config.seed, form_of(config))


def _open_pairs(file: Path, seed: int, form: Form) -> _Content:
    pairs = read_pairs(file, form=form)
    known: dict[str, int] = {}
    anchors = factorize((pair.anchor for pair in pairs), known)
    positives = factorize((pair.positive for pair in pairs), known)
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
        bars=by_frequency(counts.kinds),
        bars_title="Pairs of each kind",
        examples=[
            _Example(
                pairs[n].kind,
                pairs[n].group,
                _texts_of(pairs[n]),
                {
                    "row": n + 1,
                    "anchor_id": pairs[n].anchor_id,
                    "positive_id": pairs[n].positive_id,
                    "family": pairs[n].family,
                },
            )
            for positions in sample_by_label(kinds, _EXAMPLES, seed).values()
            for n in positions
        ],
    )


def _texts_of(pair: Pair) -> dict[str, str | list[str]]:
    texts: dict[str, str | list[str]] = {"anchor": pair.anchor, "positive": pair.positive}
    return {**texts, "negative": list(pair.negatives)} if pair.negatives else texts


def _open_task(folder: Path, seed: int, form: Form) -> _Content:
    task = read_every_split(folder, folder.name, form)
    known: dict[str, int] = {}
    queries = factorize((query.text for query in task.queries), known)
    documents = factorize((document.text for document in task.documents), known)
    counts = count_task(task)
    return _Content(
        texts=list(known),
        sides={"queries": queries, "documents": documents},
        kinds=[],
        counts=counts,
        duplicates=task_repeats(task, list(known), queries, documents),
        groups=[query.group for query in task.queries],
        members="queries",
        bars={f"grade {grade}": n for grade, n in counts.grades.items()},
        bars_title="Judgements of each grade",
        examples=_task_examples(task, seed),
    )


def _task_examples(task: Task, seed: int) -> list[_Example]:
    """Put queries beside one of their best documents."""
    texts = {document.id: document.text for document in task.documents}
    examples = []
    for n in sample_by_label(["query"] * len(task.queries), _EXAMPLES, seed)["query"]:
        query = task.queries[n]
        document, grade = max(task.qrels[query.id].items(), key=lambda item: item[1])
        facts: dict[str, str | int] = {"query_id": query.id, "document_id": document, "grade": grade}
        examples.append(_Example("query", query.group, {"query": query.text, "document": texts[document]}, facts))
    return examples


def _measure(content: _Content, section: ModelSection, seed: int, run: Run) -> _Lengths:
    ref = parse_ref(section.ref)
    count: Callable[[list[str]], list[int]] = _count_words
    unit: Literal["tokens", "words"] = "words"
    limit = None
    if not ref.is_lexical:
        tokenizer, limit, body = open_tokenizer(model_folder(section, run.root))
        run.add_model("tokenizer", tokenizer_identity(body), str(body))
        count, unit = partial(_count_tokens, tokenizer), "tokens"
    rows = sample_rows(content.texts, content.sides, characters=_CHARACTERS, seed=seed)
    chosen = np.unique(np.concatenate([content.sides[side][of_side] for side, of_side in rows.items()]))
    values = np.zeros(len(content.texts), dtype=np.int64)
    with run.progress.bar(f"{ref.short_name}: {unit}", len(chosen)) as advance:
        for start in range(0, len(chosen), _BATCH):
            batch = chosen[start : start + _BATCH]
            values[batch] = count([content.texts[n] for n in batch])
            advance(len(batch), "")
    return _Lengths(values, rows, unit, limit, ref.short_name)


def _count_words(texts: list[str]) -> list[int]:
    return [len(re.findall(r"\w+", text)) for text in texts]


def _count_tokens(tokenizer: Any, texts: list[str]) -> list[int]:
    encoded = tokenizer(texts, return_attention_mask=False, return_token_type_ids=False, verbose=False)
    return [len(tokens) for tokens in encoded["input_ids"]]


def _describe_lengths(content: _Content, lengths: _Lengths) -> Lengths:
    names: dict[str, int] = {}
    kinds = factorize(content.kinds, names)
    sides = {}
    for side, rows in lengths.rows.items():
        values = lengths.values[content.sides[side][rows]]
        whole = describe_lengths(values, lengths.limit)
        sides[side] = SideLengths(
            min=whole.min,
            median=whole.median,
            p95=whole.p95,
            max=whole.max,
            texts=whole.texts,
            cut=whole.cut,
            cut_share=whole.cut_share,
            rows=len(content.sides[side]),
            kinds={kind: describe_lengths(values[kinds[rows] == n], lengths.limit) for kind, n in names.items()},
        )
    return Lengths(model=lengths.model, unit=lengths.unit, limit=lengths.limit, sides=sides)


def _picture(
    config: DataInspectConfig, content: _Content, lengths: _Lengths, sizes: Ints, languages: LanguageCounts
) -> Inspection:
    return Inspection(
        title=config.source,
        unit=f"{lengths.unit} of {lengths.model}",
        lengths={side: lengths.values[content.sides[side][rows]] for side, rows in lengths.rows.items()},
        limit=lengths.limit,
        members=content.members,
        groups=sizes,
        bars=content.bars,
        bars_title=content.bars_title,
        languages=languages.languages,
        languages_title=f"Languages of {languages.sample:,} sampled texts\n"
        f"(too short to be asked: {languages.too_short:,} of all {len(content.texts):,})",
        unsure=UNSURE,
    )


def _tables(
    content: _Content, record: DataInspectRecord, examples: Sequence[_Example]
) -> dict[str, list[dict[str, str]]]:
    lengths, languages = record.lengths, record.languages
    limit = "no limit" if lengths.limit is None else f"the model cuts above {lengths.limit:,}"
    sample = "" if all(side.rows == side.texts for side in lengths.sides.values()) else ", of a sample"
    tables = {
        "Counts": _count_rows(record.counts),
        f"Lengths in {lengths.unit} of {lengths.model}{sample} ({limit})": _length_rows(record.counts, lengths),
        "Duplicates": [
            {
                "what": _REPEATS[kind],
                "equal texts": f"{counts.exact:,}",
                "same words": f"{counts.same_words:,}",
                "of": f"{counts.of:,}",
            }
            for kind, counts in record.duplicates.items()
        ],
        "Left behind by exports": [
            {"what": _TRACES[trace], "distinct texts": f"{count:,}", "of": f"{len(content.texts):,}"}
            for trace, count in record.traces.items()
            if count
        ],
        f"Languages of {languages.sample:,} texts": _language_rows(languages),
        f"Group sizes, in {content.members}": _size_rows(record.group_sizes),
        f"Examples ({_EXAMPLES} of each kind in examples.jsonl)": _example_rows(examples),
    }
    return {title: rows for title, rows in tables.items() if rows}


def _count_rows(counts: PairCounts | TaskCounts) -> list[dict[str, str]]:
    """Write a number a row; of many kinds only the most frequent."""
    if isinstance(counts, PairCounts):
        without = counts.rows_without
        cells = {
            "rows": f"{counts.rows:,}",
            "kinds": _listed(by_frequency(counts.kinds)),
            "groups": f"{counts.groups:,}",
            "families": f"{counts.families:,}",
            "distinct anchors": f"{counts.distinct_anchors:,}",
            "distinct positives": f"{counts.distinct_positives:,}",
            "rows without": _listed(
                {
                    "group": without.group,
                    "family": without.family,
                    "anchor id": without.anchor_id,
                    "positive id": without.positive_id,
                }
            ),
        }
    else:
        ungrouped = counts.without_group
        cells = {
            "queries": f"{counts.queries:,}",
            "documents": f"{counts.documents:,}",
            "groups": f"{counts.groups:,}",
            "distinct queries": f"{counts.distinct_queries:,}",
            "distinct documents": f"{counts.distinct_documents:,}",
            "judgements": f"{counts.judgements:,}",
            "grades": _listed(counts.grades),
            "relevant per query": ", ".join(f"{k}: {v}" for k, v in _spread_cells(counts.relevant_per_query).items()),
            "documents never judged": f"{counts.documents_never_judged:,}",
            "without group": _listed({"queries": ungrouped.queries, "documents": ungrouped.documents}),
        }
    return [{"what": name, "number": text} for name, text in cells.items()]


def _listed(counts: Mapping[str, int]) -> str:
    parts = [f"{name}: {count:,}" for name, count in list(counts.items())[:_SHOWN_KINDS]]
    return ", ".join(parts + ([f"{len(counts) - len(parts):,} more"] if len(counts) > len(parts) else []))


def _length_rows(counts: PairCounts | TaskCounts, lengths: Lengths) -> list[dict[str, str]]:
    def row(kind: str, side: str, lengths_of: LengthCounts) -> dict[str, str]:
        cut = {} if np.isnan(lengths_of.cut_share) else {"cut": f"{lengths_of.cut:,} ({lengths_of.cut_share:.1%})"}
        head = {"kind": kind} if kinds else {}
        return {**head, "side": side, "texts": f"{lengths_of.texts:,}", **_spread_cells(lengths_of), **cut}

    kinds = list(by_frequency(counts.kinds))[:_SHOWN_KINDS] if isinstance(counts, PairCounts) else []
    whole = [row("all", side, of_side) for side, of_side in lengths.sides.items()]
    parts = [row(kind, side, of_side.kinds[kind]) for kind in kinds for side, of_side in lengths.sides.items()]
    return whole + (parts if len(kinds) > 1 else [])


def _language_rows(counts: LanguageCounts) -> list[dict[str, str]]:
    shown = list(counts.languages.items())[:_SHOWN_KINDS]
    rows = [{"language": name, "texts": f"{n:,}", "share": f"{n / counts.sample:.1%}"} for name, n in shown]
    return [*rows, {"language": "under four words: not asked", "texts": f"{counts.too_short:,}"}]


def _size_rows(sizes: GroupSizes) -> list[dict[str, str]]:
    if not sizes.groups:
        return []
    largest = f"largest 1 % ({sizes.largest:,}) hold"
    return [{"groups": f"{sizes.groups:,}", **_spread_cells(sizes), largest: f"{sizes.largest_share:.1%}"}]


def _example_rows(examples: Sequence[_Example]) -> list[dict[str, str]]:
    rows = []
    seen: dict[str, int] = {}
    for example in examples:
        seen[example.kind] = seen.get(example.kind, 0) + 1
        if seen[example.kind] <= _SHOWN_EXAMPLES and len(seen) <= _SHOWN_KINDS:
            texts = {side: _line(text) for side, text in example.texts.items() if isinstance(text, str)}
            facts = {} if texts else {name: str(fact) for name, fact in example.facts.items()}
            rows.append({"kind": example.kind, "group": example.group, **facts, **texts})
    return rows


def _spread_cells(spread: Spread) -> dict[str, str]:
    return {
        "min": _short(spread.min),
        "median": _short(spread.median),
        "p95": _short(spread.p95),
        "max": _short(spread.max),
    }


def _short(number: float) -> str:
    return "" if np.isnan(number) else f"{number:,.1f}".removesuffix(".0")


def _line(text: str) -> str:
    """Cut a text to one short line."""
    line = " ".join(text.split())
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"
