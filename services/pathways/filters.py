"""Filters: which services are in the field of a search, how far they are, and which criteria each fails.

Many searches go together: what is compared is one long list of pairs, a search and a service, and a filter is a few
operations on columns of them, however many there are.
"""

from collections.abc import Sequence
from math import cos, degrees, radians
from typing import Literal, NamedTuple

import numpy as np

from contracts.directory import EMERGENCY_DEPARTMENT
from contracts.people import Position
from services.pathways.columns import Floats, Numbers, Truths
from services.pathways.criteria import BITS, FIRST_STAGE, ClinicalQuestion
from services.pathways.index import (
    BAND_DEGREES,
    BAND_WIDTH,
    BANDS,
    CAPACITIES,
    GENDER_BITS,
    Snapshot,
    on_the_globe,
)
from services.pathways.request import SearchRequest
from services.pathways.search_rules import NATIONAL_KM, Distance

EARTH_KM = 6371.0088
"""Mean radius of the Earth (IUGG)."""

METRES = 1000
"""Distances are compared by the metre: what is nearer than that is at one place, and stands by its id."""

RED = CAPACITIES.index("red")
HAIR = 1e-5
"""Degrees by which a band is looked at too widely, for the keys are rounded. The square itself is exact."""

PROPOSAL = -1
"""The choice of an emergency department to propose, whatever is wanted."""


class Square(NamedTuple):
    """A search square, in degrees. It does not reach over the 180th meridian, which is far from England."""

    south: float
    north: float
    west: float
    east: float

    @classmethod
    def around(cls, centre: Position, half_side_km: float) -> "Square":
        """The square with this centre whose sides are this far from it, in km."""
        up = degrees(half_side_km / EARTH_KM)
        across = up / max(cos(radians(centre.latitude)), 1e-9)
        latitude, longitude = centre.latitude, centre.longitude
        return cls(latitude - up, latitude + up, longitude - across, longitude + across)


def session_minutes(disposition_minutes: int | None) -> int:
    """How long after the search a service must be open for some time (Directory of Services).

    No minutes: 60. Up to 30: 30. Up to 60: as they are. More: an hour less, so that the patient is seen in time.
    """
    if not disposition_minutes:
        return 60
    if disposition_minutes <= 60:
        return max(disposition_minutes, 30)
    return disposition_minutes - 60


class Asked(NamedTuple):
    """What searches compare services with: one number for each search, and its columns."""

    distances: list[Distance]
    x: Floats
    y: Floats
    z: Floats
    youngest: Floats
    oldest: Floats
    gender: Numbers
    own_surgery: Numbers
    clinical: Numbers
    territory: Numbers
    minute: Numbers
    past_the_minute: Truths
    second: Floats
    session: Numbers
    full_too: Truths


class Field(NamedTuple):
    """Pairs of a search and a service, by column; what is in one place of each belongs together."""

    search: Numbers
    choice: Numbers
    """Which of what is wanted it was found for."""
    slot: Numbers
    failed: Numbers
    """Bits of the criteria that it fails."""
    metres: Floats

    def where(self, chosen: Truths | Numbers) -> "Field":
        """The pairs at these places."""
        search, choice, slot, failed, metres = self
        return Field(search[chosen], choice[chosen], slot[chosen], failed[chosen], metres[chosen])


def asked_of(snapshot: Snapshot, requests: Sequence[SearchRequest]) -> Asked:
    """The searches in columns."""
    registers = snapshot.registers
    globe = np.array([on_the_globe(request.position) for request in requests])
    unknown = (np.nan, np.nan)
    ages = np.array([request.age or unknown for request in requests])
    seconds = np.array([request.at.timestamp() for request in requests])
    minutes = np.floor_divide(seconds, 60).astype(np.int64)
    return Asked(
        distances=[snapshot.rules.distance_of(request) for request in requests],
        x=globe[:, 0],
        y=globe[:, 1],
        z=globe[:, 2],
        youngest=ages[:, 0],
        oldest=ages[:, 1],
        gender=np.array([GENDER_BITS[request.gender] for request in requests]),
        own_surgery=np.array([registers.organisations.known(request.surgery or "") for request in requests]),
        clinical=np.array(
            registers.clinical_verdicts.rows([ClinicalQuestion(one.needs, one.referral_role) for one in requests])
        ),
        territory=np.array(registers.territory_verdicts.rows([request.area for request in requests])),
        minute=minutes,
        past_the_minute=seconds > minutes * 60,
        second=seconds,
        session=np.array([session_minutes(request.minutes) for request in requests]),
        full_too=np.array([request.full_too for request in requests]),
    )


def field_of(snapshot: Snapshot, requests: Sequence[SearchRequest], asked: Asked) -> Field:
    """Every service that a search looks at, with what it fails.

    Of a type, those that pass the first filters; those that are named, whatever they fail; and for each search the
    emergency departments near it, whatever they fail.
    """
    found = _named(snapshot, requests), _of_types(snapshot, requests, asked, proposals=True)
    search, choice, slot = (np.concatenate(columns) for columns in zip(*found, strict=True))
    named = np.arange(len(search)) < len(found[0][0])
    bits = _first_stage(snapshot, requests, asked, search, slot)
    distant = np.flatnonzero(named)
    bits[distant] |= _outside(snapshot, requests, asked, search[distant], slot[distant])
    kept = named | (choice == PROPOSAL) | (bits & FIRST_STAGE == 0)
    search, choice, slot, bits = search[kept], choice[kept], slot[kept], bits[kept]
    bits |= _second_stage(snapshot, asked, search, slot, proposed=choice == PROPOSAL)
    bits |= _left_out(snapshot, requests, search, slot)
    field = Field(search, choice, slot, bits, np.zeros(len(search)))
    # What fails two already is neither found nor nearly found, whenever it opens.
    field = field.where((bits & (bits - 1) == 0) | named[kept] | (choice == PROPOSAL))
    field.failed[:] |= _closed(snapshot, asked, field.search, field.slot)
    field.metres[:] = _metres(snapshot, asked, field.search, field.slot)
    return field


def suitable_of(snapshot: Snapshot, requests: Sequence[SearchRequest], asked: Asked) -> Field:
    """Of the same services those that fail nothing, and none to propose: what fails is looked at no further."""
    named = _named(snapshot, requests)
    search, choice, slot = _of_types(snapshot, requests, asked, proposals=False)
    if len(named[0]):
        near = _outside(snapshot, requests, asked, named[0], named[2]) == 0
        search, choice, slot = (
            np.concatenate((first[near], then)) for first, then in zip(named, (search, choice, slot), strict=True)
        )
    search, choice, slot = _passing(_first_stage(snapshot, requests, asked, search, slot), search, choice, slot)
    search, choice, slot = _passing(_left_out(snapshot, requests, search, slot), search, choice, slot)
    search, choice, slot = _passing(_second_stage(snapshot, asked, search, slot), search, choice, slot)
    search, choice, slot = _passing(_closed(snapshot, asked, search, slot), search, choice, slot)
    return Field(search, choice, slot, np.zeros(len(slot), np.int32), _metres(snapshot, asked, search, slot))


def _passing(bits: Numbers, search: Numbers, choice: Numbers, slot: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    passing = np.flatnonzero(bits == 0)
    return search[passing], choice[passing], slot[passing]


def _named(snapshot: Snapshot, requests: Sequence[SearchRequest]) -> tuple[Numbers, Numbers, Numbers]:
    pairs = [
        (search, choice if request.in_order else 0, slot)
        for search, request in enumerate(requests)
        for choice, one in enumerate(request.wanted or ())
        if isinstance(one, str) and (slot := snapshot.slot(one)) is not None
    ]
    columns = np.array(pairs, np.int64).reshape(-1, 3)
    return columns[:, 0], columns[:, 1], columns[:, 2]


def _of_types(
    snapshot: Snapshot, requests: Sequence[SearchRequest], asked: Asked, *, proposals: bool
) -> tuple[Numbers, Numbers, Numbers]:
    """The active services of the types that are wanted, inside each search's square; and those to propose."""
    wished: list[tuple[int, int, int, Square]] = []
    for search, request in enumerate(requests):
        square = Square.around(request.position, asked.distances[search].km)
        if request.wanted is None:
            wished += [(search, 0, int(service_type), square) for service_type in snapshot.types]
        else:
            types = dict[int, int]()
            for choice, one in enumerate(request.wanted):
                if isinstance(one, int):
                    types.setdefault(one, choice if request.in_order else 0)
            wished += [(search, choice, service_type, square) for service_type, choice in types.items()]
        if proposals:
            wished.append((search, PROPOSAL, EMERGENCY_DEPARTMENT, Square.around(request.position, NATIONAL_KM)))
    numbers = np.array([one[:3] for one in wished], np.int64).reshape(-1, 3)
    squares = np.array([one[3] for one in wished]).reshape(-1, 4)
    south, north, west, east = squares.T
    lowest = np.maximum(np.floor((south + 90.0 - HAIR) / BAND_DEGREES), 0)
    bands = (np.minimum(np.floor((north + 90.0 + HAIR) / BAND_DEGREES), BANDS - 1) - lowest).astype(np.int64) + 1
    wish, band = spread(bands)
    line = (numbers[wish, 2] * float(BANDS) + lowest[wish] + band) * BAND_WIDTH + 180.0
    first = np.searchsorted(snapshot.keys, line + np.maximum(west - HAIR, -180.0)[wish])
    past = np.searchsorted(snapshot.keys, line + np.minimum(east + HAIR, 180.0)[wish], side="right")
    piece, step = spread(past - first)
    slot, wish = snapshot.ordered[first[piece] + step], wish[piece]
    latitude, longitude = snapshot.columns.latitude[slot], snapshot.columns.longitude[slot]
    inside = (
        (south[wish] <= latitude) & (latitude <= north[wish]) & (west[wish] <= longitude) & (longitude <= east[wish])
    )
    slot, wish = slot[inside], wish[inside]
    return numbers[wish, 0], numbers[wish, 1], slot


def spread(lengths: Numbers) -> tuple[Numbers, Numbers]:
    """For runs of these lengths, one after the other: to which run each place belongs, and its place there."""
    run = np.repeat(np.arange(len(lengths)), lengths)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _outside(
    snapshot: Snapshot, requests: Sequence[SearchRequest], asked: Asked, search: Numbers, slot: Numbers
) -> Numbers:
    """For named services: whether they are listed no longer, or outside the square."""
    columns = snapshot.columns
    squares = [Square.around(requests[one].position, asked.distances[one].km) for one in search]
    south, north, west, east = np.array(squares).reshape(-1, 4).T
    latitude, longitude = columns.latitude[slot], columns.longitude[slot]
    inside = (south <= latitude) & (latitude <= north) & (west <= longitude) & (longitude <= east)
    return ~columns.active[slot] * BITS["active"] | ~inside * BITS["distance"]


def _first_stage(
    snapshot: Snapshot, requests: Sequence[SearchRequest], asked: Asked, search: Numbers, slot: Numbers
) -> Numbers:
    """Symptom group, gender and surgery; and of the second stage what is said by codes with the group."""
    columns, registers = snapshot.columns, snapshot.registers
    clinical = registers.clinical_verdicts.verdicts[asked.clinical[search], columns.clinical[slot]]
    genders = columns.genders[slot]
    other_gender = (genders != 0) & (genders & asked.gender[search] == 0)
    bits: Numbers = clinical.astype(np.int32) | other_gender * BITS["gender"]
    commissioning = columns.commissioning[slot]
    if commissioning.any():
        items = registers.commissionings
        bits |= (items.restricted[commissioning] & ~commissioned(snapshot, requests, search, slot)) * BITS["surgery"]
    return bits


def commissioned(snapshot: Snapshot, requests: Sequence[SearchRequest], search: Numbers, slot: Numbers) -> Truths:
    """Whether each service is commissioned by the patient's own surgery."""
    items = snapshot.registers.commissionings
    height = len(items.items)
    theirs = [
        number * height + item
        for number, request in enumerate(requests)
        if request.surgery is not None
        for item in items.of_surgery.get(request.surgery, ())
    ]
    commissioning = snapshot.columns.commissioning[slot]
    if not theirs:
        return np.zeros(len(slot), np.bool_)
    asked = search.astype(np.int64) * height + commissioning
    sorted_theirs = np.sort(theirs)
    found: Truths = sorted_theirs[np.searchsorted(sorted_theirs[:-1], asked)] == asked
    return found


def _second_stage(
    snapshot: Snapshot, asked: Asked, search: Numbers, slot: Numbers, *, proposed: Truths | Literal[False] = False
) -> Numbers:
    """Capacity, age and area. What is only proposed is not waited for, so that it is full counts there."""
    columns, registers = snapshot.columns, snapshot.registers
    red = (columns.capacity[slot] == RED) & (columns.resets_at[slot] > asked.second[search])
    red &= ~asked.full_too[search] | proposed
    # An unknown age is no number, compares with nothing, and so fails every limit.
    of_age = (columns.youngest[slot] <= asked.oldest[search]) & (asked.youngest[search] < columns.too_old[slot])
    other_age = columns.limits_age[slot] & ~of_age
    area = registers.territory_verdicts.verdicts[asked.territory[search], columns.territory[slot]] & BITS["area"]
    bits: Numbers = red * BITS["capacity"] | other_age * BITS["age"] | area
    return bits


def _left_out(snapshot: Snapshot, requests: Sequence[SearchRequest], search: Numbers, slot: Numbers) -> Numbers:
    """What is not asked again. Only a further placement leaves anybody out."""
    pairs = [
        number * len(snapshot.entries) + left
        for number, request in enumerate(requests)
        for one in request.without
        if (left := snapshot.slot(one)) is not None
    ]
    if not pairs:
        return np.zeros(len(slot), np.int32)
    left_out: Numbers = np.isin(search.astype(np.int64) * len(snapshot.entries) + slot, pairs) * BITS["left out"]
    return left_out


def _closed(snapshot: Snapshot, asked: Asked, search: Numbers, slot: Numbers) -> Numbers:
    """Opening hours, and only if open."""
    columns, boards = snapshot.columns, snapshot.registers.boards
    opening = boards.look(
        columns.timetable[slot],
        asked.minute[search],
        session=asked.session[search],
        open_within=columns.open_within[slot],
        past=asked.past_the_minute[search],
    )
    bits: Numbers = ~opening.in_session * BITS["opening hours"] | ~opening.within * BITS["only if open"]
    return bits


def _metres(snapshot: Snapshot, asked: Asked, search: Numbers, slot: Numbers) -> Floats:
    """Great-circle distances, in whole metres."""
    columns = snapshot.columns
    x, y, z = columns.x[slot] - asked.x[search], columns.y[slot] - asked.y[search], columns.z[slot] - asked.z[search]
    chord = np.sqrt(x * x + y * y + z * z)
    metres: Floats = np.rint(2 * EARTH_KM * METRES * np.arcsin(np.minimum(chord / 2, 1.0)))
    return metres
