"""Choose, fine-tune, evaluate and bias-audit text-embedding models for hiring."""

from hrembed.api import (
    Outcome,
    bias_audit,
    build_index,
    encode,
    evaluate,
    finetune,
    load_run,
    match,
    run_recipe,
    select,
)
from hrembed.version import __version__

__all__ = [
    "Outcome",
    "__version__",
    "bias_audit",
    "build_index",
    "encode",
    "evaluate",
    "finetune",
    "load_run",
    "match",
    "run_recipe",
    "select",
]
