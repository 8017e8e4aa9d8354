"""What is known about models: the facts that ship with the installed mteb."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Licence = Literal["permissive", "copyleft", "non-commercial", "unknown"]

_PERMISSIVE = {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc-by-4.0", "cc0-1.0", "afl-3.0", "isc"}
_COPYLEFT = ("gpl", "agpl", "lgpl", "cc-by-sa", "mpl")


@dataclass(frozen=True)
class Facts:
    """One model; None means that mteb does not know.

    Attributes:
        name: Hub id, `ORG/NAME`.
        parameters: Number of parameters.
        memory_mb: Size of the weights, MiB.
        dimension: Length of a vector, the longest where there are several.
        max_tokens: Longest text.
        licence: As written.
        open_weights: Whether weights are public.
        languages: `eng-Latn` codes.
        trained_on: Tasks that the model names as training data; None when it does not say.
    """

    name: str
    parameters: int | None
    memory_mb: float | None
    dimension: int | None
    max_tokens: int | None
    licence: str | None
    open_weights: bool | None
    languages: frozenset[str]
    trained_on: frozenset[str] | None


def licence_class(licence: str | None) -> Licence:
    """Sort a licence into four classes; custom texts and addresses are `unknown` until read by a person."""
    if licence is None:
        return "unknown"
    text = licence.lower()
    if text in _PERMISSIVE:
        return "permissive"
    if "-nc" in text or "non-commercial" in text:
        return "non-commercial"
    return "copyleft" if text.startswith(_COPYLEFT) else "unknown"


def registry_facts() -> list[Facts]:
    """Facts of every text model in the installed mteb registry, sorted by name."""
    import mteb

    found = []
    for meta in mteb.get_model_metas():
        if not meta.name or "text" not in (meta.modalities or ["text"]):
            continue
        dimensions = meta.embed_dim if isinstance(meta.embed_dim, list) else [meta.embed_dim]
        known = [dimension for dimension in dimensions if dimension is not None]
        found.append(
            Facts(
                name=meta.name,
                parameters=meta.n_parameters,
                memory_mb=meta.memory_usage_mb,
                dimension=max(known) if known else None,
                max_tokens=_whole(meta.max_tokens),
                licence=str(meta.license) if meta.license else None,
                open_weights=meta.open_weights,
                languages=frozenset(meta.languages or ()),
                trained_on=None if meta.training_datasets is None else frozenset(meta.training_datasets),
            )
        )
    return sorted(found, key=lambda facts: facts.name.casefold())


def _whole(value: float | None) -> int | None:
    """Some registries write "no limit" as infinity."""
    if value is None:
        return None
    return int(value) if value < 2**31 else 2**31


@dataclass(frozen=True)
class Limits:
    """Hard limits; None and empty do not ask."""

    licences: tuple[str, ...] = ()
    max_parameters: int | None = None
    max_dimension: int | None = None
    min_max_tokens: int | None = None
    languages: tuple[str, ...] = ()
    open_weights: bool | None = None


def broken_limits(facts: Facts, limits: Limits) -> list[str]:
    """Name every limit that a model breaks; a fact that is not known breaks the limit that asks for it."""
    checks = {
        "licence": not limits.licences or licence_class(facts.licence) in limits.licences,
        "parameters": _at_most(facts.parameters, limits.max_parameters),
        "dimension": _at_most(facts.dimension, limits.max_dimension),
        "max tokens": limits.min_max_tokens is None
        or (facts.max_tokens is not None and facts.max_tokens >= limits.min_max_tokens),
        "languages": set(limits.languages) <= facts.languages,
        "open weights": limits.open_weights is None or facts.open_weights == limits.open_weights,
    }
    return [name for name, holds in checks.items() if not holds]


def _at_most(value: int | None, limit: int | None) -> bool:
    return limit is None or (value is not None and value <= limit)
