"""Criteria: what may exclude a service from a search, and what the codes and areas of services say to a search.

The published search (nhsd-a2si/docs-dos-api, Check Capacity Summary 1.5) filters in two stages. What fails the first
leaves no trace. What passes it and fails exactly one criterion of the second is a near miss (there: a gap).
"""

from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import numpy as np

from contracts.people import Gender
from services.pathways.columns import Numbers, Register, Verdicts
from services.pathways.request import AgeSpan, Area, Needs

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

FAILED = (1 << len(CRITERIA)) - 1

STANDING_BIT = len(CRITERIA)
"""From this bit on stands what excludes nothing, as the order wants it: the tie to the patient's surgery, room for a
rank, and whether it is promoted elsewhere."""
TIES = 8
GRADES = 16 * TIES
"""Of what is promoted to the area of the search, and as many of what is promoted elsewhere: a rank, then a tie."""
ELSEWHERE = GRADES << STANDING_BIT
"""It is promoted to another area than that of the search."""


@lru_cache(maxsize=4096)
def failed(bits: int) -> tuple[Criterion, ...]:
    """The criteria that a service fails, in order."""
    return tuple(criterion for criterion, bit in BITS.items() if bits & bit)


class Patients(NamedTuple):
    """Whom a service takes, by age and gender. No genders mean all."""

    youngest: float | None
    """In days, included."""
    too_old: float | None
    """In days: the first age past the oldest."""
    genders: tuple[Gender, ...]


class PatientQuestion(NamedTuple):
    """Who is searched for."""

    age: AgeSpan | None
    gender: Gender


def patient_fails(asked: PatientQuestion, item: Patients) -> int:
    """The criteria that a patient fails. An unknown age fails every limit."""
    youngest, too_old, genders = item
    bits = BITS["gender"] if genders and asked.gender not in genders else 0
    if asked.age is None:
        fits = youngest is None and too_old is None
    else:
        fits = (youngest is None or youngest <= asked.age.oldest) and (too_old is None or asked.age.youngest < too_old)
    return bits if fits else bits | BITS["age"]


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


Symptoms = tuple[str | None, tuple[str, ...]]
"""A symptom group and the discriminators that are to be met in it."""


class ClinicalVerdicts:
    """The criteria that codes fail. Without needs none is asked for; without a symptom group nothing matches."""

    def __init__(self, register: Register[Clinical]) -> None:
        # Each kind by itself: there are far fewer questions of one kind than of all together.
        self._symptoms: Verdicts[Symptoms, Clinical] = Verdicts(register, _symptoms_fail)
        self._dispositions: Verdicts[str | None, Clinical] = Verdicts(register, _disposition_fails)
        self._roles: Verdicts[str | None, Clinical] = Verdicts(register, _role_fails)

    def of(self, asked: ClinicalQuestion) -> Numbers:
        """Bits of what each clinical profile fails, by its number."""
        needs = asked.needs
        role: Numbers = self._roles.of(asked.referral_role)
        if needs is None:
            return role
        symptoms = self._symptoms.of((needs.symptom_group, needs.discriminators))
        disposition = self._dispositions.of(needs.disposition)
        return symptoms | disposition | role


def _symptoms_fail(asked: Symptoms, item: Clinical) -> int:
    symptom_group, discriminators = asked
    alike = [met for group, met in item.symptom_groups if group == symptom_group]
    if symptom_group is None or (item.symptom_groups and not alike):
        return BITS["symptom group"]
    if alike and not any(not met or set(discriminators) <= set(met) for met in alike):
        return BITS["symptom discriminator"]
    return 0


def _disposition_fails(disposition: str | None, item: Clinical) -> int:
    asked_in_vain = disposition is not None and item.dispositions and disposition not in item.dispositions
    return BITS["disposition"] if asked_in_vain else 0


def _role_fails(role: str | None, item: Clinical) -> int:
    asked_in_vain = role is not None and item.referral_roles and role not in item.referral_roles
    return BITS["referral role"] if asked_in_vain else 0


class Territory(NamedTuple):
    """Areas, by code. None means all."""

    limited_to: tuple[str, ...] = ()
    promoted_to: tuple[str, ...] = ()


class TerritorialVerdicts:
    """What areas say. Where the commissioner of the search is not known, neither limits nor promotions count."""

    def __init__(self, register: Register[Territory]) -> None:
        self._limits: Verdicts[None, Territory] = Verdicts(register, _limits)
        self._left: Verdicts[str, Territory] = Verdicts(register, _left_by)

    def of(self, area: Area) -> Numbers:
        """Bits of what each territory says, by its number: that it excludes, that it is promoted elsewhere."""
        limits: Numbers = self._limits.of(None)
        if area.commissioner is None:
            return np.zeros_like(limits)
        for code in (area.commissioner, area.local_authority, *area.local_areas):
            if code:
                limits = limits & self._left.of(code)
        return limits


def _limits(_: None, item: Territory) -> int:
    """What a territory says to an area of which it knows no code."""
    return (BITS["area"] if item.limited_to else 0) | (ELSEWHERE if item.promoted_to else 0)


def _left_by(code: str, item: Territory) -> int:
    """What is left of that where it knows this code."""
    return (0 if code in item.limited_to else BITS["area"]) | (0 if code in item.promoted_to else ELSEWHERE)


OWN_SURGERY, COMMISSIONED_RESTRICTED, COMMISSIONED, OTHER, RESTRICTED_TO_OTHERS = range(5)
"""How a service is tied to the patient's surgery, closest first; the last is only for patients of other surgeries."""


class Commissioning(NamedTuple):
    """Surgeries that commission a service, and whether only their patients may come."""

    surgeries: tuple[str, ...] = ()
    restricted: bool = False


class Commissionings(Register[Commissioning]):
    """Who commissions what, and for each surgery what it commissions. Number 0 is nobody's."""

    def __init__(self) -> None:
        super().__init__()
        self._of_surgery: dict[str, list[int]] = {}
        self._to_others, self._to_its_own = np.zeros((2, 0), np.int32)
        self.number_of(Commissioning())

    def number_of(self, item: Commissioning) -> int:
        """The number of an item, a new one where it is new."""
        if not item.surgeries:  # restricted to nobody's patients is not restricted (Directory of Services)
            item = Commissioning()
        before = len(self.items)
        number = super().number_of(item)
        if number == before:
            for surgery in item.surgeries:
                self._of_surgery.setdefault(surgery, []).append(number)
        return number

    def ties_to(self, surgery: str | None) -> Numbers:
        """How each item is tied to a surgery, by its number, as a standing; and whether that excludes it."""
        if len(self._to_others) < len(self.items):
            restricted = [item.restricted for item in self.items]
            excluded = BITS["surgery"] | RESTRICTED_TO_OTHERS << STANDING_BIT
            self._to_others = np.where(restricted, excluded, OTHER << STANDING_BIT).astype(np.int32)
            its_own = np.where(restricted, COMMISSIONED_RESTRICTED, COMMISSIONED)
            self._to_its_own = (its_own << STANDING_BIT).astype(np.int32)
        theirs = self._of_surgery.get(surgery or "")
        if theirs is None:
            return self._to_others
        ties = self._to_others.copy()
        ties[theirs] = self._to_its_own[theirs]
        return ties
