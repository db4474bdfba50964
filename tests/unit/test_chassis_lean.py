"""Lean stand-ins: they take nothing that the contract refuses, and say exactly what it says."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.directory import CapacityReported, DeskListed, ServiceListed
from contracts.envelope import Event
from contracts.people import Age, Desk
from contracts.placements import BookingRequested, BookingRequestedData
from contracts.submissions import ReferralSubmitted
from contracts.triage import ReferralTriaged
from services.chassis.lean import lean, leaned, written
from services.chassis.views import Part, View
from tests.contracts.golden_examples import INVALID, VALID, VALID_BY_NAME, Example
from tests.unit.test_every_topic import mutated

CONTRACTS = (
    ReferralSubmitted,
    ReferralTriaged,
    BookingRequested,
    BookingConfirmed,
    BookingExhausted,
    ServiceListed,
    CapacityReported,
)
"""Those that services read or write by stand-ins."""

TYPES = {contract.TYPE: contract for contract in CONTRACTS}
EXAMPLES = [one for one in VALID if one.type in TYPES]
KNOWN = [one for one in EXAMPLES if "unknown-attributes" not in str(one)]


def judged(contract: type[Event], value: bytes) -> Any:
    """What the contract makes of it: all that it says, or the faults."""
    try:
        return json.loads(contract.read(value).model_dump_json())
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False, include_input=False)


def taken(contract: type[Event], value: bytes) -> Any:
    """What the stand-in makes of it. Raises pydantic's ValidationError where it takes what the contract refuses."""
    try:
        read = lean(contract).read(value)
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False, include_input=False)
    said = read.model_dump_json().encode() if isinstance(read, contract) else written(read)
    return json.loads(contract.read(said).model_dump_json())


@pytest.mark.parametrize("one", KNOWN, ids=str)
def test_what_is_known_is_read_leanly(one: Example) -> None:
    """All of it, attribute by attribute; and what is written says the same."""
    read = lean(one.contract).read(one.value)
    assert not isinstance(read, one.contract)
    assert (one.value, one.read()) == (read.to_json(), one.contract.read(written(read)))


def test_what_is_absent_is_not_written() -> None:
    """An attribute without a value is left out where it may be; whatever a reader could not do without is there."""
    read = lean(BookingRequested).read(VALID_BY_NAME["booking.requested/fall"].value)
    told = json.loads(written(read))
    assert (None, False) == (read.data.candidates[0].opens_at, "opens_at" in told["data"]["candidates"][0])
    brief = json.loads(written(read.data.brief.model_copy(update={"surgery": None})))
    assert ("1.0", [], None) == (told["specversion"], brief["marks"], brief["surgery"])


@settings(deadline=None, max_examples=300)
@given(mutated(list(TYPES)))
def test_what_is_taken_is_what_the_contract_takes(value: bytes) -> None:
    """Whatever is wrong with a record: refused for the same faults, or read as the same."""
    for contract in CONTRACTS:
        assert judged(contract, value) == taken(contract, value)


@pytest.mark.parametrize("one", [one for one in INVALID if one.type in TYPES], ids=str)
def test_what_is_invalid_is_refused_as_the_contract_refuses_it(one: Example) -> None:
    """Every golden example of a fault, by the same names and at the same places."""
    assert judged(one.contract, one.value) == taken(one.contract, one.value)


@pytest.mark.parametrize(
    "text",
    [
        b'"ONW01\\n"',
        b'"ONW01\n"',
        b'"ONW\xd9\xa1"',
        b'"onw01"',
        b'"ONW01\\u0000"',
        b'"ONW01\xff"',
        b'"\\ud800"',
        b"17",
        b"null",
        b'["ONW01"]',
        b"{}",
    ],
)
def test_a_text_matches_its_pattern_as_the_contract_sees_it(text: bytes) -> None:
    """A line's end, another script's digits, what is no text: also when it comes again, and the verdict is known."""
    value = VALID_BY_NAME["booking.requested/fall"].value
    changed = value.replace(b'"ONW01"', text)
    assert changed != value
    for _ in range(2):
        assert judged(BookingRequested, changed) == taken(BookingRequested, changed)


@pytest.mark.parametrize(
    "time",
    [
        "0001-12-30T23:59:59Z",
        "\\u0030001-12-30T23:59:59Z",
        "0001-12-31T00:00:00Z",
        "0001-12-31T23:58:59+23:59",
        "0002-01-01T00:00:00+23:59",
        "9998-12-31T23:59:59-23:59",
        "9999-01-02T00:00:00Z",
        "9999-01-02T00:00:01Z",
        "9999-01-01T00:01:01-23:59",
        "\\u0039999-02-01T00:00:00Z",
    ],
)
@pytest.mark.parametrize("attribute", ["time", "answer_by"])
def test_a_time_is_an_instant_as_the_contract_sees_it(attribute: str, time: str) -> None:
    """Of the years 2 to 9998, in the envelope and in the data, however it is written."""
    value = VALID_BY_NAME["booking.requested/fall"].value
    said = f'"{attribute}":"{time}"'.encode()
    changed = re.sub(rf'"{attribute}":\s*"[^"]*"'.encode(), lambda _: said, value, count=1)
    assert changed != value
    assert judged(BookingRequested, changed) == taken(BookingRequested, changed)


def test_what_a_contract_does_not_name_is_kept() -> None:
    """Such a record is read by the contract, and its parts go on into what is written leanly."""
    triaged = lean(ReferralTriaged).read(VALID_BY_NAME["referral.triaged/unknown-attributes"].value)
    assert isinstance(triaged, ReferralTriaged)
    data = lean(BookingRequestedData)(brief=triaged.data.brief, candidates=())
    told = lean(BookingRequested).effect_of(triaged, data, source="onward/pathways", time=triaged.time)
    assert json.loads(told.to_json())["data"]["brief"]["desk"]["textphone"] == "01632 960011"


class _Where(Part):
    telephone: str
    hours: str = "always"


class _Listed(Part):
    desk: _Where


class Listed(View):
    """A desk's listing, as far as somebody looks."""

    TYPE = DeskListed.TYPE
    data: _Listed


def test_a_view_is_read_leanly() -> None:
    """What it names, whatever else is there; it counts as the view, and keeps the exact bytes."""
    value = VALID_BY_NAME["desk.listed/hospital"].value
    seen, whole = lean(Listed).read(value), DeskListed.read(value)
    assert (whole.data.desk.telephone, whole.id, value) == (seen.data.desk.telephone, seen.id, seen.to_json())
    assert (False, True, False) == (type(seen) is Listed, isinstance(seen, Listed), isinstance(seen, _Where))


@pytest.mark.parametrize("change", [(b'"telephone"', b'"telefone"'), (b'"name"', b'"n\xffme"'), (b"{", b"[")])
def test_a_view_is_refused_in_the_words_of_the_view(change: tuple[bytes, bytes]) -> None:
    """What is missing, and what is no text even where nobody looks."""
    value = VALID_BY_NAME["desk.listed/hospital"].value.replace(*change)
    with pytest.raises(ValidationError) as plain:
        Listed.read(value)
    with pytest.raises(ValidationError) as by_stand_in:
        lean(Listed).read(value)
    assert plain.value.errors() == by_stand_in.value.errors()


def test_a_stand_in_has_what_its_contract_has() -> None:
    """Properties, defaults, the copy with a change; what an instance becomes, if there is room."""
    age, desk = lean(Age)(value=2), Desk(organisation="ONW01", name="Hub", telephone="01632 960010")
    assert (Age(value=2).in_days, "years") == (age.in_days, age.unit)
    assert "days" == age.model_copy(update={"unit": "days"}).unit
    assert lean(Desk)(organisation="ONW01", name="Hub", telephone="01632 960010") == leaned(desk)
    more = Desk.model_validate({**desk.model_dump(), "textphone": "01632 960011"})
    assert more is leaned(more)
    assert lean(Desk) is lean(Desk)


def test_what_is_no_contract_has_no_place_in_one() -> None:
    """A handler that puts anything else into an event fails at once, rather than write it somehow."""
    with pytest.raises(TypeError, match="object has no place"):
        written({"data": object()})
