"""Invented directories of any size on the real geography of towns: to try things out, and to measure.

Everything but the places is made up: names, organisations, codes. Telephone numbers are of the range that Ofcom keeps
free for drama (01632 960000 to 960999), so many services share one. A seed decides all: the same seed gives the same
directory, entry by entry.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from math import asin, cos, radians, sin, sqrt
from random import Random
from typing import Any, NamedTuple, Self

from contracts.directory import (
    DAYS,
    SERVICE_TYPES,
    Day,
    OpeningHours,
    OpeningPeriod,
    Service,
    SlotSession,
    SpecifiedDate,
    SymptomGroup,
)
from contracts.people import Age, Desk, Gender, Position
from services.pathways.codes import CodeTable
from services.pathways.globe import EARTH_KM
from services.pathways.towns import Town

KM_A_DEGREE = 111.195
REGION_KM = 60.0
"""Towns so near to the middle of a region belong to it: as far as the published search looks by default."""

SHARES = {
    8: 6,
    13: 14,
    38: 9,
    40: 1,
    50: 3,
    100: 16,
    105: 3,
    121: 1,
    122: 1,
    135: 8,
    140: 6,
    142: 5,
    146: 9,
    153: 2,
    154: 2,
    155: 5,
    156: 4,
    158: 5,
}
"""How many of a hundred services are of each type; what is not here is one of a hundred."""

WEEKDAYS: tuple[Day, ...] = DAYS[:5]
CHRISTMAS = tuple(date(year, 12, 25) for year in range(2026, 2031))
GENDERS: tuple[Gender, ...] = ("female", "male")

FIRST_HALVES = (
    *("Alder", "Amber", "Birch", "Bram", "Cinder", "Copper", "Dapple", "Elder", "Fallow", "Feather", "Gorse", "Hazel"),
    *("Heron", "Juniper", "Kestrel", "Larch", "Linnet", "Mallow", "Meadow", "Mill", "Otter", "Pebble", "Plover"),
    *("Quill", "Rowan", "Saffron", "Sedge", "Sorrel", "Swallow", "Tansy", "Teasel", "Thistle", "Umber", "Vetch"),
    *("Willow", "Wren", "Yarrow", "Yew"),
)
SECOND_HALVES = (
    *("beck", "bourne", "cote", "crest", "dale", "fold", "garth", "holme", "hurst", "lea", "marsh", "mere", "moor"),
    *("rigg", "shaw", "stead", "wick", "wold"),
)


@dataclass(frozen=True)
class Codes:
    """Codes that invented services may be limited by."""

    symptom_groups: Sequence[SymptomGroup] = ()
    dispositions: Sequence[str] = ()
    referral_roles: Sequence[str] = ()

    @classmethod
    def of(cls, table: CodeTable) -> Self:
        """All codes of a table."""
        groups = table.symptom_groups.items()
        return cls(
            symptom_groups=tuple(
                SymptomGroup(code=code, discriminators=tuple(one.discriminators)) for code, one in groups
            ),
            dispositions=tuple(table.dispositions),
            referral_roles=tuple(table.referral_roles),
        )


NO_CODES = Codes()


class Kind(NamedTuple):
    """What organisations of one kind are called, and how many services one of them has, on average."""

    letter: str
    name: str
    desk: str
    services: int


HOSPITALS = Kind("H", "Hospitals Trust", "site operations", 14)
COMMUNITY = Kind("C", "Community Health", "single point of access", 20)
MENTAL_HEALTH = Kind("M", "Mental Health Trust", "crisis line for professionals", 20)
URGENT_CARE = Kind("U", "Urgent Care", "shift lead", 8)
AMBULANCE = Kind("A", "Ambulance Trust", "clinical hub", 200)

PRIMARY_CARE = Kind("P", "Primary Care", "duty doctor", 25)
SOCIAL_CARE = Kind("L", "Adult Social Care", "duty desk", 20)

OF_TYPE = {
    **dict.fromkeys((40, 105, 121, 122, 140, 153, 154), HOSPITALS),
    **dict.fromkeys((38, 50, 146, 155), COMMUNITY),
    **dict.fromkeys((13, 100), PRIMARY_CARE),
    8: SOCIAL_CARE,
    142: MENTAL_HEALTH,
    158: AMBULANCE,
}
KINDS = (HOSPITALS, COMMUNITY, MENTAL_HEALTH, URGENT_CARE, AMBULANCE, PRIMARY_CARE, SOCIAL_CARE)

PROFILES = 12
"""Clinical profiles of a type that services share, as those of the Directory of Services are made from templates. One
of five services has its own."""

NEVER_CLOSES = {40, 105, 121, 122, 153}


def region(middle: Town, towns: Sequence[Town]) -> list[Town]:
    """The towns of a region: those near to its middle, itself included, in the table's order."""
    return [one for one in towns if _km(one.position, middle.position) <= REGION_KM]


def invented(towns: Sequence[Town], services: int, seed: int, codes: Codes = NO_CODES) -> Iterator[Desk | Service]:
    """Desks of every organisation, then so many services; more where more people live. Every type is there.

    Raises ValueError where there are fewer services than types.
    """
    types = _types(services)
    organisations = _organisations(towns, types, seed)
    for organisation in organisations:
        yield organisation.desk
    by_kind = {kind: [one for one in organisations if one.kind is kind] for kind in KINDS}
    people = list(accumulate(one.population for one in towns))
    nearest: dict[tuple[Kind, Town], _Organisation] = {}
    names: set[str] = set()
    for number, service_type in enumerate(types):
        random = Random(f"{seed}/service/{number}")  # noqa: S311 - nothing is secret
        where = random.choices(towns, cum_weights=people)[0]
        kind = _kind(service_type)
        if (kind, where) not in nearest:
            nearest[kind, where] = min(by_kind[kind], key=lambda one: _km(one.town.position, where.position))
        name = f"{_name(random, names, number)} {SERVICE_TYPES[service_type]}"
        yield _service(number, service_type, name, nearest[kind, where], drawn_near(where, random), seed, random, codes)


def drawn_near(town: Town, random: Random) -> Position:
    """A position where people of a town may live: close to the middle mostly, and wider in a larger town.

    Half of a town of 100,000 is within 3 km, of London within 18 km: the density of both is about the same.
    """
    spread_km = 0.9 + 0.0048 * sqrt(town.population)
    north, east = random.gauss(0, spread_km), random.gauss(0, spread_km)
    latitude = town.position.latitude + north / KM_A_DEGREE
    longitude = town.position.longitude + east / (KM_A_DEGREE * cos(radians(latitude)))
    return Position(latitude=round(latitude, 5), longitude=round(longitude, 5))


@dataclass(frozen=True)
class _Organisation:
    kind: Kind
    desk: Desk
    town: Town


def _types(services: int) -> list[int]:
    """The type of each service: every type once, then by their shares."""
    if services < len(SERVICE_TYPES):
        raise ValueError(f"a directory of every type has at least {len(SERVICE_TYPES)} services, not {services}")
    shares = {service_type: SHARES.get(service_type, 1) for service_type in SERVICE_TYPES}
    round_robin = [service_type for service_type, share in shares.items() for _ in range(share)]
    spread = Random("types")  # noqa: S311 - nothing is secret
    spread.shuffle(round_robin)
    rest = services - len(shares)
    return [*shares, *(round_robin[number % len(round_robin)] for number in range(rest))]


def _organisations(towns: Sequence[Town], types: Sequence[int], seed: int) -> list[_Organisation]:
    """For each kind as many as its services need, in the largest towns."""
    largest = sorted(towns, key=lambda one: (-one.population, one.name))
    found, names = [], set[str]()
    for kind in KINDS:
        services = sum(_kind(service_type) is kind for service_type in types)
        for number in range(min(-(-services // kind.services), len(largest))):
            random = Random(f"{seed}/organisation/{kind.letter}/{number}")  # noqa: S311 - nothing is secret
            name = _name(random, names, number)
            desk = Desk(
                organisation=f"GEN{kind.letter}{number:04}",
                name=f"{name} {kind.name}, {kind.desk}",
                telephone=_telephone(random),
            )
            found.append(_Organisation(kind, desk, largest[number]))
    return found


def _service(
    number: int,
    service_type: int,
    name: str,
    owner: _Organisation,
    position: Position,
    seed: int,
    random: Random,
    codes: Codes,
) -> Service:
    hours = _hours(service_type, random)
    booking: dict[str, Any] = {"booking": "delivery"}
    if service_type in (135, 140) or (service_type == 155 and random.random() < 0.4):
        booking = {"booking": "slots", "sessions": _sessions(hours, random)}
    elif service_type in (142, 146, 155):
        booking = {"booking": "acceptance", "accept_within_minutes": random.choice((10, 15, 20, 30))}
    return Service(
        service_id=f"G{number:06}",
        name=name,
        service_type=service_type,
        organisation=owner.desk.organisation,
        position=position,
        telephone=_telephone(random),
        instructions=random.choice(INSTRUCTIONS),
        hours=hours,
        **booking,
        **_restrictions(service_type, seed, random, codes),
    )


INSTRUCTIONS = (
    "Ring ahead.",
    "Ring ahead with age, NEWS2 and time of arrival.",
    "Send the handover before the patient leaves.",
    "Ask for the coordinator; the patient needs a way home.",
    "",
)


def _hours(service_type: int, random: Random) -> OpeningHours:
    """What departments for emergencies keep, and one of several weeks for all others."""
    if service_type in NEVER_CLOSES or random.random() < 0.15:
        return OpeningHours(always=True)
    opens = random.choice(("07:00", "08:00", "08:30", "09:00", "10:00"))
    closes = random.choice(("17:00", "18:00", "18:30", "20:00", "22:00", "24:00"))
    periods = [OpeningPeriod(days=WEEKDAYS, opens=opens, closes=closes)]
    week = random.random()
    if week < 0.5:
        periods = [OpeningPeriod(days=DAYS, opens=opens, closes=closes)]
    elif week < 0.7:
        periods.append(OpeningPeriod(days=DAYS[5:], opens="10:00", closes="16:00"))
    elif week < 0.8:  # the nights, and the whole of the weekend
        periods = [
            OpeningPeriod(days=DAYS[:4], opens="18:30", closes="08:00"),
            OpeningPeriod(days=DAYS[4:5], opens="18:30", closes="24:00"),
            OpeningPeriod(days=DAYS[5:], opens="00:00", closes="24:00"),
            OpeningPeriod(days=DAYS[:1], opens="00:00", closes="08:00"),
        ]
    dates = tuple(SpecifiedDate(on=day) for day in CHRISTMAS) if random.random() < 0.5 else ()
    holidays = random.choice((None, None, (), (("10:00", "16:00"),)))
    return OpeningHours(periods=tuple(periods), dates=dates, public_holidays=holidays)


def _sessions(hours: OpeningHours, random: Random) -> tuple[SlotSession, ...]:
    """A diary that fills the hours, so that there is a slot when it is open, and no two sessions overlap."""
    slot_minutes, capacity = random.choice((10, 15, 20, 30)), random.choice((1, 2, 3, 4))
    periods = hours.periods or (OpeningPeriod(days=DAYS, opens="00:00", closes="24:00"),)
    return tuple(
        SlotSession(
            days=period.days, begins=period.opens, ends=period.closes, slot_minutes=slot_minutes, capacity=capacity
        )
        for period in periods
    )


def _restrictions(service_type: int, seed: int, random: Random, codes: Codes) -> dict[str, Any]:
    """Limits as directories have them; most services have one or none, some have several."""
    limits: dict[str, Any] = {}
    drawn = random.random()
    if drawn < 0.25:
        limits["age_from"] = Age(value=random.choice((16, 18)))
    elif drawn < 0.29:
        limits["age_until"] = Age(value=15)
    elif drawn < 0.33:
        limits["age_from"] = Age(value=65)
    elif drawn < 0.36:
        limits["age_from"] = Age(value=random.choice((3, 6, 12)), unit="months")
    elif drawn < 0.38:
        limits["age_until"] = Age(value=23, unit="months")
    elif drawn < 0.39:
        limits["age_until"] = Age(value=28, unit="days")
    if random.random() < 0.03:
        limits["genders"] = (random.choice(GENDERS),)
    if service_type in NEVER_CLOSES:
        return limits
    own = random.random() < 0.2
    profile = random.randrange(1_000_000) if own else f"{service_type}/{random.randrange(PROFILES)}"
    limits |= _clinical(Random(f"{seed}/profile/{profile}"), codes)  # noqa: S311 - nothing is secret
    if random.random() < 0.12:
        limits["commissioned_by"] = tuple(sorted({surgery(random) for _ in range(random.randint(1, 12))}))
        limits["restricted"] = random.random() < 0.5
    if random.random() < 0.06:
        limits["limited_to"] = tuple(sorted({area(random) for _ in range(random.randint(1, 3))}))
    if random.random() < 0.04:
        limits["promoted_to"] = (area(random),)
    if random.random() < 0.1:
        limits["only_if_open_within_minutes"] = random.choice((0, 15, 30))
    return limits


def _clinical(random: Random, codes: Codes) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if codes.symptom_groups and random.random() < 0.6:
        taken = [group for group in codes.symptom_groups if random.random() < 0.75] or [codes.symptom_groups[0]]
        limits["symptom_groups"] = tuple(_narrowed(group, random) for group in taken)
    if codes.dispositions and random.random() < 0.5:
        limits["dispositions"] = tuple(code for code in codes.dispositions if random.random() < 0.75)
    if codes.referral_roles and random.random() < 0.1:
        limits["referral_roles"] = (random.choice(codes.referral_roles),)
    return limits


def surgery(random: Random) -> str:
    """The invented code of a surgery."""
    return f"GENS{random.randrange(400):04}"


def area(random: Random) -> str:
    """The invented code of an area."""
    return f"GEN-AREA-{random.randrange(60):02}"


def _narrowed(group: SymptomGroup, random: Random) -> SymptomGroup:
    """The group with all of its discriminators, or with some."""
    if random.random() < 0.7:
        return SymptomGroup(code=group.code)
    return SymptomGroup(
        code=group.code, discriminators=tuple(code for code in group.discriminators if random.random() < 0.6)
    )


def _name(random: Random, taken: set[str], number: int) -> str:
    """A name of two halves; with a number once most of them are taken."""
    for _ in range(4):
        name = random.choice(FIRST_HALVES) + random.choice(SECOND_HALVES)
        if name not in taken:
            break
    else:
        name = f"{name} {number}"
    taken.add(name)
    return name


def _kind(service_type: int) -> Kind:
    return OF_TYPE.get(service_type, URGENT_CARE)


def _telephone(random: Random) -> str:
    return f"01632 960{random.randrange(1000):03}"


def _km(one: Position, other: Position) -> float:
    """Great-circle distance in km (haversine)."""
    north, south = radians(one.latitude), radians(other.latitude)
    across = radians(one.longitude - other.longitude)
    chord = sin((north - south) / 2) ** 2 + cos(north) * cos(south) * sin(across / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(chord)))
