"""What a worker does, whoever runs it: read the rows of one shard, embed them, write one file, say what came of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hrembed.commands.encode.rows import ItemReader, Redactor, open_sources
from hrembed.data.slices import Place
from hrembed.errors import DataError, ModelError
from hrembed.models.dense import NotFiniteError
from hrembed.models.refs import parse_ref
from hrembed.models.static import is_model2vec
from hrembed.models.tokenizer import count_truncated, open_tokenizer
from hrembed.progress import quiet_libraries
from hrembed.records.encode import ShardFooter
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import model_folder, open_encoder, use_of
from hrembed.shards.folder import open_folder
from hrembed.shards.plan import Receipt, text_keys_of
from hrembed.shards.shard import ShardRows, rows_hash, shard_bytes, stored, vectors_hash, write_shard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.commands.encode.rows import Item
    from hrembed.config.encode import EncodeConfig
    from hrembed.records.encode import EncodeSettings, ShardPlan
    from hrembed.types import Encoder, Floats


@dataclass(frozen=True)
class Job:
    """What a worker is told once.

    Attributes:
        config: Settings of the run.
        settings: What decides the bytes of a shard.
        runs: Folder of runs, below which a model may lie.
        out: Folder of the shards.
    """

    config: EncodeConfig
    settings: EncodeSettings
    runs: str
    out: str


_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def limit_threads(threads: int) -> None:
    """Set how many threads libraries take that are imported, or processes that are started, from now on."""
    quiet_libraries()
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))


class Worker:
    """Encodes shard after shard."""

    def __init__(self, job: Job) -> None:
        """Open input, model and output; weights are loaded when the first text is embedded.

        Raises:
            HrembedError: One of them cannot be had, or the model is another one here.
        """
        limit_threads(job.config.threads)
        self._job = job
        workspace = Workspace(Path(job.runs))
        self._encoder = open_encoder(job.config.model, workspace)
        if self._encoder.identity != job.settings.identity:
            raise ModelError(
                f"the model of this worker is another one: {self._encoder.identity[:12]}, planned "
                f"{job.settings.identity[:12]}",
                hint="every machine needs the same weights",
            )
        self._folder = open_folder(job.out)
        self._sources = open_sources(job.config)
        redaction = job.config.personal_data.types if job.settings.redaction else ()
        self._redactor = Redactor(redaction, job.settings.regions) if redaction else None
        self._truncated = truncation_counter(job.config, workspace, self._encoder)

    def encode(self, shard: ShardPlan) -> Receipt:
        """Encode one shard.

        Raises:
            DataError: Its rows are not those of the plan any more.
            ModelError: A text has no vector.
        """
        items = self.read(shard)
        rows, footer = self._shard(items, shard.number)
        if footer.input_hash != shard.input_hash:
            raise DataError(
                f"'{self._sources[shard.part].name}' changed while it was being encoded (shard {shard.number})",
                hint="repeat the command: what changed is planned again",
            )
        return Receipt(write_shard(self._folder, rows, footer), footer, text_keys_of(rows.text_hashes))

    def measure(self, items: Sequence[Item]) -> Measured:
        """Encode rows as a shard that is not written."""
        rows, footer = self._shard(items, 0)
        return Measured(footer.dim, len(shard_bytes(rows, footer)) / max(len(items), 1))

    def _shard(self, items: Sequence[Item], number: int) -> tuple[ShardRows, ShardFooter]:
        settings = self._job.settings
        ids, hashes = [item.id for item in items], [item.text_hash for item in items]
        texts, replaced = self.prepare(items)
        vectors = self._embedded(texts, ids)
        numbers, scale = stored(vectors, settings.dtype)
        footer = ShardFooter(
            identity=settings.identity,
            side=settings.side,
            prompt_hash=settings.prompt_hash,
            dim=vectors.shape[1],
            dtype=settings.dtype,
            number=number,
            input_hash=rows_hash(ids, hashes, [item.cells for item in items]),
            rows=len(items),
            vectors_hash=vectors_hash(numbers, scale),
            zero_vectors=int((~vectors.any(axis=1)).sum()),
            truncated_texts=self._truncated(texts),
            empty_texts=sum(not item.text for item in items),
            replaced=replaced,
        )
        return ShardRows(ids, hashes, numbers, scale, self._kept(items, texts), settings.columns), footer

    def read(self, shard: ShardPlan) -> list[Item]:
        """Read the rows of a shard.

        Raises:
            DataError: They cannot be read.
        """
        source = self._sources[shard.part]
        types = {name: kind for name, kind in self._job.settings.columns.items() if name != "text"}
        place = Place(shard.first, shard.offset, shard.length, shard.line, shard.after)
        try:
            items = list(ItemReader(self._job.config, types).items(source.slice(place, shard.span), source.name))
        except DataError as err:
            hint = "every row could be read when the shards were planned: if the input has changed, repeat the command"
            raise DataError(f"shard {shard.number}: {err}", hint=hint) from None
        return items if shard.picked is None else [items[n] for n in shard.picked if n < len(items)]

    def has_changed(self, part: int, sha256: str | None) -> bool:
        """Whether a part of the input is another one than was planned; not known of a database."""
        return sha256 is not None and self._sources[part].sha256() != sha256

    def prepare(self, items: Sequence[Item]) -> tuple[list[str], dict[str, int]]:
        """Give the texts as they are embedded, and how often each type of personal data was replaced."""
        return self._redactor.clean(items) if self._redactor else ([item.text for item in items], {})

    def vectors(self, texts: Sequence[str]) -> Floats:
        """Embed texts as unit rows, shape (n, dim), float32."""
        rows: Floats = self._encoder.vectors(texts, self._job.settings.side)
        return rows

    def _embedded(self, texts: Sequence[str], ids: Sequence[str]) -> Floats:
        try:
            return self.vectors(texts)
        except NotFiniteError as err:
            bad = self._first_bad(texts)
            raise ModelError(f"{err}; the first is that of id '{ids[bad]}'", hint="no vector was written") from None

    def _first_bad(self, texts: Sequence[str]) -> int:
        """Find the first text without a finite vector, by halves."""
        low, high = 0, len(texts)
        while high - low > 1:
            middle = (low + high) // 2
            try:
                self.vectors(texts[low:middle])
            except NotFiniteError:
                high = middle
            else:
                low = middle
        return low

    def _kept(self, items: Sequence[Item], texts: Sequence[str]) -> dict[str, Sequence[Any]]:
        names = [name for name in self._job.settings.columns if name != "text"]
        cells = {name: [item.cells[n] for item in items] for n, name in enumerate(names)}
        return {name: texts if name == "text" else cells[name] for name in self._job.settings.columns}


class Measured(NamedTuple):
    """Size of rows as they are stored.

    Attributes:
        dim: Numbers of a vector.
        bytes_per_row: Of a whole shard, by its rows.
    """

    dim: int
    bytes_per_row: float


def truncation_counter(
    config: EncodeConfig, workspace: Workspace, encoder: Encoder
) -> Callable[[Sequence[str]], int | None]:
    """Give what counts texts that are longer than the model takes; None where nobody here knows."""
    ref = parse_ref(config.model.ref)
    if ref.scheme == "static":
        return lambda texts: 0
    if not ref.has_weights:
        return lambda texts: None
    folder = model_folder(config.model, workspace.root)
    if is_model2vec(folder):
        return lambda texts: None
    try:
        tokenizer, limit, _ = open_tokenizer(folder)
    except ModelError:  # a model may work without a tokenizer that transformers reads
        return lambda texts: None
    limits = [most for most in (limit, config.model.max_tokens) if most is not None]
    use = use_of(encoder)
    prompt = (use.query_prompt if config.side == "query" else use.document_prompt) if use else ""
    return lambda texts: count_truncated(
        tokenizer, min(limits, default=None), [f"{prompt or ''}{text}" for text in texts]
    )
