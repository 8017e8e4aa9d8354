"""What servers get wrong, looked at one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle, islice, product
from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.serve_check.advice import ADVICE, pooling_advice
from hrembed.commands.serve_check.causes import Way, as_explanations, cut_elsewhere, explain
from hrembed.commands.serve_check.server import Answered
from hrembed.models.dense import unit_rows
from hrembed.records.serve_check import ServedCheck, ServedText
from hrembed.scoring.varied_texts import VARIED_TEXTS, row_cosines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.commands.serve_check.causes import Cause
    from hrembed.commands.serve_check.model import Served
    from hrembed.commands.serve_check.server import Server
    from hrembed.config.serve_check import ServeCheckConfig
    from hrembed.records.serve_check import Explanation, ServedOutcome
    from hrembed.types import Floats, Ints, Side

_FIRST = "one word"
_ORDINARY = [name for name in VARIED_TEXTS if name not in {"empty", "600 words"}]
_LENGTHS = 1e-3  # relative difference of two lengths that still are the same
_SAMPLED = 8
_MARGIN = 1e-3  # by which a text has to be nearer to the vector of another one
_OTHERS = "ordinary texts already have other vectors"
_NEAR = 0.98  # cosine from which on weights are likely the same, and only less exact

# Texts of other subjects one after the other, so that where a long text is cut moves its vector.
_SUBJECTS = (
    "Welds pipes of stainless steel in a shipyard and reads isometric drawings.",
    "Teaches mathematics to classes of thirty pupils and corrects their homework.",
    "Plans the routes of forty lorries and speaks with drivers by radio.",
    "Audits the accounts of insurers and writes notes for the supervisory board.",
    "Writes firmware in C for heart monitors and tests it on the bench.",
    "Grows tomatoes under glass, sets irrigation and watches for mildew.",
    "Defends tenants in court and drafts settlements with landlords.",
    "Cooks for two hundred guests of a hotel and orders fish every morning.",
    "Translates patents from Korean and keeps a glossary of terms.",
    "Drives a tower crane on building sites, also in strong wind.",
    "Cares for people with dementia and talks with their families.",
    "Cuts trailers for documentary films and grades their colours.",
)
_ROLES = ("Nurse", "Welder", "Data engineer", "Pastry chef", "Tax adviser", "Crane operator", "Teacher", "Bus driver")
_WORK = (
    "nights",
    "with own tools and a driving licence",
    "in Leeds",
    "part time, twenty hours a week, for at least two years",
    "who trains apprentices",
    "abroad",
    "with German at level B2 and first-aid training",
    "and deputy head of the department, responsible for the budget of three sites",
)


@dataclass
class Findings:
    """What was found so far.

    Attributes:
        checks: One for each thing that was looked at.
        texts: Vectors of the varied texts.
        explanations: Other ways to run the model.
        cosines: All that were compared with the model's own vectors.
        most_at_once: Texts of the largest request that was answered.
    """

    checks: list[ServedCheck] = field(default_factory=list)
    texts: list[ServedText] = field(default_factory=list)
    explanations: list[Explanation] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    most_at_once: int = 1

    def add(self, check: str, outcome: ServedOutcome, found: str, advice: str = "") -> None:
        """Write down one finding."""
        self.checks.append(ServedCheck(check=check, outcome=outcome, found=found, advice=advice))


@dataclass
class _Side:
    """What was asked for one side, and came back.

    Attributes:
        name: `query`, `document` or `both`.
        side: Which it is.
        prompt: What stands in front of its texts.
        texts: Name to text, as it is sent behind the prompt.
        alone: Name to the answer to a request of its own.
        own: Name to the model's own vector, shape (1, dim).
        way: How the server seems to run the model; what else is compared is compared with the model run so.
        level: Cosine from which on vectors are then the same: lower where what is left looks like lower precision.
        explained: Whether it is known how the server runs the model.
    """

    name: str
    side: Side
    prompt: str
    texts: dict[str, str]
    alone: dict[str, Answered]
    own: dict[str, Floats]
    way: Way
    level: float
    explained: bool = True

    def answered(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if self.alone[name].vectors is not None]

    def found(self, names: Sequence[str]) -> Floats:
        return np.concatenate([vectors for name in names if (vectors := self.alone[name].vectors) is not None])


def failed(findings: Findings) -> bool:
    """Whether any check failed so far."""
    return any(check.outcome == "fail" for check in findings.checks)


def inspect(config: ServeCheckConfig, served: Served, server: Server, findings: Findings) -> None:
    """Ask a server for the vectors of texts, and write down what is wrong with them.

    Raises:
        ModelError: It does not even give one ordinary text a vector.
    """
    sides = [_ask_side(config, served, server, name, side) for name, side in served.sides.items()]
    _dimensions(findings, served, sides[0])
    for side in sides:
        _vectors(findings, config, served, side)
    _lengths(findings, served, sides)
    _repeated(findings, config, server, sides[0])
    _order_and_batch(findings, config, server, sides)
    _at_once(findings, config, served, server, sides[0])
    for side in sides:
        _long(findings, served, server, side)
        _empty(findings, served, side)
    _busy(findings, server)


def _ask_side(config: ServeCheckConfig, served: Served, server: Server, name: str, side: Side) -> _Side:
    prompt = served.prompt(side)
    texts = dict(zip(VARIED_TEXTS, served.seen([*VARIED_TEXTS.values()], side), strict=True))
    first = Answered(server.vectors([texts[_FIRST]], prompt))  # a server that fails here cannot be checked
    alone = {each: first if each == _FIRST else server.ask([text], prompt) for each, text in texts.items()}
    own = {each: served.bodies[side].encode([text], prompt) for each, text in texts.items()}
    return _Side(name, side, prompt, texts, alone, own, Way("", None, prompt), config.min_cosine)


def _dimensions(findings: Findings, served: Served, side: _Side) -> None:
    found, own = side.found(side.answered(_ORDINARY)).shape[1], side.own[_FIRST].shape[1]
    cut = served.dimensions is not None and found == served.dimensions
    if found == own or cut:
        words = f"{found:,} numbers a vector" + (", cut by the server already" if cut and found != own else "")
        findings.add("dimensions", "pass", words)
    else:
        findings.add("dimensions", "fail", f"{found:,} numbers a vector, the model has {own:,}", ADVICE["dimensions"])


def _vectors(findings: Findings, config: ServeCheckConfig, served: Served, side: _Side) -> None:
    """Compare the vectors of ordinary texts, and where they differ, find out why."""
    check = "vectors" if side.name == "both" else f"vectors, {side.name} side"
    names = side.answered(_ORDINARY)
    missing = next((side.alone[name].failure for name in _ORDINARY if name not in names), "")
    cosines = served.cosines(np.concatenate([side.own[name] for name in names]), side.found(names))
    if cosines is not None:
        findings.cosines.extend(map(float, cosines))
    if missing:
        findings.add(check, "fail", f"no vector for an ordinary text: {missing}", ADVICE["no vector"])
        side.explained = False
        return
    if cosines is not None and cosines.min() >= config.min_cosine:
        findings.add(check, "pass", f"lowest cosine {cosines.min():.6f} over {len(names)} texts, one in each request")
        return
    cause, tried = explain(
        served,
        side.side,
        [side.texts[name] for name in names],
        side.found(names),
        client_prompts=config.prompts == "client",
        min_cosine=config.min_cosine,
    )
    findings.explanations.extend(as_explanations(side.name, tried))
    lowest = "vectors of other dimensions" if cosines is None else f"lowest cosine {cosines.min():.4f}"
    near = cosines is not None and cosines.min() >= _NEAR
    side.explained = cause is not None or near
    if cause is not None:
        side.way = cause.way
        side.level = config.min_cosine if cause.certain else _level(cause.lowest)
        _name_cause(findings, check, lowest, cause, served.bodies[side.side].pooling)
    elif near and cosines is not None:
        side.level = _level(float(cosines.min()))
        words = "evenly near, as with weights or arithmetic of lower precision (float16, int8, 4 bits)"
        findings.add(check, "fail", f"{lowest}; {words}", ADVICE["precision"])
    else:
        words = "no way to run the model that was tried explains it: other weights, or another tokenizer"
        findings.add(check, "fail", f"{lowest}; {words}", ADVICE["weights"])


def _level(lowest: float) -> float:
    """Cosine that a text may have at least where ordinary texts have this one for lack of precision."""
    return 1 - 3 * (1 - lowest)


def _name_cause(findings: Findings, check: str, lowest: str, cause: Cause, own_pooling: str) -> None:
    way = cause.way
    sure = f"cosine {cause.lowest:.6f}" if cause.certain else f"most of it, cosine {cause.lowest:.4f}; what is left "
    rest = "" if cause.certain else "looks like lower precision"
    findings.add(check, "fail", f"{lowest}; the cause is named below")
    advice = pooling_advice(own_pooling) if way.kind == "pooling" else ADVICE[way.kind or ""]
    findings.add(way.kind or "", "fail", f"the server runs the model {way.words} ({sure}{rest})", advice)


def _lengths(findings: Findings, served: Served, sides: Sequence[_Side]) -> None:
    """Compare the lengths of vectors: a dot product is a cosine only of those that have length 1."""
    if served.is_static:
        findings.add("length of vectors", "not checked", "vectors of a static model have no length of their own")
        return
    names = [(side, name) for side in sides for name in side.answered(_ORDINARY)]
    found = np.linalg.norm(np.concatenate([side.found([name]) for side, name in names]), axis=1)
    own = np.linalg.norm(np.concatenate([side.own[name] for side, name in names]), axis=1)
    if np.allclose(found, 1, atol=_LENGTHS) and np.allclose(own, 1, atol=_LENGTHS):
        findings.add("length of vectors", "pass", "all vectors have length 1, as the model's")
    elif np.allclose(found, own, rtol=_LENGTHS):
        findings.add("length of vectors", "pass", "those of the model, which are not normalised")
    elif np.allclose(found, 1, atol=_LENGTHS):
        findings.add(
            "length of vectors", "warning", "the server normalises vectors, the model does not: a dot product differs"
        )
    else:
        normal = np.allclose(own, 1, atol=_LENGTHS)
        theirs = "1" if normal else f"{own.min():.3g} to {own.max():.3g}"
        # Where another pooling or a missing module was found, lengths differ for that reason.
        others = any(side.way.kind is not None or not side.explained for side in sides) and not normal
        findings.add(
            "length of vectors",
            "not checked" if others else "fail",
            f"vectors have lengths of {found.min():.3g} to {found.max():.3g}, the model's {theirs}",
            "" if others else ADVICE["lengths"],
        )


def _repeated(findings: Findings, config: ServeCheckConfig, server: Server, side: _Side) -> None:
    """Ask for the same text again."""
    first, again = side.alone["a sentence"].vectors, server.ask([side.texts["a sentence"]], side.prompt)
    if first is None or again.vectors is None:
        findings.add("repeatable", "not checked", again.failure or side.alone["a sentence"].failure)
        return
    cosine = float(row_cosines(first, again.vectors)[0])
    outcome: ServedOutcome = "pass" if cosine >= config.min_cosine else "fail"
    advice = "" if outcome == "pass" else ADVICE["repeatable"]
    findings.add("repeatable", outcome, f"the same text asked for twice: cosine {cosine:.6f}", advice)


def _order_and_batch(findings: Findings, config: ServeCheckConfig, server: Server, sides: Sequence[_Side]) -> None:
    """Compare what the server says of texts in one request with what it says of each alone; no model is needed."""
    swapped, lowest, failure = False, 1.0, ""
    for side in sides:
        names = [name for name in side.answered([*VARIED_TEXTS]) if side.found([name]).any()]
        answer = server.ask([side.texts[name] for name in names], side.prompt)
        together = dict.fromkeys(names, float("nan"))
        if answer.vectors is None:
            failure = answer.failure
        else:
            findings.most_at_once = max(findings.most_at_once, len(names))
            places = _places(side.found(names), answer.vectors)
            swapped |= bool((places != np.arange(len(names))).any())
            cosines = row_cosines(side.found(names), answer.vectors[places])
            lowest = min(lowest, float(cosines.min()))
            together = dict(zip(names, map(float, row_cosines(_own(side, names, answer), answer.vectors)), strict=True))
        findings.texts.extend(_rows(side, together))
    if failure:
        findings.add("order", "not checked", failure)
        findings.add(
            "batch", "fail", f"no answer to a request of {len(VARIED_TEXTS)} texts: {failure}", ADVICE["batch"]
        )
        return
    findings.add("order", *_order(swapped))
    fine = lowest >= config.min_cosine
    findings.add(
        "batch",
        "pass" if fine else "fail",
        f"each text alone and among {len(VARIED_TEXTS)}: lowest cosine {lowest:.6f}",
        "" if fine else ADVICE["batch"],
    )


def _own(side: _Side, names: Sequence[str], answer: Answered) -> Floats:
    """The model's vectors; where they have another dimension, nothing can be compared, and rows of NaN say so."""
    own = np.concatenate([side.own[name] for name in names])
    if answer.vectors is not None and own.shape != answer.vectors.shape:
        return np.full(answer.vectors.shape, np.nan, dtype=np.float32)
    return own


def _rows(side: _Side, together: dict[str, float]) -> Iterator[ServedText]:
    for name, answer in side.alone.items():
        alone, length = float("nan"), float("nan")
        if answer.vectors is not None:
            length = float(np.linalg.norm(answer.vectors))
            if answer.vectors.shape == side.own[name].shape:
                alone = float(row_cosines(side.own[name], answer.vectors)[0])
        yield ServedText(
            side=side.name, text=name, alone=alone, together=together.get(name, float("nan")), length=length
        )


def _places(alone: Floats, together: Floats) -> Ints:
    """Find the vector of each text among those of one request, shape (n,): its own place unless another is nearer."""
    likeness = unit_rows(alone) @ unit_rows(together).T
    best = likeness.argmax(axis=1)
    own = np.arange(len(alone))
    return np.where(likeness[own, best] > likeness[own, own] + _MARGIN, best, own)


def _order(swapped: bool) -> tuple[ServedOutcome, str, str]:
    if swapped:
        return "fail", "vectors come back in another order than their texts", ADVICE["order"]
    return "pass", "vectors come back in the order of their texts", ""


def many_texts(number: int) -> list[str]:
    """Make texts of different lengths, short and long in turn, none like another."""
    parts = product(range(1, number // (len(_ROLES) * len(_WORK)) + 2), _WORK, _ROLES)
    return [f"{role} {number}, {work}" for number, work, role in islice(parts, number)]


def _at_once(findings: Findings, config: ServeCheckConfig, served: Served, server: Server, side: _Side) -> None:
    """Send many texts in one request; where they are too many, find out how many the server takes."""
    texts = served.seen(many_texts(config.at_once), side.side)
    check = f"{config.at_once} at once"
    size = len(texts)
    answer = server.ask(texts, side.prompt)
    reason = answer.failure
    while answer.vectors is None and size > _SAMPLED:
        size //= 2
        answer = server.ask(texts[:size], side.prompt)
    if answer.vectors is None:
        findings.add(check, "fail", f"not even {size} texts are answered in one request: {reason}", ADVICE["batch"])
        return
    findings.most_at_once = max(findings.most_at_once, size)
    places = np.linspace(0, size - 1, _SAMPLED).astype(int)
    alone = [server.ask([texts[place]], side.prompt) for place in places]
    known = [(place, each.vectors) for place, each in zip(places, alone, strict=True) if each.vectors is not None]
    likeness = unit_rows(np.concatenate([vectors for _, vectors in known])) @ unit_rows(answer.vectors).T
    own = likeness[np.arange(len(known)), [place for place, _ in known]]
    if bool((likeness.max(axis=1) > own + _MARGIN).any()):
        findings.add(check, *_order(swapped=True))
        return
    fine = bool(own.min() >= config.min_cosine)
    words = f"lowest cosine of {len(known)} of them to the same text alone: {own.min():.6f}"
    cosines = _to_the_model(findings, served, side, texts[:size], answer.vectors)
    if cosines is not None:
        words += f"; of all {size} to the model: {cosines.min():.6f}"
        fine &= bool(cosines.min() >= side.level)
    if not fine:
        findings.add(check, "fail", words, ADVICE["batch"])
    elif size < config.at_once:
        words = f"at most {size} texts are taken in one request ({reason}); {words}"
        findings.add(check, "warning", words, f"set `batch_size: {size}` for this server")
    else:
        findings.add(check, "pass", words)


def _to_the_model(
    findings: Findings, served: Served, side: _Side, texts: Sequence[str], found: Floats
) -> Floats | None:
    """Compare vectors with those of the model, run as the server seems to run it; None where that is not known."""
    if not side.explained:
        return None
    own = served.bodies[side.side].encode(texts, side.way.prompt, side.way.changes)
    cosines = served.cosines(own, found)
    if cosines is not None and not side.way.words:
        findings.cosines.extend(map(float, cosines))
    return cosines


def _long(findings: Findings, served: Served, server: Server, side: _Side) -> None:
    """Send a text that is longer than the model's limit."""
    check = "long text" if side.name == "both" else f"long text, {side.name} side"
    body = served.bodies[side.side]
    text = long_text(served, side.side)
    (text,) = served.seen([text], side.side)
    answer = server.ask([text], side.prompt)
    if answer.vectors is None:
        findings.add(check, "fail", f"no vector for a text beyond the limit: {answer.failure}", ADVICE["long"])
        return
    cosines = _to_the_model(findings, served, side, [text], answer.vectors)
    if cosines is None:
        findings.add(check, "not checked", _OTHERS)
        return
    cosine = float(cosines[0])
    limit = f"cut at {body.limit:,} tokens" if body.limit else "not cut"
    if cosine >= side.level:
        findings.add(check, "pass", f"{limit}, as by the model: cosine {cosine:.6f}")
        return
    why = cut_elsewhere(served, side.side, text, side.way, answer.vectors, side.level)
    words = why or f"it is {limit} by the model, and no other limit that was tried explains the server's vector"
    findings.add(check, "fail", f"{words}: cosine {cosine:.4f}", ADVICE["long"])


def long_text(served: Served, side: Side) -> str:
    """Make a text that is half as long again as the model's limit, in tokens, of changing subjects."""
    body = served.bodies[side]
    wanted = 1.5 * (body.limit or 400)
    parts: list[str] = []
    subjects = cycle(_SUBJECTS)
    while sum(tokens for _, tokens in body.pieces(" ".join(parts))) < wanted:
        parts.extend(islice(subjects, len(_SUBJECTS)))
    return " ".join(parts)


def _empty(findings: Findings, served: Served, side: _Side) -> None:
    check = "empty text" if side.name == "both" else f"empty text, {side.name} side"
    answer = side.alone["empty"]
    if answer.vectors is None:
        outcome: ServedOutcome = "warning" if answer.refused else "fail"
        findings.add(check, outcome, f"no vector: {answer.failure}", ADVICE["empty"])
        return
    if served.is_static and not side.own["empty"].any():
        fine = not answer.vectors.any()
        words = "a vector of zeros, as the model's" if fine else "a vector, where the model gives one of zeros"
    else:
        cosines = _to_the_model(findings, served, side, [side.texts["empty"]], answer.vectors)
        if cosines is None:
            findings.add(check, "not checked", _OTHERS)
            return
        fine, words = bool(cosines[0] >= side.level), f"cosine {cosines[0]:.6f}"
    findings.add(check, "pass" if fine else "fail", words, "" if fine else ADVICE["empty"])


def _busy(findings: Findings, server: Server) -> None:
    usage = server.usage
    if usage.retries:
        findings.add(
            "answers",
            "warning",
            f"{usage.retries} of {usage.requests} requests had to be repeated (busy, or no whole answer)",
            ADVICE["busy"],
        )
    else:
        findings.add("answers", "pass", f"{usage.requests} requests, none repeated")
