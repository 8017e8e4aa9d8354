"""What is known about models: the facts that ship with the installed mteb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hrembed.memory import MB
from hrembed.selection.licences import licence_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hrembed.records.select import LicenceClass

NO_LIMIT = 2**31


@dataclass(frozen=True)
class Facts:
    """One model; None means that nobody says.

    Attributes:
        name: Hub id, `ORG/NAME`.
        parameters: Number of parameters.
        active_parameters: Those that a text passes through; without tables of embeddings and idle experts.
        memory_mb: Size of the weights, MB.
        dimension: Length of a vector, the longest where there are several.
        max_tokens: Longest text.
        licence: As written.
        open_weights: Whether weights are public.
        languages: `eng-Latn` codes.
        revision: Commit of the weights.
        released: Date, `2024-02-29`.
        instructions: Whether queries are to be put behind an instruction.
        kinds: `dense` makes one vector of a text, which every command needs; `cross-encoder`, `late-interaction`,
            `sparse`. Empty for models that take no text.
        adapted_from: Model that it was made of.
        superseded_by: Model that its makers recommend instead.
    """

    name: str
    parameters: int | None = None
    active_parameters: int | None = None
    memory_mb: float | None = None
    dimension: int | None = None
    max_tokens: int | None = None
    licence: str | None = None
    open_weights: bool | None = None
    languages: frozenset[str] = frozenset()
    revision: str | None = None
    released: str | None = None
    instructions: bool | None = None
    kinds: tuple[str, ...] = ("dense",)
    adapted_from: str | None = None
    superseded_by: str | None = None


def registry_facts() -> list[Facts]:
    """Facts of every model in the installed mteb registry, sorted by name."""
    import mteb

    return sorted(
        (_facts(meta) for meta in mteb.get_model_metas() if meta.name), key=lambda facts: facts.name.casefold()
    )


def _facts(meta: Any) -> Facts:
    """Facts in a `ModelMeta` of mteb."""
    dimensions = meta.embed_dim if isinstance(meta.embed_dim, list) else [meta.embed_dim]
    return Facts(
        name=meta.name,
        parameters=meta.n_parameters,
        active_parameters=meta.n_active_parameters,
        # mteb counts 2**20 bytes as one.
        memory_mb=None if meta.memory_usage_mb is None else meta.memory_usage_mb * 2**20 / MB,
        dimension=max((number for number in dimensions if number is not None), default=None),
        max_tokens=_whole(meta.max_tokens),
        licence=str(meta.license) if meta.license else None,
        open_weights=meta.open_weights,
        languages=frozenset(meta.languages or ()),
        revision=meta.revision,
        released=str(meta.release_date) if meta.release_date else None,
        instructions=meta.use_instructions,
        kinds=tuple(map(str, meta.model_type or ())) if "text" in (meta.modalities or ["text"]) else (),
        adapted_from=str(meta.adapted_from) if meta.adapted_from else None,
        superseded_by=str(meta.superseded_by) if meta.superseded_by else None,
    )


def _whole(value: float | None) -> int | None:
    """A number of tokens; mteb writes "no limit" as infinity."""
    if value is None:
        return None
    return int(value) if value < NO_LIMIT else NO_LIMIT


def seen_tasks(names: Iterable[str], tasks: Sequence[str]) -> dict[str, frozenset[str] | None]:
    """Say which of the tasks each model of the registry was trained on.

    What a model was adapted from counts, and so do tasks made of the same data, as in mteb's zero-shot share.

    Args:
        names: Models; those that the registry does not know are left out.
        tasks: Tasks in question.

    Returns:
        Model to tasks; None where the model does not say.
    """
    import mteb

    metas = {meta.name: meta for meta in mteb.get_model_metas()}
    return {name: _seen(name, metas, frozenset(tasks)) for name in names if name in metas}


def _seen(name: str, metas: Mapping[str, Any], tasks: frozenset[str]) -> frozenset[str] | None:
    """Tasks that a model and those it was adapted from were trained on; None when the model itself does not say."""
    chain: list[Any] = []
    place = name
    while place in metas and metas[place] not in chain:
        chain.append(metas[place])
        place = str(metas[place].adapted_from)
    # mteb follows the chain as well, but looks each name up by similarity, which takes seconds for a leaderboard.
    alone = [meta.model_copy(update={"adapted_from": None}).get_training_datasets() for meta in chain]
    if alone[0] is None:
        return None
    return frozenset(task for seen in alone for task in seen or ()) & tasks


@dataclass(frozen=True)
class Limits:
    """Hard limits; None and empty do not ask.

    Attributes:
        licences: Accepted classes.
        max_parameters: Most parameters.
        max_memory_mb: Largest weights, MB.
        max_dimension: Longest vector.
        min_max_tokens: Shortest acceptable limit of a text.
        languages: All of these must be listed.
        open_weights: Whether weights must be public.
        kinds: One of these it must be.
    """

    licences: tuple[LicenceClass, ...] = ()
    max_parameters: int | None = None
    max_memory_mb: float | None = None
    max_dimension: int | None = None
    min_max_tokens: int | None = None
    languages: tuple[str, ...] = ()
    open_weights: bool | None = None
    kinds: tuple[str, ...] = ("dense",)


def broken_limits(facts: Facts, limits: Limits) -> list[str]:
    """Name every limit that a model breaks; a fact that is not known breaks the limit that asks for it."""
    checks = {
        "licence": not limits.licences or licence_class(facts.licence) in limits.licences,
        "parameters": _at_most(facts.parameters, limits.max_parameters),
        "memory": _at_most(facts.memory_mb, limits.max_memory_mb),
        "dimension": _at_most(facts.dimension, limits.max_dimension),
        "max tokens": limits.min_max_tokens is None
        or (facts.max_tokens is not None and facts.max_tokens >= limits.min_max_tokens),
        "languages": set(limits.languages) <= facts.languages,
        "open weights": limits.open_weights is None or facts.open_weights == limits.open_weights,
        "kind": not limits.kinds or bool(set(limits.kinds) & set(facts.kinds)),
    }
    return [name for name, holds in checks.items() if not holds]


def _at_most(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)
