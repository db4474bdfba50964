"""Filters: how far services are that searches look at, which criteria each fails, and what ties it to the patient.

Many searches go together: what is compared is one long list of pairs, a search's wish and a service, and a filter is a
few operations on columns of them, however many there are.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from services.pathways.asked import Asked
from services.pathways.columns import Floats, Numbers, Truths, beside
from services.pathways.criteria import (
    BITS,
    ELSEWHERE_BIT,
    FIRST_STAGE,
    OWN_SURGERY,
    RESTRICTED_TO_OTHERS,
    Criterion,
)
from services.pathways.globe import METRES, metres_of
from services.pathways.index import CAPACITIES, Snapshot
from services.pathways.wishes import PROPOSAL, Wishes


class Field(NamedTuple):
    """Pairs of a wish and a service, by column; what is in one place of each belongs together."""

    wish: Numbers
    slot: Numbers
    failed: Numbers
    """Bits of the criteria that it fails."""
    metres: Floats
    worth: Floats
    """The metres that it counts as, for its capacity too."""
    elsewhere: Numbers
    """1 where it is promoted to another area than that of the search."""
    tie: Numbers
    """How it is tied to the patient's surgery."""

    def where(self, chosen: Truths | Numbers) -> "Field":
        """The pairs at these places."""
        columns: Iterable[Any] = (column[chosen] for column in self)
        return Field(*columns)

    def and_also(self, other: "Field") -> "Field":
        """These pairs, then those."""
        columns: Iterable[Any] = map(np.concatenate, zip(self, other, strict=True))
        return Field(*columns)


Pairs = tuple[Numbers, Numbers]
"""Wishes, and a service beside each."""


def field_of(
    snapshot: Snapshot,
    asked: Asked,
    wishes: Wishes,
    pairs: Pairs,
    *,
    all_is_said: bool,
    outside: Truths | None = None,
) -> Field:
    """Of these pairs those of which something may be said, with what each fails.

    What passes; where `all_is_said`, also what fails one criterion alone, and not one of the first filters; and
    whatever they fail, emergency departments to propose. Services that are wanted by name come with whether they are
    `outside` the square; of them all that they fail is said, too.
    """
    columns, (wish, slot) = snapshot.columns, pairs
    search = wishes.search.take(wish)
    territory = asked.territory.to(search, columns.territory.take(slot))
    tie = asked.ties.to(search, columns.commissioning.take(slot))
    opening = snapshot.registers.boards.look(
        asked.moments, asked.session, search, columns.timetable.take(slot), columns.open_within.take(slot)
    )
    failed = asked.clinical.to(search, columns.clinical.take(slot))
    failed |= asked.patient.to(search, columns.patients.take(slot))
    failed |= territory & BITS["area"]
    failed |= _failing("surgery", tie == RESTRICTED_TO_OTHERS)
    failed |= _failing("capacity", columns.red_until.take(slot) > beside(asked.red_from, search))
    failed |= _failing("opening hours", opening.not_in_session)
    failed |= _failing("only if open", opening.not_within)
    if len(asked.left_out):
        failed |= _failing("left out", np.isin(search * len(snapshot.entries) + slot, asked.left_out))
    if outside is not None:
        failed |= _failing("active", ~columns.active.take(slot)) | _failing("distance", outside)
    kept = failed == 0
    if all_is_said:
        kept |= (failed & (failed - 1) == 0) & (failed & FIRST_STAGE == 0)
        proposed = wishes.choice.take(wish) == PROPOSAL
        # What is only proposed is not waited for.
        failed |= _failing("capacity", proposed & (columns.red_until.take(slot) > beside(asked.second, search)))
        kept |= proposed | (outside is not None)

    chosen = kept.nonzero()[0]
    wish, slot, search, tie = wish.take(chosen), slot.take(chosen), search.take(chosen), tie.take(chosen)
    if asked.own_surgery.max() >= 0:
        tie[columns.organisation.take(slot) == beside(asked.own_surgery, search)] = OWN_SURGERY
    metres = metres_of(columns.on_the_globe.take(slot, axis=0) - beside(asked.on_the_globe, search))
    return Field(
        wish=wish,
        slot=slot,
        failed=failed.take(chosen),
        metres=metres,
        worth=metres if snapshot.capacity_order is None else metres + _capacity_adds(snapshot, asked, search, slot),
        elsewhere=territory.take(chosen) >> ELSEWHERE_BIT,
        tie=tie,
    )


def _failing(criterion: Criterion, where: Truths) -> Numbers:
    bits: Numbers = where * np.int16(BITS[criterion])
    return bits


def _capacity_adds(snapshot: Snapshot, asked: Asked, search: Numbers, slot: Numbers) -> Floats:
    """By how much capacity and its age put a service further back, in metres (`capacity.CapacityOrder`)."""
    order, columns = snapshot.capacity_order, snapshot.columns
    assert order is not None
    adds = np.zeros(len(slot))
    now, resets_at, reported_at = asked.second[search], columns.resets_at[slot], columns.reported_at[slot]
    never, run_out = columns.capacity[slot] == CAPACITIES.index("unknown"), resets_at <= now
    status = np.where(run_out, CAPACITIES.index("unknown"), columns.capacity[slot])
    minutes = np.maximum(0.0, now - np.where(run_out, resets_at, reported_at)) / 60
    for number, name in enumerate(CAPACITIES):
        rows = sorted((row for row in order.rows if row.status == name), key=lambda row: row.from_minutes)
        if rows:
            here = status == number
            reached = np.searchsorted([row.from_minutes for row in rows], minutes[here], side="right") - 1
            adds[here] = np.array([row.adds_km for row in rows])[reached]
    adds[never] = order.never_reported_adds_km
    return adds * METRES
