"""The endpoint against what it gave before: was the model behind the name changed?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.serve_check.checks import failed
from hrembed.errors import ModelError
from hrembed.models.canary import CANARY_TEXTS, lowest_cosine
from hrembed.models.dense import unit_rows
from hrembed.records.serve_check import CanaryComparison
from hrembed.scoring.encoders import canary_of

if TYPE_CHECKING:
    from hrembed.commands.serve_check.checks import Findings
    from hrembed.commands.serve_check.server import Server
    from hrembed.config.serve_check import ServeCheckConfig
    from hrembed.models.canary import Kept
    from hrembed.records.serve_check import ServedOutcome
    from hrembed.runs.workspace import Workspace

_CHECK = "same as before"
_UNUSED = 0.9999  # limit of a comparison where the config asks other commands for none


def compare_canary(
    config: ServeCheckConfig, server: Server, findings: Findings, workspace: Workspace, *, accept: bool
) -> CanaryComparison | None:
    """Compare an endpoint with what is kept of it, and keep what it gives now where that is asked for.

    Where a model was looked at as well, a change is a warning: the server gives that model's vectors now. Where no
    model is looked at, and nothing is kept yet, what it gives is kept.

    Raises:
        ModelError: The endpoint does not answer, and it was asked for nothing else.
    """
    limit = _UNUSED if config.endpoint.canary is None else config.endpoint.canary
    canary = canary_of(server.name, config.endpoint.model_copy(update={"canary": limit}), workspace)
    kept = canary.kept()
    accept = (accept or (kept is None and config.model is None)) and not failed(findings)
    if kept is None and not accept:
        return None
    try:
        now = unit_rows(server.plain(CANARY_TEXTS))
    except ModelError as err:
        if config.model is None:
            raise
        findings.add(_CHECK, "not checked", str(err))
        return None
    lowest = float("nan") if kept is None else lowest_cosine(kept.vectors, now)
    outcome: ServedOutcome = "pass"
    if kept is not None and lowest < limit and not accept:
        outcome = "fail" if config.model is None else "warning"
    if accept:
        canary.keep(now, replace=True)
    findings.add(
        _CHECK, outcome, _words(kept, lowest, limit, accept=accept), "" if outcome == "pass" else canary.accepting
    )
    return CanaryComparison(since=kept.made if kept else None, lowest_cosine=lowest, accepted=accept)


def _words(kept: Kept | None, lowest: float, limit: float, *, accept: bool) -> str:
    if kept is None:
        return f"the vectors of {len(CANARY_TEXTS)} fixed texts were kept, for comparison with later ones"
    same = f"lowest cosine {lowest:.6f} of {len(CANARY_TEXTS)} fixed texts to those kept on {kept.made}"
    if lowest >= limit:
        return f"unchanged: {same}"
    change = same if lowest > -1 else f"other dimensions than those kept on {kept.made}"
    return f"the model behind the name has changed: {change}" + ("; accepted" if accept else "")
