"""Choose, fine-tune, evaluate and bias-audit text-embedding models for hiring."""

from hrembed.api import Outcome, bias_audit, evaluate, finetune, load_run, select

__all__ = ["Outcome", "bias_audit", "evaluate", "finetune", "load_run", "select"]
__version__ = "0.1.0"
