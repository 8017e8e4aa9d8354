"""Postings of one job, rows of one person, and sides that share neither."""

from __future__ import annotations

from random import Random

import pytest
from hrembed.data.ats import Ad, Application, Candidate
from hrembed.data.ats_groups import cases_of, divide, group_ads, group_persons
from hrembed.data.near_duplicates import Near

NEAR = Near(5, 0.2)
TEXT = "You will repair pumps and valves on night shifts and keep a log of every visit"
RESUME = " ".join(f"word{n}" for n in range(25))


def ad(key: str, title: str, text: str) -> Ad:
    return Ad(key, 1, title, text, "", ())


def candidate(key: str, text: str = "", email: str = "", *names: str) -> Candidate:
    return Candidate(key, 1, text, names, email, {})


def test_a_job_that_was_posted_again_is_one_job():
    ads = [
        ad("1", "Fitter", TEXT),
        ad("2", "FITTER", TEXT.replace("night", "early")),
        ad("3", "Welder", TEXT.replace("pumps", "tanks")),
        ad("4", "Baker", "You will bake bread before sunrise in a small shop with two others"),
        ad("5", "", ""),
        ad("6", "", ""),
    ]
    postings = group_ads(ads, NEAR)
    assert postings.job_of == {"1": "1", "2": "1", "3": "3", "4": "4", "5": "5", "6": "6"}
    assert postings.group_of == {"1": "1", "2": "1", "3": "1", "4": "4", "5": "5", "6": "6"}


def test_a_person_is_known_by_name_and_address_or_by_the_resume():
    rows = [
        candidate("a", "", "jo@x.example", "Jo", "Doe"),
        candidate("b", "", "jo@x.example", "Doe, Jo"),
        candidate("c", "", "jo@x.example", "Al Roe"),  # an agency sends both
        candidate("d", RESUME, "d@x.example", "Di"),
        candidate("e", RESUME.upper(), "e@x.example", "Di D"),
        candidate("f", "short text", "", "F"),
        candidate("g", "short text", "", "G"),
    ]
    assert group_persons(rows) == {"a": "a", "b": "a", "c": "c", "d": "d", "e": "d", "f": "f", "g": "g"}


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_applications_the_one_that_came_furthest_counts(order: int):
    stages = ["withdrawn", "rejected", "interview", "pending"][::order]
    made = [Application("j", "p", stage, "", {}) for stage in stages]
    (case,) = cases_of(made, {"j": "J"}, {"p": "P"})
    assert (case.job, case.person, case.stage, case.decided) == ("J", "P", "interview", True)


@pytest.mark.parametrize("seed", range(5))
def test_no_job_group_and_no_person_stands_on_two_sides(seed: int):
    rng = Random(seed)
    jobs = {f"j{n}": f"g{n // 2}" for n in range(40)}
    made = [
        Application(
            rng.choice([*jobs]), f"p{rng.randrange(60)}", rng.choice(["hired", "rejected", "withdrawn"]), "", {}
        )
        for _ in range(300)
    ]
    cases = cases_of(made, {job: job for job in jobs}, {f"p{n}": f"p{n}" for n in range(60)})
    family_of = dict.fromkeys(jobs.values(), "")
    sides = divide(cases, jobs, family_of, "shortlisted", dev=0.2, test=0.3, seed=seed)
    assert set(sides.of_group.values()) == {"train", "dev", "test"}
    kept = [case for case in cases if sides.of_group.get(jobs[case.job]) == sides.of_person.get(case.person)]
    people = {
        side: {case.person for case in kept if sides.of_person[case.person] == side} for side in ("train", "test")
    }
    assert people["train"]
    assert people["test"]
    assert not people["train"] & people["test"]
    # A person is where most of their positive cases are.
    for person, side in sides.of_person.items():
        of_side = {
            other: sum(
                case.person == person and case.stage == "hired" and sides.of_group[jobs[case.job]] == other
                for case in cases
                if case.person == person and jobs[case.job] in sides.of_group
            )
            for other in ("train", "dev", "test")
        }
        assert of_side[side] == max(of_side.values())
