"""Choose, fine-tune, evaluate and bias-audit text-embedding models for hiring."""

__version__ = "0.1.0"
