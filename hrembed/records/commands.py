"""Which record a command writes; a record's module is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hrembed.records.base import CommandRecord

RECORDS = {
    "bias-audit": "hrembed.records.bias_audit:BiasAuditRecord",
    "encode": "hrembed.records.encode:EncodeRecord",
    "encode-dry-run": "hrembed.records.encode:EncodeDryRunRecord",
    "encode-verify": "hrembed.records.encode:EncodeVerifyRecord",
    "export": "hrembed.records.export:ExportRecord",
    "serve-check": "hrembed.records.serve_check:ServeCheckRecord",
    "eval": "hrembed.records.eval:EvalRecord",
    "gate": "hrembed.records.gate:GateRecord",
    "match": "hrembed.records.match:MatchRecord",
    "data-check": "hrembed.records.data:DataCheckRecord",
    "data-inspect": "hrembed.records.data:DataInspectRecord",
    "data-split": "hrembed.records.data:DataSplitRecord",
    "data-import-onet": "hrembed.records.data:DataImportOnetRecord",
    "data-import-esco": "hrembed.records.data:DataImportEscoRecord",
    "data-import-table": "hrembed.records.data:DataImportTableRecord",
    "data-import-ats": "hrembed.records.ats:DataImportAtsRecord",
    "data-anonymise": "hrembed.records.data:DataAnonymiseRecord",
    "data-restore": "hrembed.records.data:DataRestoreRecord",
    "index-build": "hrembed.records.index:IndexBuildRecord",
    "index-update": "hrembed.records.index:IndexUpdateRecord",
    "index-stats": "hrembed.records.index:IndexStatsRecord",
    "index-forget": "hrembed.records.index:IndexForgetRecord",
    "index-switch": "hrembed.records.index:IndexSwitchRecord",
    "select": "hrembed.records.select:SelectRecord",
    "compare": "hrembed.records.compare:CompareRecord",
    "finetune": "hrembed.records.finetune:FinetuneRecord",
    "finetune-preflight": "hrembed.records.finetune:PreflightRecord",
    "recipe": "hrembed.records.recipe:RecipeRecord",
    "retrain": "hrembed.records.retrain:RetrainRecord",
}
"""Command, as its folder of runs is called, to its record as `module:class`."""


def record_of(command: str) -> type[CommandRecord]:
    """Record of a command in `RECORDS`."""
    module, _, name = RECORDS[command].partition(":")
    found: type[CommandRecord] = getattr(import_module(module), name)
    return found
