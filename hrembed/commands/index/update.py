"""`hrembed index update`: what changed since the index was built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.index.shown import in_mb, index_folder, size_of
from hrembed.config.index import IndexBuildConfig
from hrembed.errors import DataError, HrembedError
from hrembed.index.changes import apply, compare
from hrembed.index.identity import check_same_space
from hrembed.index.lance import LanceIndex
from hrembed.index.lance_table import unindexed_rows
from hrembed.index.lock import locked
from hrembed.index.open import open_index, read_manifest
from hrembed.index.sources import check_documents, source_of
from hrembed.index.tombstones import Tombstones
from hrembed.index.writing import replaced, write_manifest
from hrembed.records.index import IndexUpdateRecord
from hrembed.runs.record import open_run
from hrembed.shards.reading import open_shards
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from hrembed.config.index import IndexUpdateConfig
    from hrembed.index.open import Index
    from hrembed.records.index import Generation, IndexManifest
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.shards.reading import ShardSet


def run_update(config: IndexUpdateConfig, workspace: Workspace) -> CommandResult[IndexUpdateRecord]:
    """Bring new, changed and removed rows of a folder of vectors into the generation of their model.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Counts of what changed; whoever was forgotten stays out.

    Raises:
        DataError: The index or the vectors are missing or damaged.
        ModelError: The vectors are of another model than every generation.
        HrembedError: Another process writes to the index.
    """
    with open_run(workspace, "index-update", config.model_dump(mode="json"), seeds={}) as run:
        folder = index_folder(config.index)
        read_manifest(folder)  # before a lock is made in a folder that is no index
        shards = open_shards(config.shards)
        run.add_content("vectors", config.shards, shards.sha256)
        check_documents(shards)
        with locked(folder, "index update", config.wait):
            manifest = read_manifest(folder)
            generation = _generation_of(manifest, shards, config.index)
            _check_base(config, shards, generation, run)
            tombstones = Tombstones(folder)
            index = open_index(folder, generation.name)
            changes = compare(index, shards, tombstones, replace=config.replace)
            changed = generation
            if changes.added or changes.changed or changes.removed or unindexed_of(index):
                changed = apply(folder, generation, shards, changes, tombstones)
            sources = [each for each in changed.sources if each.folder != shards.folder.reference]
            changed = changed.model_copy(update={"sources": (*sources, source_of(shards))})
            write_manifest(folder, replaced(manifest, changed))
            if changed.backend == "exact" and changed.rows > IndexBuildConfig().exact_up_to:
                run.warn(f"'{config.index}' compares all {changed.rows:,} rows; a new `index build` would use LanceDB")
            unindexed = unindexed_of(open_index(folder, generation.name))
        if unindexed:
            raise HrembedError(
                f"{unindexed:,} rows of '{config.index}' are in no index after the update",
                hint="repeat the command; if that does not help, build the index again",
            )
        record = IndexUpdateRecord(
            index=config.index,
            generation=changed.name,
            added=len(changes.added),
            changed=len(changes.changed),
            removed=len(changes.removed),
            unchanged=changes.unchanged,
            kept_out=changes.kept_out,
            rows=changed.rows,
            unindexed=unindexed,
            bytes=size_of(folder / changed.folder),
        )
        run.write_metrics(record)
    return CommandResult(str(run.path), "ok", record, {"Update": [_row(record)]})


def unindexed_of(index: Index) -> int:
    """Rows that any index of a generation does not hold; `exact` has no index to be behind."""
    return max(unindexed_rows(index.table).values(), default=0) if isinstance(index, LanceIndex) else 0


def _generation_of(manifest: IndexManifest, shards: ShardSet, where: str) -> Generation:
    """The generation that holds vectors of the same model: the current one, or else the newest."""
    for generation in (manifest.generation, *reversed(manifest.generations)):
        if generation.space.identity == shards.manifest.identity:
            return generation
    check_same_space(shards, manifest.space, where)
    return manifest.generation


def _check_base(config: IndexUpdateConfig, shards: ShardSet, generation: Generation, run: Run) -> None:
    base = shards.manifest.base
    if base is None:
        return
    if config.replace:
        raise DataError(
            f"'{config.shards}' holds only what changed since '{base.folder}', so it cannot replace all rows",
            hint="remove `replace`; a delta lists what it removes",
        )
    if base.sha256 not in {source.manifest_sha256 for source in generation.sources}:
        run.warn(
            f"the vectors that '{config.shards}' is based on ('{base.folder}') are not those that are in the index"
        )


def _row(record: IndexUpdateRecord) -> dict[str, str]:
    return {
        "generation": record.generation,
        "added": f"{record.added:,}",
        "changed": f"{record.changed:,}",
        "removed": f"{record.removed:,}",
        "unchanged": f"{record.unchanged:,}",
        "forgotten, kept out": f"{record.kept_out:,}",
        "rows now": f"{record.rows:,}",
        "unindexed": f"{record.unindexed:,}",
        "size": in_mb(record.bytes),
    }
