"""Lookup: what a caller asks without referring anybody, as a search; and what it is told of each service. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contracts.diaries import DiaryReportedData, FreeSlot
from contracts.directory import SERVICE_TYPES, Code
from contracts.people import Age, Gender, OrganisationCode, Position, Telephone
from contracts.placements import BookingKind, Candidate, NearMiss
from contracts.submissions import Presentation, ServiceId, ServiceType
from services.chassis.lean import written
from services.chassis.problems import Fault, faults_of
from services.pathways.capacity import Standing, Status, standing
from services.pathways.codes import CodeTable
from services.pathways.entries import Entry
from services.pathways.free_slots import FreeSlots
from services.pathways.index import Snapshot
from services.pathways.places import kind_of
from services.pathways.reasons import ages_in_words
from services.pathways.request import (
    MOST_NEAR_MISSES,
    AgeGroup,
    AgeInTheWrongUnit,
    AgeSpan,
    Area,
    Needs,
    SearchRequest,
)
from services.pathways.search import Explained, Ranked

Text = Annotated[str, StringConstraints(min_length=2, max_length=80)]

POSITIONS = ("latitude", "longitude", "town", "postcode")


class Query(BaseModel):
    """What is asked. Nothing of it says who the patient is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latitude: float | None = Field(default=None, ge=-90, le=90, description="degrees (WGS 84), with `longitude`")
    longitude: float | None = Field(default=None, ge=-180, le=180, description="degrees (WGS 84), with `latitude`")
    town: Text | None = Field(default=None, description="in place of a position: a town of the built-in table")
    postcode: Text | None = Field(
        default=None, description="in place of a position, or beside it: a postcode or its first part"
    )
    presentation: Presentation | None = Field(
        default=None, description="what the crew selected: searched for by the codes that stand for it"
    )
    type: tuple[ServiceType, ...] = Field(
        default=(),
        max_length=20,
        description="a Directory of Services type, such as 135; repeated: in this order. All types if none is given",
    )
    symptom_group: Code | None = Field(default=None, description="in place of a presentation: a code of the code table")
    discriminator: tuple[Code, ...] = Field(
        default=(), max_length=20, description="a symptom discriminator; repeated: all of them are needed"
    )
    disposition: Code | None = Field(
        default=None, description="a disposition of the code table: how soon the patient is to be seen"
    )
    age: int | None = Field(
        default=None, ge=0, le=60_000, description="with `age_unit`; without it every limit of age excludes"
    )
    age_unit: Literal["days", "months", "years"] = Field(
        default="years", description="days (0 to 31), months (1 to 23) or years (2 to 129)"
    )
    age_group: AgeGroup | None = Field(default=None, description="in place of an age that is only estimated")
    gender: Gender = Field(
        default="unknown", description="where it is not known, services for some genders are left out"
    )
    surgery: OrganisationCode | None = Field(default=None, description="where the patient is registered (ODS code)")
    local_authority: Code | None = Field(default=None, description="the area of the position, where it is known")
    commissioner: Code | None = Field(default=None, description="the area of the position, where it is known")
    km: float | None = Field(
        default=None, ge=1, le=99, description="half the side of the search square, where the directory holds none"
    )
    at: AwareDatetime | None = Field(
        default=None,
        ge=datetime(2000, 1, 1, tzinfo=UTC),
        lt=datetime(2100, 1, 1, tzinfo=UTC),
        description="the time of the search; now if none is given",
    )
    near_misses: int = Field(default=MOST_NEAR_MISSES, ge=0, le=50, description="at most so many")

    @property
    def named_place(self) -> str | None:
        """A town or postcode that stands for the position; none where the position is given."""
        return None if self.latitude is not None else self.town or self.postcode

    @property
    def area(self) -> Area:
        """What is known of where it is."""
        return Area(self.local_authority, self.commissioner)


def read(given: Mapping[str, Sequence[str]], codes: CodeTable) -> Query:
    """The query that parameters make. Raises Faulty with every fault of it."""
    found = list(_of_combinations(given))
    repeated = {name for name in Query.model_fields if isinstance(Query.model_fields[name].default, tuple)}
    values: dict[str, Any] = {}
    for name, texts in given.items():
        values[name] = list(texts) if name in repeated else texts[0]
        if name not in repeated and len(texts) > 1:
            found.append((name, "given more than once"))
    try:
        query = Query.model_validate(values)
    except ValidationError as error:
        faults = faults_of(error)
        named = {one["loc"][0] for one in error.errors()}
        # What the sound ones mean can still be wrong, and is said at once.
        query = Query.model_validate({name: value for name, value in values.items() if name not in named})
    else:
        faults = []
    found += _of_meaning(query, codes)
    if faults or found:
        raise Faulty([*faults, *(Fault(pointer=f"/{name}", message=message) for name, message in found)])
    return query


class Faulty(Exception):
    """Parameters do not make a query. `faults` names every one."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = faults
        super().__init__("the parameters do not make a query")


def _of_combinations(given: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """What is missing, or given twice in other words: by parameter."""
    if not given.keys() & set(POSITIONS):
        yield "latitude", "say where: latitude and longitude, a town, or a postcode"
    for one, other in (("latitude", "longitude"), ("longitude", "latitude")):
        if one in given and other not in given:
            yield other, f"{one} needs {other} beside it"
    if "town" in given and given.keys() & {"latitude", "longitude", "postcode"}:
        yield "town", "a town stands in place of a position or postcode, not beside it"
    if not given.keys() & {"presentation", "type", "symptom_group"}:
        yield "presentation", "say what for: a presentation, types of service, or a symptom group"
    if "presentation" in given:
        for name in sorted(given.keys() & {"symptom_group", "discriminator", "disposition"}):
            yield name, "a presentation stands for its codes: give one or the other"
    if "discriminator" in given and not given.keys() & {"symptom_group", "presentation"}:
        yield "discriminator", "a discriminator belongs to a symptom group: give it too"
    if "age" in given and "age_group" in given:
        yield "age_group", "give an age or an age group, not both"
    if "age_unit" in given and "age" not in given:
        yield "age_unit", "a unit needs an age"


def _of_meaning(query: Query, codes: CodeTable) -> Iterator[tuple[str, str]]:
    """What is well written and means nothing here: by parameter."""
    try:
        _age_of(query)
    except AgeInTheWrongUnit as error:
        yield "age", str(error)
    if query.presentation is not None and query.presentation not in codes.presentations:
        yield (
            "presentation",
            f"no codes stand for {query.presentation}, so a referral with it goes to a clinician: name types instead",
        )
    if query.postcode is not None and kind_of(query.postcode) == "town":
        yield "postcode", "neither a postcode nor the first part of one"
    asked = {
        "symptom_group": Needs(query.symptom_group),
        "discriminator": Needs(None, query.discriminator),
        "disposition": Needs(None, (), query.disposition),
    }
    for name, needs in asked.items():
        for unknown in codes.unknown(needs):
            yield name, f"{unknown} is not in the code table"


def _age_of(query: Query) -> AgeSpan | None:
    if query.age is not None:
        return AgeSpan.given(Age(value=query.age, unit=query.age_unit))
    return None if query.age_group is None else AgeSpan.of_group(query.age_group)


def request_of(query: Query, position: Position, codes: CodeTable, *, role: str, now: datetime) -> SearchRequest:
    """The search that a query is, for a caller of this role. With types given, they stand in their order."""
    needs = _needs_of(query, codes)
    disposition = codes.dispositions.get((needs.disposition if needs else query.disposition) or "")
    wanted = tuple(dict.fromkeys(query.type))
    return SearchRequest(
        position=position,
        at=query.at or now,
        age=_age_of(query),
        gender=query.gender,
        needs=needs,
        minutes=None if disposition is None else disposition.minutes,
        surgery=query.surgery,
        referral_role=codes.referral_role(role),
        postcode=query.postcode,
        area=query.area,
        km=query.km,
        wanted=wanted or None,
        in_order=bool(wanted),
        said_of=tuple(f"type {number} of {len(wanted)} that are asked for" for number, _ in enumerate(wanted, 1)),
        most_near_misses=query.near_misses,
    )


def _needs_of(query: Query, codes: CodeTable) -> Needs | None:
    if query.presentation is not None:
        return codes.needs(query.presentation, decided_by=None, disposition="")
    if query.symptom_group is not None:
        belonging = codes.belonging(query.symptom_group, query.discriminator)
        return Needs(query.symptom_group, belonging, query.disposition)
    return None


# What is told


class ShownCapacity(BaseModel):
    """How full a service is, and for how long that is known."""

    status: Status
    since: datetime | None = Field(description="when it was reported, or its report ran out; none: never reported")
    until: datetime | None = Field(description="when the report runs out")

    @classmethod
    def of(cls, one: Standing) -> Self:
        """As it stands."""
        return cls(status=one.status, since=one.since, until=one.until)


class ShownFreeSlots(BaseModel):
    """When a service has room, as booking told it. To look at: only a referral holds a slot."""

    as_of: datetime = Field(description="when it became so; told again only when it changes")
    next_free: list[FreeSlot]
    free: int = Field(description="patients that its slots up to `until` still take")
    until: datetime

    @classmethod
    def of(cls, reported: DiaryReportedData, now: datetime, *, by_the_hour: bool) -> Self:
        """Without slots that have begun since; an hour may be held while it runs."""
        coming = [
            slot
            for slot in reported.next_free
            if slot.begins + timedelta(minutes=slot.minutes if by_the_hour else 0) > now
        ]
        return cls(as_of=reported.as_of, next_free=coming, free=reported.free, until=reported.until)


class ShownService(BaseModel):
    """A service that could take such a patient now, and why it stands at its place."""

    place: int = Field(description="from 1, the best first")
    service_id: ServiceId = Field(description='to be accepted in a submission: {"service": ...}')
    name: str
    service_type: ServiceType
    type_name: str
    organisation: OrganisationCode
    telephone: Telephone = Field(description="the professional line")
    instructions: str = Field(description="what the referrer must do or say")
    exclusions: list[str] = Field(description="whom it takes and whom it does not, in words")
    position: Position
    distance_km: float
    opens_at: datetime | None = Field(description="none where it is open already")
    open_until: datetime | None = Field(description="none where it never closes")
    capacity: ShownCapacity
    booking: BookingKind
    accept_within_minutes: int | None
    free_slots: ShownFreeSlots | None = Field(description="none where it has no slots and no hours, or none was told")
    why: str


class ShownNearMiss(NearMiss):
    """A service that failed one criterion alone: a clinician may telephone it."""

    type_name: str
    telephone: Telephone


class Found(BaseModel):
    """What a lookup found. Nobody is referred, nothing is held."""

    at: datetime = Field(description="the time of the search")
    position: Position
    search_km: float = Field(description="half the side of the square that was searched")
    search_km_from: str = Field(description="why so far: forced, postcode, sector, district, request or national")
    candidates: list[ShownService]
    near_misses: list[ShownNearMiss]
    catch_all: list[ShownService] = Field(
        description="where there is no candidate: the nearest two emergency departments, whatever their capacity"
    )


class ShownExclusion(BaseModel):
    """A criterion that excludes a service, and how."""

    criterion: str
    why: str


class ShownExplanation(BaseModel):
    """Why a service stands where it stands in a search, or every criterion that excludes it."""

    at: datetime
    service_id: ServiceId
    name: str
    service_type: ServiceType
    type_name: str
    place: int | None = Field(description="among the candidates, from 1; none where it is no candidate")
    why: str
    excluded: list[ShownExclusion] = Field(
        description="none where it is a candidate, or others of its type go before it"
    )
    capacity: ShownCapacity


def found(ranked: Ranked, request: SearchRequest, snapshot: Snapshot, free_slots: FreeSlots) -> Found:
    """What a caller is told of what a search found."""
    return Found(
        at=request.at,
        position=request.position,
        search_km=ranked.distance.km,
        search_km_from=ranked.distance.source,
        candidates=_shown(ranked.candidates, request, snapshot, free_slots),
        near_misses=[_near_miss(one, snapshot) for one in ranked.near_misses],
        catch_all=_shown(ranked.catch_all, request, snapshot, free_slots),
    )


def explained(one: Explained, request: SearchRequest, service_id: str, snapshot: Snapshot) -> ShownExplanation:
    """What a caller is told of one service."""
    entry = _entry(snapshot, service_id)
    return ShownExplanation(
        at=request.at,
        service_id=service_id,
        name=entry.name,
        service_type=entry.service_type,
        type_name=_type_name(entry.service_type),
        place=one.place,
        why=one.why,
        excluded=[ShownExclusion(criterion=each.criterion, why=each.why) for each in one.excluded],
        capacity=ShownCapacity.of(standing(entry.reported, request.at)),
    )


def _shown(
    candidates: Sequence[Candidate], request: SearchRequest, snapshot: Snapshot, free_slots: FreeSlots
) -> list[ShownService]:
    shown = []
    for place, candidate in enumerate(candidates, 1):
        entry = _entry(snapshot, candidate.service_id)
        by_the_hour = entry.patients_an_hour is not None
        diary = free_slots.of(candidate.service_id) if by_the_hour or candidate.booking == "slots" else None
        said = {name: getattr(candidate, name) for name in ShownService.model_fields if name in Candidate.model_fields}
        said |= {
            "place": place,
            "type_name": _type_name(candidate.service_type),
            "exclusions": list(_exclusions(entry)),
            "capacity": ShownCapacity.of(standing(entry.reported, request.at)),
            "free_slots": diary and ShownFreeSlots.of(diary, request.at, by_the_hour=by_the_hour),
        }
        shown.append(ShownService.model_validate_json(written(said)))
    return shown


def _near_miss(near: NearMiss, snapshot: Snapshot) -> ShownNearMiss:
    said = {name: getattr(near, name) for name in NearMiss.model_fields}
    telephone = _entry(snapshot, near.service_id).always["telephone"]
    return ShownNearMiss(**said, type_name=_type_name(near.service_type), telephone=telephone)


def _exclusions(entry: Entry) -> Iterator[str]:
    """Whom a service takes, where it does not take everyone."""
    if any(entry.ages):
        yield f"takes patients {ages_in_words(entry)}"
    if entry.genders:
        yield f"takes patients of gender {' or '.join(entry.genders)}"
    if entry.commissioning.restricted:
        yield f"takes only patients of the surgeries {', '.join(entry.commissioning.surgeries)}"
    if entry.territory.limited_to:
        yield f"serves only {', '.join(entry.territory.limited_to)}"
    if entry.clinical.referral_roles:
        yield f"takes referrals only from {', '.join(entry.clinical.referral_roles)}"


def _entry(snapshot: Snapshot, service_id: str) -> Entry:
    entry = snapshot.entry(service_id)
    if entry is None:
        raise LookupError(f"{service_id} is not in the snapshot that it was found in")
    return entry


def _type_name(service_type: int) -> str:
    return SERVICE_TYPES.get(service_type, f"service type {service_type}")
