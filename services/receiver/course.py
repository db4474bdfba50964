"""What a team does with one placement, and when. A seed and the placement decide all of it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args
from uuid import NAMESPACE_URL, UUID, uuid5

from contracts.actions import OutcomeKind, RejectionReason

NOT_REACHED = 0.2
"""The share of first calls that do not reach the patient. Assumed."""


@dataclass(frozen=True, slots=True)
class Step:
    """An action that the team asks for, some seconds after the one before, under a key of its own."""

    after: float
    body: dict[str, Any]
    key: UUID


def course_of(placement: str, *, seed: int, every: float, rejects: float) -> tuple[Step, ...]:
    """The steps of a placement, half to one and a half times `every` seconds apart; a share is turned away."""
    chance = random.Random(f"receiver {seed} {placement}")  # noqa: S311 a simulation
    bodies = _turned_away(chance) if chance.random() < rejects else _seen_to(chance)
    named = f"onward receiver {seed} {placement}"
    return tuple(
        Step(every * chance.uniform(0.5, 1.5), body, uuid5(NAMESPACE_URL, f"{named} {number}"))
        for number, body in enumerate(bodies)
    )


def _turned_away(chance: random.Random) -> Iterator[dict[str, Any]]:
    yield {"action": "receive"}
    yield {"action": "reject", "reason": chance.choice(get_args(RejectionReason))}


def _seen_to(chance: random.Random) -> Iterator[dict[str, Any]]:
    yield {"action": "receive"}
    yield {"action": "accept"}
    yield {"action": "record_contact", "reached": chance.random() >= NOT_REACHED}
    yield {"action": "begin_care"}
    yield {"action": "see"}
    yield {"action": "give_outcome", "kind": chance.choice(get_args(OutcomeKind))}
