"""Looking: the services of which a search may say something, the nearest first.

Of a type two are taken at most. So where there are many, those nearby are looked at first, in a part of the square. A
wish that these do not settle is looked at again in a wider part, and at last in the whole square: the answers are the
same, and take about as long where services are many as where they are few.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from services.pathways.asked import Asked, asked_of
from services.pathways.columns import Floats, Numbers, Truths
from services.pathways.criteria import BITS
from services.pathways.filters import Field, field_of
from services.pathways.index import Snapshot
from services.pathways.request import SearchRequest
from services.pathways.search_rules import MOST_TYPES
from services.pathways.wishes import PROPOSAL, Pieces, Wishes, pieces_of, services_in, wishes_of

ABOUT_AT_FIRST = 24
"""Services of a type that are looked at first."""

CROWDED = 4
"""Where there are so many times as many of them: then the others are not worth a look."""

MANY = 80
"""And where there are so many times as many in all: else one look at all is quicker than a second one at some."""

WIDENED = 3.0
"""How many times as far each look goes as the one before."""

AGAINST = BITS["gender"] | BITS["age"] | BITS["opening hours"] | BITS["capacity"] | BITS["left out"]
"""What may speak against an emergency department. Codes, areas and surgeries do not."""
FIT = AGAINST & ~BITS["capacity"]
"""What does not speak against one that is proposed."""

MOST_CATCH_ALL = 2


Pairs = tuple[Numbers, Numbers]
"""Wishes and services."""


class Looked(NamedTuple):
    """Searches, what they look for, and what they found of it."""

    asked: Asked
    wishes: Wishes
    field: Field


def look(
    snapshot: Snapshot, requests: Sequence[SearchRequest], *, all_is_said: bool, about_at_first: float = ABOUT_AT_FIRST
) -> Looked:
    """What searches find. With `all_is_said` also near misses and departments to propose, else candidates alone.

    `about_at_first` is infinite where the whole square is to be looked at in any case.
    """
    asked = asked_of(snapshot, requests)
    wishes = wishes_of(snapshot, requests, asked, proposals=all_is_said)
    field = None
    if len(wishes.named):
        named = np.arange(wishes.by_type, len(wishes.search))
        field = field_of(snapshot, asked, wishes, named, wishes.named, all_is_said=all_is_said, by_name=True)
    pieces = pieces_of(snapshot, wishes, np.arange(wishes.by_type))
    part = _parts_at_first(pieces, wishes, about_at_first)
    looked, again, tied = wishes, (part < 1).nonzero()[0], None
    if len(again):
        looked, tied = wishes.narrowed(part), _tied(snapshot, requests, wishes)
        pieces = pieces.where(part.take(pieces.wish) == 1).and_also(pieces_of(snapshot, looked, again))
    while True:
        wish, slot = services_in(snapshot, looked, pieces)
        if tied is not None:
            wish, slot = _joined((wish, slot), _beyond(snapshot, looked, again, *tied))
        new = field_of(snapshot, asked, wishes, wish, slot, all_is_said=all_is_said)
        field = new if field is None else field.and_also(new)
        if not len(again):
            return Looked(asked, wishes, field)
        unsettled = _unsettled(snapshot, asked, wishes, looked, part, field, all_is_said=all_is_said)
        again = unsettled.nonzero()[0]
        if not len(again):
            return Looked(asked, wishes, field)
        field = field.where(~unsettled[field.wish])
        part[again] = np.minimum(part[again] * WIDENED, 1.0)
        looked = wishes.narrowed(part)
        pieces = pieces_of(snapshot, looked, again)


def _parts_at_first(pieces: Pieces, wishes: Wishes, about_at_first: float) -> Floats:
    """How large a part of its square is looked at first, by wish; 1 is the whole."""
    there = np.bincount(pieces.wish, pieces.past - pieces.first, minlength=len(wishes.search))
    crowded = there > CROWDED * about_at_first
    part = np.ones(len(there))
    if np.dot(crowded, there) > MANY * about_at_first:
        part[crowded] = np.sqrt(about_at_first / there[crowded])
    return part


def _unsettled(
    snapshot: Snapshot,
    asked: Asked,
    wishes: Wishes,
    looked: Wishes,
    part: Floats,
    field: Field,
    *,
    all_is_said: bool,
) -> Truths:
    """The wishes for which what is further away than was looked at may still count."""
    reach = np.where(part < 1, looked.reach(asked.latitude.take(wishes.search)), np.inf)
    within = field.metres < reach[field.wish]
    sure = within & (field.failed == 0) & (field.elsewhere == 0) & (field.worth < reach[field.wish])
    # Named services stand beside the best of their type.
    most = snapshot.rules.most_of_each_type[wishes.service_type] + asked.named[wishes.search]
    unsettled: Truths = _counted(field.wish[sure], wishes) < most
    if all_is_said:
        fit = _counted(field.wish[within & (field.failed & FIT == 0)], wishes) > 0
        proposed = wishes.choice == PROPOSAL
        unsettled[proposed] = (~fit | (_counted(field.wish[within], wishes) < MOST_CATCH_ALL))[proposed]
        unsettled |= ~proposed & _lack_near_misses(asked, wishes, field, reach)[wishes.search]
    return unsettled & (part < 1)


def _lack_near_misses(asked: Asked, wishes: Wishes, field: Field, reach: Floats) -> Truths:
    """The searches of which a near miss that is further away than what was looked at may be among the nearest."""
    common = np.full(len(asked.second), np.inf)
    np.minimum.at(common, wishes.search[: wishes.wanted], reach[: wishes.wanted])
    search = wishes.search[field.wish]
    near = (field.failed != 0) & (field.failed & (field.failed - 1) == 0)
    near &= (field.wish < wishes.wanted) & (field.metres < common[search])
    lacking: Truths = np.bincount(search[near], minlength=len(common)) < asked.most_near_misses
    return lacking


def _counted(wish: Numbers, wishes: Wishes) -> Numbers:
    counts: Numbers = np.bincount(wish, minlength=len(wishes.search))
    return counts


def _tied(snapshot: Snapshot, requests: Sequence[SearchRequest], wishes: Wishes) -> Pairs:
    """The services in the whole squares that may be tied to the patient's surgery: they go before nearer ones."""
    columns = snapshot.columns
    slots = [snapshot.registers.tied_to(request.surgery) for request in requests]
    search = np.arange(len(requests)).repeat([len(one) for one in slots])
    slot = np.fromiter(chain.from_iterable(slots), np.int64, len(search))
    slot, search = slot[slot < len(columns.active)], search[slot < len(columns.active)]  # as this snapshot has it
    # Of each search the types stand ascending. What follows them is found by no number.
    wished = np.append((wishes.search * MOST_TYPES + wishes.service_type)[: wishes.wanted], np.iinfo(np.int64).max)
    asked = search * MOST_TYPES + columns.service_type[slot]
    wish = wished.searchsorted(asked)
    there = (wished[wish] == asked) & columns.active[slot]
    wish, slot = wish[there], slot[there]
    there = wishes.contain(wish, columns.latitude[slot], columns.longitude[slot])
    return wish[there], slot[there]


def _beyond(snapshot: Snapshot, looked: Wishes, asked: Numbers, wish: Numbers, slot: Numbers) -> Pairs:
    """Those of the pairs of these wishes that are outside the square that is looked at."""
    columns = snapshot.columns
    beyond = ~looked.contain(wish, columns.latitude[slot], columns.longitude[slot]) & np.isin(wish, asked)
    return wish[beyond], slot[beyond]


def _joined(*pairs: Pairs) -> Pairs:
    nothing = np.zeros(0, np.int64)
    wish, slot = (np.concatenate(column) for column in zip((nothing, nothing), *pairs, strict=True))
    return wish, slot
