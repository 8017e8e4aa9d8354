"""x"""
from __future__ import annotations
from hrembed.config.section import Section
class ProofSection(Section):
    """Placeholder."""
