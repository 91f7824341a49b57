"""Steps for all types of the catalogue, drawn by hypothesis or from a seed, and who turns them into events."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.support.histories_disputes import DisputeSpeech
from tests.support.histories_study import StudySpeech
from tests.support.histories_work import LabSpeech, WorkSpeech
from tests.support.histories_world import AMOUNTS, DAYS, TWISTS, Step

MAKERS = {
    "agreement.changed": "agreement",
    "credit.award-corrected": "corrected",
    "credit.awarded": "awarded",
    "credit.recognition-decided": "ruled",
    "credit.recognition-requested": "asked",
    "dispute.changed": "dispute",
    "enrollment.decided": "decided",
    "enrollment.plan-decided": "plan_decided",
    "enrollment.plan-proposed": "plan",
    "enrollment.requested": "requested",
    "enrollment.status-changed": "moved",
    "lab.access-decided": "answered",
    "lab.access-requested": "access",
    "lab.resource-changed": "resource",
    "lab.usage-recorded": "usage",
    "member.key-changed": "key",
    "member.profile-changed": "profile",
    "offering.changed": "offering",
    "practice.placement-changed": "placement",
    "project.changed": "project",
    "project.member-changed": "person",
    "student.erased": "erased",
    "talent.posting-changed": "posting",
    "teaching.appointment-changed": "appointment",
    "teaching.delivered": "delivered",
    "teaching.secondment-changed": "secondment",
    "transfer.achievement-changed": "achievement",
}
# What a history is mostly about: the next usual steps of a domain, and single events around them.
THEMES: dict[str, tuple[str, ...]] = {
    "study": (
        "go:agreement:0", "go:study", "go:study", "go:study", "go:study", "offering.changed", "enrollment.requested",
        "enrollment.decided", "enrollment.status-changed", "agreement.changed", "member.profile-changed",
    ),
    "plan": ("go:plan", "go:plan", "go:plan", "enrollment.plan-proposed", "enrollment.plan-decided", "go:study"),
    "credit": (
        "go:study", "go:study", "go:credit", "go:credit", "go:credit", "credit.awarded", "credit.award-corrected",
        "credit.recognition-requested", "credit.recognition-decided", "go:agreement:0", "member.profile-changed",
    ),
    "rules": (
        "go:rules", "go:study", "go:credit", "go:credit", "go:credit", "member.profile-changed", "credit.award-corrected",
        "credit.recognition-requested", "credit.recognition-decided",
    ),
    "practice": (
        "go:practice", "go:practice", "go:practice", "practice.placement-changed", "go:agreement:1", "project.changed",
        "lab.resource-changed", "credit.awarded",
    ),
    "teaching": (
        "go:teaching", "go:hours", "go:hours", "go:hours", "teaching.appointment-changed", "teaching.delivered",
        "go:agreement:2",
    ),
    "secondment": ("go:secondment", "go:secondment", "go:secondment", "teaching.secondment-changed", "go:agreement:3"),
    "lab": (
        "go:lab", "go:lab", "go:lab", "go:lab", "lab.resource-changed", "lab.access-requested", "lab.access-decided",
        "lab.usage-recorded", "project.changed",
    ),
    "transfer": (
        "go:transfer", "go:transfer", "transfer.achievement-changed", "project.changed", "project.member-changed",
    ),
    "talent": ("go:talent", "go:talent", "talent.posting-changed", "member.profile-changed"),
    "dispute": (
        "go:dispute", "go:dispute", "go:dispute", "go:credit", "go:credit", "go:hours", "dispute.changed",
        "credit.award-corrected", "credit.recognition-requested", "credit.recognition-decided",
    ),
    "keys": (
        "member.key-changed", "member.key-changed", "member.key-changed", "student.erased", "offering.changed", "go:dispute",
    ),
}  # fmt: skip
WHICH = (0, 0, 0, 1, 1, 2, 2, 3)  # few things, so that some of them get far
TIMES_ON = (1, 1, 2, 3, 5)
SHIFTS = (0,) * 16 + (1, 1, -1, 2)
TIMES = ("tick", "tick", "tick", "late", "late", "again", "other")


class Speaker(StudySpeech, WorkSpeech, LabSpeech, DisputeSpeech):
    """Makes the event of a step."""

    def record(self, step: Step) -> Any:
        """The event, not said yet."""
        event, *going = step.what.split(":")
        if len(going) > 1:
            step = replace(step, which=int(going[1]))
        maker: Callable[[Step], Any] = getattr(self, f"go_{going[0]}" if going else MAKERS[event])
        return maker(step)


def step_of(number: int, theme: str) -> Step:
    """The step that a large number stands for, in a history about a theme."""

    def take(options: Any) -> Any:
        nonlocal number
        number, place = divmod(number, len(options))
        return options[place]

    turn = take(range(20))
    if turn < 4:
        return Step(take(TIMES), take(range(64)), take(range(8)), twist=take(THEME_NAMES))
    what = take(THEMES[theme] if turn < 18 else tuple(MAKERS))
    going = what.startswith("go:")
    return Step(
        what, take(WHICH), take(range(8)), take(range(len(AMOUNTS))), take(range(len(DAYS))),
        twist=take(TWISTS) if take(range(14 if going else 3)) == 0 else "",
        shift=take(SHIFTS) if not going or take(range(4)) == 0 else 0, keep=take(range(24)) == 0,
        times=take(TIMES_ON) if going else 1,
    )  # fmt: skip


THEME_NAMES = tuple(THEMES)
SPAN = 20 * 24 * 8 * 8 * 8 * 9 * 14 * 15 * 4 * 20 * 24 * 5


def steps(theme: str) -> st.SearchStrategy[Step]:
    """Any step of a history about a theme."""
    return st.integers(0, SPAN).map(lambda number: step_of(number, theme))


def drawn(seed: int, length: int) -> list[Step]:
    """A history of that length from a seed, about one theme."""
    rng = random.Random(seed)
    theme = THEME_NAMES[seed % len(THEME_NAMES)]
    return [step_of(rng.randrange(SPAN), theme) for _ in range(length)]
