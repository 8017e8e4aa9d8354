"""Job titles in two grammatical genders: does the form of a title change which résumés come first?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from hrembed.audit.stimuli import without_slots
from hrembed.evaluation.perturb import perturb
from hrembed.metrics.agreement import rank_biased_overlap
from hrembed.metrics.intervals import sign_flip_p
from hrembed.records.bias_audit import GenderedTitles, TitleEffect, TitleRow
from hrembed.types import Estimate

if TYPE_CHECKING:
    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.config.parts import BootstrapSection
    from hrembed.types import Encoder, Floats


def gendered_titles(encoder: Encoder, stimuli: Stimuli, bootstrap: BootstrapSection) -> GenderedTitles:
    """Search the nameless résumés by every title in both forms, and by its masculine form with a typo."""
    texts = [
        text
        for title in stimuli.titles
        for text in (title.masculine, title.feminine, perturb(title.masculine, "typos", bootstrap.seed))
    ]
    similarity = encoder.similarity(texts, without_slots(stimuli.resumes)).block(slice(None), slice(None))
    scores = similarity.astype(np.float64).reshape(len(stimuli.titles), 3, -1)
    spread = scores[:, 0].std(axis=1, ddof=1)
    shift = (scores[:, 1] - scores[:, 0]).mean(axis=1) / np.where(spread > 0, spread, np.nan)
    orders = np.argsort(-scores, axis=2, kind="stable")
    apart = 1 - rank_biased_overlap(orders[:, 0], orders[:, 1])
    typo = 1 - rank_biased_overlap(orders[:, 0], orders[:, 2])
    return GenderedTitles(
        score=_mean(shift, bootstrap),
        apart=_mean(apart - typo, bootstrap),
        between_forms=float(apart.mean()),
        typo=float(typo.mean()),
        titles=tuple(
            TitleRow(
                language=title.language,
                masculine=title.masculine,
                feminine=title.feminine,
                shift=shift[n],
                apart=apart[n],
                typo=typo[n],
            )
            for n, title in enumerate(stimuli.titles)
        ),
    )


def _mean(values: Floats, bootstrap: BootstrapSection) -> TitleEffect:
    """Mean over titles with its t interval; undefined with fewer than two titles that have a value."""
    defined = values[np.isfinite(values)]
    n, undefined = len(defined), len(values) - len(defined)
    if n < 2:
        return TitleEffect(difference=Estimate(np.nan, np.nan, np.nan, n, "titles", undefined), p_value=np.nan)
    value = float(defined.mean())
    reach = float(stats.t.ppf((1 + bootstrap.confidence) / 2, n - 1) * defined.std(ddof=1) / np.sqrt(n))
    rng = np.random.default_rng(bootstrap.seed)
    p_value = sign_flip_p(defined, np.zeros(n), [""] * n, rng=rng, resamples=bootstrap.resamples)
    return TitleEffect(
        difference=Estimate(value, value - reach, value + reach, n, "titles", undefined), p_value=float(p_value)
    )
