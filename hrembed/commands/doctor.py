"""`hrembed doctor`: what this machine has, what is missing, and whether the model gives the vectors that it should."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hrembed.config.parts import ModelSection
from hrembed.errors import ThresholdError
from hrembed.memory import MB
from hrembed.models.choice import read_choice
from hrembed.models.machine import cpu_flags, cpu_name, threads
from hrembed.models.transformer import load_model
from hrembed.records.doctor import Diagnosis, Finding
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import model_folder, open_encoder
from hrembed.text import counted
from hrembed.types import CommandResult
from hrembed.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.requirements import Requirement

_MIN_MEMORY_MB = 4_000  # a fine-tuning of MiniLM takes 3,000
_MIN_DISK_MB = 2_000  # checkpoints of one fine-tuning of MiniLM
_HUB_SECONDS = 3.0
_SHOWN = ("torch", "transformers", "sentence-transformers", "mteb")
_EXTRAS = {"export": "graphs for OpenVINO and ONNX", "static": "the model `wordllama`", "xlsx": "spreadsheets"}
_INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
_TEXTS = ("Registered nurse", "Nurse, intensive care", "Forklift operator", "Writes tests for web applications.")
# Cosines of the first text to the others by all-MiniLM-L6-v2 in float32 (torch 2.13).
_COSINES = (0.6050, 0.1153, 0.0891)
_TOLERANCE = 1e-3
_WITHOUT_OPENVINO = "pip install 'hrembed[export]' brings OpenVINO, several times as fast on most processors"


def examine(workspace: Workspace) -> CommandResult[Diagnosis]:
    """Look at everything that commands need. Takes about half a minute, and writes nothing that stays.

    Args:
        workspace: Folder of all runs, whose disk is looked at, and who receives progress updates.

    Returns:
        All findings; the failure is set when one of them is a problem.
    """
    findings = list(_findings(workspace))
    problems = [finding.subject for finding in findings if finding.outcome == "problem"]
    rows = [finding.model_dump() for finding in findings]
    for row in rows:
        row["outcome"] = {"ok": "ok", "note": "note", "problem": "PROBLEM"}[row["outcome"]]
    failure = (
        ThresholdError(f"this installation is incomplete or does not work correctly: {', '.join(problems)}")
        if problems
        else None
    )
    status = "problem" if problems else "ok"
    return CommandResult(f"hrembed {__version__}", status, Diagnosis(findings=tuple(findings)), {"": rows}, failure)


def _findings(workspace: Workspace) -> Iterator[Finding]:
    steps = (
        _packages,
        _extras,
        _processor,
        _memory,
        lambda: _disk(workspace.root),
        _hub,
        _vectors,
        _encoding,
        _training,
    )
    with workspace.progress.bar("looking", len(steps)) as advance:
        for step in steps:
            yield from step()
            advance(1, "")


def _packages() -> Iterator[Finding]:
    """Python, and each declared package that is missing or of another version than declared."""
    yield Finding(subject="Python", outcome="ok", found=sys.version.split()[0])
    wrong = [text for requirement in _declared("") if (text := _unmet(requirement))]
    if wrong:
        advice = "reinstall it: pip install --upgrade --force-reinstall with the wheel or checkout of hrembed"
        yield Finding(subject="packages", outcome="problem", found="; ".join(wrong), advice=advice)
    else:
        named = ", ".join(
            f"{name} {version(name)}" for name in ("torch", "transformers", "sentence-transformers", "mteb")
        )
        yield Finding(subject="packages", outcome="ok", found=named)


def _extras() -> Iterator[Finding]:
    for extra, purpose in _EXTRAS.items():
        wrong = [text for requirement in _declared(extra) if (text := _unmet(requirement))]
        if wrong:
            advice = f"pip install 'hrembed[{extra}]' for {purpose}"
            yield Finding(subject=f"extra `{extra}`", outcome="note", found="; ".join(wrong), advice=advice)
        else:
            yield Finding(subject=f"extra `{extra}`", outcome="ok", found=f"installed: {purpose}")


def _declared(extra: str) -> list[Requirement]:
    """Requirements of an extra; of hrembed itself where it is empty."""
    from packaging.requirements import Requirement

    requirements = [Requirement(text) for text in distribution("hrembed").requires or []]
    if not extra:
        return [each for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [
        each
        for each in requirements
        if each.marker and each.marker.evaluate({"extra": extra}) and not each.marker.evaluate({"extra": ""})
    ]


def _unmet(requirement: Requirement) -> str:
    """What is wrong with an installed package; empty when it is as declared."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name} is {found}, declared is {requirement.specifier}"


def _processor() -> Iterator[Finding]:
    import torch

    sets = [name for name in _INSTRUCTION_SETS if name in cpu_flags()]
    found = f"{cpu_name()}, {threads()} thread{'s' * (threads() > 1)}"
    yield Finding(subject="processor", outcome="ok", found=found + (f" ({', '.join(sets)})" if sets else ""))
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        yield Finding(subject="GPU", outcome="ok", found=", ".join(devices))
    elif torch.backends.mps.is_available():
        yield Finding(subject="GPU", outcome="ok", found="Apple Metal")
    else:
        yield Finding(subject="GPU", outcome="ok", found="none; everything runs on the processor")


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / MB
    enough = free >= _MIN_MEMORY_MB
    yield Finding(
        subject="memory",
        outcome="ok" if enough else "note",
        found=f"{free:,.0f} MB free",
        advice=""
        if enough
        else "lower `train.batch_size` and `search.memory_mb`: fine-tuning MiniLM takes about 3,000 MB",
    )


def _disk(root: Path) -> Iterator[Finding]:
    place = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free / MB
    if not os.access(place, os.W_OK):
        advice = "use another folder with `--runs-dir`"
        yield Finding(subject="disk", outcome="problem", found=f"cannot write to '{place}'", advice=advice)
        return
    enough = free >= _MIN_DISK_MB
    yield Finding(
        subject="disk",
        outcome="ok" if enough else "note",
        found=f"{free:,.0f} MB free for '{root}'",
        advice="" if enough else "`hrembed runs prune` removes runs that failed",
    )


def _hub() -> Iterator[Finding]:
    """The Hub's address, and what of it is on this machine."""
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cached = [repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model"]
    except CacheNotFound:
        cached = []
    held = f"{counted(len(cached), 'model')} in '{constants.HF_HUB_CACHE}'"
    if constants.HF_HUB_OFFLINE:
        yield Finding(subject="Hugging Face Hub", outcome="note", found=f"switched off by HF_HUB_OFFLINE; {held}")
    elif _answers(constants.ENDPOINT):
        yield Finding(subject="Hugging Face Hub", outcome="ok", found=f"'{constants.ENDPOINT}' answers; {held}")
    else:
        yield Finding(
            subject="Hugging Face Hub",
            outcome="note",
            found=f"no response from '{constants.ENDPOINT}'; {held}",
            advice="use `minilm`, `wordllama` or a folder (`path:DIR`), and set HF_HUB_OFFLINE=1 to avoid the wait",
        )


def _answers(address: str) -> bool:
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(address, method="HEAD"), timeout=_HUB_SECONDS):
            return True
    except (URLError, OSError, ValueError):
        return False


def _vectors() -> Iterator[Finding]:
    """Whether the default model gives the vectors that it gave when this was written."""
    with tempfile.TemporaryDirectory() as folder:
        vectors = open_encoder(ModelSection(), Workspace(Path(folder))).vectors(_TEXTS, "query")
    cosines = vectors[1:] @ vectors[0]
    off = float(np.abs(cosines - np.array(_COSINES)).max())
    shown = ", ".join(f"{cosine:.4f}" for cosine in cosines)
    if off <= _TOLERANCE:
        yield Finding(subject="vectors", outcome="ok", found=f"minilm gives the cosines that it should ({shown})")
    else:
        expected = ", ".join(f"{cosine:.4f}" for cosine in _COSINES)
        yield Finding(
            subject="vectors",
            outcome="problem",
            found=f"minilm gives the cosines {shown}; expected {expected}",
            advice="this build of torch computes something else: compare the versions above with constraints.txt",
        )


def _encoding() -> Iterator[Finding]:
    """Which of torch and OpenVINO embeds fastest here without other vectors."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        open_encoder(ModelSection(precision="auto"), workspace)
        measured = next((workspace.cache / "graphs").glob("*.json"), None)
        choice = None if measured is None else read_choice(measured)
    if choice is None:
        yield Finding(
            subject="encoding", outcome="note", found="torch in float32", advice="extra `export` has OpenVINO"
        )
        return
    ways = ", ".join(f"{way} {choice.speed[way]:.1f} times" for way in choice.speed if way != "torch")
    found = f"`precision: auto` takes {choice.way} (as fast as torch: {ways})"
    yield Finding(subject="encoding", outcome="ok", found=found)


def _training() -> Iterator[Finding]:
    """How fast a training step is in bfloat16, against float32."""
    import torch

    model = load_model(model_folder(ModelSection(), Path()))
    features = model.preprocess(list(_TEXTS) * 8)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(4):
        for half, taken in seconds.items():
            started = time.perf_counter()
            with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=half):
                loss = model(dict(features))["sentence_embedding"].sum()
            loss.backward()
            taken.append(time.perf_counter() - started)
    ratio = float(np.median(seconds[False][1:]) / np.median(seconds[True][1:]))
    better = "bfloat16" if ratio > 1.1 else "float32"
    found = f"a step in bfloat16 takes {1 / ratio:.2f} times as long as in float32: `train.precision: {better}`"
    yield Finding(subject="training", outcome="ok", found=found)
