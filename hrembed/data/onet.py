"""The O*NET text database: occupations with titles, tasks, technologies and neighbours."""

from __future__ import annotations

import re
from collections import defaultdict
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from hrembed.data.layout import Form
from hrembed.data.taxonomy import Concept, Phrase, Source, across, distinct, phrase, without_common
from hrembed.text import normalise
from hrembed.types import Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.data.archive import Release
    from hrembed.data.taxonomy import Counts

MAX_TOOL_OCCUPATIONS = 50
_TEXT = Form(delimiter="\t", quoted=False)
_CODE = "O*NET-SOC Code"


def source(release: str) -> Source:
    """Say where the data comes from, as the licence of O*NET asks for it."""
    name = f"O*NET {release} Database"
    return Source(
        name=name,
        licence="CC BY 4.0",
        attribution=f"This work includes information from the {name} by the U.S. Department of Labor, Employment and "
        "Training Administration (USDOL/ETA). Used under the CC BY 4.0 license. O*NET® is a trademark of USDOL/ETA. "
        "hrembed has modified all or some of this information. USDOL/ETA has not approved, endorsed, or tested these "
        "modifications.",
        url="https://www.onetcenter.org/database.html",
    )


def download_url(release: str) -> str:
    """Address of the text database of a release."""
    return f"https://www.onetcenter.org/dl_files/database/{file_name(release)}"


def file_name(release: str) -> str:
    """Name under which a release is published."""
    return f"db_{release.replace('.', '_')}_text.zip"


def release_of(path: Path) -> str | None:
    """Read the number of a release off the official name of its ZIP or folder; None when it has another name."""
    named = re.fullmatch(r"db_(\d+)_(\d+)_text", path.name.removesuffix(".zip"))
    return ".".join(named.groups()) if named else None


def read_onet(release: Release, max_occupations: int, counts: Counts) -> list[Concept]:
    """Read all occupations.

    The family is the major group of the Standard Occupational Classification, the first two digits. Related
    occupations are those of the tiers that begin with "Primary".

    Args:
        release: The text database.
        max_occupations: Titles of more occupations are dropped.
        counts: Counts what is read and what is dropped.

    Raises:
        DataError: A file or column is missing, or a row is broken.
    """
    names = {row[_CODE]: row for row in _rows(release, "Occupation Data.txt", _OCCUPATION, unique=_CODE)}
    titles = _all_titles(release, {code: row["Title"] for code, row in names.items()}, counts)
    tasks, tools, related = _tasks(release, counts), _tools(release), _related(release)
    concepts = [
        Concept(
            id=f"onet:{code}",
            family=code[:2],
            titles=tuple(phrase("onet:title", title) for title in titles[code]),
            description=Phrase(f"onet:{code}:description", row["Description"].strip()),
            tasks=tuple(tasks[code].values()),
            tools=tuple(phrase("onet:technology", tool) for tool in distinct(tools[code])),
            related=tuple(f"onet:{other}" for other in related[code] if other in names),
        )
        for code, row in names.items()
    ]
    counts.add("occupations", len(concepts))
    counts.add("tasks", sum(len(concept.tasks) for concept in concepts))
    counts.add("technologies", sum(len(concept.tools) for concept in concepts))
    return without_common(concepts, "titles", max_occupations, counts, "titles")


def without_common_tools(concepts: Sequence[Concept], counts: Counts) -> list[Concept]:
    """Drop technologies that nearly everybody uses: as a positive they teach that all occupations are alike."""
    return without_common(concepts, "tools", MAX_TOOL_OCCUPATIONS, counts, "technologies")


# Columns of the titles and of the tools, by the name of their file: before and since release 30.3.
_TITLES = {
    "Alternate Titles.txt": ("Alternate Title", "Short Title"),
    "Job Titles.txt": ("Job Title", "Short Title"),
}
_TOOLS = {"Technology Skills.txt": "Example", "Software Skills.txt": "Workplace Example"}
_OCCUPATION = (_CODE, "Title", "Description")


def _rows(
    release: Release, name: str, filled: Sequence[str], others: Sequence[str] = (), unique: str = ""
) -> Iterator[Mapping[str, str]]:
    return release.rows(release.need(name), (*filled, *others), _TEXT, filled=filled, unique=unique)


def _all_titles(release: Release, canonical: dict[str, str], counts: Counts) -> dict[str, list[str]]:
    """Canonical title first, then alternate, short and reported ones, no two with the same words."""
    titles_of = {code: [title] for code, title in canonical.items()}
    alternate = release.need(*_TITLES)
    sources = (
        (alternate, _TITLES[alternate]),
        ("Sample of Reported Titles.txt", ("Reported Job Title",)),
    )
    for name, columns in sources:
        for row in _rows(release, name, (_CODE,), columns):
            titles_of.setdefault(row[_CODE], []).extend(row[column] for column in columns if _is_title(row[column]))
    distinct_of = {code: distinct(titles) for code, titles in titles_of.items()}
    counts.add("titles read", sum(map(len, titles_of.values())))
    counts.add("titles dropped: same words twice in one occupation", _total(titles_of) - _total(distinct_of))
    return distinct_of


def _total(titles: dict[str, list[str]]) -> int:
    return sum(map(len, titles.values()))


def _is_title(text: str) -> bool:
    return text.strip().lower() not in {"", "n/a"}


def _tasks(release: Release, counts: Counts) -> dict[str, dict[str, Phrase]]:
    """Occupation to its tasks by their words, no two with the same."""
    tasks_of: dict[str, dict[str, Phrase]] = defaultdict(dict)
    read = 0
    for row in _rows(release, "Task Statements.txt", (_CODE, "Task ID", "Task"), unique="Task ID"):
        task = Phrase(f"onet:task:{row['Task ID']}", row["Task"].strip())
        tasks_of[row[_CODE]].setdefault(normalise(task.text), task)
        read += 1
    counts.add("tasks dropped: same words twice in one occupation", read - sum(map(len, tasks_of.values())))
    return tasks_of


def _tools(release: Release) -> dict[str, list[str]]:
    tools_of: dict[str, list[str]] = defaultdict(list)
    name = release.need(*_TOOLS)
    for row in _rows(release, name, (_CODE,), (_TOOLS[name],)):
        tools_of[row[_CODE]].append(row[_TOOLS[name]])
    return tools_of


def _related(release: Release) -> dict[str, list[str]]:
    related_to: dict[str, list[str]] = defaultdict(list)
    wanted = (_CODE, "Related O*NET-SOC Code", "Relatedness Tier")
    for row in _rows(release, "Related Occupations.txt", wanted):
        if row["Relatedness Tier"].startswith("Primary"):
            related_to[row[_CODE]].append(row["Related O*NET-SOC Code"])
    return related_to


def read_activities(release: Release, counts: Counts) -> list[Duties]:
    """Read which work activities each task of an occupation is an instance of.

    Returns:
        Occupations with their tasks; none when the release has no file of links.

    Raises:
        DataError: A column is missing, or a row is broken.
    """
    if not release.find(_ACTIVITIES):
        return []
    found: dict[str, dict[Phrase, list[Phrase]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(release, _ACTIVITIES, (_CODE, "Task ID", "Task", "DWA ID", "DWA Title")):
        task = Phrase(f"onet:task:{row['Task ID']}", row["Task"].strip())
        found[row[_CODE]][task].append(Phrase(f"onet:activity:{row['DWA ID']}", row["DWA Title"].strip().rstrip(".")))
    duties = [
        Duties(f"onet:{code}", tuple((task, tuple(activities)) for task, activities in tasks.items()))
        for code, tasks in found.items()
    ]
    counts.add("links of tasks to activities", sum(len(each) for one in duties for _, each in one.tasks))
    return duties


_ACTIVITIES = "Tasks to DWAs.txt"


class Duties(NamedTuple):
    """What the people of an occupation do.

    Attributes:
        id: The occupation.
        tasks: Each with the work activities that it is an instance of.
    """

    id: str
    tasks: tuple[tuple[Phrase, tuple[Phrase, ...]], ...]


def activity_pairs(duties: Duties, limit: int, seed: str) -> list[Pair]:
    """Pair tasks with the work activities that they are instances of; an activity is the group of its pairs.

    Args:
        duties: Of one occupation.
        limit: Most pairs.
        seed: Of the draw.
    """
    tasks = Random(f"{seed} activity {duties.id}").sample(duties.tasks, len(duties.tasks))
    pairs = [
        Pair(task.text, activity.text, activity.id, "activity", anchor_id=task.id, positive_id=activity.id)
        for task, activities in tasks
        for activity in activities
    ]
    return pairs[:limit]


class _Register(NamedTuple):
    """How an ad or a profile is written; `{…}` slots are filled in."""

    opening: str
    tools: str


AD_REGISTERS = (
    _Register("We are looking for: {title}. The work:", "You work with {tools}."),
    _Register("{title} (m/f/d), full time. What you will do:", "Experience with {tools} is required."),
    _Register("Job opening: {title}. Responsibilities:", "Tools in use: {tools}."),
    _Register("Our team needs you as {title}. Main duties:", "Knowledge of {tools} helps."),
)
PROFILE_REGISTERS = (
    _Register("Work so far:", "Software: {tools}."),
    _Register("{years} years in the job. In my current position:", "Good command of {tools}."),
    _Register("What I have done:", "I know {tools}."),
    _Register("Professional experience ({years} years):", "IT: {tools}."),
)
_PER_TEXT = 3


def ads_and_profiles(concept: Concept, ads: int, profiles: int, limit: int, seed: str) -> list[Pair]:
    """Compose ads and profiles of one occupation, and pair them.

    The tasks and technologies of the occupation are dealt into two hands, one for its ads and one for its
    profiles, so that an ad and a profile never share a sentence. A profile holds nothing else: no
    title, name, place or date, so it is anonymous by construction.

    Args:
        concept: The occupation; one with fewer than four tasks gives nothing.
        ads: How many ads.
        profiles: How many profiles.
        limit: Most pairs.
        seed: Of every draw.
    """
    if len(concept.tasks) < 4:
        return []
    rng = Random(f"{seed} ad-profile {concept.id}")
    tasks = rng.sample(concept.tasks, len(concept.tasks))
    tools = rng.sample(concept.tools, len(concept.tools))
    wanted = [_compose(rng, AD_REGISTERS, concept, tasks[::2], tools[::2]) for _ in range(ads)]
    offered = [_compose(rng, PROFILE_REGISTERS, concept, tasks[1::2], tools[1::2]) for _ in range(profiles)]
    left = [Phrase(f"{concept.id}:ad:{n}", text) for n, text in enumerate(dict.fromkeys(wanted))]
    right = [Phrase(f"{concept.id}:profile:{n}", text) for n, text in enumerate(dict.fromkeys(offered))]
    return [
        Pair(a.text, p.text, concept.id, "ad-profile", anchor_id=a.id, positive_id=p.id, family=concept.family)
        for a, p in across(left, right, limit, rng)
    ]


def _compose(
    rng: Random, registers: Sequence[_Register], concept: Concept, tasks: Sequence[Phrase], tools: Sequence[Phrase]
) -> str:
    register = rng.choice(registers)
    opening = register.opening.format(title=rng.choice(concept.titles).text, years=rng.randint(1, 30))
    lines = [opening, *(task.text for task in rng.sample(tasks, min(_PER_TEXT, len(tasks))))]
    if tools:
        named = [tool.text for tool in rng.sample(tools, min(_PER_TEXT, len(tools)))]
        lines.append(register.tools.format(tools=", ".join(named)))
    return " ".join(lines)
