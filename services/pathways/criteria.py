"""Criteria: what may exclude a service from a search, and what the codes and areas of services say to a search.

The published search (nhsd-a2si/docs-dos-api, Check Capacity Summary 1.5) filters in two stages. What fails the first
leaves no trace. What passes it and fails exactly one criterion of the second is a near miss (there: a gap).
"""

from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np

from services.pathways.columns import Register, Truths
from services.pathways.request import Area, Needs

Criterion = Literal[
    "active",
    "distance",
    "symptom group",
    "gender",
    "surgery",
    "capacity",
    "symptom discriminator",
    "disposition",
    "referral role",
    "age",
    "opening hours",
    "only if open",
    "area",
    "left out",
]
CRITERIA: tuple[Criterion, ...] = get_args(Criterion)
"""In the order in which the published search asks for them. The last is this project's."""

BITS: dict[Criterion, int] = {criterion: 1 << number for number, criterion in enumerate(CRITERIA)}
FIRST_STAGE = sum(BITS[criterion] for criterion in CRITERIA[: CRITERIA.index("capacity")])

ELSEWHERE = 1 << len(CRITERIA)
"""Of a territory: it is promoted to another area than that of the search. That excludes nothing."""


@lru_cache(maxsize=4096)
def failed(bits: int) -> tuple[Criterion, ...]:
    """The criteria that a service fails, in order."""
    return tuple(criterion for criterion, bit in BITS.items() if bits & bit)


class Clinical(NamedTuple):
    """What a service takes, in codes. None of a kind means all."""

    symptom_groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each with the discriminators that can be met in it."""
    dispositions: tuple[str, ...] = ()
    referral_roles: tuple[str, ...] = ()


class ClinicalQuestion(NamedTuple):
    """What a search asks of it."""

    needs: Needs | None
    referral_role: str | None


def clinically(asked: ClinicalQuestion, item: Clinical) -> int:
    """The criteria that codes fail. Without needs none is asked for; without a symptom group nothing matches."""
    bits = 0
    needs = asked.needs
    if needs is not None:
        alike = [met for group, met in item.symptom_groups if group == needs.symptom_group]
        if needs.symptom_group is None or (item.symptom_groups and not alike):
            bits |= BITS["symptom group"]
        elif alike and not any(not met or set(needs.discriminators) <= set(met) for met in alike):
            bits |= BITS["symptom discriminator"]
        if needs.disposition is not None and item.dispositions and needs.disposition not in item.dispositions:
            bits |= BITS["disposition"]
    if asked.referral_role is not None and item.referral_roles and asked.referral_role not in item.referral_roles:
        bits |= BITS["referral role"]
    return bits


class Territory(NamedTuple):
    """Areas, by code. None means all."""

    limited_to: tuple[str, ...] = ()
    promoted_to: tuple[str, ...] = ()


def territorially(area: Area, item: Territory) -> int:
    """What areas say. Where the commissioner of the search is not known, neither limits nor promotions count."""
    if area.commissioner is None:
        return 0
    known = area.codes
    bits = 0
    if item.limited_to and known.isdisjoint(item.limited_to):
        bits |= BITS["area"]
    if item.promoted_to and known.isdisjoint(item.promoted_to):
        bits |= ELSEWHERE
    return bits


class Commissioning(NamedTuple):
    """Surgeries that commission a service, and whether only their patients may come."""

    surgeries: tuple[str, ...] = ()
    restricted: bool = False


class Commissionings(Register[Commissioning]):
    """Who commissions what, and for each surgery what it commissions. Number 0 is nobody's."""

    def __init__(self) -> None:
        super().__init__()
        self.of_surgery: dict[str, list[int]] = {}
        self._restricted: Truths = np.zeros(0, np.bool_)
        self.number_of(Commissioning())

    def number_of(self, item: Commissioning) -> int:
        """The number of an item, a new one where it is new."""
        if not item.surgeries:  # restricted to nobody's patients is not restricted (Directory of Services)
            item = Commissioning()
        before = len(self.items)
        number = super().number_of(item)
        if number == before:
            for surgery in item.surgeries:
                self.of_surgery.setdefault(surgery, []).append(number)
        return number

    @property
    def restricted(self) -> Truths:
        """For each item, whether only patients of its surgeries may come."""
        if len(self._restricted) < len(self.items):
            self._restricted = np.array([item.restricted for item in self.items])
        return self._restricted
