"""`hrembed data import`: taxonomies and tables to training pairs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.data import esco, onet
from hrembed.data.archive import Release
from hrembed.data.download import by_hand, download
from hrembed.data.hub import hub_rows
from hrembed.data.locate import locate
from hrembed.data.pairs import PAIRS, RELATED, pair_sink, write_related
from hrembed.data.rows import Form, read_rows
from hrembed.data.table import REJECTED, import_table
from hrembed.data.taxonomy import Counts, pairs_of
from hrembed.errors import DataError
from hrembed.runs.record import open_run
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hrembed.config.data import ImportEscoConfig, ImportOnetConfig, ImportTableConfig
    from hrembed.data.cells import Problem, Row
    from hrembed.data.table import Imported
    from hrembed.data.taxonomy import Concept, Source
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Pair

_HUB = "hf:"
# Kind -> the concepts that it is built from, and how one of them is paired.
_Builders = dict[str, tuple["Sequence[Concept]", "Callable[[Concept], list[Pair]]"]]


def run_import_onet(config: ImportOnetConfig, workspace: Workspace) -> CommandResult[Any]:
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
    credit = onet.source(onet.release_of(path) or config.release)

    def plan(release: Release, counts: Counts, run: Run) -> _Builders:
        concepts = onet.read_onet(release, config.max_occupations, counts)
        write_related(run.path / RELATED, {concept.id: concept.related for concept in concepts})
        specific = onet.without_common_tools(concepts, counts)
        return {
            kind: (concepts, _composed(config)) if kind == "ad-profile" else (specific, _drawn(kind, config))
            for kind in config.kinds
        }

    return _import_release("data-import-onet", config, path, credit, plan, workspace)


def run_import_esco(config: ImportEscoConfig, workspace: Workspace) -> CommandResult[Any]:
    """Build pairs from the CSV files of ESCO.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Counts by kind; the pairs are in `pairs.parquet`.

    Raises:
        DataError: The release is not there, or a file of it is missing or broken.
    """

    def plan(release: Release, counts: Counts, run: Run) -> _Builders:
        occupations = esco.read_occupations(release, config.max_occupations, counts)
        skills = esco.read_skills(release, config.max_occupations, counts) if "skill" in config.kinds else []
        return {kind: (skills if kind == "skill" else occupations, _drawn(kind, config)) for kind in config.kinds}

    return _import_release("data-import-esco", config, _esco_source(config), esco.SOURCE, plan, workspace)


def _import_release(
    command: str,
    config: ImportOnetConfig | ImportEscoConfig,
    path: Path,
    credit: Source,
    plan: Callable[[Release, Counts, Run], _Builders],
    workspace: Workspace,
) -> CommandResult[Any]:
    """Open a run, read a release, and write the pairs of every kind that `plan` says how to build."""
    counts = Counts()
    with open_run(workspace, command, config.model_dump(mode="json"), seeds={"pairs": config.seed}) as run:
        release = Release(path)
        run.add_input("release", path)
        run.add_attribution(vars(credit))
        kinds = _write_pairs(run.path / PAIRS, plan(release, counts, run), workspace.progress)
        for kind in [kind for kind, found in kinds.items() if not found["pairs"]]:
            workspace.progress.note(f"no pairs of kind '{kind}': '{path}' has nothing that they could be made of")
        metrics = {"kinds": kinds, "pairs": sum(found["pairs"] for found in kinds.values()), "counts": counts.steps}
        run.write_metrics(metrics)
    return CommandResult(str(run.path), "ok", metrics, _tables(metrics))


def run_import_table(config: ImportTableConfig, workspace: Workspace) -> CommandResult[Any]:
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
    columns = config.columns.model_dump()
    with open_run(workspace, "data-import-table", config.model_dump(mode="json"), seeds={}) as run:
        rows = _table_rows(config, [column for column in columns.values() if column], run)
        with workspace.progress.bar("reading rows", 0) as advance:
            found = import_table(rows, columns, config.kind, run.path, advance)
        metrics = {name: value for name, value in vars(found).items() if name != "first"}
        run.write_metrics(metrics)
        _judge(found, config, run)
    table = [{"what": name, "rows": f"{value:,}"} for name, value in metrics.items()]
    return CommandResult(str(run.path), "ok", metrics, {"Table": table})


def _table_rows(config: ImportTableConfig, wanted: list[str], run: Run) -> Iterator[Row | Problem]:
    if config.source.startswith(_HUB):
        return hub_rows(config.source.removeprefix(_HUB), wanted, subset=config.subset, split=config.split)
    path = locate(config.source)
    run.add_input("table", path)
    return read_rows(path, wanted, Form(config.delimiter, encoding=config.encoding))


def _judge(found: Imported, config: ImportTableConfig, run: Run) -> None:
    """Refuse a table with too many bad rows, after all good ones are safe."""
    if found.first is not None and found.rejected > config.max_rejected:
        more = f" ({found.rejected:,} rows were rejected)" if found.rejected > 1 else ""
        raise DataError(
            f"{config.source}:{found.first}{more}",
            hint=f"all of them are listed in '{run.path / REJECTED}'; the {found.pairs:,} good rows are in "
            f"'{run.path / PAIRS}', accept that with `--set max_rejected={found.rejected}`",
        )
    if not found.pairs:
        raise DataError(f"{config.source}: no row to import")


def _onet_source(config: ImportOnetConfig, progress: Progress) -> Path:
    if config.source is not None:
        return Path(config.source).expanduser()
    target = Path(config.downloads) / onet.file_name(config.release)
    if not target.exists():
        download(onet.download_url(config.release), target, progress)
    return target


def _esco_source(config: ImportEscoConfig) -> Path:
    """ESCO is handed out through a form that mails a link, so it cannot be downloaded for the user."""
    if config.source is not None:
        return Path(config.source).expanduser()
    target = Path(config.downloads) / esco.FILE_NAME
    if not target.exists():
        raise DataError(
            "no source is named, and ESCO has no address to download from: its site mails a link to whoever asks",
            hint=f"choose version 1.2.0, classification, English, CSV; then {by_hand(esco.SOURCE.url, target)}",
        )
    return target


def _drawn(kind: str, config: ImportOnetConfig | ImportEscoConfig) -> Callable[[Concept], list[Pair]]:
    return lambda concept: pairs_of(concept, kind, config.per_group, str(config.seed))


def _composed(config: ImportOnetConfig) -> Callable[[Concept], list[Pair]]:
    return lambda concept: onet.ads_and_profiles(
        concept, config.ads, config.profiles, config.per_group, str(config.seed)
    )


def _write_pairs(path: Path, builders: _Builders, progress: Progress) -> dict[str, dict[str, int]]:
    """Write all kinds one after the other, and count pairs and groups of each."""
    total = sum(len(concepts) for concepts, _ in builders.values())
    found = {}
    with pair_sink(path) as add, progress.bar("building pairs", total) as advance:
        for kind, (concepts, build) in builders.items():
            sizes: Counter[str] = Counter()
            for concept in concepts:
                pairs = build(concept)
                sizes[concept.id] = len(pairs)
                for pair in pairs:
                    add(pair)
                advance(1, kind)
            found[kind] = _sizes(sizes.values())
    return found


def _sizes(sizes: Iterable[int]) -> dict[str, int]:
    some = [size for size in sizes if size]
    return {"pairs": sum(some), "groups": len(some), "largest_group": max(some, default=0)}


def _tables(metrics: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    kinds = [
        {"kind": kind, **{name.replace("_", " "): f"{value:,}" for name, value in found.items()}}
        for kind, found in metrics["kinds"].items()
    ]
    steps = [{"step": step, "number": f"{number:,}"} for step, number in metrics["counts"].items()]
    return {"Pairs": kinds, "What was read and dropped": steps}
