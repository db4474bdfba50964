"""Ranking: the order of what a search has found, and which of it are taken.

The published order (nhsd-a2si/docs-dos-api, Check Capacity Summary 1.5) is a chain of stable sorts. Read from the last
to the first it is one comparison: promoted to another area goes below; then the rank of the type; then the patient's
own surgery, what it commissions and restricts, what it commissions, all others; then the distance. Two comparisons are
this project's: what is wanted in an order of its own comes before all, and a site may put capacity before distance.
"""

from collections.abc import Sequence

import numpy as np

from services.pathways.columns import Numbers
from services.pathways.criteria import GRADES, OWN_SURGERY, TIES
from services.pathways.filters import Field
from services.pathways.globe import METRES
from services.pathways.index import Snapshot
from services.pathways.looking import Looked
from services.pathways.request import SearchRequest
from services.pathways.roads import NEAREST_OF_A_TYPE, TOO_FAR_MINUTES, Journeys
from services.pathways.search_rules import MOST_TYPES
from services.pathways.wishes import PROPOSAL

MOST_CANDIDATES = 50

MOST_CHOICES = 1 << 16
FEW = 250
"""So many are put in order as quickly as the foremost of them are found."""

FURTHER_THAN_ANY = 1e9
"""Metres. More than the Earth's girth and what capacity adds."""


def best(snapshot: Snapshot, looked: Looked, found: Field) -> Numbers:
    """Places in a field of those that are taken, search by search, each in its order."""
    order = ordered(snapshot, looked, found, _foremost(looked, found))
    wishes, wish = looked.wishes, found.wish.take(order)
    most = snapshot.rules.most_of_each_type.take(wishes.service_type)
    if len(wishes.named):
        taken = _taken_with_named(looked, found.slot.take(order), wish, most.take(wish))
    else:
        taken = _taken(wish, most)
    places: Numbers = order.take(np.array(taken, np.int64))
    if len(places) > MOST_CANDIDATES:
        places = places[_place_in_run(wishes.search.take(wish.take(taken))) < MOST_CANDIDATES]
    return places


def _foremost(looked: Looked, found: Field) -> Numbers:
    """Places in a field among which are all that may be taken: mostly few, and so quickly put in order.

    Of what was found for one wish stays what is no worse than the second best.
    """
    if len(found.slot) < FEW or len(looked.wishes.named):
        return np.arange(len(found.slot))
    best = np.full((2, len(looked.wishes.search)), np.inf)
    worth = found.standing * FURTHER_THAN_ANY + found.worth
    np.minimum.at(best[0], found.wish, worth)
    others = np.where(worth == best[0].take(found.wish), np.inf, worth)
    np.minimum.at(best[1], found.wish, others)
    front: Numbers = (worth <= best[1].take(found.wish)).nonzero()[0]
    return front


def ordered(snapshot: Snapshot, looked: Looked, found: Field, places: Numbers) -> Numbers:
    """These places of a field, search by search, each in its order."""
    wishes = looked.wishes
    of_wish = (wishes.search * MOST_CHOICES + wishes.choice) * (2 * GRADES) + wishes.rank * TIES
    grade = of_wish.take(found.wish.take(places)) + found.standing.take(places)
    by = (snapshot.columns.place_of_id.take(found.slot.take(places)), found.worth.take(places), grade)
    order: Numbers = places.take(np.lexsort(by))
    return order


def _taken(wish: Numbers, most: Numbers) -> list[int]:
    """Of what stands in order, the places of those that are taken: of each wish the first, so many at most."""
    left, taken = most.tolist(), []
    for place, one in enumerate(wish.tolist()):
        if left[one]:
            left[one] -= 1
            taken.append(place)
    return taken


def _taken_with_named(looked: Looked, slots: Numbers, wish: Numbers, most: Numbers) -> list[int]:
    """Of what stands in order, the places of those that are taken, where services are wanted by name.

    In an order of its own a named service is taken beside the best of its type, and each service once: where it stands
    before them, the type gives the next.
    """
    wishes = looked.wishes
    kept: list[int] = []
    seen: set[tuple[int, int]] = set()
    counts: dict[tuple[int, int, int], int] = {}
    columns = (wishes.search[wish], wishes.choice[wish], wishes.service_type[wish], slots, most)
    for at, (search, choice, service_type, slot, best) in enumerate(zip(*map(np.ndarray.tolist, columns), strict=True)):
        group = search, choice, service_type
        if (search, slot) not in seen and counts.get(group, 0) < best:
            seen.add((search, slot))
            counts[group] = counts.get(group, 0) + 1
            kept.append(at)
    return kept


def shortlists(snapshot: Snapshot, looked: Looked, found: Field) -> Numbers:
    """Places in a field of what a road service is asked for: of each search the nearest of each type.

    The patient's own surgery counts as the nearest of all, so that it is kept.
    """
    search, service_type = looked.wishes.search[found.wish], looked.wishes.service_type[found.wish]
    nearness = np.where(found.tie == OWN_SURGERY, -1.0, found.metres)
    order = np.lexsort((snapshot.columns.place_of_id[found.slot], nearness, service_type, search))
    place = _place_in_group(search[order] * MOST_TYPES + service_type[order])
    listed: Numbers = np.sort(order[place < NEAREST_OF_A_TYPE])
    return listed


def by_road(looked: Looked, found: Field, journeys: Sequence[Journeys | None]) -> Field:
    """A short-listed field with distances by road; where a search has no answer they stay as they are.

    `journeys` has for each search those to what it short-listed, in the field's order. What cannot be reached, or only
    in more than four hours, is dropped.
    """
    metres, reached = found.metres.copy(), np.ones(len(found.slot), np.bool_)
    searches = looked.wishes.search[found.wish]
    for search, answer in enumerate(journeys):
        if answer is None:
            continue
        for place, journey in zip(np.flatnonzero(searches == search), answer, strict=True):
            if journey is None or journey.minutes > TOO_FAR_MINUTES:
                reached[place] = False
            else:
                metres[place] = round(journey.km * METRES)
    return found._replace(metres=metres, worth=found.worth - found.metres + metres).where(reached)


def nearest_failing_one(snapshot: Snapshot, requests: Sequence[SearchRequest], looked: Looked) -> Numbers:
    """Places of those that fail exactly one criterion, search by search, nearest first: no more than may be said.

    A service that is named may be there more than once.
    """
    wishes, field = looked.wishes, looked.field
    failed = field.failed
    near = (failed != 0) & (failed & (failed - 1) == 0) & (wishes.choice.take(field.wish) != PROPOSAL)
    found = field.where(near.nonzero()[0])
    search = wishes.search.take(found.wish)
    order = np.lexsort((snapshot.columns.place_of_id.take(found.slot), found.metres, search))
    most = np.array([request.most_near_misses + len(request.wanted or ()) for request in requests])
    search = search.take(order)
    some: Numbers = near.nonzero()[0][order[_place_in_run(search) < most[search]]]
    return some


def nearness(snapshot: Snapshot, looked: Looked, found: Field) -> Numbers:
    """For each of a field how many of the same search, choice and type are nearer."""
    wishes = looked.wishes
    alike = (wishes.search * MOST_CHOICES + wishes.choice) * MOST_TYPES + wishes.service_type
    group = alike.take(found.wish)
    order = np.lexsort((snapshot.columns.place_of_id.take(found.slot), found.metres, group))
    nearer = np.zeros(len(order), np.int64)
    nearer[order] = _place_in_run(group.take(order))
    return nearer


def _place_in_group(groups: Numbers) -> Numbers:
    """For each place how many of the same group come before it."""
    order = groups.argsort(kind="stable")
    place = np.zeros(len(groups), np.int64)
    place[order] = _place_in_run(groups.take(order))
    return place


def _place_in_run(groups: Numbers) -> Numbers:
    """The same, where each group lies together."""
    begins = np.ones(len(groups), np.bool_)
    np.not_equal(groups[1:], groups[:-1], out=begins[1:])
    return np.arange(len(groups)) - begins.nonzero()[0].take(begins.cumsum() - 1)
