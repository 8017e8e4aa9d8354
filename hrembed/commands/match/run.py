"""`hrembed match`: candidates of an index, ranked for a job, with every score that made the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hrembed.commands.match.exposure import NOT_A_TEST, WARNING, exposure_of, read_groups, reranked_places
from hrembed.commands.match.job import Job, read_job, read_jobs
from hrembed.commands.match.page import write_report
from hrembed.commands.match.reasons import measured, reasons_of, redacted_piece
from hrembed.commands.match.rows import (
    flat,
    notice_of,
    tables_of,
    write_list,
    write_record_as_json,
)
from hrembed.data.personal import cleaned
from hrembed.data.redact import finder_of
from hrembed.errors import ConfigError, DataError
from hrembed.files import user_path
from hrembed.index.conditions import parse_conditions
from hrembed.index.open import FILE, open_index
from hrembed.models.cross_encoder import open_cross_encoder
from hrembed.records.match import Batch, Candidate, MatchRecord
from hrembed.registry import nearest
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import open_encoder, pinned, use_of
from hrembed.scoring.search_pipeline import SearchPipeline, open_query_side
from hrembed.text import sentences
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.commands.match.exposure import Groups
    from hrembed.config.match import MatchConfig
    from hrembed.data.personal import Finder
    from hrembed.files import Cell
    from hrembed.index.conditions import Condition
    from hrembed.index.open import Index
    from hrembed.records.match import Exposure, Faithfulness, Reasons
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.search_pipeline import Found

LIST = "candidates"


def run_match(config: MatchConfig, workspace: Workspace) -> CommandResult[MatchRecord]:
    """Rank candidates for one job, or for all of a table.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        The list with every score and rank; the same as `candidates.parquet`, `candidates.csv` and a page in the run.

    Raises:
        ConfigError: A setting or a condition is wrong.
        DataError: The index, the job or the groups cannot be read.
        ModelError: The model is not that of the index, or a text cannot be embedded.
    """
    if config.index is None:
        raise ConfigError("no index was given", hint="set it with `--index DIR`; `hrembed index build` writes one")
    folder = user_path(config.index)
    if config.model is not None:
        config = config.model_copy(update={"model": pinned(config.model, workspace)})
    with open_run(workspace, "match", config.model_dump(mode="json"), seeds={}) as run:
        index = open_index(folder)
        run.add_input("index", index.folder / FILE)
        where = parse_conditions(config.where, index.manifest.filters)
        columns = _columns(config, index)
        jobs = read_jobs(config.jobs) if config.batch and config.jobs else []
        job = Job("", f"{len(jobs)} jobs of {config.jobs}") if config.batch else read_job(config.job, config.jobs)
        search = _Search(config, index, where, columns, _pipeline(config, index, run), run)
        groups = read_groups(config.groups, index.ids(where)) if config.groups.file else None
        if config.groups.rerank.method != "none":
            run.warn(WARNING.format(method=config.groups.rerank.method))
        record = (
            search.batch([(each.id, each.text) for each in jobs], job, groups)
            if config.batch
            else search.single(job, groups)
        )
        run.write_metrics(record)
        unmet = [str(each) for each in where if not index.count([each])] if record.matching == 0 else []
    notice = notice_of(record, unmet, show_text=config.show_text, why=config.why.show)
    if record.exposure is not None:
        notice += f"\n{NOT_A_TEST}"
    return CommandResult(str(run.path), "ok", record, tables_of(record), notice=notice)


def _columns(config: MatchConfig, index: Index) -> tuple[str, ...]:
    """Columns that are shown.

    Raises:
        ConfigError: The index has no such column, or it holds the texts.
    """
    if config.columns is None:
        return tuple(index.manifest.filters)
    known = [name for name in index.manifest.columns if name != index.generation.text_column]
    for name in config.columns:
        if name not in known:
            hint = f"columns of this index: {', '.join(known) or 'none'}"
            if name == index.generation.text_column:
                hint = "texts are shown, redacted, with `--show-text`"
            raise ConfigError(f"`columns`: index '{config.index}' shows no '{name}'{nearest(name, known)}", hint=hint)
    return config.columns


def _pipeline(config: MatchConfig, index: Index, run: Run) -> SearchPipeline:
    cache = None
    if config.cache.use:
        cache = user_path(config.cache.folder) if config.cache.folder else run.cache / "vectors"
    query_side = open_query_side(index, config.model, run, cache=cache)
    encoder = query_side.encoder
    run.add_model(encoder.name, encoder.identity, encoder.source, use_of(encoder))
    scorer = None
    if not config.score.is_plain:
        scorer = open_encoder(query_side.section.model_copy(update={"score": config.score}), run, cache=cache)
    reference = config.stages.cross_encoder
    cross_encoder = open_cross_encoder(reference) if reference else None
    if cross_encoder is not None:
        run.add_model(cross_encoder.name, cross_encoder.identity, reference or "")
    return SearchPipeline(index, query_side, config.stages, scorer=scorer, cross_encoder=cross_encoder)


class _Ranked(NamedTuple):
    """A list, cut.

    Attributes:
        rows: Candidates by rank.
        original: Rank of each before groups were given places; empty where they were not.
        exposure_ids: Ids by rank, as deep as groups are counted.
        searched: Candidates that were retrieved.
    """

    rows: list[Found]
    original: list[int]
    exposure_ids: list[str]
    searched: int


@dataclass(frozen=True)
class _Search:
    """One search with all that it needs."""

    config: MatchConfig
    index: Index
    where: tuple[Condition, ...]
    columns: tuple[str, ...]
    pipeline: SearchPipeline
    run: Run

    def single(self, job: Job, groups: Groups | None) -> MatchRecord:
        """Rank for one job, explain, and write list and page."""
        config = self.config
        (ranked,) = self._lists([job.text], groups, exact=False)
        texts = self.pipeline.texts([row.id for row in ranked.rows]) if config.show_text else []
        finder = finder_of([job.text, *texts])
        faithfulness, reasons = self._reasons(job.text, ranked.rows, finder)
        record = self._record(
            job,
            searched=ranked.searched,
            candidates=self._candidates(ranked, reasons, [cleaned(text, finder) for text in texts]),
            faithfulness=faithfulness,
            exposure=exposure_of(groups, [ranked.exposure_ids], config.groups) if groups else None,
        )
        rows = [flat(candidate) for candidate in record.candidates]
        for ending in (".parquet", ".csv"):
            write_list(self.run.path / f"{LIST}{ending}", rows)
        shown = [redacted_piece(job.text, span, finder) for span in sentences(job.text)]
        write_report(self.run.path / "report.html", record, shown, self.index.manifest.filters, self.run.path)
        self._copy(record, rows)
        return record

    def batch(self, jobs: Sequence[tuple[str, str]], job: Job, groups: Groups | None) -> MatchRecord:
        """Rank for all jobs by products of matrices, and write one list."""
        rows: list[dict[str, Cell]] = []
        of_groups: list[list[str]] = []
        short = searched = 0
        with self.run.progress.bar("matching", len(jobs)) as advance:
            lists = self._lists([text for _, text in jobs], groups, exact=True)
            for (id_, _), ranked in zip(jobs, lists, strict=True):
                rows += [{"job": id_, **flat(candidate)} for candidate in self._candidates(ranked)]
                of_groups.append(ranked.exposure_ids)
                short += len(ranked.rows) < self.config.k
                searched += ranked.searched
                advance(1, "")
        target = self.run.path / f"{LIST}.parquet"
        write_list(target, rows)
        self._copy(None, rows)
        return self._record(
            job,
            searched=searched,
            exposure=exposure_of(groups, of_groups, self.config.groups) if groups else None,
            batch=Batch(jobs=len(jobs), rows=len(rows), file=self.config.out or str(target), short=short),
        )

    def _lists(self, texts: Sequence[str], groups: Groups | None, *, exact: bool) -> Iterator[_Ranked]:
        config = self.config
        deep = max(config.k, *config.groups.cuts) if groups else config.k
        for found in self.pipeline.rank(texts, deep, self.where, exact=exact):
            places = list(range(len(found)))
            if groups is not None and config.groups.rerank.method != "none":
                places = reranked_places(groups, [row.id for row in found], config.groups, deep)
            rows = [found[place] for place in places]
            changed = config.groups.rerank.method != "none"
            yield _Ranked(
                rows[: config.k],
                [place + 1 for place in places[: config.k]] if changed else [],
                [row.id for row in rows[:deep]],
                len(found),
            )

    def _reasons(
        self, job: str, rows: Sequence[Found], finder: Finder
    ) -> tuple[Faithfulness | None, list[Reasons | None] | None]:
        why = self.config.why
        if not why.show:
            return None, None
        if self.pipeline.query_side.bridge is not None:
            self.run.warn("no sentences are shown: jobs are embedded by another model, through a bridge")
            return None, None
        if self.index.generation.text_column is None:
            raise DataError(
                f"index '{self.index.folder}' holds no texts, so no sentences can be named",
                hint="keep them (`encode` with `--keep text`, then `index build`), or remove `--why`",
            )
        faithfulness = measured(self.pipeline, why, self.run)
        if not faithfulness.passes:
            return faithfulness, None
        show = self.config.show_text
        found = reasons_of(self.pipeline, job, rows, why, faithfulness, finder, show_text=show, run=self.run)
        return faithfulness, found

    def _candidates(
        self, ranked: _Ranked, reasons: Sequence[Reasons | None] | None = None, texts: Sequence[str] = ()
    ) -> tuple[Candidate, ...]:
        ids = [row.id for row in ranked.rows]
        shown = self.index.rows(ids, self.columns) if self.columns and ids else [{}] * len(ids)
        return tuple(
            Candidate(
                rank=place + 1,
                id=row.id,
                cosine=row.cosine,
                cosine_rank=row.cosine_rank,
                bm25=_number(row.bm25),
                bm25_rank=row.bm25_rank,
                fused=_number(row.fused),
                fused_rank=row.fused_rank,
                rescored=_number(row.rescored),
                rescored_rank=row.rescored_rank,
                cross_encoder=_number(row.cross_encoder),
                cross_encoder_rank=row.cross_encoder_rank,
                original_rank=ranked.original[place] if ranked.original else None,
                columns={name: _plain(value) for name, value in shown[place].items()},
                text=texts[place] if texts else None,
                reasons=reasons[place] if reasons is not None else None,
            )
            for place, row in enumerate(ranked.rows)
        )

    def _record(
        self,
        job: Job,
        *,
        searched: int,
        candidates: tuple[Candidate, ...] = (),
        faithfulness: Faithfulness | None = None,
        exposure: Exposure | None = None,
        batch: Batch | None = None,
    ) -> MatchRecord:
        return MatchRecord(
            index=str(self.index.folder),
            generation=self.index.generation.name,
            model=self.pipeline.query_side.section.ref,
            job=job.source,
            job_sha256=job.sha256,
            where=tuple(map(str, self.where)),
            matching=self.index.count(self.where),
            searched=searched,
            stages=self.pipeline.in_words,
            candidates=candidates,
            faithfulness=faithfulness,
            exposure=exposure,
            batch=batch,
        )

    def _copy(self, record: MatchRecord | None, rows: Sequence[dict[str, Cell]]) -> None:
        """Write the list where the user wants it."""
        if self.config.out is None:
            return
        target = user_path(self.config.out)
        ending = target.suffix.lower()
        if record is not None and ending == ".json":
            write_record_as_json(target, record)
        elif ending == ".html":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((self.run.path / "report.html").read_bytes())
        else:
            write_list(target, rows)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _plain(value: object) -> str | int | float | bool | tuple[str, ...] | None:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple):
        return tuple(map(str, value))
    return str(value)
