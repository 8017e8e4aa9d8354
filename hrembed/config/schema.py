"""What each command's config may hold: one frozen model per command.

The descriptions are the documentation: `docs/config.md` is generated from them.
"""

from __future__ import annotations

from pydantic import Field

from hrembed.config.ats import ImportAtsConfig
from hrembed.config.bias_audit import AuditConfig
from hrembed.config.compare import CompareConfig
from hrembed.config.data import (
    DataAnonymiseConfig,
    DataCheckConfig,
    DataInspectConfig,
    DataRestoreConfig,
    DataSplitConfig,
    ImportEscoConfig,
    ImportOnetConfig,
    ImportTableConfig,
)
from hrembed.config.encode import EncodeConfig
from hrembed.config.eval import EvalConfig
from hrembed.config.export import ExportConfig
from hrembed.config.finetune import FinetuneConfig
from hrembed.config.gate import GateConfig
from hrembed.config.index import (
    IndexBuildConfig,
    IndexForgetConfig,
    IndexStatsConfig,
    IndexSwitchConfig,
    IndexUpdateConfig,
)
from hrembed.config.match import MatchConfig
from hrembed.config.retrain import RetrainConfig
from hrembed.config.scratch import ScratchMethod
from hrembed.config.section import Section
from hrembed.config.select import SelectConfig
from hrembed.config.serve_check import ServeCheckConfig


class DemoConfig(Section):
    """`hrembed demo`: select, finetune, eval and bias-audit in a row."""

    select: SelectConfig = SelectConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    eval: EvalConfig = Field(default=EvalConfig(), description="The tuned model and its base are added to `models`.")
    audit: AuditConfig = AuditConfig(fail_on="never")


class DecisionConfig(Section):
    """`hrembed decision`: pre-trained, fine-tuned and from scratch, end to end."""

    tuned: FinetuneConfig = Field(default=FinetuneConfig(), description="How the pre-trained model is fine-tuned.")
    scratch: FinetuneConfig = Field(
        default=FinetuneConfig(method=ScratchMethod(name="scratch")), description="How a model of its own is trained."
    )
    eval: EvalConfig = Field(
        default=EvalConfig(baselines=("bm25",)),
        description="What all are evaluated on; its `models` take part beside the three.",
    )
    compare: CompareConfig = Field(default=CompareConfig(), description="How they are compared; `runs` is filled in.")


SCHEMAS: dict[str, type[Section]] = {
    "select": SelectConfig,
    "finetune": FinetuneConfig,
    "eval": EvalConfig,
    "export": ExportConfig,
    "encode": EncodeConfig,
    "serve-check": ServeCheckConfig,
    "bias-audit": AuditConfig,
    "compare": CompareConfig,
    "decision": DecisionConfig,
    "match": MatchConfig,
    "gate": GateConfig,
    "retrain": RetrainConfig,
    "demo": DemoConfig,
    "data-import-onet": ImportOnetConfig,
    "data-import-esco": ImportEscoConfig,
    "data-import-table": ImportTableConfig,
    "data-import-ats": ImportAtsConfig,
    "data-split": DataSplitConfig,
    "data-inspect": DataInspectConfig,
    "data-check": DataCheckConfig,
    "data-anonymise": DataAnonymiseConfig,
    "data-restore": DataRestoreConfig,
    "index-build": IndexBuildConfig,
    "index-update": IndexUpdateConfig,
    "index-stats": IndexStatsConfig,
    "index-forget": IndexForgetConfig,
    "index-switch": IndexSwitchConfig,
}
