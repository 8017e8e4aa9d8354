"""What `hrembed bias-audit` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hrembed.metrics.gating import Outcome
from hrembed.records.base import CommandRecord, Measured, Number, Record
from hrembed.records.manifest import Scoring


class GroupContrast(Record):
    """One group of names (or of wordings) against another.

    Attributes:
        first: Name of the first group.
        second: Name of the second group.
        effect: `first - second`, or `first / second` for ratios; the intervals of all pairs of an attribute hold
            together. `n` counts the names of the smaller group.
        detectable: Smallest gap that is found with 80 % power; null for ratios.
        unit: Unit of the effect.
    """

    first: str
    second: str
    effect: Measured
    detectable: Number
    unit: str


class Measure(Record):
    """The groups of an attribute compared on one measure.

    Attributes:
        unit: Unit of the means.
        means: Group -> mean over its names.
        contrasts: All pairs of groups; ratios for selection rates, differences otherwise.
        p_value: Of no difference at all between the groups, by permutation of names within strata.
        p_bh: Corrected over the measures of the attribute by Benjamini and Hochberg.
    """

    unit: str
    means: dict[str, Number]
    contrasts: tuple[GroupContrast, ...]
    p_value: Number
    p_bh: Number


class Excess(Record):
    """How much more two names of different groups differ than two names of one group.

    Attributes:
        between: Mean difference of two names of different groups.
        within: Mean difference of two names of one group.
        excess: The first minus the second.
        p_value: By permutation, one-sided: more between than within.
    """

    between: Number
    within: Number
    excess: Measured
    p_value: Number


class Shares(Record):
    """Where groups stand in whole rankings.

    Attributes:
        ndkl: Normalised discounted divergence of the shares in every top from equal shares; 0 or more.
        ndkl_null: Its mean under shuffled groups, which is above 0.
        ndkl_p: Its p-value by permutation.
        attention: Fairness of attention, 0 to 1; 1 is even.
        attention_p: Its p-value by permutation.
        skew: Group -> log of its share among the selected at the headline cut over its share of the names; null where
            nobody is selected.
    """

    ndkl: Number
    ndkl_null: Number
    ndkl_p: Number
    attention: Number
    attention_p: Number
    skew: dict[str, Number]


class JobGap(Record):
    """How far apart groups are for one job.

    Attributes:
        job: Id of the job.
        largest_gap: Largest gap of two group means, in standard deviations of the job's nameless scores.
        p_bh: Corrected over all jobs by Benjamini and Hochberg.
    """

    job: str
    largest_gap: Number
    p_bh: Number


class GroupComparison(Record):
    """Everything about the groups of one attribute or cue.

    Attributes:
        sizes: Group -> number of its names (or wordings).
        gap_verdict: Of the gate on score gaps.
        ratio_verdict: Of the gate on impact ratios.
        p_value: Of no difference at all between the groups' scores, not corrected.
        gaps: Score gaps of all pairs of groups.
        gaps_two_way: Intervals of the same gaps over names, jobs and résumés.
        impact_ratios: Selected share (`0.1`) -> ratios of the selection rates of all pairs, lower over higher.
        measures: Name of the measure -> the groups compared on it.
        spread_p: p-value of "names of all groups vary alike".
        excess: Name of a difference between two names -> how much larger it is between groups than within.
        shares: Whole rankings.
        jobs: The jobs with the largest gaps, largest first; at most 20.
    """

    sizes: dict[str, int]
    gap_verdict: Outcome
    ratio_verdict: Outcome
    p_value: Number
    gaps: tuple[GroupContrast, ...]
    gaps_two_way: tuple[tuple[Number, Number], ...]
    impact_ratios: dict[str, tuple[GroupContrast, ...]]
    measures: dict[str, Measure]
    spread_p: Number
    excess: dict[str, Excess]
    shares: Shares
    jobs: tuple[JobGap, ...]


class AttributeComparison(GroupComparison):
    """The groups of names of one attribute, which decide the verdict.

    Attributes:
        p_holm: `p_value`, corrected over the gates of all attributes by Holm.
    """

    p_holm: Number


class CueComparison(GroupComparison):
    """The versions of one cue, which decide nothing.

    Attributes:
        p_bh: `p_value`, corrected over the gates of all cues by Benjamini and Hochberg; the cue's verdicts rest on it.
    """

    p_bh: Number


class GateResult(Record):
    """The verdict of one gate on one attribute.

    Attributes:
        attribute: What was compared.
        gate: Name of the gate.
        measure: What it looks at.
        range: Effects that do not matter, lowest and highest.
        worst: The pair of groups with the largest effect; an undefined one is worse than any.
        p_value: Of no difference at all between the groups.
        p_holm: Corrected over all gates on all attributes by Holm.
        equivalence_p: Of "some pair lies outside the range"; small says that all lie inside.
        verdict: Of this gate.
        names_needed: About how many names of each group would settle an open verdict; null where none is open, or it
            cannot be told.
    """

    attribute: str
    gate: str
    measure: str
    range: tuple[float, float]
    worst: GroupContrast
    p_value: Number
    p_holm: Number
    equivalence_p: Number
    verdict: Outcome
    names_needed: int | None


class Limits(Record):
    """Ranges of the gates, as the config chose them.

    Attributes:
        gap: Largest score gap, in standard deviations.
        impact_ratio: Smallest ratio of selection rates.
        flip: Largest excess of turned decisions; null does not judge it.
        recall: Largest gap of recall; null does not judge it.
    """

    gap: float
    impact_ratio: float
    flip: float | None
    recall: float | None


class Balance(Record):
    """How alike groups of names are in a feature that should not differ.

    Attributes:
        means: Group -> mean of the feature.
        largest_difference: Largest gap of two means in pooled standard deviations; null where groups differ and names
            within a group do not.
    """

    means: dict[str, Number]
    largest_difference: Number


class SelfCheck(Record):
    """How often one test rejects on names of one group that were split at random, where there is nothing to find.

    Attributes:
        test: Name of the test.
        rejected: Share of the splits in which it rejects at 5 %.
        splits: Number of splits.
        low: Lower end of the exact interval of the share; the intervals of all tests hold together at 99 %.
        high: Upper end.
        naive: Whether the test takes cells for independent, shown as what not to do.
        holds: Whether the share is compatible with 5 %, or below it.
    """

    test: str
    rejected: float
    splits: int
    low: float
    high: float
    naive: bool
    holds: bool


class Control(Record):
    """How much a change that says nothing about a person moves scores.

    Attributes:
        name: What was changed.
        shift: Mean absolute score shift, in standard deviations.
        flip: Share of jobs and résumés for which the decision turns.
    """

    name: str
    shift: Number
    flip: Number


class TitleEffect(Record):
    """A mean over job titles.

    Attributes:
        difference: The mean with its interval (t over titles).
        p_value: By flipping signs over titles.
    """

    difference: Measured
    p_value: Number


class TitleRow(Record):
    """One job title in two grammatical genders.

    Attributes:
        language: Code of the language.
        masculine: The masculine form.
        feminine: The feminine form.
        shift: Mean score of the feminine form less that of the masculine, in standard deviations of its scores.
        apart: 1 - RBO of the rankings of the two forms.
        typo: 1 - RBO of the rankings of the masculine form with and without a typo.
    """

    language: str
    masculine: str
    feminine: str
    shift: Number
    apart: Number
    typo: Number


class GenderedTitles(Record):
    """What the grammatical gender of job titles does to scores and rankings.

    Attributes:
        score: Score of the feminine form less that of the masculine, in standard deviations of a title's scores.
        apart: 1 - RBO of the rankings of the two forms, less that of a typo.
        between_forms: Mean 1 - RBO of the two forms.
        typo: Mean 1 - RBO of a typo.
        titles: The rows behind.
    """

    score: TitleEffect
    apart: TitleEffect
    between_forms: Number
    typo: Number
    titles: tuple[TitleRow, ...]


class Leakage(Record):
    """How well a linear probe reads an attribute off the vectors of names that it has not seen.

    Attributes:
        attribute: What is read.
        accuracy: Balanced accuracy on unseen names, 0 to 1.
        chance: What guessing gives.
        p_value: By permutation.
        on_own_names: Balanced accuracy on the names that the probe was fitted on.
        compression: How many times shorter the groups can be told to somebody who has the vectors.
    """

    attribute: str
    accuracy: Number
    chance: float
    p_value: Number
    on_own_names: Number
    compression: Number


class WordAssociation(Record):
    """Two groups of names against two sets of words (WEAT).

    Attributes:
        attribute: Of the groups.
        first: One group.
        second: The other.
        words: The two sets of words, as `senior - junior`.
        effect: Difference of the mean associations in standard deviations, -2 to 2; null where all are equal.
        p_value: Two-sided, over divisions of the names.
        divisions: How many divisions were looked at.
        exact: Whether these were all.
        p_bh: Corrected over all rows by Benjamini and Hochberg.
    """

    attribute: str
    first: str
    second: str
    words: str
    effect: Number
    p_value: Number
    divisions: int
    exact: bool
    p_bh: Number


class MitigationState(Record):
    """The audited model before or after a mitigation, on names that no eraser was fitted on.

    Attributes:
        largest_gap: Largest score gap of two groups, in standard deviations.
        leakage: Attribute -> balanced accuracy of a probe on unseen names.
        utility: Metric of the task that must not suffer.
    """

    largest_gap: Number
    leakage: dict[str, Number]
    utility: Number


class Mitigation(Record):
    """One way to reduce gaps, before and after.

    Attributes:
        way: Which.
        metric: Metric of the task that must not suffer.
        before: Without it.
        after: With it.
        leakage_on_its_own_names: Attribute -> what a probe reads off the names that the eraser was fitted on; empty for
            ways that are not fitted.
        cost: Embeddings for each text; null where it is one, as without.
        model: Folder of the saved model inside the run; null where none was saved.
    """

    way: str
    metric: str
    before: MitigationState
    after: MitigationState
    leakage_on_its_own_names: dict[str, Number] = Field(default_factory=dict)
    cost: int | None = None
    model: str | None = None


class Persons(Record):
    """People of a category.

    Attributes:
        selected: How many were selected, or scored above the median; null where a table of counts says nothing of the
            unknown.
        total: All.
    """

    selected: int | None
    total: int


class CategoryRow(Record):
    """One category of people, compared with the most selected one.

    Attributes:
        category: Its name.
        persons: Persons selected (or scored above the median), and all.
        share: Of all persons.
        share_of_known: Of the persons whose category is known; null for `unknown`.
        rate: Selection rate, with Wilson's interval.
        ratio: Impact ratio, at most 1; null for `unknown` and for small categories that are left out.
        below: Less than four fifths of the best rate; null where that is not asked: of scoring rates, and of categories
            that are not compared.
        z: Standard deviations from the best rate.
        p_value: Of the test named in `test`.
        test: `z` or `Fisher`, the latter where cells are small; empty for the best category.
        missing: Selections short of four fifths; null as `below`.
        note: `best`, `under 2 %`, `unknown` or empty; of `under 2 %, excluded` the printed tables show no row.
    """

    category: str
    persons: Persons
    share: Number
    share_of_known: Number = float("nan")
    rate: Measured
    ratio: Number
    below: bool | None
    z: Number
    p_value: Number
    test: str
    missing: int | None
    note: str


class StratifiedOdds(Record):
    """A category against the best one within jobs (Mantel-Haenszel).

    Attributes:
        odds_ratio: Common odds ratio of selection; null where undefined or infinite.
        statistic: Chi-square with one degree of freedom.
        p_value: Its p-value; null where no job can tell.
        strata: Jobs that hold both categories and both outcomes.
    """

    odds_ratio: Number
    statistic: Number
    p_value: Number
    strata: int


class WithinJobs(Record):
    """Categories compared within jobs.

    Attributes:
        best: The category that the others are compared with.
        rows: Category -> its odds.
    """

    best: str
    rows: dict[str, StratifiedOdds]


class DecisionTable(Record):
    """Selection or scoring rates of the categories of one attribute.

    Attributes:
        attribute: Column of the file, or several joined by ` x `.
        kind: Which rate.
        basis: Which rule defines the rate, and what it does not say.
        judged: Whether the verdict rests on it; not on what no rule asks for.
        rows: One for each category, `unknown` last.
        within_jobs: Comparisons within jobs; null where jobs are unknown.
    """

    attribute: str
    kind: str
    basis: str = ""
    judged: bool = False
    rows: tuple[CategoryRow, ...]
    within_jobs: WithinJobs | None = None


class DecisionGate(Record):
    """The verdict on the impact ratios of one table of real decisions.

    Attributes:
        attribute: As in the table.
        kind: As in the table.
        limit: Smallest ratio that is accepted, as the config chose it; no law sets it.
        category: The category with the lowest ratio; empty where nothing could be compared.
        best: The category it is compared with.
        ratio: Its impact ratio; the intervals of all pairs of a table hold together.
        p_value: Of equal rates of the two.
        p_holm: Corrected by Holm over all pairs of categories of all judged tables.
        verdict: Of this table.
        reason: Why nothing could be compared; empty where something was.
    """

    attribute: str
    kind: str
    limit: float
    category: str
    best: str
    ratio: Measured
    p_value: Number
    p_holm: Number
    verdict: Outcome
    reason: str = ""


class RealDecisions(Record):
    """The tables of the law, from recorded decisions about people.

    Attributes:
        persons: People in the tables.
        law: Where the definitions come from, and what they do not say.
        verdict: Of the limit on impact ratios, over all judged tables.
        gates: The verdict of each judged table.
        notes: What a reader must know beside the tables, in sentences.
        counted_by: Column with the number of people of a row; empty where each row is a person.
        dropped: Rows left out for want of a decision or a score.
        unknown: Attribute (or several joined by ` x `) -> people whose category is not known.
        unknown_answers: Attribute -> what counted as unknown -> people; the empty text is an empty cell.
        spellings: Attribute -> category -> its other spellings.
        tables: Each kind of rate by each attribute, by every two, and by all of them.
    """

    persons: int
    law: str
    verdict: Outcome = "inconclusive"
    gates: tuple[DecisionGate, ...] = ()
    notes: tuple[str, ...] = ()
    counted_by: str = ""
    dropped: int = 0
    unknown: dict[str, int] = Field(default_factory=dict)
    unknown_answers: dict[str, dict[str, int]] = Field(default_factory=dict)
    spellings: dict[str, dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    tables: tuple[DecisionTable, ...]


class BiasAuditRecord(CommandRecord):
    """All numbers of a bias audit.

    What was not asked for is empty: an audit of real decisions alone has no jobs, names, gates and attributes.

    Attributes:
        verdict: Of all gates together, those of real decisions included; `ok` where nothing was judged.
        notice: What the numbers of swapped names must not be taken for; empty where no names were swapped.
        confidence: Joint level of the intervals of an attribute.
        limits: Ranges of the gates.
        headline_cut: Selected share that the gate on impact ratios looks at.
        jobs: Number of jobs.
        resumes: Number of résumés.
        names: Number of names.
        stimuli_sha256: Hash of every text that was shown; empty where none was.
        scoring: How the model compares texts; null for the cosine of whole vectors. Leakage, associations and
            mitigation are of whole vectors all the same.
        gates: The verdict of each gate on each attribute.
        attributes: Attribute of the names -> its groups compared.
        balance: Feature of the names -> how alike groups are in it.
        names_not_latin: Names that are not in Latin script.
        self_check: The A/A check; empty where a group has too few names.
        cues: Cue -> its versions compared.
        controls: Changes that say nothing about a person.
        titles: Job titles in two grammatical genders.
        leakage: One row for each attribute; only of models with vectors.
        associations: Groups of names against sets of words; only of models with vectors.
        mitigation: One row for each way of the config.
        decisions: Tables from real decisions.
        texts: Texts that were written for another system to score; null where none were.
    """

    command: ClassVar[str] = "bias-audit"

    verdict: Outcome | Literal["ok"]
    notice: str = ""
    confidence: float
    limits: Limits
    headline_cut: float
    jobs: int = 0
    resumes: int = 0
    names: int = 0
    stimuli_sha256: str = ""
    scoring: Scoring | None = None
    gates: tuple[GateResult, ...] = ()
    attributes: dict[str, AttributeComparison] = Field(default_factory=dict)
    balance: dict[str, Balance] = Field(default_factory=dict)
    names_not_latin: int = 0
    self_check: tuple[SelfCheck, ...] = ()
    cues: dict[str, CueComparison] = Field(default_factory=dict)
    controls: tuple[Control, ...] = ()
    titles: GenderedTitles | None = None
    leakage: tuple[Leakage, ...] = ()
    associations: tuple[WordAssociation, ...] = ()
    mitigation: tuple[Mitigation, ...] = ()
    decisions: RealDecisions | None = None
    texts: int | None = None
