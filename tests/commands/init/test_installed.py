"""Outside of the checkout, with the wheel: presets, workflows as they are written, and the road of docs/start.md."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hrembed.commands.init.project import PRESETS
from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Make an environment with what hrembed needs and without hrembed; nothing is asked of an index."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "libraries.pth").write_text(libraries, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "COLUMNS"}}
    pip = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_IGNORE_INSTALLED": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**kept, **pip, "PATH": path, "VIRTUAL_ENV": str(folder), **more}


def shell(script: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub's runner does: it ends with the first command that fails."""
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("env")
    env = environment(folder / "env")
    done = shell(f"python -m pip install {shlex.quote(str(wheel))}", folder, env)
    assert done.returncode == 0, done.stderr
    where = shell("cd /; python -c 'import hrembed; print(hrembed.__file__)'", folder, env)
    assert where.stdout.startswith(str(folder)), where.stdout
    return env


@pytest.mark.usefixtures("minilm")
@pytest.mark.parametrize("preset", PRESETS)
def test_the_first_command_of_every_preset_works(preset: str, installed: dict[str, str], tmp_path: Path):
    done = shell(f"hrembed init --preset {preset} </dev/null", tmp_path, installed)
    assert done.returncode == 0, done.stderr
    first = done.stdout.partition("Next:\n")[2].splitlines()[0].strip()
    assert first in (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()
    done = shell(first, tmp_path, installed)
    assert done.returncode in ({0, 5, 6} if first == "hrembed bias-audit" else {0}), done.stderr
    assert "Traceback" not in done.stderr


def clone_of_a_project(ci: str, wheel: Path, model: Path, folder: Path, env: dict[str, str]) -> Path:
    """Make a user's repository with `init`, commit it with the wheel, and clone it; the model is in an archive."""
    origin, clone = folder / "origin", folder / "clone"
    asked = f"--ci {ci} --model path:models/candidate --package ./wheels/{wheel.name}"
    done = shell(f"hrembed init origin --preset ci {asked} </dev/null", folder, env)
    assert done.returncode == 0, done.stderr
    (origin / "wheels").mkdir()
    shutil.copy(wheel, origin / "wheels")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(model, "models/candidate")
    who = "-c user.name=Ada -c user.email=ada@mail.example"
    done = shell(
        f"git init -q origin && cd origin && git add -A && git {who} commit -qm Begin && git clone -q . {clone}",
        folder,
        env,
    )
    assert done.returncode == 0, done.stderr
    return clone


def steps_of(ci: str, clone: Path) -> tuple[dict[str, str], list[dict[str, Any]], list[str]]:
    """Variables, steps and patterns of what is kept."""
    if ci == "github":
        [job] = yaml.safe_load((clone / ".github/workflows/embeddings.yml").read_text(encoding="utf-8"))[
            "jobs"
        ].values()
        workflow = yaml.safe_load((clone / ".github/workflows/embeddings.yml").read_text(encoding="utf-8"))
        kept = next(step for step in job["steps"] if step.get("name") == "Upload")["with"]["path"].split()
        return workflow["env"], [step for step in job["steps"] if "run" in step], kept
    job = yaml.safe_load((clone / ".gitlab-ci.yml").read_text(encoding="utf-8"))["embeddings"]
    always = [{"run": line, "if": "always()"} for line in job["after_script"]]
    steps = [{"run": line} for line in (*job["before_script"], *job["script"])]
    return job["variables"], [*steps, *always], job["artifacts"]["paths"]


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_every_step_of_a_workflow_runs_in_a_fresh_clone(
    ci: str, wheel: Path, installed: dict[str, str], tiny_model: Path, tmp_path: Path
):
    clone = clone_of_a_project(ci, wheel, tiny_model, tmp_path, installed)
    variables, steps, kept = steps_of(ci, clone)
    archives = f"file://{tmp_path / 'model.tar.gz'}"
    summary = tmp_path / "summary.md"
    given = {**variables, "HREMBED_ARCHIVES": archives, "GITHUB_STEP_SUMMARY": str(summary), "CI": "true"}
    env = environment(tmp_path / "env", **{name: str(value) for name, value in given.items()})
    failed, codes = False, []
    for step in steps:
        if failed and step.get("if") != "always()":
            continue
        own = {
            name: str(value).replace("${{ secrets.HREMBED_ARCHIVES }}", archives)
            for name, value in step.get("env", {}).items()
        }
        assert not re.search(r"\$\{\{", step["run"] + "".join(own.values())), "a test cannot fill this in"
        done = shell(step["run"], clone, {**env, **own})
        assert done.returncode in ({0, 5, 6} if "hrembed gate" in step["run"] else {0}), f"{step}\n{done.stderr}"
        codes.append(done.returncode)
        failed = failed or done.returncode > 0
    files = [file.relative_to(clone).as_posix() for file in (clone / "runs").rglob("*") if file.is_file()]
    patterns = [f"{path}*" if path.endswith("/") else path for path in kept]
    artefacts = [file for file in files if any(fnmatch(file, pattern) for pattern in patterns)]
    for name in ("runs/reports/index.html", "runs/gate/*/junit.xml", "runs/eval/*/metrics.json"):
        assert any(fnmatch(file, name) for file in artefacts), name
    if ci == "github":
        assert "Gate" in summary.read_text(encoding="utf-8")
    texts = [text.encode() for text in resumes()]
    assert len(texts) > 10
    for file in artefacts:
        content = (clone / file).read_bytes()
        assert not any(text in content for text in texts), f"{file} holds a résumé"


def resumes() -> list[str]:
    """A line of each résumé that is evaluated or audited."""
    rows = (ROOT / "data/hr-core/test/ad-profile/corpus.jsonl").read_text(encoding="utf-8").splitlines()
    rows += (ROOT / "data/hr-core/audit/resumes.jsonl").read_text(encoding="utf-8").splitlines()
    return [yaml.safe_load(row)["text"][-80:] for row in rows]


START = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("minilm")
def test_the_transcript_runs_as_it_is_written(installed: dict[str, str], tmp_path: Path):
    for file in (ROOT / "data" / "ats-example").glob("*.csv"):
        shutil.copy(file, tmp_path)
    commands = re.findall(r"^\$ (hrembed .+)$", START, flags=re.MULTILINE)
    assert len(commands) <= 6
    for command in commands:
        done = shell(f"{command} </dev/null", tmp_path, installed)
        assert done.returncode in ({0, 5, 6} if command == "hrembed gate" else {0}), f"{command}\n{done.stderr}"
    own = {page.parent.parent.name for page in tmp_path.glob("runs/*/*/report.html")}
    beside = {page.name.partition("--")[0] for page in tmp_path.glob("runs/reports/*--*.html")}
    assert {"eval", "bias-audit", "gate"} <= own | beside
    index = (tmp_path / "runs" / "reports" / "index.html").read_text(encoding="utf-8")
    assert all(command in index for command in ("eval", "bias-audit", "gate"))
