"""Job titles in two grammatical genders: does the form of a title change which résumés come first?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from hrembed.audit.stimuli import without_slots
from hrembed.evaluation.perturb import perturb
from hrembed.metrics.agreement import rank_biased_overlap
from hrembed.metrics.intervals import sign_flip_p

if TYPE_CHECKING:
    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.types import Encoder, Floats


def gendered_titles(
    encoder: Encoder, stimuli: Stimuli, *, confidence: float, resamples: int, seed: int
) -> dict[str, Any]:
    """Search the nameless résumés by every title in both forms, and by its masculine form with a typo.

    Returns:
        `score`: mean score of the feminine form less that of the masculine, in standard deviations of a title's scores.
        `apart`: 1 - RBO of the two rankings less that of a typo. Both with an interval (t over titles) and a p-value
        (signs flipped over titles). `titles`: the rows behind.
    """
    texts = [
        text
        for _, masculine, feminine in stimuli.titles
        for text in (masculine, feminine, perturb(masculine, "typos", seed))
    ]
    found = encoder.similarity(texts, without_slots(stimuli.resumes)).block(slice(None), slice(None)).astype(np.float64)
    scores = found.reshape(len(stimuli.titles), 3, -1)
    spread = scores[:, 0].std(axis=1, ddof=1)
    shift = (scores[:, 1] - scores[:, 0]).mean(axis=1) / np.where(spread > 0, spread, np.nan)
    orders = np.argsort(-scores, axis=2, kind="stable")
    apart = 1 - rank_biased_overlap(orders[:, 0], orders[:, 1])
    typo = 1 - rank_biased_overlap(orders[:, 0], orders[:, 2])
    return {
        "score": _mean(shift, confidence, resamples, seed),
        "apart": _mean(apart - typo, confidence, resamples, seed),
        "between_forms": float(apart.mean()),
        "typo": float(typo.mean()),
        "titles": [
            {
                "language": language,
                "masculine": one,
                "feminine": two,
                "shift": float(s),
                "apart": float(a),
                "typo": float(t),
            }
            for (language, one, two), s, a, t in zip(stimuli.titles, shift, apart, typo, strict=True)
        ],
    }


def _mean(values: Floats, confidence: float, resamples: int, seed: int) -> dict[str, Any]:
    own = values[np.isfinite(values)]
    if len(own) < 2:
        return {"value": float("nan"), "interval": [float("nan")] * 2, "p_value": float("nan"), "n": len(own)}
    reach = float(stats.t.ppf((1 + confidence) / 2, len(own) - 1) * own.std(ddof=1) / np.sqrt(len(own)))
    rng = np.random.default_rng(seed)
    p_value = sign_flip_p(own, np.zeros(len(own)), [""] * len(own), rng=rng, resamples=resamples)
    value = float(own.mean())
    return {"value": value, "interval": [value - reach, value + reach], "p_value": float(p_value), "n": len(own)}
