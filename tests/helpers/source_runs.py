"""What tests of sources of training share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.commands.finetune.enrich import enrich
from hrembed.commands.finetune.plan import build_plan
from hrembed.commands.finetune.sources import open_sources
from hrembed.config.finetune import FinetuneConfig, LoraMethod, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.models.transformer import load_model
from hrembed.records.manifest import Manifest, ModelEntry
from hrembed.runs.workspace import Workspace

if TYPE_CHECKING:
    from hrembed.config.finetune import SourceSection

NO_PROOF = ProofSection(tests=(), retention=(), strengths=())


class Run(Workspace):
    """What sources tell a run."""

    def __init__(self, root: Path = Path("nowhere")) -> None:
        super().__init__(root)
        self.manifest = Manifest()

    def add_input(self, name, path):
        pass

    def add_model(self, name, identity, source, use=None):
        self.manifest.models[name] = ModelEntry(identity=identity, source=source)


def config_of(tiny_model: Path, task: Path, *sources: SourceSection, **train) -> FinetuneConfig:
    settings = {"epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "max_tokens": 32, "evaluations": 1, **train}
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=sources,
        method=LoraMethod(rank=8),
        train=TrainSection(**settings),
        dev=TaskSection(path=str(task)),
        proof=NO_PROOF,
    )


def fed(config: FinetuneConfig, tmp_path: Path, model=None):
    sources = enrich(config, open_sources(config, Run()), Run(tmp_path / "r"), "")
    model = model or load_model(Path(config.model.ref.removeprefix("path:")), max_tokens=32)
    return build_plan(config, sources, model, tmp_path / "r", ""), model
