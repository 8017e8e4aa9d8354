"""`hrembed data import`: taxonomies and tables to training pairs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hrembed.data import esco, onet
from hrembed.data.archive import Release
from hrembed.data.cells import Row
from hrembed.data.columns import track_columns
from hrembed.data.download import by_hand, download
from hrembed.data.hub import hub_rows
from hrembed.data.layout import Form
from hrembed.data.locate import locate
from hrembed.data.pairs import (
    COLUMNS,
    KNOWN_AS,
    NEGATIVE,
    PAIRS,
    RELATED,
    is_pair_column,
    pair_sink,
    refuse_scored,
    write_related,
)
from hrembed.data.rows import read_rows
from hrembed.data.table import REJECTED, import_table
from hrembed.data.taxonomy import Counts, pairs_of
from hrembed.errors import DataError
from hrembed.files import user_path
from hrembed.records.data import (
    DataImportEscoRecord,
    DataImportOnetRecord,
    DataImportTableRecord,
    KindCounts,
    TaxonomyImportRecord,
)
from hrembed.records.manifest import Attribution
from hrembed.reports.conclusions import listed
from hrembed.runs.record import open_run
from hrembed.text import counted
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from hrembed.config.data import EscoKind, ImportEscoConfig, ImportOnetConfig, ImportTableConfig, OnetKind
    from hrembed.data.cells import Problem
    from hrembed.data.pairs import PairColumn
    from hrembed.data.table import Imported
    from hrembed.data.taxonomy import Concept, Source
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Pair

_HUB = "hf:"
TaxonomyRecord = TypeVar("TaxonomyRecord", bound=TaxonomyImportRecord)


class _Builder(NamedTuple):
    """The pairs of one kind, built as they are asked for.

    Attributes:
        concepts: How many occupations or skills they are built from.
        pairs: Those of each of them.
    """

    concepts: int
    pairs: Iterable[list[Pair]]


_PHASES = (_READ, _BUILD) = ("read the release", "build pairs")


def run_import_onet(config: ImportOnetConfig, workspace: Workspace) -> CommandResult[DataImportOnetRecord]:
    """Build pairs from the O*NET text database.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Counts by kind; the pairs are in `pairs.parquet`, related occupations in `related.parquet`.

    Raises:
        DataError: The release is not there, or a file of it is missing or broken.
    """
    path = _onet_source(config, workspace.progress)
    draw = config.per_group, str(config.seed)
    credit = onet.source(onet.release_of(path) or config.release)

    def plan(release: Release, counts: Counts, run: Run) -> dict[str, _Builder]:
        concepts = onet.read_onet(release, config.max_occupations, counts)
        write_related(run.path / RELATED, {concept.id: concept.related for concept in concepts})
        specific = onet.without_common_tools(concepts, counts)
        duties = onet.read_activities(release, counts) if "activity" in config.kinds else []

        def builder(kind: OnetKind) -> _Builder:
            if kind == "activity":
                return _Builder(len(duties), (onet.activity_pairs(each, *draw) for each in duties))
            if kind == "ad-profile":
                composed = (onet.ads_and_profiles(each, config.ads, config.profiles, *draw) for each in concepts)
                return _Builder(len(concepts), composed)
            return _drawn(specific, kind, config)

        return {kind: builder(kind) for kind in config.kinds}

    return _import_release(DataImportOnetRecord, config, path, credit, plan, workspace)


def run_import_esco(config: ImportEscoConfig, workspace: Workspace) -> CommandResult[DataImportEscoRecord]:
    """Build pairs from the CSV files of ESCO.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Counts by kind; the pairs are in `pairs.parquet`.

    Raises:
        DataError: The release is not there, or a file of it is missing or broken.
    """

    def plan(release: Release, counts: Counts, run: Run) -> dict[str, _Builder]:
        occupations = esco.read_occupations(release, config.max_occupations, counts)
        skills = []
        if esco.SKILL_KINDS & {*config.kinds}:
            described = "skill-description" in config.kinds
            skills = esco.read_skills(release, config.max_occupations, counts, described=described)

        def builder(kind: EscoKind) -> _Builder:
            if kind == "joined-skill":
                lines = list(esco.joined_skill_pairs(skills, config.per_group, str(config.seed)))
                return _Builder(len(lines), lines)
            return _drawn(skills if kind in esco.SKILL_KINDS else occupations, kind, config)

        return {kind: builder(kind) for kind in config.kinds}

    return _import_release(DataImportEscoRecord, config, _esco_source(config), esco.SOURCE, plan, workspace)


def _import_release(
    record_type: type[TaxonomyRecord],
    config: ImportOnetConfig | ImportEscoConfig,
    path: Path,
    credit: Source,
    plan: Callable[[Release, Counts, Run], Mapping[str, _Builder]],
    workspace: Workspace,
) -> CommandResult[TaxonomyRecord]:
    """Open a run, read a release, and write the pairs of every kind that `plan` says how to build."""
    counts = Counts()
    command, seeds = record_type.command, {"pairs": config.seed}
    with open_run(workspace, command, config.model_dump(mode="json"), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_READ)
        release = Release(path)
        run.add_input("release", path)
        run.add_attribution(Attribution.model_validate(vars(credit)))
        builders = plan(release, counts, run)
        run.phases.begin(_BUILD)
        kinds = _write_pairs(run.path / PAIRS, builders, workspace.progress)
        for kind in [kind for kind, of_kind in kinds.items() if not of_kind.pairs]:
            workspace.progress.note(f"no pairs of kind '{kind}': '{path}' has no data for them")
        record = record_type(
            kinds=kinds, pairs=sum(of_kind.pairs for of_kind in kinds.values()), counts=dict(counts.steps)
        )
        run.write_metrics(record)
        notice = run.conclude([*_taxonomy_conclusion(record), *_next(record)])
    return CommandResult(str(run.path), "ok", record, _tables(record), notice=notice)


def run_import_table(config: ImportTableConfig, workspace: Workspace) -> CommandResult[DataImportTableRecord]:
    """Build pairs from a table of the user's own, streamed.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Counts; the pairs are in `pairs.parquet`, rows that could not be used in `rejected.jsonl`.

    Raises:
        DataError: The table is missing, has no such column, or more rows were rejected than the config allows;
            the usable rows are written all the same.
    """
    columns: dict[PairColumn, str | None] = {name: getattr(config.columns, name) for name in (*COLUMNS, NEGATIVE)}
    with open_run(workspace, "data-import-table", config.model_dump(mode="json"), seeds={}) as run:
        rows = _table_rows(config, columns, run)
        with workspace.progress.bar("reading rows", 0) as advance:
            imported = import_table(rows, columns, config.kind, run.path, advance)
        record = DataImportTableRecord(
            rows=imported.rows,
            pairs=imported.pairs,
            repeated=imported.repeated,
            missing=imported.missing,
            rejected=imported.rejected,
        )
        run.write_metrics(record)
        _judge(imported, config, run)
        left = record.rows - record.pairs
        found = f"{counted(record.pairs, 'pair')} from {counted(record.rows, 'row')}; {counted(left, 'row')} left out."
        notice = run.conclude([found, *_next(record)])
    table = [
        {"what": "rows", "rows": f"{record.rows:,}"},
        {"what": "pairs", "rows": f"{record.pairs:,}"},
        {"what": "repeated", "rows": f"{record.repeated:,}"},
        {"what": "skipped: the text is a missing-value marker (N/A, nan, ...)", "rows": f"{record.missing:,}"},
        {"what": "rejected", "rows": f"{record.rejected:,}"},
    ]
    return CommandResult(str(run.path), "ok", record, {"Table": table}, notice=notice)


def _table_rows(
    config: ImportTableConfig, columns: Mapping[PairColumn, str | None], run: Run
) -> Iterator[Row | Problem]:
    """Read the table; its columns are called as in pairs, and what is not used is reported."""
    given: dict[str, str] = {name: column for name, column in columns.items() if column and column != name}
    form = Form(config.delimiter, encoding=config.encoding, columns=given)
    wanted = ("anchor", "positive")

    def used(column: str) -> bool:
        return is_pair_column(column) and columns.get(column, column) is not None  # type: ignore[call-overload]

    if config.source.startswith(_HUB):
        rows = hub_rows(config.source.removeprefix(_HUB), wanted, form, subset=config.subset, split=config.split)
        return track_columns(rows, Path(config.source), used)
    path = locate(config.source)
    run.add_input("table", path)
    return track_columns(_without_scores(read_rows(path, wanted, form, KNOWN_AS), path, form), path, used)


def _without_scores(rows: Iterator[Row | Problem], file: Path, form: Form) -> Iterator[Row | Problem]:
    """Pass rows on, and refuse two sentences with a score, as training does: a low one would become a good pair."""
    for row in rows:
        if isinstance(row, Row):
            refuse_scored(row, file, form)
        yield row


def _judge(imported: Imported, config: ImportTableConfig, run: Run) -> None:
    """Refuse a table with too many bad rows, after all good ones are safe."""
    if imported.first is not None and imported.rejected > config.max_rejected:
        several = f" ({imported.rejected:,} rows were rejected)" if imported.rejected > 1 else ""
        raise DataError(
            f"{config.source}:{imported.first}{several}",
            hint=(
                f"all rejected rows are listed in '{run.path / REJECTED}'; the {imported.pairs:,} valid rows "
                f"are in '{run.path / PAIRS}'; to accept this, pass `--set max_rejected={imported.rejected}`"
            ),
        )
    if not imported.pairs:
        raise DataError(f"{config.source}: no rows to import")


def _onet_source(config: ImportOnetConfig, progress: Progress) -> Path:
    if config.source is not None:
        return user_path(config.source)
    target = Path(config.downloads) / onet.file_name(config.release)
    if not target.exists():
        download(onet.download_url(config.release), target, progress)
    return target


def _esco_source(config: ImportEscoConfig) -> Path:
    """ESCO is handed out through a form that mails a link, so it cannot be downloaded for the user."""
    if config.source is not None:
        return user_path(config.source)
    target = Path(config.downloads) / esco.FILE_NAME
    if not target.exists():
        raise DataError(
            (
                "`source` is not set, and ESCO cannot be downloaded automatically: its website sends a "
                "download link by e-mail"
            ),
            hint=(f"choose version 1.2.0, classification, a language and CSV; then {by_hand(esco.SOURCE.url, target)}"),
        )
    return target


def _drawn(concepts: Sequence[Concept], kind: str, config: ImportOnetConfig | ImportEscoConfig) -> _Builder:
    pairs = (pairs_of(concept, kind, config.per_group, str(config.seed)) for concept in concepts)
    return _Builder(len(concepts), pairs)


def _write_pairs(path: Path, builders: Mapping[str, _Builder], progress: Progress) -> dict[str, KindCounts]:
    """Write all kinds one after the other, and count pairs and groups of each."""
    total = sum(builder.concepts for builder in builders.values())
    counts = {}
    with pair_sink(path) as add, progress.bar("building pairs", total) as advance:
        for kind, builder in builders.items():
            sizes: Counter[str] = Counter()
            for pairs in builder.pairs:
                for pair in pairs:
                    sizes[pair.group] += 1
                    add(pair)
                advance(1, kind)
            counts[kind] = _kind_counts(sizes.values())
    return counts


def _kind_counts(sizes: Collection[int]) -> KindCounts:
    return KindCounts(pairs=sum(sizes), groups=len(sizes), largest_group=max(sizes, default=0))


def _taxonomy_conclusion(record: TaxonomyImportRecord) -> list[str]:
    kinds = [f"{name} ({counted(kind.pairs, 'pair')})" for name, kind in record.kinds.items() if kind.pairs]
    return (
        [f"{counted(record.pairs, 'pair')} of {counted(len(kinds), 'kind')}: {listed(kinds, most=8)}."] if kinds else []
    )


def _next(record: TaxonomyImportRecord | DataImportTableRecord) -> list[str]:
    return [
        "Next, split them into training, development and test:",
        f"  hrembed data split run:{record.command}/latest",
    ]


def _tables(record: TaxonomyImportRecord) -> dict[str, list[dict[str, str]]]:
    kinds = [
        {
            "kind": kind,
            "pairs": f"{of_kind.pairs:,}",
            "groups": f"{of_kind.groups:,}",
            "largest group": f"{of_kind.largest_group:,}",
        }
        for kind, of_kind in record.kinds.items()
    ]
    steps = [{"step": step, "number": f"{number:,}"} for step, number in record.counts.items()]
    return {"Pairs": kinds, "Rows read and skipped": steps}
