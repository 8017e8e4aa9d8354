"""ESCO: occupations and skills with all their labels, in the files of the Commission or of Tabiya."""

from __future__ import annotations

import re
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from hrembed.data.layout import Form
from hrembed.data.taxonomy import Concept, Phrase, Source, distinct, phrase, without_common
from hrembed.errors import DataError
from hrembed.records.tables import report_table
from hrembed.text import normalise
from hrembed.types import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.data.archive import Release
    from hrembed.data.taxonomy import Counts

SOURCE = Source(
    name="ESCO",
    licence="reuse with attribution (Commission Decision 2011/833/EU)",
    attribution="This product uses the ESCO classification of the European Commission. hrembed has modified it.",
    url="https://esco.ec.europa.eu/en/use-esco/download",
)
SKILL_KINDS = {"skill", "skill-description", "joined-skill"}
FILE_NAME = "ESCO dataset - v1.2.0 - classification - en - csv.zip"
_CSV = Form()
# Column: its name in the official files, its name in Tabiya's.
_URI, _ISCO = ("conceptUri", "ORIGINURI"), ("iscoGroup", "ISCOGROUPCODE")
_LABEL, _OTHERS, _ABOUT = (
    ("preferredLabel", "PREFERREDLABEL"),
    ("altLabels", "ALTLABELS"),
    ("description", "DESCRIPTION"),
)
_TABIYA = ("occupations.csv", "skills.csv", "occupation_to_skill_relations.csv")
_LABELS = ("skill_labels.csv.gz", "skill_labels.csv")
_DESCRIPTIONS = ("skill_descriptions.csv.gz", "skill_descriptions.csv")
_JOINED = (2, 3, 4)
_LINES_OF_ADS = (
    "Experience with {}.",
    "Knowledge of {} is required.",
    "What you bring: {}.",
    "What you will do: {}.",
    "* {}",
)


class _Files(NamedTuple):
    """Names of the files of a release.

    Attributes:
        form: 0 for the Commission's files, 1 for Tabiya's.
        occupations: Occupations with their labels.
        skills: Skills with their labels.
        relations: Which occupation needs which skill.
    """

    form: int
    occupations: str
    skills: str
    relations: str


def _files(release: Release) -> _Files:
    """Tell the form of a release and its language; of several languages, English is read, and the others are named.

    Raises:
        DataError: Several languages, and English is none of them.
    """
    found = (re.fullmatch(r"occupations_([a-z]{2,3}(?:-[a-z]+)?)\.csv", name.lower()) for name in release.names)
    languages = sorted(match[1] for match in found if match)
    if not languages and release.find(_TABIYA[0]):
        return _Files(1, *_TABIYA)
    language = languages[0] if len(languages) == 1 else "en"
    others = [other for other in languages if other != language]
    if language not in languages and others:
        raise DataError(
            f"'{release.path}' contains ESCO in several languages: {', '.join(others)}",
            hint="specify the folder of one language",
        )
    if others:
        note = (
            f"reading ESCO in '{language}'; ignoring {', '.join(others)} (to use another language, pass a "
            "folder that contains only that one)"
        )
        report_table(release.path, notes=[note])
    names = (f"{stem}_{language}.csv" for stem in ("occupations", "skills", "occupationSkillRelations"))
    return _Files(0, *names)


def read_occupations(release: Release, max_occupations: int, counts: Counts) -> list[Concept]:
    """Read all occupations, with their skills where the release says them.

    The family is the sub-major group of ISCO-08, the first two digits.

    Args:
        release: The CSV files.
        max_occupations: Labels of more occupations are dropped.
        counts: Counts what is read and what is dropped.

    Raises:
        DataError: The file of occupations or one of its columns is missing, or a row is broken.
    """
    files = _files(release)
    form, name = files.form, release.need(files.occupations)
    columns = [names[form] for names in (_URI, _LABEL, _ISCO, _OTHERS, _ABOUT)]
    skills = _skills_of_occupations(release, files)
    concepts = []
    wanted = [*columns, "ID"] if form else columns
    for row in release.rows(name, wanted, _CSV, filled=columns[:2], unique=columns[0]):
        uri, label, isco, others, about = (row[column] for column in columns)
        labels = [label, *_split(others)]
        titles = distinct(labels)
        counts.add("occupation labels read", len(labels))
        counts.add("occupation labels dropped: duplicates within an occupation", len(labels) - len(titles))
        key = _uuid(uri)
        concepts.append(
            Concept(
                id=f"esco:{key}",
                family=isco[:2],
                titles=tuple(phrase("esco:label", title) for title in titles),
                description=Phrase(f"esco:{key}:description", about.strip()) if about.strip() else None,
                tools=tuple(dict.fromkeys(skills.get(row["ID"] if form else uri, ()))),
            )
        )
    counts.add("occupations", len(concepts))
    return without_common(concepts, "titles", max_occupations, counts, "occupation labels")


def read_skills(release: Release, max_skills: int, counts: Counts, *, described: bool = False) -> list[Concept]:
    """Read all skills with their labels; the preferred one is first.

    Args:
        release: The CSV files.
        max_skills: Labels of more skills are dropped.
        counts: Counts what is read and what is dropped.
        described: Also read what each skill is, where the release says it.

    Returns:
        No skills when the release has no file of them.

    Raises:
        DataError: A column is missing, a row is broken, or a skill has no preferred label.
    """
    labels_of, descriptions = _labels_of_skills(release), _descriptions_of_skills(release) if described else {}
    concepts = []
    for key, labels in labels_of.items():
        distinct_labels = distinct(labels)
        counts.add("skill labels read", len(labels))
        counts.add("skill labels dropped: duplicates within a skill", len(labels) - len(distinct_labels))
        titles = [
            Phrase(f"esco:skill:{key}", distinct_labels[0]),
            *(phrase(f"esco:skill:{key}", label) for label in distinct_labels[1:]),
        ]
        about = descriptions.get(key, "")
        description = Phrase(f"esco:skill:{key}:description", about) if about else None
        concepts.append(Concept(id=f"esco-skill:{key}", family="", titles=tuple(titles), description=description))
    counts.add("skills", len(concepts))
    return without_common(concepts, "titles", max_skills, counts, "skill labels")


def joined_skill_pairs(skills: Sequence[Concept], limit: int, seed: str) -> Iterator[list[Pair]]:
    """Pair lines as of an ad, each of which names two to four skills by other labels, with what these are called.

    A line stands in the groups of all its skills, so that batches hold none of them as its negative. Skills are named
    by other labels than the preferred one, which could be found by its letters alone.

    Args:
        skills: All of them; one without another label stands in no line.
        limit: Most lines of a skill.
        seed: Of every draw.

    Yields:
        The pairs of one line.
    """
    rng = Random(f"{seed} joined-skill")
    others = [(skill, rng.sample(skill.titles[1:], min(limit, len(skill.titles) - 1))) for skill in skills]
    for turn in range(limit):
        named = [(skill, labels[turn]) for skill, labels in others if turn < len(labels)]
        rng.shuffle(named)
        start = 0
        while len(named) - start >= min(_JOINED):
            line = named[start : start + rng.choice(_JOINED)]
            start += len(line)
            *first, last = (label.text for _, label in line)
            text = rng.choice(_LINES_OF_ADS).format(f"{', '.join(first)} and {last}")
            ids = "+".join(label.id for _, label in line)
            yield [
                Pair(
                    text, skill.titles[0].text, skill.id, "joined-skill", anchor_id=ids, positive_id=skill.titles[0].id
                )
                for skill, _ in line
            ]


def _labels_of_skills(release: Release) -> dict[str, list[str]]:
    """Skill to its labels, the preferred one first."""
    files = _files(release)
    name, form = release.find(files.skills), files.form
    if name:
        columns = [names[form] for names in (_URI, _LABEL, _OTHERS)]
        rows = release.rows(name, columns, _CSV, filled=columns[:2], unique=columns[0])
        each = ([row[column] for column in columns] for row in rows)
        return {_uuid(uri): [label, *_split(others)] for uri, label, others in each}
    name = release.find(*_LABELS)
    if not name:
        return {}
    preferred: dict[str, str] = {}
    others_of: Mapping[str, list[str]] = defaultdict(list)
    columns = ["skill_id", "label_type", "label"]
    for row in release.rows(name, columns, _CSV, filled=columns[:2]):
        if row["label_type"] == "preferredLabel" and normalise(row["label"]):
            preferred[row["skill_id"]] = row["label"]
        else:
            others_of[row["skill_id"]].append(row["label"])
    for key in others_of:
        if key not in preferred:
            raise DataError(f"'{release.path}', file '{name}': skill '{key}' has no preferred label")
    return {key: [label, *others_of.get(key, ())] for key, label in preferred.items()}


def _descriptions_of_skills(release: Release) -> dict[str, str]:
    """Skill to what it is; empty where no file says it."""
    files = _files(release)
    name, form = release.find(files.skills), files.form
    if name:
        key, about = _URI[form], _ABOUT[form]
    else:
        name, key, about = release.find(*_DESCRIPTIONS), "skill_id", "description"
    if not name:
        return {}
    rows = release.rows(name, (key, about), _CSV, filled=(key,))
    return {_uuid(row[key]): " ".join(row[about].split()) for row in rows if row[about].strip()}


def _skills_of_occupations(release: Release, files: _Files) -> dict[str, list[Phrase]]:
    """Occupation (URI, or Tabiya's id) to the preferred labels of its skills."""
    form, relations, skills = files.form, release.find(files.relations), release.find(files.skills)
    if not relations or not skills:
        return {}
    key, label = ("ID" if form else _URI[0]), _LABEL[form]
    rows = release.rows(skills, (_URI[form], key, label), _CSV, filled=(_URI[form], key, label), unique=key)
    names = {row[key]: Phrase(f"esco:skill:{_uuid(row[_URI[form]])}", row[label].strip()) for row in rows}
    occupation, skill = ("OCCUPATIONID", "SKILLID") if form else ("occupationUri", "skillUri")
    skills_of: dict[str, list[Phrase]] = defaultdict(list)
    for row in release.rows(relations, (occupation, skill), _CSV):
        if row[skill] in names:
            skills_of[row[occupation]].append(names[row[skill]])
    return skills_of


def _split(labels: str) -> Sequence[str]:
    """Alternative labels stand on lines of their own, in some releases between bars."""
    return [label for line in labels.splitlines() for label in line.split(" | ") if label.strip()]


def _uuid(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]
