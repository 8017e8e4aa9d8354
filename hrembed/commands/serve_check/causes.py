"""Why a server's vectors differ: the model is run in the ways that servers run it by mistake, and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hrembed.commands.serve_check.model import AS_IT_IS, ways_to_run
from hrembed.records.serve_check import Explanation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.commands.serve_check.model import Changes, Served
    from hrembed.types import Floats, Side

CauseKind = Literal["pooling", "Dense module", "prompts"]
_MOST_LEFT = 0.25  # of the distance that a cause may leave unexplained and still be named
_LIMITS = (16, 32, 64, 128, 256, 384, 512, 768, 1024, 2048, 4096, 8192)
_CLOSE = 0.98


class Way(NamedTuple):
    """One way to run a model.

    Attributes:
        words: What is done otherwise; empty for nothing.
        kind: Which check it belongs to.
        prompt: What stands in front of texts.
        changes: What is changed of the model.
    """

    words: str
    kind: CauseKind | None
    prompt: str
    changes: Changes = AS_IT_IS


class Cause(NamedTuple):
    """What explains the vectors of one side best.

    Attributes:
        way: How the server seems to run the model.
        lowest: Lowest cosine to the server's vectors.
        certain: Whether they are the same within the limit.
    """

    way: Way
    lowest: float
    certain: bool


def ways(served: Served, side: Side, *, client_prompts: bool) -> Iterator[Way]:
    """Yield the model as it is, then every way that is tried."""
    prompt = served.prompt(side)
    yield Way("", None, prompt)
    for words, changes in ways_to_run(served, side).items():
        yield Way(words, "pooling" if changes.pooling else "Dense module", prompt, changes)
    if prompt:
        yield Way("without the prompt", "prompts", "")
    known = dict.fromkeys((served.prompt("query"), served.prompt("document")))
    for other in filter(None, known):
        if other != prompt:
            yield Way(f"with the prompt '{other}' in place of '{prompt}'", "prompts", other)
        if client_prompts:
            yield Way(f"with '{other}' put in front by the server", "prompts", other + prompt)


def explain(
    served: Served, side: Side, texts: Sequence[str], found: Floats, *, client_prompts: bool, min_cosine: float
) -> tuple[Cause | None, list[tuple[Way, Floats]]]:
    """Find the way to run a model that explains a server's vectors.

    Args:
        served: The model.
        side: Whose prompt is meant.
        texts: Ordinary ones: not empty, and shorter than any limit.
        found: The server's vectors, shape (n, dim).
        client_prompts: Whether prompts were sent.
        min_cosine: From here on vectors are the same.

    Returns:
        The cause, where one explains at least three quarters of the distance; and the cosines of every way whose
        vectors are as long as the server's, shape (n,), best first.
    """
    body = served.bodies[side]
    tried = []
    for way in ways(served, side, client_prompts=client_prompts):
        cosines = served.cosines(body.encode(texts, way.prompt, way.changes), found)
        if cosines is not None:
            tried.append((way, cosines))
    plain = next((float(cosines.min()) for way, cosines in tried if not way.words), None)
    tried.sort(key=lambda entry: -float(entry[1].min()))
    if not tried or not tried[0][0].words:
        return None, tried
    way, lowest = tried[0][0], float(tried[0][1].min())
    certain = lowest >= min_cosine
    # Where the dimension differs from the model's, only the ways without its last module can be compared at all.
    enough = certain or (plain is not None and 1 - lowest <= _MOST_LEFT * (1 - plain) and lowest >= _CLOSE)
    return (Cause(way, lowest, certain) if enough else None), tried


def as_explanations(side: str, tried: Sequence[tuple[Way, Floats]]) -> list[Explanation]:
    """Write down what was tried."""
    return [
        Explanation(
            side=side, run_as=way.words or "as the model says", lowest=float(cosines.min()), mean=float(cosines.mean())
        )
        for way, cosines in tried
    ]


def cut_elsewhere(served: Served, side: Side, text: str, way: Way, found: Floats, min_cosine: float) -> str:
    """Say how a server seems to cut a long text, where it does not cut as the model does; empty where nothing fits.

    Args:
        served: The model.
        side: Whose encoder.
        text: Longer than the limit.
        way: How the server runs the model otherwise.
        found: Its vector of the text, shape (1, dim).
        min_cosine: From here on vectors are the same.
    """
    body = served.bodies[side]
    best, words = -1.0, ""
    for limit in _limits(body.limit, body.most_tokens):
        cosines = served.cosines(body.encode([text], way.prompt, way.changes._replace(max_tokens=limit)), found)
        if cosines is not None and cosines[0] > best:
            best, words = float(cosines[0]), f"it cuts texts at {limit:,} tokens, the model at {body.limit or 'no'}"
    if best >= min_cosine:
        return words
    pieces = body.pieces(text)
    if len(pieces) > 1:
        parts = body.encode([piece for piece, _ in pieces], way.prompt, way.changes)
        whole = np.average(parts, axis=0, weights=[tokens for _, tokens in pieces])[None]
        cosines = served.cosines(whole, found)
        if cosines is not None and cosines[0] >= _CLOSE:
            return f"it cuts nothing off: the mean of {len(pieces)} pieces of the text explains its vector"
    return ""


def _limits(own: int | None, most: int | None) -> list[int]:
    near = [own - 2, own + 2] if own else []  # special tokens counted twice, or not
    return [limit for limit in (*near, *_LIMITS) if limit != own and limit >= 8 and (most is None or limit <= most)]
