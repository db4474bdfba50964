"""Records to events: each by itself, a reason for each that cannot be read, and no value of the record in a reason."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.bookings import BookingConfirmed
from contracts.directory import CapacityReported, DeskListed
from contracts.envelope import Event
from services.chassis.decoding import Record, Unreadable, decode
from services.chassis.views import View
from tests.chassis_examples import desk
from tests.gateway_examples import confirmed
from tests.recording import record_of

TYPES: dict[str, type[Event]] = {DeskListed.TYPE: DeskListed}
OF_DESK = (("type", DeskListed.TYPE.encode()),)
SENTINEL = "Ada SENTINEL 9000000009"


def a_record(value: bytes | None, headers: tuple[tuple[str, bytes | None], ...] = OF_DESK) -> Record:
    """A record as any producer could have written it."""
    return Record("desks", 3, 7, b"RX1", value, headers)


def reason(record: Record) -> str:
    """Why this record cannot be read."""
    with pytest.raises(Unreadable) as caught:
        decode(record, TYPES)
    return str(caught.value)


def test_a_record_becomes_the_event_that_was_told() -> None:
    """What is told and what is read are equal, to the byte."""
    event = desk()
    read = decode(record_of(event), TYPES)
    assert read is not None
    assert (event, event.to_json()) == (read, read.to_json())


def test_a_record_without_the_type_header_is_known_by_its_body() -> None:
    """A producer that sets no headers is understood."""
    event = desk()
    assert event == decode(replace(record_of(event), headers=()), TYPES)


def test_an_unknown_type_is_skipped_without_being_parsed() -> None:
    """The header alone decides, so the value may be anything."""
    assert decode(a_record(b"\xff not JSON", (("type", b"desk.closed"),)), TYPES) is None


def test_an_unknown_type_without_a_header_is_skipped() -> None:
    """The body's type decides when there is no header."""
    assert decode(a_record(b'{"type": "desk.closed"}', ()), TYPES) is None


def test_a_repeated_header_does_not_confuse() -> None:
    """Headers may come several times; an unwanted type among them skips the record."""
    headers = (("type", b"desk.listed"), ("type", b"desk.closed"))
    assert decode(a_record(desk().to_json(), headers), TYPES) is None


@pytest.mark.parametrize("headers", [OF_DESK, ()])
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"junk",
        b"\xff\xfe",
        b"{",
        b'{"type": "desk.listed"',
        b"null",
        b"[]",
        b'"desk.listed"',
        b"12",
        b'{"type": "desk.listed"}',
        b'{"type": "desk.listed", "data": "\\ud800"}',
        b'{"type": "desk.listed", "data": ' + b"[" * 100_000,
        b'{"type": "desk.listed", "data": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        b'{"type": "desk.listed", "data": ' + b"9" * 10_000 + b"}",
        b'{"type": "desk.listed", "data": NaN}',
    ],
    ids=lambda value: value[:24].decode(errors="replace"),
)
def test_what_is_no_event_is_unreadable(value: bytes, headers: tuple[tuple[str, bytes]]) -> None:
    """Broken, nested beyond measure, or of another shape: always the one error, with a reason."""
    assert reason(a_record(value, headers))


@pytest.mark.parametrize("value", [b"[]", b"{}", b'{"type": 7}', b"null"])
def test_a_body_without_a_type_is_unreadable(value: bytes) -> None:
    """JSON that is no event at all, from a producer that sets no headers, is not skipped in silence."""
    assert "not an event: no attribute `type`" == reason(a_record(value, ()))


@pytest.mark.parametrize("of_type", [None, b"\xff\xfe", "désk.listed".encode()])
def test_a_type_header_that_is_not_text_is_unreadable(of_type: bytes | None) -> None:
    """Null and bytes beyond ASCII are no type."""
    assert "the header `type` is not text" == reason(a_record(desk().to_json(), (("type", of_type),)))


@pytest.mark.parametrize("odd", [None, b"\xff\xfe", b""])
def test_other_headers_may_hold_anything(odd: bytes | None) -> None:
    """A null or non-UTF-8 header that nobody reads harms nothing."""
    event = desk()
    assert event == decode(a_record(event.to_json(), (("trace", odd), *OF_DESK)), TYPES)


def test_a_tombstone_on_a_topic_of_facts_is_unreadable() -> None:
    """A record without a value says nothing that a handler could use."""
    assert "tombstone" in reason(a_record(None, ()))


def test_a_header_and_a_body_of_two_types_are_unreadable() -> None:
    """A body that fits the contract of the header but names another type is not believed."""
    body = json.loads(desk().to_json()) | {"type": CapacityReported.TYPE}
    assert "the header says desk.listed, the body another type" == reason(a_record(json.dumps(body).encode()))


def test_a_nul_in_any_text_is_unreadable() -> None:
    """PostgreSQL stores no NUL, so it may not come further, not even in an attribute that no contract knows."""
    body = json.loads(desk().to_json()) | {"later": [{"note": "a\x00b"}]}
    assert "a text holds the NUL character, which no database can store" == reason(a_record(json.dumps(body).encode()))


def test_a_text_about_nul_is_readable() -> None:
    """An escaped backslash before u0000 is no NUL."""
    event = desk(name="the escape \\u0000")
    assert event == decode(record_of(event), TYPES)


def test_a_reason_names_each_fault_by_its_place() -> None:
    """Whoever mends the producer finds every fault, the first ten spelt out."""
    body = json.loads(desk().to_json())
    body["data"] = {"version": 0, "desk": {}}
    said = reason(a_record(json.dumps(body).encode()))
    assert "/data/version: Input should be greater than or equal to 1" in said
    assert "/data/desk/telephone: Field required" in said


class Seen(View):
    """A desk's listing, as far as somebody looks who wants its key only."""

    TYPE = DeskListed.TYPE

    subject: str


SEEN: dict[str, type[Seen]] = {Seen.TYPE: Seen}


def test_a_view_has_what_it_names_and_the_exact_bytes() -> None:
    """What it does not name may be anything: this reader never fails on it."""
    body = json.loads(desk("RX1").to_json()) | {"data": "not what the contract says"}
    value = json.dumps(body).encode()
    seen = decode(a_record(value), SEEN)
    assert seen is not None
    assert ("RX1", body["id"], value) == (seen.subject, str(seen.id), seen.to_json())


@pytest.mark.parametrize("changes", [{"subject": None}, {"id": "x"}, {"type": "desk.closed"}, {"data": "a\x00b"}])
def test_a_view_is_as_strict_on_what_it_names(changes: dict[str, Any]) -> None:
    """Wrong shapes, another type, and NUL anywhere, for the bytes are stored."""
    value = json.dumps(json.loads(desk().to_json()) | changes).encode()
    with pytest.raises(Unreadable):
        decode(a_record(value), SEEN)


def places(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a JSON document."""
    yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in inside:
        yield from places(part, (*way, step))


def changed(document: Any, way: tuple[str | int, ...], value: Any) -> Any:
    """The document with another value in one place."""
    if not way:
        return value
    copy = document.copy()
    copy[way[0]] = changed(document[way[0]], way[1:], value)
    return copy


def test_no_reason_repeats_a_value() -> None:
    """Whatever stands wherever in a patient's event, the reason says where and not what."""
    event = confirmed(UUID(int=1), UUID(int=2))
    document = json.loads(event.to_json())
    types = {BookingConfirmed.TYPE: BookingConfirmed}
    reasons = []
    for way in places(document):
        for odd in (SENTINEL, [SENTINEL], {"outcome": SENTINEL, "service": SENTINEL}, -1e300):
            value = json.dumps(changed(document, way, odd)).encode()
            try:
                decode(Record("bookings", 0, 0, None, value, (("type", BookingConfirmed.TYPE.encode()),)), types)
            except Unreadable as error:
                reasons.append(str(error))
    assert len(reasons) > 100
    assert [] == [said for said in reasons if "SENTINEL" in said or "1e+300" in said or "9000000009" in said]


@given(
    value=st.none()
    | st.binary(max_size=400)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "data", "id", "time"]), inner),
    ).map(lambda document: json.dumps(document).encode()),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["type", "content-type", ""]),
            st.none() | st.binary(max_size=20) | st.just(DeskListed.TYPE.encode()),
        ),
        max_size=3,
    ),
)
def test_arbitrary_bytes_raise_nothing_but_unreadable(
    value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    """No record can stop a reader: it is an event, it is skipped, or it is unreadable."""
    for types in (TYPES, SEEN):
        with suppress(Unreadable):
            assert decode(a_record(value, tuple(headers)), types) is None


@given(st.binary(max_size=8), st.integers(min_value=0))
def test_an_event_with_bytes_replaced_raises_nothing_but_unreadable(bytes_: bytes, at: int) -> None:
    """A record that was damaged on its way, near to a real one as it is."""
    value = desk().to_json()
    at %= len(value)
    with suppress(Unreadable):
        decode(a_record(value[:at] + bytes_ + value[at + len(bytes_) :]), TYPES)
