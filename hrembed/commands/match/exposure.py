"""What groups of people get of a ranking: reported, and acted on only where the config says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.data.locate import locate
from hrembed.data.read import read_table
from hrembed.errors import ConfigError, DataError
from hrembed.files import sha256
from hrembed.metrics.group_reranking import det_greedy, fair_star
from hrembed.metrics.representation import attention_shares, every_top_p, min_skew, shares_at, too_few_p
from hrembed.metrics.shares import skew
from hrembed.records.match import Exposure, GroupAtCut, GroupExposure
from hrembed.registry import nearest
from hrembed.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hrembed.config.match import GroupsSection
    from hrembed.types import Floats, Ints

WARNING = (
    "candidates were reordered by group ({method}). Treating candidates differently because of a protected attribute "
    "may itself be unlawful, whatever its aim; obtain legal advice before anyone acts on this order. `original_rank` "
    "holds the order before"
)
NOT_A_TEST = (
    "Exposure describes a ranking. It is not an impact ratio of selected people, not a Local Law 144 audit, and no "
    "finding of discrimination; a low p-value says that chance alone seldom puts so few there."
)


class Groups(NamedTuple):
    """Who is of which group, among the candidates that meet the conditions.

    Attributes:
        names: Groups that are reported, sorted.
        label: Id to the number of its group.
        pool: Members of each group among them, shape (G,).
        small: Groups that are too small to be reported.
        unknown: Candidates that stand in no row of the file.
        file_sha256: Hash of the file.
    """

    names: tuple[str, ...]
    label: Mapping[str, int]
    pool: Ints
    small: tuple[str, ...]
    unknown: int
    file_sha256: str

    def labels(self, ids: Iterable[str]) -> Ints:
        """Number of each candidate's group, -1 where it is not known."""
        return np.array([self.label.get(id_, -1) for id_ in ids], dtype=np.int64)


def read_groups(section: GroupsSection, matching: Sequence[str]) -> Groups | None:
    """Read the file of groups; None where none is asked for.

    Args:
        section: Settings.
        matching: Ids of all candidates that meet the conditions.

    Raises:
        DataError: The file is missing or malformed, an id stands in it twice, or it knows none of the candidates.
        ConfigError: The protected group is not in it.
    """
    if section.file is None:
        return None
    file = locate(section.file)
    group_of: dict[str, str] = {}
    for line, row in read_table(file, ("id", "group"), used=("id", "group").__contains__):
        id_, group = row["id"], row["group"].strip()
        if group_of.setdefault(id_, group) != group:
            raise DataError(f"{file}:{line}: id '{printable(id_)}' is in two groups")
    known = {id_: group_of[id_] for id_ in matching if group_of.get(id_)}
    if not known:
        raise DataError(
            f"'{file}' has a group for none of the {len(matching):,} candidates that meet the conditions",
            hint="its column `id` must hold the ids of the index",
        )
    sizes: dict[str, int] = {}
    for group in known.values():
        sizes[group] = sizes.get(group, 0) + 1
    names = tuple(sorted(name for name, size in sizes.items() if size >= section.smallest))
    wanted = section.rerank.protected
    if wanted is not None and wanted not in names:
        raise ConfigError(
            f"`groups.rerank.protected`: '{file}' has no group '{wanted}' of at least {section.smallest} candidates"
            f"{nearest(wanted, names)}",
            hint=f"its groups: {', '.join(names) or 'none'}",
        )
    number = {name: n for n, name in enumerate(names)}
    return Groups(
        names,
        {id_: number[group] for id_, group in known.items() if group in number},
        np.array([sizes[name] for name in names], dtype=np.int64),
        tuple(sorted(set(sizes) - set(names))),
        len(matching) - len(known),
        sha256(file),
    )


def reranked_places(groups: Groups, ids: Sequence[str], section: GroupsSection, k: int) -> list[int]:
    """Old places in the order that gives groups their places.

    Args:
        groups: Who is of which group.
        ids: Candidates by rank.
        section: Which method.
        k: Places to fill.
    """
    labels = groups.labels(ids)
    if section.rerank.method == "det-greedy":
        order = det_greedy(labels, groups.pool / groups.pool.sum(), k)
    else:
        number = groups.names.index(str(section.rerank.protected))
        members, pool = int(groups.pool[number]), max(int(groups.pool.sum()), len(ids))
        order = fair_star(labels == number, alpha=section.rerank.alpha, k=k, members=members, pool=pool)
    return [int(place) for place in order]


def exposure_of(groups: Groups, lists: Sequence[Sequence[str]], section: GroupsSection) -> Exposure:
    """Say what groups get of some rankings; over several, counts and shares are means and nothing is tested.

    Args:
        groups: Who is of which group.
        lists: Ids by rank, one list for each job.
        section: Cuts.
    """
    labels = [groups.labels(ids) for ids in lists]
    count, total = len(groups.names), int(groups.pool.sum())
    target = groups.pool / total if total else np.full(count, np.nan)
    attention = _mean([attention_shares(own, count) for own in labels], count)
    depth = max((len(ids) for ids in lists), default=0)
    cuts = [cut for cut in section.cuts if cut <= depth] or [depth]
    shares = {cut: _mean([shares_at(own, count, cut) for own in labels], count) for cut in cuts}
    return Exposure(
        file_sha256=groups.file_sha256,
        jobs=len(lists),
        depth=depth,
        pool=total,
        unknown=groups.unknown,
        small=groups.small,
        groups={
            name: GroupExposure(
                pool=int(groups.pool[n]),
                pool_share=float(target[n]),
                attention=float(attention[n]),
                attention_ratio=float(attention[n] / target[n]),
                every_top_p=_every_top(labels, n, groups) if len(lists) == 1 else float("nan"),
                cuts={cut: _at_cut(labels, n, cut, shares[cut], target, groups) for cut in cuts},
            )
            for n, name in enumerate(groups.names)
        },
        min_skew={cut: min_skew(shares[cut], target) if count else float("nan") for cut in cuts},
        reranked=section.rerank.method,
    )


def _mean(rows: Sequence[Floats], count: int) -> Floats:
    defined = [row for row in rows if not np.isnan(row).any()]
    return np.mean(defined, axis=0) if defined else np.full(count, np.nan)


def _known(labels: Ints) -> Ints:
    """Only candidates whose group is known are drawn from the pool of those."""
    return labels[labels >= 0]


def _every_top(labels: Sequence[Ints], number: int, groups: Groups) -> float:
    own = _known(labels[0])
    return every_top_p(own == number, int(groups.pool[number]), int(groups.pool.sum())) if len(own) else float("nan")


def _at_cut(
    labels: Sequence[Ints], number: int, cut: int, shares: Floats, target: Floats, groups: Groups
) -> GroupAtCut:
    found = [int((own[:cut] == number).sum()) for own in labels]
    known = len(_known(labels[0][:cut])) if labels else 0
    p_value = float("nan")
    if len(labels) == 1 and known:
        p_value = too_few_p(found[0], known, int(groups.pool[number]), int(groups.pool.sum()))
    return GroupAtCut(
        count=float(np.mean(found)),
        share=float(shares[number]),
        skew=float(skew(shares[number : number + 1], target[number : number + 1])[0]),
        p_value=p_value,
    )
