"""Build `data/hr-core` from its source sentences: `python tools/build_hr_core.py data/hr-core`.

Everything is deterministic: the same sources give byte-equal files on every machine.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import yaml
from hrembed.data.split import SIDES
from hrembed.data.tasks import write_task
from hrembed.errors import DataError
from hrembed.files import write_jsonl, write_text
from hrembed.text import normalise
from hrembed.types import Task, Text

from hr_core_texts import Occupation, Skill, compose_ad, compose_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hrembed.records.data import SplitSide

SEED = "hr-core 1"
ADS, PROFILES, TRAIN_PROFILE_PAIRS = 4, 5, 4
SHARES = {"dev": 0.15, "test": 0.25}
# One family held by women, one held by men, one of desks; each gives a pair of neighbouring occupations.
AUDIT_FAMILIES = ("construction-trades", "nursing-and-personal-care", "software-and-it")
AUDIT_RESUMES = 2


def build(folder: Path) -> dict[str, int]:
    """Write splits, pairs, tasks, audit stimuli and `bias-language` beside `folder/source`.

    Returns:
        Number of rows written, by file.

    Raises:
        DataError: The sources break a rule of the corpus.
    """
    occupations = read_occupations(folder / "source" / "families")
    side_of = split_occupations(occupations)
    for old in SIDES:
        shutil.rmtree(folder / old, ignore_errors=True)
    rows = "".join(f"{o.id},{o.family},{o.title},{side_of[o.id]}\n" for o in occupations)
    write_text(folder / "occupations.csv", "id,family,title,split\n" + rows)
    counts: Counter[str] = Counter()
    for side in SIDES:
        some = [o for o in occupations if side_of[o.id] == side]
        if side == "train":
            counts += _write(folder / "pairs" / "train.jsonl", training_pairs(some))
        else:
            counts += _write_tasks(folder / side, some, side)
    counts += _write_audit(folder / "audit", [o for o in occupations if side_of[o.id] == "test"])
    counts += _write_bias_language(folder)
    return dict(counts)


def read_occupations(folder: Path) -> list[Occupation]:
    """Read every family, sorted by id.

    Raises:
        DataError: A text stands twice anywhere, or a neighbour is not mutual.
    """
    occupations = [
        Occupation(
            id=raw["id"],
            family=path.stem,
            title=raw["title"],
            neighbour=raw["neighbour"],
            titles=tuple(raw["titles"]),
            skills=tuple(Skill(s["name"], s["phrase"]) for s in raw["skills"]),
            duties=tuple(raw["duties"]),
            achievements=tuple(raw["achievements"]),
            qualification=raw["qualification"],
        )
        for path in sorted(folder.glob("*.yaml"))
        for raw in yaml.safe_load(path.read_text(encoding="utf-8"))["occupations"]
    ]
    _check(occupations)
    return sorted(occupations, key=lambda o: o.id)


def _check(occupations: Sequence[Occupation]) -> None:
    by_id = {o.id: o for o in occupations}
    for o in occupations:
        other = by_id.get(o.neighbour)
        if other is None or other.neighbour != o.id or other.family != o.family:
            raise DataError(f"{o.family}: the neighbour of '{o.id}' must name it back, in the same family")
    texts = Counter(normalise(text) for o in occupations for text in texts_of(o))
    twice = [text for text, count in texts.items() if count > 1]
    if twice:
        raise DataError(f"a text stands twice in the sources: '{twice[0]}'")


def texts_of(occupation: Occupation) -> list[str]:
    """Every text that belongs to an occupation alone."""
    o = occupation
    skills = [text for skill in o.skills for text in skill]
    return [o.title, *o.titles, *skills, *o.duties, *o.achievements, o.qualification]


def split_occupations(occupations: Sequence[Occupation]) -> dict[str, SplitSide]:
    """Give every pair of neighbours one side, spread evenly over the families.

    Returns:
        Occupation id to side: 25 % test, 15 % dev, the rest train.
    """
    families: dict[str, list[tuple[str, str]]] = {}
    for o in sorted(occupations, key=lambda o: o.id):
        if o.id < o.neighbour:
            families.setdefault(o.family, []).append((o.id, o.neighbour))
    rng = Random(f"{SEED} split")
    for pairs in families.values():
        rng.shuffle(pairs)
    # Round by round over shuffled families: the first pairs go to test, the next ones to dev.
    order = sorted(families)
    rng.shuffle(order)
    depth = max(len(pairs) for pairs in families.values())
    queue = [families[name][n] for n in range(depth) for name in order if n < len(families[name])]
    test = round(SHARES["test"] * len(queue))
    dev = round(SHARES["dev"] * len(queue))
    side: dict[int, SplitSide] = {
        n: "test" if n < test else "dev" if n < test + dev else "train" for n in range(len(queue))
    }
    return {id_: side[n] for n, pair in enumerate(queue) for id_ in pair}


def ads_of(o: Occupation, side: SplitSide) -> list[str]:
    """Distinct ads of an occupation, always the same ones."""
    return _distinct(lambda rng: compose_ad(o, side, rng), ADS, f"{SEED} ad {o.id}")


def profiles_of(o: Occupation, side: SplitSide) -> list[str]:
    """Distinct profiles of an occupation, always the same ones."""
    return _distinct(lambda rng: compose_profile(o, side, rng), PROFILES, f"{SEED} profile {o.id}")


def _distinct(compose: Callable[[Random], str], count: int, seed: str) -> list[str]:
    rng, texts = Random(seed), dict[str, None]()
    while len(texts) < count:
        texts[compose(rng)] = None
    return list(texts)


def training_pairs(occupations: Sequence[Occupation]) -> list[dict[str, str]]:
    """Pairs of three kinds: title to canonical title, described skill to skill, ad to profile."""
    rows = []
    for o in occupations:
        rng = Random(f"{SEED} pairs {o.id}")
        ads, profiles = enumerate(ads_of(o, "train")), list(enumerate(profiles_of(o, "train")))
        both = [(ad, profile) for ad in ads for profile in profiles]
        rows += [_pair(o, "title", (f"title-{n}", text), ("title", o.title)) for n, text in enumerate(o.titles)]
        rows += [
            _pair(o, "skill", (f"phrase-{n}", skill.phrase), (f"skill-{n}", skill.name))
            for n, skill in enumerate(o.skills)
        ]
        rows += [
            _pair(o, "ad-profile", (f"ad-{a}", ad), (f"profile-{p}", profile))
            for (a, ad), (p, profile) in rng.sample(both, TRAIN_PROFILE_PAIRS)
        ]
    return rows


def _pair(o: Occupation, kind: str, anchor: tuple[str, str], positive: tuple[str, str]) -> dict[str, str]:
    """One row; both sides come as what they are and their text."""
    return {
        "anchor": anchor[1],
        "positive": positive[1],
        "group": o.id,
        "kind": kind,
        "anchor_id": f"{o.id}/{anchor[0]}",
        "positive_id": f"{o.id}/{positive[0]}",
        "family": o.family,
    }


def _write_tasks(folder: Path, occupations: Sequence[Occupation], side: SplitSide) -> Counter[str]:
    titles = {o.id: (o.title, o.id) for o in occupations}
    title_queries = {f"{o.id}-{n}": (t, o.id) for o in occupations for n, t in enumerate(o.titles)}
    title_qrels = {q: {group: 1} for q, (_, group) in title_queries.items()}
    counts = _write_task(folder / "title", side, title_queries, titles, title_qrels)

    skills = {f"{o.id}-{n}": (s.name, o.id) for o in occupations for n, s in enumerate(o.skills)}
    phrases = {f"{o.id}-{n}": (s.phrase, o.id) for o in occupations for n, s in enumerate(o.skills)}
    counts += _write_task(folder / "skill", side, phrases, skills, {key: {key: 1} for key in phrases})

    ads = {f"ad-{o.id}-{n}": (text, o.id) for o in occupations for n, text in enumerate(ads_of(o, side))}
    profiles = {f"profile-{o.id}-{n}": (text, o.id) for o in occupations for n, text in enumerate(profiles_of(o, side))}
    neighbour = {o.id: o.neighbour for o in occupations}
    qrels = {
        query: {
            doc: 2 if other == group else 1
            for doc, (_, other) in profiles.items()
            if other in {group, neighbour[group]}
        }
        for query, (_, group) in ads.items()
    }
    return counts + _write_task(folder / "ad-profile", side, ads, profiles, qrels)


def _write_task(
    folder: Path,
    side: SplitSide,
    queries: Mapping[str, tuple[str, str]],
    documents: Mapping[str, tuple[str, str]],
    qrels: Mapping[str, Mapping[str, int]],
) -> Counter[str]:
    """Write a task of id to text and group, and count its rows by file."""
    texts = [tuple(Text(key, *text) for key, text in some.items()) for some in (queries, documents)]
    write_task(folder, side, Task(folder.name, texts[0], texts[1], qrels))
    place = "/".join(folder.parts[-2:])
    return Counter({f"{place}/queries.jsonl": len(queries), f"{place}/corpus.jsonl": len(documents)})


def _write_audit(folder: Path, test: Sequence[Occupation]) -> Counter[str]:
    """Write a job per occupation, and several résumés: near-equal applicants, between whom a name could decide."""
    chosen = [o for o in test if o.family in AUDIT_FAMILIES]
    jobs = {o.id: compose_ad(o, "test", Random(f"{SEED} audit job {o.id}")) for o in chosen}
    resumes = {
        (o.id, n): compose_profile(o, "test", Random(f"{SEED} audit resume {o.id} {n}"), header="{name}")
        for o in chosen
        for n in range(AUDIT_RESUMES)
    }
    return _write(
        folder / "jobs.jsonl", [{"_id": f"job-{id_}", "text": text, "occupation": id_} for id_, text in jobs.items()]
    ) + _write(
        folder / "resumes.jsonl",
        [{"_id": f"resume-{id_}-{n}", "text": text, "occupation": id_} for (id_, n), text in resumes.items()],
    )


def _write_bias_language(folder: Path) -> Counter[str]:
    sides: dict[SplitSide, list[dict[str, str]]] = {side: [] for side in SIDES}
    for path in sorted((folder / "source" / "bias-language").glob("*.yaml")):
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        kind, pairs = raw["kind"], list(enumerate(raw["pairs"]))
        Random(f"{SEED} bias {kind}").shuffle(pairs)
        test, dev = round(SHARES["test"] * len(pairs)), round(SHARES["dev"] * len(pairs))
        for place, (n, pair) in enumerate(pairs):
            side: SplitSide = "test" if place < test else "dev" if place < test + dev else "train"
            both = {"group": f"{kind}-{n}", "source": pair["source"], "kind": kind}
            sides[side].append({"text": pair["biased"], "label": "biased", **both})
            sides[side].append({"text": pair["neutral"], "label": "neutral", **both})
    counts: Counter[str] = Counter()
    for name, rows in sides.items():
        counts += _write(folder / "bias-language" / f"{name}.jsonl", rows)
    return counts


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> Counter[str]:
    write_jsonl(path, rows)
    return Counter({f"{path.parent.parent.name}/{path.parent.name}/{path.name}": len(rows)})


if __name__ == "__main__":
    for name, count in sorted(build(Path(sys.argv[1])).items()):
        sys.stdout.write(f"{count:6} {name}\n")
