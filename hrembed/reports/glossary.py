"""What the words of a result mean: the one source of the glossary in the docs and of explanations on pages."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple


class Term(NamedTuple):
    """A word of a result.

    Attributes:
        name: How it is written in the middle of a sentence.
        meaning: One sentence, or two, that a reader needs who sees the word for the first time.
        also: Other spellings in tables, pages and settings, as they stand there.
    """

    name: str
    meaning: str
    also: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """Name of its place on a page."""
        return "term-" + re.sub(r"\W+", "-", self.name.lower()).strip("-")


GLOSSARY: dict[str, tuple[Term, ...]] = {
    "Search": (
        Term("query", "The text that is searched with: a job ad, a job title, a sentence.", ("queries",)),
        Term("document", "A text that is searched: a résumé, a title, a skill."),
        Term("corpus", "All documents of a task."),
        Term("qrels", "Judgements: which document answers which query, and how well (its grade)."),
        Term("embedding", "A text as a vector, a row of some hundred numbers; texts of like meaning should lie close."),
        Term("cosine", "How close two vectors point, from -1 to 1; the usual score of a query and a document."),
        Term("BM25", "Keyword search as most search engines do it; what an embedding model has to beat."),
        Term("TF-IDF", "Texts compared by the words that they share, rare words counting more."),
        Term("baseline", "What a model is compared with, for example BM25 or the model in use."),
        Term("base", "The model before it was fine-tuned."),
        Term(
            "nDCG@10",
            "How well the first ten results are ordered, from 0 to 1: relevant ones first is 1, and a relevant one "
            "counts less the lower it stands.",
            ("ndcg@10",),
        ),
        Term("MRR", "Mean reciprocal rank: 1 where the first result is right, 1/2 where it is the second, and so on."),
        Term("MAP", "Mean average precision: how early all relevant documents come, from 0 to 1."),
        Term("recall", "The share of all relevant documents that stand among the first results."),
        Term("precision", "The share of the first results that is relevant."),
        Term("headline metric", "The metric of a task on which models are compared."),
        Term("slice", "A part of the queries, such as long ones; its score may differ from that of the whole."),
    ),
    "Certainty": (
        Term(
            "95 % interval",
            "The range of values that the data allow: if everything were repeated, 95 of 100 such intervals would "
            "hold the true value.",
            ("interval",),
        ),
        Term("unit", "What would be drawn anew if a measurement were repeated: occupations, queries or names."),
        Term("paired difference", "Two models compared query by query, which is surer than two means compared."),
        Term("p-value", "How often chance alone gives a difference at least as large where there is none."),
        Term(
            "Holm",
            "A correction for looking at many differences at once, named after Holm (1979): with it, the chance of "
            "even one false finding among them stays below 5 %.",
            ("p (Holm)", "p_holm"),
        ),
        Term(
            "Benjamini-Hochberg",
            "A milder correction than Holm's: of what is found, about 5 % may be false. Used where nothing is decided.",
            ("p (BH)", "p_bh"),
        ),
        Term("bootstrap", "Drawing the units again and again, with repetition, to see how far a number moves."),
        Term(
            "detectable difference",
            "The smallest true difference that the comparison would have found in four of five repetitions. "
            "Smaller ones may exist and stay unseen.",
            ("detectable", "would be seen"),
        ),
        Term("δ", "The largest difference that does not matter to the user: a setting, not a result."),
        Term("power", "The chance that a test finds a difference which is there; more queries or names raise it."),
        Term("cannot tell", "The data are compatible with a gain and with a loss; more queries are needed."),
        Term("pass", "The whole interval lies inside the limit. Not significant alone is no pass."),
        Term("fail", "An effect lies beyond the limit, and stays significant once all checks are counted."),
        Term("inconclusive", "Neither pass nor fail: with these data nobody can tell. The page says how many more."),
        Term("margin", "The loss that a gate still allows; an engineering choice of whoever wrote the config."),
    ),
    "Training": (
        Term("anchor", "The first text of a training pair, in the place of the query."),
        Term("positive", "The text that belongs to an anchor."),
        Term("negative", "A text that does not belong to the anchor, from which training moves it away."),
        Term("hard negative", "A negative that looks like an answer and is none.", ("mined negative",)),
        Term("false negative", "A text that training takes for a negative although it is an answer."),
        Term("group", "The occupation, skill or job that texts belong to; never on two sides of a split."),
        Term("leak", "Training data that show an answer of a task; a score on such a task proves nothing."),
        Term("dev task", "The task that chooses when to stop; its score is therefore a little flattering."),
        Term("test task", "A task that chose nothing, so that its score can be believed.", ("proof",)),
        Term("adapter", "A small set of numbers that is trained in the place of the whole model.", ("LoRA",)),
        Term("retention", "What a model still can outside of hiring after training, on general questions."),
        Term("strength", "How much of a training's change is kept, from 0 (the base) to 1 (all of it)."),
        Term("drift", "Newer data that differ from those a model was trained on."),
    ),
    "Fairness": (
        Term("name swap", "The same résumé under different names; what differs in the scores is due to the name."),
        Term(
            "score gap",
            "How far the names of one group move a résumé's score against those of another, in standard deviations.",
            ("SD gap", "gap"),
        ),
        Term(
            "standard deviation",
            "The usual distance of a job's scores from their mean, over résumés without names: the unit of score gaps.",
            ("SD",),
        ),
        Term("selection rate", "The share of a group that stands among the first, for example in the top 10 %."),
        Term(
            "impact ratio",
            "The selection rate of one group divided by that of another: 1 is equal, 0.8 means four selected where "
            "the other group has five.",
            ("lowest impact ratio",),
        ),
        Term("headline cut", "The share of candidates, such as the top 10 %, on which the verdict rests."),
        Term(
            "four-fifths rule",
            "A rule of thumb of United States federal guidelines (29 CFR 1607.4(D)): a selection rate below 0.8 of the "
            "highest is a sign to look closer. It is no proof, and no general law.",
            ("four fifths", "4/5"),
        ),
        Term(
            "excess",
            "What two names of different groups move beyond what two names of one group do; any other name moves "
            "a score a little.",
        ),
        Term("flip", "A decision that turns (in the top, or not) when only the name changes."),
        Term("leakage", "How often a simple classifier reads a name's group off the vectors of unseen names."),
        Term("cue", "Another sign of a group than the name: pronouns, a year of graduation, an address."),
        Term("control", "A change that should mean nothing, such as a typo, beside which an effect is seen."),
        Term("A/A check", "Equal groups compared: each test should find something in about 5 % of such splits."),
        Term(
            "WEAT", "Word Embedding Association Test: which words lie near names of a group. No decision, so no gate."
        ),
        Term("LEACE", "A map that takes what a linear classifier can read of a group out of vectors."),
        Term("Mantel-Haenszel", "Groups compared within each job, then over all jobs together."),
        Term("Fisher's exact test", "A test of selection rates that also holds for few people."),
        Term(
            "test data",
            "Made-up cases, such as swapped names, in the place of real decisions; by itself no audit under Local "
            "Law 144 of New York City.",
        ),
    ),
    "Decisions": (
        Term("gate", "The checks that a model has to pass before it may go live."),
        Term("waiver", "A written permission for one check to fail, with an owner, a reason and a last day."),
        Term("registry", "Who put which model into use or took it out, when and why (`runs/registry.json`)."),
        Term("bridge", "A map that lets a new model search vectors stored by the old one."),
        Term("Pareto front", "The models to which no other is better in one respect and as good in all others."),
    ),
}
"""Title of a part to its terms, in the order in which a reader meets them."""


def lookup() -> dict[str, str]:
    """Every spelling of every term to its meaning, for explanations beside a text."""
    return {
        spelling: term.meaning for terms in GLOSSARY.values() for term in terms for spelling in (term.name, *term.also)
    }


# Words that pages also say in an ordinary sense, or in every line: listed where they are said, but not marked.
_ORDINARY = {
    "4/5", "base", "bridge", "control", "corpus", "cue", "document", "drift", "fail", "flip", "gap", "gate", "group",
    "interval", "leak", "negative", "pass", "positive", "power", "precision", "proof", "queries", "query", "recall",
    "registry", "slice", "test data", "unit",
}  # fmt: skip


@cache
def _spellings() -> tuple[re.Pattern[str], dict[str, Term]]:
    terms = {
        spelling.lower(): term
        for part in GLOSSARY.values()
        for term in part
        for spelling in (term.name, *term.also)
        if spelling not in _ORDINARY
    }
    longest_first = sorted(terms, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest_first))})s?(?![\w-])", re.IGNORECASE), terms


def terms_in(text: str) -> list[tuple[int, int, Term]]:
    """Find words of the glossary in a text: where each begins and ends, and which it is, from left to right."""
    pattern, terms = _spellings()
    found = []
    for match in pattern.finditer(text):
        said = match.group().lower()
        found.append((match.start(), match.end(), terms.get(said) or terms[said.removesuffix("s")]))
    return found
