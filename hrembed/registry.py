"""What can be named in a config: name -> "module:attribute", plus entry points of other packages."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal

from hrembed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["metric", "method", "loss", "lexical"]
BUILTIN: dict[Kind, dict[str, str]] = {
    "metric": {
        "ndcg": "hrembed.metrics.ranking:ndcg",
        "ndcg-exp": "hrembed.metrics.ranking:ndcg_exponential",
        "map": "hrembed.metrics.ranking:average_precision",
        "mrr": "hrembed.metrics.ranking:reciprocal_rank",
        "recall": "hrembed.metrics.ranking:recall",
        "precision": "hrembed.metrics.ranking:precision",
        "r-precision": "hrembed.metrics.ranking:r_precision",
        "hit": "hrembed.metrics.ranking:hit",
    },
    "method": {
        "lora": "hrembed.training.methods:apply_lora",
        "partial": "hrembed.training.methods:apply_partial",
        "full": "hrembed.training.methods:apply_full",
    },
    "loss": {
        "ranking": "hrembed.training.losses:ranking",
        "cached-ranking": "hrembed.training.losses:cached_ranking",
        "group-ranking": "hrembed.training.losses:group_ranking",
        "gist": "hrembed.training.losses:gist",
        "batch-hard": "hrembed.training.targets:batch_hard",
        "cosent": "hrembed.training.targets:cosent",
        "margin-mse": "hrembed.training.targets:margin_mse",
        "embedding-distillation": "hrembed.training.targets:embedding_distillation",
        "invariance": "hrembed.training.losses:invariance",
    },
    "lexical": {
        "bm25": "hrembed.models.lexical:Bm25",
        "tfidf": "hrembed.models.lexical:TfIdf",
        "char-tfidf": "hrembed.models.lexical:CharTfIdf",
    },
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Phrase the closest known name as a question, or return an empty text."""
    match = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean '{match[0]}'?)" if match else ""


def names(kind: Kind) -> tuple[str, ...]:
    """Names of a kind, sorted, without importing any of them."""
    return tuple(sorted(_table(kind)))


def resolve(kind: Kind, name: str) -> Any:
    """Import and return the object registered as `name`: a function or a class, of ours or of a plugin.

    Raises:
        ConfigError: No such name; the message gives the closest one and the hint lists all.
    """
    table = _table(kind)
    if name not in table:
        raise ConfigError(f"unknown {kind} '{name}'{nearest(name, table)}", hint=f"known: {', '.join(sorted(table))}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)


@cache  # the search through all installed packages takes longer than a metric
def _table(kind: Kind) -> dict[str, str]:
    """Name -> `module:attribute`, built in and of plugins."""
    plugins = {point.name: point.value for point in entry_points(group=f"hrembed.{kind}")}
    clash = sorted(plugins.keys() & BUILTIN[kind].keys())
    if clash:
        raise ConfigError(
            f"an installed plugin redefines the built-in {kind} '{clash[0]}'",
            hint=f"uninstall the package that provides '{plugins[clash[0]]}'",
        )
    return {**BUILTIN[kind], **plugins}
