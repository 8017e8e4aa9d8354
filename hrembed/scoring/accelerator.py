"""From the `backend` and `precision` of a config to a model that runs fast here."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.data.locate import locate
from hrembed.data.pairs import read_pairs
from hrembed.errors import ModelError
from hrembed.files import sha256
from hrembed.models.choice import choose, read_choice, write_choice
from hrembed.models.graph import require
from hrembed.models.graph_backend import VERSION, FastBackend, is_whole, write_int8, write_whole
from hrembed.models.machine import cpu_flags, machine_identity, threads
from hrembed.models.transformer import TransformerBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hrembed.config.parts import ModelSection
    from hrembed.models.choice import Choice, Way
    from hrembed.models.graph_backend import Precision
    from hrembed.progress import Progress
    from hrembed.types import Backend

# Whose texts show the range of the activations: no occupation of theirs is in a task that ships.
_CALIBRATION = "shipped:hr-core/pairs/train.jsonl"
_CALIBRATION_TEXTS = 320
_SEED = 13
_VNNI = {"avx512_vnni", "avx_vnni", "amx_int8"}


class Accelerator:
    """Makes, keeps and opens the graphs of one model.

    Args:
        section: Reference and settings.
        graphs: Folder of all graphs.
        identity: Hash of weights and length limit, in float32.
        source: Folder of the model.
        load: Loads it with torch.
        progress: Receives notes about what is written and chosen.
    """

    def __init__(
        self,
        section: ModelSection,
        graphs: Path,
        *,
        identity: str,
        source: Path,
        load: Callable[[], Any],
        progress: Progress,
    ) -> None:
        self._section = section
        self._graphs = graphs
        self._identity = identity
        self._source = str(source)
        self._load = load
        self._progress = progress
        self._model: Any = None

    def open(self) -> Backend:
        """Open the model as the section asks; graphs are made when they are not there.

        Without OpenVINO it is torch in float32, which is said. A model that has no graph is run by torch as well,
        unless `backend: openvino` was asked for.

        Raises:
            ModelError: The model has no graph, and was to have one.
        """
        try:
            require("openvino", *(["nncf"] if self._section.precision == "int8" else []))
        except ModelError as err:
            return self._by_torch(f"{err}; {err.hint}")
        try:
            return self._by_openvino()
        except ModelError as err:
            if self._section.backend == "openvino":
                raise
            return self._by_torch(str(err))

    def _by_torch(self, reason: str = "") -> Backend:
        if reason:
            self._progress.note(f"{self._section.ref}: computing vectors with torch in float32 ({reason})")
        size = self._section.batch_size
        return TransformerBackend(self._loaded, identity=self._identity, source=self._source, batch_size=size)

    def _by_openvino(self) -> Backend:
        precision = self._section.precision
        if precision == "auto":
            choice = self._choice()
            return self._by_torch() if choice.way == "torch" else self._graph(choice.way)
        return self._graph(precision)

    def _graph(self, precision: Precision) -> FastBackend:
        folder = self._made("float32")
        decides = ["openvino", VERSION, self._identity, precision]
        if precision == "int8":
            folder = self._quantised(folder)
            decides.append(folder.name)
        return FastBackend(
            folder,
            precision=precision,
            identity=hashlib.sha256(repr(decides).encode()).hexdigest(),
            source=f"{self._source} (OpenVINO, {precision})",
            threads=threads(),
        )

    def _made(self, form: str, *more: str) -> Path:
        """Folder of a graph, written when it is not there."""
        decides = (self._identity, VERSION, version("openvino"), form, *more)
        folder = self._graphs / hashlib.sha256(repr(decides).encode()).hexdigest()[:32]
        if form == "float32" and not is_whole(folder):
            self._progress.note(f"{self._section.ref}: exporting the model to OpenVINO (only once)")
            write_whole(self._loaded().to("cpu"), folder)
        return folder

    def _quantised(self, source: Path) -> Path:
        path = locate(_CALIBRATION)
        portable = not _VNNI & cpu_flags()
        prompts = (self._section.query_prompt, self._section.document_prompt)
        folder = self._made("int8", version("nncf"), sha256(path), repr((prompts, portable, _CALIBRATION_TEXTS, _SEED)))
        if not is_whole(folder):
            self._progress.note(f"{self._section.ref}: quantising the model to int8 (only once)")
            write_int8(source, folder, _calibration(path, *prompts), portable=portable)
        return folder

    def _choice(self) -> Choice:
        """Read what was chosen on this machine before, or measure."""
        folder = self._made("float32")
        file = folder.parent / f"{folder.name}-{machine_identity()}.json"
        known = read_choice(file)
        if known is not None:
            return known
        self._progress.note(f"{self._section.ref}: comparing speed and accuracy of the available backends (only once)")
        ways: dict[Way, Backend] = {
            "torch": self._by_torch(),
            "float32": self._graph("float32"),
            "bfloat16": self._graph("bfloat16"),
        }
        choice = choose(ways)
        write_choice(file, choice)
        self._progress.note(f"{self._section.ref}: {_explain(choice)}")
        return choice

    def _loaded(self) -> Any:
        self._model = self._model or self._load()
        return self._model


def _explain(choice: Choice) -> str:
    if choice.way == "torch":
        return "torch in float32, because no faster backend agrees with it"
    cosine, speed = choice.cosine[choice.way], choice.speed[choice.way]
    return f"OpenVINO in {choice.way}, {speed:.1f} times as fast as torch, lowest cosine {cosine:.6f}"


def _calibration(path: Path, query_prompt: str, document_prompt: str) -> list[str]:
    pairs = read_pairs(path)
    texts = [query_prompt + pair.anchor for pair in pairs] + [document_prompt + pair.positive for pair in pairs]
    distinct = list(dict.fromkeys(texts))
    size = min(_CALIBRATION_TEXTS, len(distinct))
    chosen = np.random.default_rng(_SEED).choice(len(distinct), size, replace=False)
    return [distinct[n] for n in np.sort(chosen)]
