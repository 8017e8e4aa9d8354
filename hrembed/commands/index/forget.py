"""`hrembed index forget`: a person leaves the index and everything that hrembed made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.index.kept_results import forget_results, runs_that_name, traces_in_results
from hrembed.commands.index.shown import index_folder
from hrembed.errors import ConfigError, DataError, HrembedError
from hrembed.files import files_below, sha256, user_path
from hrembed.index.changes import Changes, apply
from hrembed.index.erase import NOT_SEEN, begin, finish, traces
from hrembed.index.lock import locked
from hrembed.index.open import open_index, read_manifest
from hrembed.index.tombstones import Tombstones
from hrembed.index.writing import now, replaced, write_manifest
from hrembed.models.cache import count_keys, forget_keys, text_keys
from hrembed.records.index import Erased, IndexForgetRecord
from hrembed.runs.record import open_run
from hrembed.shards.erasing import erase_rows, rows_with, traces_in
from hrembed.shards.folder import open_folder
from hrembed.shards.reading import open_shards
from hrembed.text import counted
from hrembed.titles import normal_form
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from hrembed.config.index import IndexForgetConfig
    from hrembed.records.index import IndexManifest
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace


def run_forget(config: IndexForgetConfig, workspace: Workspace) -> CommandResult[IndexForgetRecord]:
    """Erase people: tombstones first, then every generation, the vectors of `encode`, caches and kept results.

    Traces are searched before and after in the same way, so that a search that sees nothing is noticed. An erasure that
    was killed is finished by the same command.

    Args:
        config: Validated settings; no file of the run holds an id.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        The receipt.

    Raises:
        ConfigError: No id is given.
        DataError: Nobody knows an id, or the index or a folder of vectors is damaged.
        HrembedError: Another process writes, or a trace is left.
    """
    ids = _ids(config)
    folder = index_folder(config.index)
    read_manifest(folder)
    tombstones = Tombstones(folder)
    hashes = sorted(map(tombstones.hash, ids))
    said = config.model_dump(mode="json") | {"ids": [], "file": None, "id_hashes": hashes}
    with open_run(workspace, "index-forget", said, seeds={}) as run, locked(folder, "index forget", config.wait):
        erasure = _Erasure(folder, ids, config, run)
        known = erasure.known()
        unknown = [each for each in ids if each not in known and each not in tombstones]
        if unknown and config.unknown == "refuse":
            raise DataError(
                f"{counted(len(unknown), 'id')} of {len(ids):,} stands in no generation and in no folder of vectors; "
                "nothing was erased",
                hint="check the ids; `--set unknown=keep_out` also keeps out who never was in the index",
            )
        begin(folder, tombstones, ids, now())
        places = erasure.everywhere()
        left = [place for place in places if place.after]
        if left:
            raise HrembedError(
                f"traces are left in '{left[0].place}' ({left[0].after:,})",
                hint="repeat the command; no receipt was written",
            )
        finish(folder)
        record = IndexForgetRecord(
            index=config.index,
            asked=len(ids),
            known=len(known),
            tombstones=len(tombstones),
            id_hashes=tuple(hashes),
            places=tuple(places),
            time=now(),
            not_seen=NOT_SEEN,
        )
        run.write_metrics(record)
        named = runs_that_name(run.root, set(ids))
        if named:
            listed = ", ".join(named)
            run.warn(f"{counted(len(named), 'run')} of an evaluation or audit on the index still name them: {listed}")
    notice = f"Receipt: {run.path / 'metrics.json'}. It does not cover {NOT_SEEN}."
    return CommandResult(str(run.path), "forgotten", record, _tables(record), notice=notice)


def _ids(config: IndexForgetConfig) -> list[str]:
    ids = list(config.ids)
    if config.file is not None:
        try:
            ids += user_path(config.file).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as err:
            raise DataError(f"'{config.file}' cannot be read: {err}", hint="one id per line, UTF-8") from None
    ids = [each for each in dict.fromkeys(ids) if each]
    if not ids:
        raise ConfigError("no id is given", hint="name some: `hrembed index forget INDEX ID...`, or `--set file=FILE`")
    return ids


class _Erasure:
    """The places of one erasure, in the order in which they are erased."""

    def __init__(self, folder: Path, ids: list[str], config: IndexForgetConfig, run: Run) -> None:
        self._folder = folder
        self._ids = ids
        self._run = run
        self._caches = (
            [user_path(each) for each in config.caches] if config.caches is not None else [run.cache / "vectors"]
        )
        manifest = read_manifest(folder)
        sources = [source.folder for generation in manifest.generations for source in generation.sources]
        self._shards = [each for each in dict.fromkeys([*sources, *config.also]) if self._is_there(each)]
        self._keys = self._text_keys(manifest)

    def _is_there(self, reference: str) -> bool:
        there = bool(open_folder(reference).names())
        if not there:
            self._run.warn(
                f"'{reference}', of which the index was made, is not there any more; copies of it are not searched"
            )
        return there

    def known(self) -> set[str]:
        """Ids that stand in a generation, or in a folder of vectors."""
        found: set[str] = set()
        manifest, gone = read_manifest(self._folder), set(self._ids)
        for generation in manifest.generations:
            found |= gone.intersection(open_index(self._folder, generation.name).columns(["id"])["id"].to_pylist())
        for reference in self._shards:
            shards = open_shards(reference)
            found |= gone.intersection(
                each for table in rows_with(shards, self._ids) for each in table["id"].to_pylist()
            )
            found |= gone.intersection(shards.manifest.removed_ids)
        return found

    def everywhere(self) -> list[Erased]:
        """Erase, and search for traces before and after."""
        gone, root = set(self._ids), self._run.root
        before = traces_in_results(root, gone)
        files = forget_results(root, gone)
        erased = [Erased(place="kept results", before=before, after=traces_in_results(root, gone), files=files)]
        # The keys of cached vectors are known from the rows: caches go first, or a kill would leave them for good.
        erased += [self._cache(cache) for cache in self._caches if cache.is_dir()]
        erased += [self._generation(generation.name) for generation in read_manifest(self._folder).generations]
        return [*erased, *self._vectors()]

    def _generation(self, name: str) -> Erased:
        manifest = read_manifest(self._folder)
        generation = manifest.of(name)
        place = self._folder / name
        before = traces(place, self._ids)
        held = set(open_index(self._folder, name).columns(["id"])["id"].to_pylist())
        gone = frozenset(held.intersection(self._ids))
        if gone and not before:
            raise HrembedError(
                f"the search for traces is blind: it does not find rows that are in '{name}'",
                hint="nothing was erased there; please report this with the versions of `hrembed doctor`",
            )
        if before:
            changes = Changes(frozenset(), frozenset(), gone, len(held) - len(gone), 0)
            generation = apply(self._folder, generation, None, changes, Tombstones(self._folder))
            write_manifest(self._folder, replaced(manifest, generation))
        files = (
            {each.relative_to(self._folder).as_posix(): sha256(each) for each in files_below(place)} if before else {}
        )
        return Erased(place=f"generation {name}", before=before, after=traces(place, self._ids), files=files)

    def _vectors(self) -> list[Erased]:
        """Erase from the folders of vectors; the index then names them by their new hashes."""
        erased, new = [], dict[str, str]()
        for reference in self._shards:
            before = traces_in(open_shards(reference), self._ids)
            rows = erase_rows(reference, self._ids, new)
            new[rows.before] = rows.after
            after = traces_in(open_shards(reference), self._ids)
            erased.append(Erased(place=f"vectors {reference}", before=before, after=after, files=rows.files))
            self._rename_sources(reference, rows.after)
        return erased

    def _rename_sources(self, reference: str, sha256_now: str) -> None:
        manifest = read_manifest(self._folder)
        rows = open_shards(reference).manifest.rows
        for generation in manifest.generations:
            sources = tuple(
                source.model_copy(update={"manifest_sha256": sha256_now, "rows": rows})
                if source.folder == reference
                else source
                for source in generation.sources
            )
            manifest = replaced(manifest, generation.model_copy(update={"sources": sources}))
        write_manifest(self._folder, manifest)

    def _cache(self, cache: Path) -> Erased:
        before = count_keys(cache, self._keys)
        files = forget_keys(cache, self._keys)
        return Erased(place=f"cache {cache}", before=before, after=count_keys(cache, self._keys), files=files)

    def _text_keys(self, manifest: IndexManifest) -> npt.NDArray[np.void]:
        """Keys under which a cache may hold vectors of these people: of texts as given, as kept, and normalised."""
        hashes: set[bytes] = set()
        texts: set[str] = set()
        for reference in self._shards:
            for table in rows_with(open_shards(reference), self._ids):
                hashes.update(table["text_hash"].to_pylist())
                texts.update(each for each in _column(table, "text") if each)
        for generation in manifest.generations:
            index = open_index(self._folder, generation.name)
            held = sorted(set(self._ids).intersection(index.columns(["id"])["id"].to_pylist()))
            for row in index.rows(held, ["text_hash", *([generation.text_column] if generation.text_column else [])]):
                hashes.add(row["text_hash"])  # type: ignore[arg-type]
                texts.update(each for each in [row.get(generation.text_column or "")] if isinstance(each, str) and each)
        keys = text_keys([])
        given = np.frombuffer(b"".join(sorted(hashes)), dtype=keys.dtype)
        return np.concatenate([given, text_keys(sorted(texts | set(map(normal_form, texts))))])


def _column(table: object, name: str) -> Sequence[str | None]:
    found: list[str | None] = table[name].to_pylist() if name in table.column_names else []  # type: ignore[attr-defined,index]
    return found


def _tables(record: IndexForgetRecord) -> dict[str, list[dict[str, str]]]:
    rows = [
        {
            "place": each.place,
            "traces before": f"{each.before:,}",
            "after": f"{each.after:,}",
            "files written again": f"{len(each.files):,}",
        }
        for each in record.places
    ]
    return {f"Forgotten: {record.known:,} of {record.asked:,} ids ({counted(record.tombstones, 'tombstone')})": rows}
