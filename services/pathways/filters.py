"""Filters: how far services are that searches look at, which criteria each fails, and what ties it to the patient.

Many searches go together: what is compared is one long list of pairs, a search's wish and a service, and a filter is a
few operations on columns of them, however many there are.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from services.pathways.asked import Asked
from services.pathways.columns import Floats, Numbers, Truths
from services.pathways.criteria import (
    BITS,
    ELSEWHERE,
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


def field_of(
    snapshot: Snapshot,
    asked: Asked,
    wishes: Wishes,
    wish: Numbers,
    slot: Numbers,
    *,
    all_is_said: bool,
    by_name: bool = False,
) -> Field:
    """Of these pairs those of which something may be said, with what each fails.

    What passes; where `all_is_said`, also what fails one criterion alone, and not one of the first filters; and
    whatever they fail, emergency departments to propose and services that are looked at `by_name`.
    """
    columns, search = snapshot.columns, wishes.search.take(wish)
    territory = asked.territory.to(search, columns.territory.take(slot))
    tie = asked.ties.to(search, columns.commissioning.take(slot))
    failed = asked.clinical.to(search, columns.clinical.take(slot)) | (territory & BITS["area"])
    failed |= _failing("surgery", tie == RESTRICTED_TO_OTHERS)
    failed |= _failing("gender", columns.genders.take(slot) & asked.gender.take(search) == 0)
    failed |= _failing("capacity", columns.red_until.take(slot) > asked.red_from.take(search))
    failed |= _failing("age", columns.youngest.take(slot) > asked.oldest.take(search))
    failed |= _failing("age", columns.too_old.take(slot) <= asked.youngest.take(search))
    if len(asked.left_out):
        failed |= _failing("left out", np.isin(search * len(snapshot.entries) + slot, asked.left_out))
    if by_name:
        latitude, longitude = columns.latitude.take(slot), columns.longitude.take(slot)
        failed |= _failing("active", ~columns.active.take(slot))
        failed |= _failing("distance", ~wishes.contain(wish, latitude, longitude))
    # Opening hours and distances are for those that may still be said: most fail something before.
    kept = failed == 0
    if all_is_said:
        kept |= (failed & (failed - 1) == 0) & (failed & FIRST_STAGE == 0)
        proposed = wishes.choice.take(wish) == PROPOSAL
        # What is only proposed is not waited for.
        failed |= _failing("capacity", proposed & (columns.red_until.take(slot) > asked.second.take(search)))
        kept |= proposed | by_name
    chosen = kept.nonzero()[0]
    wish, slot, search = wish.take(chosen), slot.take(chosen), search.take(chosen)
    tie, territory, failed = tie.take(chosen), territory.take(chosen), failed.take(chosen)

    opening = snapshot.registers.boards.look(
        asked.moments, asked.session, search, columns.timetable.take(slot), columns.open_within.take(slot)
    )
    failed |= _failing("opening hours", ~opening.in_session)
    failed |= _failing("only if open", ~opening.within)
    tie[columns.organisation.take(slot) == asked.own_surgery.take(search)] = OWN_SURGERY
    metres = metres_of(
        columns.x.take(slot) - asked.x.take(search),
        columns.y.take(slot) - asked.y.take(search),
        columns.z.take(slot) - asked.z.take(search),
    )
    return Field(
        wish=wish,
        slot=slot,
        failed=failed,
        metres=metres,
        worth=metres + _capacity_adds(snapshot, asked, search, slot),
        elsewhere=(territory & ELSEWHERE != 0).astype(np.int64),
        tie=tie,
    )


def _failing(criterion: Criterion, where: Truths) -> Numbers:
    bits: Numbers = where * np.int16(BITS[criterion])
    return bits


def _capacity_adds(snapshot: Snapshot, asked: Asked, search: Numbers, slot: Numbers) -> Floats | float:
    """By how much capacity and its age put a service further back, in metres (`capacity.CapacityOrder`)."""
    order, columns = snapshot.capacity_order, snapshot.columns
    if order is None:
        return 0.0
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
