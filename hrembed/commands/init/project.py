"""The files of a project: settings, what comes next, what stays out of the repository, CI."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Literal

from hrembed.commands.init.export import path_in
from hrembed.commands.schema import schema_text
from hrembed.config.project import PROJECT
from hrembed.data.locate import shipped_root
from hrembed.reports.page import render
from hrembed.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hrembed.commands.init.export import Export

Preset = Literal["table", "titles", "audit", "ci"]
PRESETS: Mapping[Preset, str] = {
    "table": "your own jobs, candidates and applications: is a model better than keyword search, and may it go live?",
    "titles": "job titles: measured and fine-tuned on what ships, or on O*NET and ESCO",
    "audit": "the bias audit of a model, with your own ads, résumés and decisions where you name them",
    "ci": "evaluation, audit and gate of a model in CI, on what ships until you name tasks of your own",
}
Ci = Literal["github", "gitlab", "none"]
CI_FILES: Mapping[Ci, str] = {"github": ".github/workflows/embeddings.yml", "gitlab": ".gitlab-ci.yml"}
_CI_TEMPLATES: Mapping[Ci, str] = {"github": "github-actions.yml.j2", "gitlab": "gitlab-ci.yml.j2"}
SCHEMA = ".hrembed/schema.json"
WHEEL = f"./wheels/hrembed-{__version__}-py3-none-any.whl"
ARTEFACTS = (
    "runs/reports/",
    "runs/gate/*/",
    *(
        f"runs/*/*/{name}"
        for name in (
            "manifest.json", "config.yaml", "metrics.json", "cases.json", "per_query.parquet", "report.html",
            "summary.md", "*.png",
        )
    ),
)  # fmt: skip
"""What CI keeps: only numbers, ids and pictures."""


@dataclass(frozen=True)
class Plan:
    """What was asked for.

    Attributes:
        preset: Which road.
        export: The user's tables; None where what ships is used.
        model: The model that may go live, as `eval` names it.
        ci: Whose CI runs it.
        requirement: What CI installs; a wheel's path or address, or a git reference.
    """

    preset: Preset
    export: Export | None = None
    model: str = "minilm"
    ci: Ci = "github"
    requirement: str = ""

    @property
    def imports(self) -> bool:
        """Whether an export is imported first."""
        return self.export is not None or self.preset == "table"

    @property
    def commands(self) -> list[str]:
        """What comes next, in order."""
        first = ["hrembed data import ats"] if self.imports else []
        judged = ["hrembed bias-audit"] if self.preset == "audit" else ["hrembed eval", "hrembed bias-audit"]
        return [*first, *judged, *([] if self.preset == "audit" else ["hrembed gate"]), "hrembed runs report"]


_SAYS = {
    "hrembed data import ats": "`data import ats` reads the export, says what did not match, takes names out of the "
    "texts, and puts pairs, a task of held-out jobs, stimuli and decisions into `data/ats`.",
    "hrembed eval": "`eval` compares the models on tasks; the first one is what the others are compared with.",
    "hrembed bias-audit": "`bias-audit` shows the same résumés under different names.",
    "hrembed gate": "`gate` lets the last model of the evaluation through, or not: exit code 0 open, 5 closed, "
    "6 undecided.",
    "hrembed runs report": "`runs report` writes a page of every run, and an index of them, into `runs/reports`.",
}


def project_files(folder: Path, plan: Plan) -> dict[str, str]:
    """Write the files of a project as texts.

    Args:
        folder: Where they will lie.
        plan: What was asked for.

    Returns:
        Path inside of the folder -> text.
    """
    tables = [] if plan.export is None else plan.export.tables
    requirement = plan.requirement or installed_requirement()
    files = {
        PROJECT: render(
            "project/hrembed.yaml.j2",
            preset=plan.preset,
            export=plan.imports,
            tables=[
                {
                    "name": table.name,
                    "path": path_in(folder, table.file),
                    "columns": table.columns,
                    "unused": ", ".join(table.unused),
                }
                for table in tables
            ],
            stages={} if plan.export is None else plan.export.stages,
            attributes=_attributes(plan),
            model=_scalar(plan.model),
        ),
        "README.md": render(
            "project/README.md.j2",
            preset=plan.preset,
            export=plan.imports,
            commands=plan.commands,
            sentences=[_SAYS[command] for command in plan.commands],
            model=plan.model,
            ci=plan.ci,
            ci_file=CI_FILES.get(plan.ci, ""),
            requirement=requirement,
            requirement_note=_note(requirement),
        ),
        ".gitignore": render("project/gitignore.j2", private=_private(folder, plan)),
        SCHEMA: schema_text("project") + "\n",
    }
    if plan.ci != "none":
        files[CI_FILES[plan.ci]] = ci_text(plan.ci, plan.preset, plan.model, requirement)
        files["constraints.txt"] = (shipped_root() / "constraints.txt").read_text(encoding="utf-8")
    return files


def ci_text(ci: Ci, preset: Preset, model: str, requirement: str) -> str:
    """Write the workflow of a CI system."""
    template = f"project/{_CI_TEMPLATES[ci]}"
    return render(template, preset=preset, model=_scalar(model), requirement=requirement, artefacts=ARTEFACTS)


def _scalar(text: str) -> str:
    """Write a text as YAML takes it; most references of models need no quotes."""
    return text if re.fullmatch(r"[A-Za-z][\w.@/-]*(:[\w.@/-]+)*", text) else json.dumps(text)


def _attributes(plan: Plan) -> list[str]:
    """Categories of people that the imported decisions will have; the export that ships has all."""
    if plan.export is not None:
        return plan.export.attributes
    return ["sex", "race_ethnicity"] if plan.imports else []


def _private(folder: Path, plan: Plan) -> list[str]:
    """Files of the export that lie in the project."""
    paths = [path_in(folder, table.file) for table in plan.export.tables] if plan.export is not None else []
    return [path for path in paths if not path.startswith("/")]


def installed_requirement() -> str:
    """Say what installs this very hrembed elsewhere: the git commit or the wheel that it came from.

    Where it came from a folder, a wheel made of it is meant. An index is never asked: there the name may be another's.
    """
    try:
        origin = json.loads(distribution("hrembed").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return WHEEL
    url = str(origin.get("url", ""))
    if commit := origin.get("vcs_info", {}).get("commit_id"):
        return f"hrembed @ git+{url}@{commit}"
    if not url.endswith(".whl"):
        return WHEEL
    return f"./wheels/{url.rpartition('/')[2]}" if url.startswith("file:") else url


def _note(requirement: str) -> str:
    if requirement.startswith("./"):
        return "Put that wheel there, and commit it; `python -m build --wheel` in a checkout of hrembed makes one."
    return ""
