"""Lean stand-ins: they take nothing that the contract refuses, and say exactly what it says."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.envelope import Event
from contracts.people import Age, Desk
from contracts.placements import BookingRequested, BookingRequestedData
from contracts.submissions import ReferralSubmitted
from contracts.triage import ReferralTriaged
from services.chassis.lean import lean, leaned, written
from tests.contracts.golden_examples import INVALID, VALID, VALID_BY_NAME, Example
from tests.unit.test_every_topic import mutated

CONTRACTS = (ReferralSubmitted, ReferralTriaged, BookingRequested, BookingConfirmed, BookingExhausted)
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
    """What the stand-in makes of it."""
    try:
        read = lean(contract).read(value)
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False, include_input=False)
    return json.loads(read.model_dump_json() if isinstance(read, contract) else written(read))


@pytest.mark.parametrize("one", KNOWN, ids=str)
def test_what_is_known_is_read_leanly(one: Example) -> None:
    """All of it, attribute by attribute; and written as the contract writes it, byte by byte."""
    contract = one.read()
    read = lean(one.contract).read(one.value)
    assert not isinstance(read, one.contract)
    assert (one.value, contract.model_dump_json().encode()) == (read.to_json(), written(read))


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


def test_what_a_contract_does_not_name_is_kept() -> None:
    """Such a record is read by the contract, and its parts go on into what is written leanly."""
    triaged = lean(ReferralTriaged).read(VALID_BY_NAME["referral.triaged/unknown-attributes"].value)
    assert isinstance(triaged, ReferralTriaged)
    data = lean(BookingRequestedData)(brief=triaged.data.brief, candidates=())
    told = lean(BookingRequested).effect_of(triaged, data, source="onward/pathways", time=triaged.time)
    assert json.loads(told.to_json())["data"]["brief"]["desk"]["textphone"] == "01632 960011"


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
    with pytest.raises(NotImplementedError, match="object has no place"):
        written({"data": object()})
