"""Tasks of mteb as tasks of ours; mteb loads the data."""

from __future__ import annotations

import copy
import hashlib
import re
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import DataError, HrembedError
from hrembed.registry import nearest
from hrembed.text import counted
from hrembed.types import LabelTask, PairTask, Task, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hrembed.progress import Progress

    EvaluationTask = Task | PairTask | LabelTask

_MOST_TRAINING = 10_000  # texts that a classifier learns from; some tasks have millions


class _Part(NamedTuple):
    """One split of one subset of a loaded task."""

    task: Any
    data: Any
    subset: str
    split: str
    name: str
    instruction: str


def read_mteb(name: str, split: str | None, progress: Progress) -> list[EvaluationTask]:
    """Read a task, or every task of a benchmark, that is registered in mteb.

    Retrieval, reranking, STS, classification and clustering in English text can be read. Of a benchmark the rest is
    left out, with a note. The result is what mteb's own filters ask for, one task for each subset and split:

    * Retrieval: documents in the order of a hash of their id, the title in front; a query's own instruction behind it.
      Judgements of documents that are not in the corpus are left out. `top_ranked` gives the candidates; where mteb
      ignores a document with the query's id, it is no candidate.
    * Classification: the training split may be learned from, at most 10,000 texts of it, drawn once.
    * Clustering: one task for each level of the labels, and for each set of texts of the older tasks; a sample of the
      texts where mteb draws one, of the same size.

    Args:
        name: A task such as `STSBenchmark`, or a benchmark such as `MTEB(eng, v2)`.
        split: The split to read; None for those that mteb evaluates.
        progress: Shows a bar over tasks, and says what was left out.

    Raises:
        DataError: Unknown name (found without a network), a kind or language that cannot be read, no such split, or the
            data cannot be loaded: offline, gated, gone.
    """
    tasks, alone = _named(name)
    tasks_read: list[EvaluationTask] = []
    with progress.bar(f"read {name}", len(tasks)) as advance:
        for task in tasks:
            advance(0, task.metadata.name)
            reason = _unreadable(task)
            if reason and alone:
                raise DataError(f"mteb task '{task.metadata.name}' {reason}", hint=_READABLE)
            if reason:
                progress.note(f"{name}: skipping {task.metadata.name}, which {reason}")
            else:
                tasks_read += _read(task, split, progress)
            advance(1, "")
    if not tasks_read:
        raise DataError(f"mteb benchmark '{name}' has no supported task", hint=_READABLE)
    return tasks_read


_READABLE = "only retrieval, reranking, STS, classification and clustering in English text are supported"


def _named(name: str) -> tuple[list[Any], bool]:
    """Tasks behind a name, as copies that may be changed, and whether it is the name of one task."""
    from mteb.get_tasks import _TASKS_REGISTRY

    import mteb

    if name in _TASKS_REGISTRY:
        task = mteb.get_task(name)
        return (_flat(task.tasks), False) if task.is_aggregate else ([task], True)
    try:
        return _flat(mteb.get_benchmark(name).tasks), False
    except KeyError:
        known = [*_TASKS_REGISTRY, *(benchmark.name for benchmark in mteb.get_benchmarks())]
        raise DataError(
            f"unknown mteb task or benchmark '{name}'{nearest(name, known)}",
            hint="use the exact name as listed by `mteb available-tasks` and `mteb available-benchmarks`",
        ) from None


def _flat(tasks: Iterable[Any]) -> list[Any]:
    parts: list[Any] = []
    for task in tasks:
        parts += _flat(task.tasks) if task.is_aggregate else [copy.copy(task)]
    return parts


def _unreadable(task: Any) -> str:
    """What keeps a task from being read; empty when nothing does."""
    metadata = task.metadata
    if metadata.type not in _READERS:
        return f"has the type {metadata.type}"
    if metadata.modalities != ["text"]:
        return f"uses {' and '.join(metadata.modalities)}"
    if not _english(task):
        return f"is in {', '.join(task.languages[:5])}"
    return "ignores the first result of each query" if getattr(task, "skip_first_result", False) else ""


def _english(task: Any) -> list[str]:
    languages = task.metadata.hf_subsets_to_langscripts
    return [subset for subset in task.hf_subsets if all(code.startswith("eng-") for code in languages[subset])]


def _read(task: Any, split: str | None, progress: Progress) -> list[EvaluationTask]:
    task.hf_subsets = _english(task)
    if split is not None:
        task.filter_eval_splits([split])
    _load(task)
    several = len(task.metadata.hf_subsets) > 1
    tasks: list[EvaluationTask] = []
    for subset in task.hf_subsets:
        for each in task.eval_splits:
            data = _split(task, subset, each)
            place = f"{subset}/{each}" if several else each
            part = _Part(task, data, subset, each, f"{task.metadata.name}/{place}", _instruction(task))
            tasks += _READERS[task.metadata.type](part, progress)
    task.unload_data()
    return tasks


def _load(task: Any) -> None:
    try:
        task.load_data()
        if task.metadata.type in {"Retrieval", "Reranking"}:
            task.convert_v1_dataset_format_to_v2(num_proc=None)
    except HrembedError:
        raise
    except Exception as err:  # `datasets`, the Hub's client and what lies below have their own
        text = str(err).strip()
        reason = f"{type(err).__name__}: {text.splitlines()[0]}" if text else type(err).__name__
        raise DataError(f"cannot load mteb task '{task.metadata.name}': {reason}", hint=_advice(err)) from None


def _advice(err: BaseException) -> str:
    """What to do about a failed download, by the kinds and words of an exception and what caused it."""
    kinds, words = set(), ""
    cause: BaseException | None = err
    while cause is not None:
        kinds |= {cls.__name__ for cls in type(cause).__mro__}
        words += f" {cause}".lower()
        cause = cause.__cause__ or cause.__context__
    if "GatedRepoError" in kinds or re.search(r"\b(gated|authenticated)\b", words):
        return "accept the terms on the dataset's page, then log in with `hf auth login` or set HF_TOKEN"
    if kinds & {"OfflineModeIsEnabled", "ConnectionError", "ConnectError", "TimeoutException", "TimeoutError"}:
        return "it must be downloaded once; check the network connection and HF_HUB_OFFLINE"
    if kinds & {"RepositoryNotFoundError", "DatasetNotFoundError"}:
        return "the dataset is private or was deleted; if you have access, log in with `hf auth login` or set HF_TOKEN"
    if "LocalEntryNotFoundError" in kinds:
        return "it must be downloaded once; check the network connection and HF_HUB_OFFLINE"
    return "check whether `mteb run` can load this task in the same environment"


def _split(task: Any, subset: str, split: str) -> Any:
    data = task.dataset
    splits = data if subset not in data and subset == "default" else data[subset]
    if split not in splits:
        raise DataError(f"mteb task '{task.metadata.name}' has no split '{split}'; available: {', '.join(splits)}")
    return splits[split]


def _instruction(task: Any) -> str:
    """What mteb tells an instruction model that a query asks for."""
    prompt = task.metadata.prompt
    if isinstance(prompt, dict):
        return str(prompt.get("query") or "")
    return str(prompt or task.abstask_prompt)


def _retrieval(part: _Part, progress: Progress) -> list[EvaluationTask]:
    documents = {str(row["id"]): Text(str(row["id"]), _document(row)) for row in part.data["corpus"]}
    judged = {str(query): grades for query, grades in part.data["relevant_docs"].items() if grades}
    qrels = {
        query: {str(key): max(0, int(grade)) for key, grade in grades.items() if str(key) in documents}
        for query, grades in judged.items()
    }
    absent = sum(map(len, judged.values())) - sum(map(len, qrels.values()))
    if absent:
        progress.note(f"{part.name}: ignoring {counted(absent, 'judgement')} of documents that are not in the corpus")
    queries = tuple(_query(row, part) for row in part.data["queries"] if str(row["id"]) in qrels)
    ordered = tuple(sorted(documents.values(), key=lambda d: hashlib.sha256(d.id.encode()).digest()))
    candidates = _candidates(part, [q.id for q in queries], tuple(d.id for d in ordered))
    grades_of = {query.id: qrels[query.id] for query in queries}
    return [Task(part.name, queries, ordered, grades_of, candidates, part.instruction)]


def _document(row: Mapping[str, Any]) -> str:
    """Title and text as mteb joins them for a model of text."""
    title = row.get("title") or ""
    return f"{title} {row['text']}".strip()


def _query(row: Mapping[str, Any], part: _Part) -> Text:
    text, instruction = row["text"], row.get("instruction")
    if not isinstance(text, str):
        raise DataError(
            (f"mteb task '{part.task.metadata.name}' has conversations as queries, which hrembed does not support"),
            hint=_READABLE,
        )
    return Text(str(row["id"]), text if instruction is None else f"{text} {instruction}")


def _candidates(part: _Part, queries: Sequence[str], documents: tuple[str, ...]) -> dict[str, tuple[str, ...]] | None:
    """The documents that are ranked for each query; None when all are, for all queries."""
    ranked, known = part.data["top_ranked"], set(documents)
    same_id_ignored = bool(part.task.ignore_identical_ids)
    if ranked is None and not (same_id_ignored and known.intersection(queries)):
        return None
    candidates = {}
    for query in queries:
        ranked_ids = documents if ranked is None else tuple(dict.fromkeys(map(str, ranked.get(query) or ())))
        drop = {query} if same_id_ignored and query in known else set()
        if ranked is not None:
            drop |= set(ranked_ids) - known
        candidates[query] = tuple(key for key in ranked_ids if key not in drop) if drop else ranked_ids
    return candidates


def _similarity(part: _Part, _: Progress) -> list[EvaluationTask]:
    first, second = part.task.column_names
    scores = np.asarray(part.data["score"], dtype=np.float64)
    sides = (_texts(part.data[first], "first"), _texts(part.data[second], "second"))
    return [PairTask(part.name, *sides, scores, part.instruction)]


def _texts(column: Iterable[str], kind: str) -> tuple[Text, ...]:
    return tuple(Text(f"{kind}-{n}", text) for n, text in enumerate(column))


def _classification(part: _Part, progress: Progress) -> list[EvaluationTask]:
    task = part.task
    texts, labels = _labelled(part.data, task)
    train_split = task.train_split
    if task.is_cross_validation or train_split == part.split:
        return [
            LabelTask(part.name, "classification", _texts(texts, part.split), tuple(labels), None, part.instruction)
        ]
    training = _split(task, part.subset, train_split)
    if len(training) > _MOST_TRAINING:
        progress.note(f"{part.name}: sampled {_MOST_TRAINING:,} of {len(training):,} training texts")
        training = training.select(sorted(Random(task.seed).sample(range(len(training)), _MOST_TRAINING)))
    learned, learned_labels = _labelled(training, task)
    train = np.arange(len(learned) + len(texts)) < len(learned)
    both = _texts(learned, train_split) + _texts(texts, part.split)
    return [LabelTask(part.name, "classification", both, (*learned_labels, *labels), train, part.instruction)]


def _labelled(data: Any, task: Any) -> tuple[list[str], list[str]]:
    feature = data.features[task.label_column_name]
    named: Callable[[Any], Any] = getattr(feature, "int2str", str)
    return list(data[task.input_column_name]), [str(named(label)) for label in data[task.label_column_name]]


def _clustering(part: _Part, _: Progress) -> list[EvaluationTask]:
    task, data = part.task, part.data
    texts, labels = task.input_column_name, task.label_column_name
    if hasattr(task, "max_document_to_embed"):
        sample = data.select(_drawn(task, len(data)))
        return _levels(part, part.name, sample[texts], sample[labels], task.max_depth)
    tasks: list[EvaluationTask] = []  # the older kind: each row is a set of texts, clustered by itself
    for n, row in enumerate(data):
        tasks += _levels(part, f"{part.name}/set-{n}" if len(data) > 1 else part.name, row[texts], row[labels], 1)
    return tasks


def _drawn(task: Any, n: int) -> list[int]:
    """Rows that mteb draws for the first split that it evaluates; all where it draws none."""
    share, most = task.max_fraction_of_documents_to_embed, task.max_document_to_embed
    if share is None and most is None:
        return list(range(n))
    return Random(task.seed).sample(range(n), min(n, int(share * n) if share is not None else most))


def _levels(
    part: _Part, name: str, texts: Sequence[str], labels: Sequence[Any], max_depth: int | None
) -> list[EvaluationTask]:
    """One task for each level of the labels; a text without a label at a level is not in it."""
    paths = [label if isinstance(label, list) else [label] for label in labels]
    depth = max(map(len, paths))
    depth = depth if max_depth is None else min(depth, max_depth)
    all_texts = _texts(texts, part.split)
    tasks: list[EvaluationTask] = []
    for level in range(depth):
        rows = [n for n, path in enumerate(paths) if len(path) > level and path[level] != -1]
        chosen = tuple(all_texts[n] for n in rows)
        name_of_level = f"{name}/level-{level}" if depth > 1 else name
        tasks.append(
            LabelTask(
                name_of_level, "clustering", chosen, tuple(str(paths[n][level]) for n in rows), None, part.instruction
            )
        )
    return tasks


_READERS: dict[str, Callable[[_Part, Progress], list[EvaluationTask]]] = {
    "Retrieval": _retrieval,
    "Reranking": _retrieval,
    "STS": _similarity,
    "Classification": _classification,
    "Clustering": _clustering,
}
