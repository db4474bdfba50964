"""Looking: the services of which a search may say something, the nearest first.

Of a type two are taken at most. So where there are many, those nearby are looked at first, in a part of the square. A
wish that these do not settle is looked at again in a wider part, and at last in the whole square: the answers are the
same, and take about as long where services are many as where they are few.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from math import sqrt
from typing import NamedTuple

import numpy as np

from services.pathways.asked import Asked, asked_of
from services.pathways.columns import Floats, Numbers, Truths
from services.pathways.criteria import BITS
from services.pathways.filters import Field, Pairs, field_of, pairs_of
from services.pathways.globe import Square
from services.pathways.index import EVERY_TYPE, Snapshot
from services.pathways.looks import Look, Pieces, contained, heads_of, pieces_of, services_in
from services.pathways.request import SearchRequest
from services.pathways.search_rules import MOST_TYPES, NATIONAL_KM, Distance
from services.pathways.wishes import PROPOSAL, Wishes, wishes_of

ABOUT_AT_FIRST = 24
"""Services of a type that are looked at first."""

CROWDED = 4
"""Where there are so many times as many of them: then the others are not worth a look."""

MANY = 400
"""And where there are so many times as many in all: else one look at all is quicker than a second one at some."""

WIDENED = 3.0
"""How many times as far each look goes as the one before."""

AGAINST = BITS["gender"] | BITS["age"] | BITS["opening hours"] | BITS["capacity"] | BITS["left out"]
"""What may speak against an emergency department. Codes, areas and surgeries do not."""
FIT = AGAINST & ~BITS["capacity"]
"""What does not speak against one that is proposed."""

MOST_CATCH_ALL = 2


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
    wishes = wishes_of(snapshot, requests, proposals=all_is_said)
    field = _by_name(snapshot, requests, asked, wishes, all_is_said=all_is_said)
    looks = _first_looks(requests, asked, wishes)
    pieces = pieces_of(snapshot, looks, range(len(looks)))
    tied = None
    if crowded := _crowded(looks, pieces, about_at_first):
        tied = _tied(snapshot, requests, asked, wishes, looks, crowded)
        for number, part in crowded.items():
            looks[number] = looks[number].wider(wishes, looks[number].wish, part)
        pieces = pieces.where(~np.isin(pieces.look, list(crowded)))
        pieces = pieces.and_also(pieces_of(snapshot, looks, crowded))
    reach = np.full(len(wishes.search), np.inf)
    while looks:
        pairs = services_in(snapshot, asked, wishes, looks, pieces, all_is_said=all_is_said)
        narrow = [look for look in looks if look.part < 1]
        if tied is not None and narrow:
            pairs = pairs.and_also(_beyond(snapshot, wishes, narrow, tied))
        new = field_of(snapshot, asked, wishes, pairs, all_is_said=all_is_said)
        field = new if field is None else field.and_also(new)
        for look in narrow:
            reach[look.wish] = look.reach
        looks = []
        if narrow:
            unsettled = _unsettled(snapshot, requests, wishes, field, reach, all_is_said=all_is_said)
            field = field.where((~unsettled[field.wish]).nonzero()[0])
            looks = [look.wider(wishes, one, WIDENED) for look in narrow if len(one := look.wish[unsettled[look.wish]])]
            reach[unsettled] = np.inf
            pieces = pieces_of(snapshot, looks, range(len(looks)))
    assert field is not None
    return Looked(asked, wishes, field)


def _by_name(
    snapshot: Snapshot, requests: Sequence[SearchRequest], asked: Asked, wishes: Wishes, *, all_is_said: bool
) -> Field | None:
    """The services that are wanted by name, wherever they are."""
    if not len(wishes.named):
        return None
    wish = np.arange(wishes.by_type, len(wishes.search))
    squares = [_square(*one) for one in zip(requests, asked.distances, strict=True)]
    outside = ~contained(squares, wishes.search[wish], snapshot, wishes.named)
    pairs = pairs_of(snapshot, asked, wishes, wish, wishes.named)
    return field_of(snapshot, asked, wishes, pairs, all_is_said=all_is_said, outside=outside)


def _first_looks(requests: Sequence[SearchRequest], asked: Asked, wishes: Wishes) -> list[Look]:
    """A look at the whole square of each search; and for the departments to propose, where theirs is another."""
    wish = np.arange(wishes.by_type)
    looks = []
    for request, distance, (begins, ends) in zip(requests, asked.distances, pairwise(wishes.begins), strict=True):
        its = wish[begins:ends]
        heads = [(begins, EVERY_TYPE)] if request.wanted is None and len(its) else heads_of(wishes, its)
        looks.append(Look(its, heads, _square(request, distance)))
    for number, at in enumerate(range(wishes.wanted, wishes.by_type)):
        look, proposal = looks[number], wish[at : at + 1]
        if asked.distances[number].km == NATIONAL_KM:
            heads = [*look.heads, *heads_of(wishes, proposal)]
            looks[number] = look._replace(wish=np.append(look.wish, proposal), heads=heads)
        else:
            square = Square.around(requests[number].position, NATIONAL_KM)
            looks.append(Look(proposal, heads_of(wishes, proposal), square))
    return looks


def _square(request: SearchRequest, distance: Distance) -> Square:
    return Square.around(request.position, distance.km)


def _crowded(looks: Sequence[Look], pieces: Pieces, about_at_first: float) -> dict[int, float]:
    """The looks at more services than are worth it, and how large a part of each is to be looked at first."""
    if pieces.length.sum() <= MANY * about_at_first:
        return {}
    there = np.bincount(pieces.look, pieces.length, minlength=len(looks)).tolist()
    crowded = {
        number: sqrt(about_at_first * len(look.wish) / many)
        for number, (look, many) in enumerate(zip(looks, there, strict=True))
        if many > CROWDED * about_at_first * len(look.wish)
    }
    return crowded if sum(there[number] for number in crowded) > MANY * about_at_first else {}


def _unsettled(
    snapshot: Snapshot,
    requests: Sequence[SearchRequest],
    wishes: Wishes,
    field: Field,
    reach: Floats,
    *,
    all_is_said: bool,
) -> Truths:
    """The wishes for which what is further away than their `reach` may still count."""
    within = field.metres < reach[field.wish]
    sure = within & (field.failed == 0) & (field.elsewhere == 0) & (field.worth < reach[field.wish])
    # Named services stand beside the best of their type.
    named = np.array([sum(isinstance(one, str) for one in request.wanted or ()) for request in requests])
    most = snapshot.rules.most_of_each_type[wishes.service_type] + named[wishes.search]
    unsettled: Truths = _counted(field.wish[sure], wishes) < most
    if all_is_said:
        fit = _counted(field.wish[within & (field.failed & FIT == 0)], wishes) > 0
        proposed = wishes.choice == PROPOSAL
        unsettled[proposed] = (~fit | (_counted(field.wish[within], wishes) < MOST_CATCH_ALL))[proposed]
        unsettled |= ~proposed & _lack_near_misses(requests, wishes, field, reach)[wishes.search]
    return unsettled & (reach < np.inf)


def _lack_near_misses(requests: Sequence[SearchRequest], wishes: Wishes, field: Field, reach: Floats) -> Truths:
    """The searches of which a near miss that is further away than what was looked at may be among the nearest."""
    common = np.full(len(requests), np.inf)
    np.minimum.at(common, wishes.search[: wishes.wanted], reach[: wishes.wanted])
    search = wishes.search[field.wish]
    near = (field.failed != 0) & (field.failed & (field.failed - 1) == 0)
    near &= (field.wish < wishes.wanted) & (field.metres < common[search])
    lacking: Truths = np.bincount(search[near], minlength=len(common)) < [one.most_near_misses for one in requests]
    return lacking


def _counted(wish: Numbers, wishes: Wishes) -> Numbers:
    counts: Numbers = np.bincount(wish, minlength=len(wishes.search))
    return counts


def _tied(
    snapshot: Snapshot,
    requests: Sequence[SearchRequest],
    asked: Asked,
    wishes: Wishes,
    looks: Sequence[Look],
    crowded: Iterable[int],
) -> Pairs:
    """The services in whole squares, of those looks that are crowded, that may be tied to the patient's surgery.

    They go before nearer ones.
    """
    columns = snapshot.columns
    numbers = [number for number in crowded if number < len(requests)]  # a look for departments has no such
    slots = [snapshot.registers.tied_to(requests[number].surgery) for number in numbers]
    search = np.array(numbers, np.int64).repeat([len(one) for one in slots])
    slot = np.fromiter(chain.from_iterable(slots), np.int64, len(search))
    slot, search = slot[slot < len(columns.active)], search[slot < len(columns.active)]  # as this snapshot has it
    # Of each search the types stand ascending. What follows them is found by no number.
    wished = np.append((wishes.search * MOST_TYPES + wishes.service_type)[: wishes.wanted], np.iinfo(np.int64).max)
    sought = search * MOST_TYPES + columns.service_type[slot]
    wish = wished.searchsorted(sought)
    there = (wished[wish] == sought) & columns.active[slot]
    there &= contained([look.whole for look in looks], search, snapshot, slot)
    return pairs_of(snapshot, asked, wishes, wish[there], slot[there])


def _beyond(snapshot: Snapshot, wishes: Wishes, looks: Sequence[Look], tied: Pairs) -> Pairs:
    """Those of these pairs that are outside the square that is looked at for their wish."""
    look_of = np.full(len(wishes.search), -1)
    for number, look in enumerate(looks):
        look_of[look.wish] = number
    there = tied.where(look_of[tied.wish] >= 0)
    return there.where(~contained([look.square for look in looks], look_of[there.wish], snapshot, there.slot))
