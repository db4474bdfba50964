"""Filters: how far services are that searches look at, which criteria each fails, and what ties it to the patient.

Many searches go together: what is compared is one long list of pairs, a search's wish and a service, and a filter is a
few operations on columns of them, however many there are. Codes go first: they leave the fewest.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from services.pathways.asked import Asked
from services.pathways.columns import Floats, Numbers, Truths, beside
from services.pathways.criteria import (
    BITS,
    FAILED,
    FIRST_STAGE,
    GRADES,
    OWN_SURGERY,
    STANDING_BIT,
    TIES,
    Criterion,
)
from services.pathways.entries import CAPACITIES
from services.pathways.globe import METRES, metres_of
from services.pathways.index import Snapshot
from services.pathways.opening_board import NOT_KNOWN
from services.pathways.wishes import PROPOSAL, Wishes


class Pairs(NamedTuple):
    """Wishes, and a service beside each, by column."""

    wish: Numbers
    slot: Numbers
    failed: Numbers
    """Bits of the criteria that its codes fail."""

    def where(self, chosen: Truths | Numbers) -> "Pairs":
        """The pairs at these places."""
        return Pairs(*(column[chosen] for column in self))

    def and_also(self, other: "Pairs") -> "Pairs":
        """These pairs, then those."""
        return Pairs(*map(np.concatenate, zip(self, other, strict=True)))


class Field(NamedTuple):
    """Pairs of a wish and a service, by column; what is in one place of each belongs together."""

    wish: Numbers
    slot: Numbers
    failed: Numbers
    """Bits of the criteria that it fails."""
    metres: Floats
    worth: Floats
    """The metres that it counts as, for its capacity too."""
    standing: Numbers
    """Its tie, and GRADES more where it is promoted to another area than that of the search."""

    @property
    def tie(self) -> Numbers:
        """How it is tied to the patient's surgery."""
        return self.standing & (TIES - 1)

    @property
    def elsewhere(self) -> Numbers:
        """1 where it is promoted to another area than that of the search."""
        return self.standing // GRADES

    def where(self, chosen: Truths | Numbers) -> "Field":
        """The pairs at these places."""
        columns: Iterable[Any] = (column[chosen] for column in self)
        return Field(*columns)

    def and_also(self, other: "Field") -> "Field":
        """These pairs, then those."""
        columns: Iterable[Any] = map(np.concatenate, zip(self, other, strict=True))
        return Field(*columns)


def pairs_of(snapshot: Snapshot, asked: Asked, wishes: Wishes, wish: Numbers, slot: Numbers) -> Pairs:
    """Pairs of these wishes and services."""
    codes = snapshot.columns.clinical.take(slot) + asked.clinical.take(wishes.search.take(wish))
    return Pairs(wish, slot, snapshot.registers.tables.flat.take(codes))


def may_be_said(failed: Numbers, proposed: Truths | None) -> Truths:
    """Whether something may be said of services that fail so, and maybe more.

    Of what passes; and where there are any `proposed`, also of what fails one criterion alone, and not one of the first
    filters; and of what is proposed whatever it fails.
    """
    kept: Truths = failed == 0
    if proposed is not None:
        kept |= (failed & (failed - 1) == 0) & (failed & FIRST_STAGE == 0)
        kept |= proposed
    return kept


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

    Where not `all_is_said`, of those alone that pass. Services that are wanted by name come with whether they are
    `outside` the square; of them all that they fail is said.
    """
    columns, (wish, slot, failed) = snapshot.columns, pairs
    search = wishes.search.take(wish)
    codes = columns.codes.take(slot, axis=0)
    codes += beside(asked.codes, search)
    said = snapshot.registers.tables.at(codes)
    not_known = (said >= NOT_KNOWN).nonzero()[0]
    if len(not_known):
        said[not_known] = _known(snapshot, asked, search.take(not_known), codes[not_known])
    failed = failed | said & FAILED
    failed |= _failing("capacity", columns.red_until.take(slot) > beside(asked.red_from, search))
    if len(asked.left_out):
        failed |= _failing("left out", np.isin(search * len(snapshot.entries) + slot, asked.left_out))
    if outside is not None:
        failed |= _failing("active", ~columns.active.take(slot)) | _failing("distance", outside)
    proposed = wishes.choice.take(wish) == PROPOSAL if all_is_said else None
    kept = may_be_said(failed, proposed)
    if proposed is not None:
        # What is only proposed is not waited for.
        failed |= _failing("capacity", proposed & (columns.red_until.take(slot) > beside(asked.second, search)))
        kept |= outside is not None

    chosen = kept.nonzero()[0]
    wish, slot, search = wish.take(chosen), slot.take(chosen), search.take(chosen)
    standing = said.take(chosen) >> STANDING_BIT
    if asked.own_surgery is not None:
        own = columns.organisation.take(slot) == beside(asked.own_surgery, search)
        standing[own] += OWN_SURGERY - (standing[own] & (TIES - 1))
    metres = metres_of(columns.on_the_globe.take(slot, axis=0) - beside(asked.on_the_globe, search))
    return Field(
        wish=wish,
        slot=slot,
        failed=failed.take(chosen),
        metres=metres,
        worth=metres if snapshot.capacity_order is None else metres + _capacity_adds(snapshot, asked, search, slot),
        standing=standing,
    )


def _known(snapshot: Snapshot, asked: Asked, search: Numbers, codes: Numbers) -> Numbers:
    """What codes say, each row to the search beside it, where hours had to be looked up first."""
    registers = snapshot.registers
    hours = codes[:, -1] - asked.codes[search, -1]
    # By day: there may be more days than are kept, and some were forgotten.
    for session in sorted({asked.sessions[one] for one in np.unique(search)}):
        registers.boards.make(session, hours)
        registers.session_tables.renew(session)
    said = registers.tables.at(codes)
    for one in (said >= NOT_KNOWN).nonzero()[0]:
        opens = registers.boards.opens(asked.sessions[search[one]], int(hours[one]))
        said[one] &= ~(NOT_KNOWN | BITS["opening hours"])
        said[one] |= 0 if opens else BITS["opening hours"]
    return said


def _failing(criterion: Criterion, where: Truths) -> Numbers:
    bits: Numbers = where * np.int32(BITS[criterion])
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
