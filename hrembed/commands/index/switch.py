"""`hrembed index switch`: to the vectors of another model and back; meanwhile, a bridge carries its queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.commands.index.shown import index_folder
from hrembed.config.retrain import BridgeSection
from hrembed.data.locate import locate
from hrembed.data.read import read_records
from hrembed.errors import ConfigError, DataError
from hrembed.files import writing
from hrembed.index.lock import locked
from hrembed.index.open import generation_of, open_index, read_manifest
from hrembed.index.writing import replaced, write_manifest
from hrembed.records.index import BridgeUse, IndexSwitchRecord
from hrembed.runs.record import open_run
from hrembed.scoring.bridges import fit_maps, mapped
from hrembed.scoring.encoders import open_encoder, pinned
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.config.index import BridgeFitSection, IndexSwitchConfig
    from hrembed.index.open import Index
    from hrembed.records.index import IndexManifest
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.bridges import Kind
    from hrembed.types import Floats

_HELD_OUT = 5  # one document of so many judges the maps
_NEAREST = 10
_LEAST = 50


def run_switch(config: IndexSwitchConfig, workspace: Workspace) -> CommandResult[IndexSwitchRecord]:
    """Search another generation from now on, or fit a map that lets another model's queries search this one.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Which generation is searched, and what the map is worth.

    Raises:
        ConfigError: There is no such generation, or no other one.
        DataError: The index or the texts are missing or damaged.
        ModelError: The other model cannot be opened.
        HrembedError: Another process writes to the index.
    """
    with open_run(workspace, "index-switch", config.model_dump(mode="json"), seeds={"bridge": config.seed}) as run:
        folder = index_folder(config.index)
        read_manifest(folder)
        with locked(folder, "index switch", config.wait):
            manifest = read_manifest(folder)
            if config.bridge is not None:
                bridge = _bridge(config.bridge, folder, np.random.default_rng(config.seed), run)
                record = IndexSwitchRecord(
                    index=config.index, before=manifest.current, current=manifest.current, dropped=False, bridge=bridge
                )
            else:
                record = _switched(config, folder, manifest)
        run.write_metrics(record)
    return CommandResult(str(run.path), "ok", record, _tables(record), notice=_notice(record))


def _switched(config: IndexSwitchConfig, folder: Path, manifest: IndexManifest) -> IndexSwitchRecord:
    others = [each.name for each in manifest.generations if each.name != manifest.current]
    if config.to is None and not others:
        raise ConfigError(
            f"index '{config.index}' has only generation '{manifest.current}'",
            hint=f"build another beside it: `hrembed index build SHARDS --out {config.index}`",
        )
    wanted = generation_of(manifest, folder, config.to or others[-1]).name
    open_index(folder, wanted)  # it can be read
    kept = manifest.generations
    dropped = config.drop and wanted != manifest.current
    if dropped:
        kept = tuple(each for each in kept if each.name != manifest.current)
    write_manifest(folder, manifest.model_copy(update={"current": wanted, "generations": kept}))
    return IndexSwitchRecord(index=config.index, before=manifest.current, current=wanted, dropped=dropped, bridge=None)


class _Fitted(NamedTuple):
    """A map and what it is worth."""

    kind: Kind
    bridge: Floats
    cosine: float
    overlap: float


def _bridge(config: BridgeFitSection, folder: Path, rng: np.random.Generator, run: Run) -> BridgeUse:
    """Fit maps on documents that the index holds, keep the one that finds more of the same neighbours."""
    index = open_index(folder)
    section = pinned(config.model, run)
    encoder = open_encoder(section, run, cache=run.cache / "vectors")
    if encoder.identity == index.generation.space.identity:
        raise ConfigError(f"'{section.ref}' is the model of the index; its queries need no bridge")
    ids, texts = _texts(config, index, rng)
    new, old = encoder.vectors(texts, "document"), index.vectors(ids)
    run.add_model("queries", encoder.identity, encoder.source)
    fitted_on = len(ids) - len(ids) // _HELD_OUT
    usual = BridgeSection()
    maps = fit_maps(new[:fitted_on], old[:fitted_on], rank=usual.rank, ridge=usual.ridge)
    tried = [_judged(kind, each, new[fitted_on:], old[fitted_on:], index) for kind, each in maps.items()]
    best = max(tried, key=lambda each: each.overlap)
    name = f"bridge-{encoder.identity[:16]}.npy"
    with writing(folder / index.generation.name / name) as part, part.open("wb") as stream:
        np.save(stream, best.bridge.astype(np.float32))
    use = BridgeUse(
        model=section.model_dump(mode="json"),
        identity=encoder.identity,
        file=name,
        kind=best.kind,
        fitted_on=fitted_on,
        held_out=len(ids) - fitted_on,
        cosine=best.cosine,
        overlap=best.overlap,
    )
    others = tuple(each for each in index.generation.bridges if each.identity != use.identity)
    changed = index.generation.model_copy(update={"bridges": (*others, use)})
    write_manifest(folder, replaced(index.manifest, changed))
    return use


def _judged(kind: Kind, bridge: Floats, new: Floats, old: Floats, index: Index) -> _Fitted:
    """Compare mapped vectors of held-out documents with the stored ones, and their nearest documents with theirs."""
    vectors = mapped(new, bridge)
    true, found = ([set(hits.ids) for hits in index.exact(rows, _NEAREST)] for rows in (old, vectors))
    overlap = np.mean([len(one & two) / max(1, len(one)) for one, two in zip(true, found, strict=True)])
    return _Fitted(kind, bridge, float((vectors * old).sum(axis=1).mean()), float(overlap))


def _texts(config: BridgeFitSection, index: Index, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Documents that both models can embed: their ids and texts, in random order."""
    column = index.generation.text_column
    if config.texts is not None:
        given = {row.id: row.text for row in read_records(locate(config.texts), "")}
    elif column is not None:
        table = index.columns(["id", column])
        given = {
            id_: text
            for id_, text in zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
            if text
        }
    else:
        raise DataError(
            f"index '{index.folder}' keeps no texts to fit a bridge on",
            hint="name a table with `_id` and `text` of its documents: `--set bridge.texts=FILE`",
        )
    held = set(index.ids())
    known = [each for each in given if each in held]
    if len(known) < _LEAST:
        raise DataError(
            f"a bridge needs at least {_LEAST} documents of the index with their texts, and there are {len(known)}",
            hint="check that the ids of `bridge.texts` are those of the encoded table",
        )
    drawn: Sequence[int] = rng.permutation(len(known))[: config.count].tolist()
    ids = [known[place] for place in drawn]
    return ids, [given[each] for each in ids]


def _tables(record: IndexSwitchRecord) -> dict[str, list[dict[str, str]]]:
    if record.bridge is None:
        row = {
            "before": record.before,
            "searched now": record.current,
            "removed": record.before if record.dropped else "-",
        }
        return {"Switched": [row]}
    bridge = record.bridge
    row = {
        "queries of": str(bridge.model.get("ref", "")),
        "map": bridge.kind,
        "fitted on": f"{bridge.fitted_on:,}",
        "judged on": f"{bridge.held_out:,}",
        "cosine": f"{bridge.cosine:.3f}",
        "same of the 10 nearest": f"{bridge.overlap:.1%}",
    }
    return {f"Bridge to {record.current}": [row]}


def _notice(record: IndexSwitchRecord) -> str:
    if record.bridge is not None:
        return (
            "Queries of that model are mapped from now on. `hrembed retrain` measures on judged queries what a map "
            "keeps of the gain of a new model; an index of its own vectors needs no map."
        )
    said = f"{record.index} is searched by {record.current}."
    if record.dropped or record.before == record.current:
        return said
    return f"{said} Back: `hrembed index switch {record.index} {record.before}`."
