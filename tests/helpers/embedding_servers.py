"""A server that embeds with a real model, and does what servers do wrong."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Embed = Callable[[list[str]], np.ndarray]

QUERY, PASSAGE = "query: ", "passage: "
NAME = "served-model"
LIMIT = 110  # a character is a token of the tiny model, and ordinary texts have to fit


def model_folder(tiny: Path, folder: Path, *, pooling: str = "mean", dense: int | None = 24, unit: bool = True) -> Path:
    """A small transformer with prompts, pooling, a projection and a normalisation, as a folder."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(5)
    body = Transformer(str(tiny), max_seq_length=LIMIT)
    modules: list[Any] = [body, Pooling(32, pooling_mode=pooling)]
    modules += [Dense(32, dense, activation_function=torch.nn.Tanh())] if dense else []
    modules += [Normalize()] if unit else []
    prompts = {"query": QUERY, "document": PASSAGE}
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    return folder


@cache
def opened(
    folder: Path, *, pooling: str | None = None, dense: bool = True, unit: bool = True, limit: int = LIMIT
) -> Embed:
    """The model of a folder as a server may run it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    model = SentenceTransformer(str(folder), device="cpu")
    modules = [*model.children()]
    if pooling is not None:
        modules[1] = Pooling(32, pooling_mode=pooling)
    left_out = ({"Dense"} if not dense else set()) | ({"Normalize"} if not unit else set())
    kept = [module for module in modules if type(module).__name__ not in left_out]
    run = SentenceTransformer(modules=kept, device="cpu")
    run.max_seq_length = limit
    return lambda texts: np.asarray(run.encode(texts, prompt="", batch_size=64, show_progress_bar=False))


@dataclass
class Wrong:
    """What a server does.

    Attributes:
        embed: From texts to vectors.
        answer: From texts and their vectors to a status and a body; the usual answer by default.
        models: What `GET /models` lists; None for status 404.
        seen: Texts of each request.
        keys: What was sent as authorization.
    """

    embed: Embed
    answer: Callable[[list[str], np.ndarray], tuple[int, Any]] | None = None
    models: list[str] | None = field(default_factory=lambda: [NAME])
    seen: list[list[str]] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)


def usual(texts: list[str], vectors: np.ndarray) -> tuple[int, Any]:
    rows = [{"object": "embedding", "index": n, "embedding": row.tolist()} for n, row in enumerate(vectors)]
    return 200, {"object": "list", "data": rows, "model": NAME}


def error(status: int, message: str) -> tuple[int, Any]:
    return status, {"error": {"message": message, "type": "invalid_request_error"}}


@contextmanager
def serving(wrong: Wrong) -> Iterator[str]:
    """Run a server on this machine; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listed = None if wrong.models is None else {"data": [{"id": name} for name in wrong.models]}
            self._send(404 if listed is None else 200, listed)

        def do_POST(self) -> None:
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
            wrong.seen.append(texts)
            wrong.keys.add(self.headers["Authorization"])
            self._send(*(wrong.answer or usual)(texts, wrong.embed(texts)))

        def _send(self, status: int, content: Any) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
