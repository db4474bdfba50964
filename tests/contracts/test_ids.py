"""Ids and the envelope: a repeated step makes the same event, and different effects never meet."""

import time
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.bookings import BookingConfirmed
from contracts.envelope import Data, Event, effect_id, new_id
from contracts.submissions import ReferralSubmitted
from tests.contracts.golden_examples import CONTRACTS, VALID_BY_NAME

NOW = datetime(2026, 3, 2, 14, tzinfo=UTC)

TYPES = st.sampled_from(list(CONTRACTS))
KEYS = st.text(max_size=40)


def submitted() -> Event:
    """A fact that began a transaction, with a key that is not its subject."""
    return VALID_BY_NAME["referral.submitted/stroke"].read().model_copy(update={"partitionkey": "another key"})


def confirmed() -> Data:
    """What an effect says."""
    return VALID_BY_NAME["booking.confirmed/stroke"].read().data


@settings(deadline=None)
@given(st.uuids(), TYPES, KEYS)
def test_an_effect_has_one_id(cause: UUID, type_: str, key: str) -> None:
    """The same cause, type and effect key make the same id, wherever and whenever."""
    assert effect_id(cause, type_, key) == effect_id(UUID(str(cause)), type_, key)


def test_the_id_of_an_effect_is_fixed() -> None:
    """It is the name-based UUID (RFC 9562, version 5) of type/key in the cause's namespace: what others compute too."""
    cause = UUID("a09b45c5-336d-448a-ac16-1b3fd71e02a5")
    assert UUID("0e058090-26b0-5640-84a6-08b2e481bd04") == effect_id(cause, "notification.sent", "patient//x")


@settings(deadline=None)
@given(st.uuids(), TYPES, TYPES, KEYS)
def test_effects_of_two_types_differ(cause: UUID, one: str, other: str, key: str) -> None:
    """One cause may have effects of several types under one key."""
    assume(one != other)
    assert effect_id(cause, one, key) != effect_id(cause, other, key)


@settings(deadline=None)
@given(st.uuids(), TYPES, KEYS, KEYS)
def test_effects_of_two_keys_differ(cause: UUID, type_: str, one: str, other: str) -> None:
    """One cause may have several effects of a type, told apart by their keys."""
    assume(one != other)
    assert effect_id(cause, type_, one) != effect_id(cause, type_, other)


@settings(deadline=None)
@given(st.uuids(), st.uuids(), TYPES, KEYS)
def test_effects_of_two_causes_differ(one: UUID, other: UUID, type_: str, key: str) -> None:
    """The same effect of another event is another event."""
    assume(one != other)
    assert effect_id(one, type_, key) != effect_id(other, type_, key)


@settings(deadline=None)
@given(st.uuids(), TYPES, TYPES, KEYS, KEYS)
def test_type_and_key_do_not_run_together(cause: UUID, type_: str, other: str, key: str, other_key: str) -> None:
    """No pair of type and key reads like another pair: a key may hold anything, a slash and a type's name included."""
    assume((type_, key) != (other, f"{other_key}/{type_}"))
    assert effect_id(cause, type_, key) != effect_id(cause, other, f"{other_key}/{type_}")


def test_no_type_has_a_slash() -> None:
    """The slash ends the type in what an id is made of."""
    assert [] == [type_ for type_ in CONTRACTS if "/" in type_]


@settings(deadline=None)
@given(st.uuids(), st.uuids().map(str))
def test_a_first_fact_begins_its_own_transaction(id_: UUID, subject: str) -> None:
    """It correlates with itself, has no cause, and is keyed by its subject."""
    event = ReferralSubmitted.first(submitted().data, id=id_, source="onward/gateway/ONW01", subject=subject, time=NOW)
    assert (id_, id_, None, subject) == (event.id, event.correlationid, event.causationid, event.partitionkey)


def test_a_first_fact_may_have_another_key() -> None:
    """The key may be given."""
    cause = submitted()
    event = ReferralSubmitted.first(cause.data, id=cause.id, source="s", subject=cause.subject, time=NOW, key="b")
    assert (cause.subject, "b") == (event.subject, event.partitionkey)


@settings(deadline=None)
@given(KEYS)
def test_an_effect_belongs_to_its_cause(key: str) -> None:
    """Cause and transaction, subject, key and trace are the cause's; the id follows from it."""
    cause = submitted()
    event = BookingConfirmed.effect_of(cause, confirmed(), source="onward/booking", time=NOW, effect_key=key)
    assert (
        effect_id(cause.id, "booking.confirmed", key),
        cause.id,
        cause.correlationid,
        cause.subject,
        cause.partitionkey,
        cause.traceparent,
    ) == (event.id, event.causationid, event.correlationid, event.subject, event.partitionkey, event.traceparent)


def test_an_effect_of_an_effect_stays_in_the_transaction() -> None:
    """Correlation is the transaction's, causation the last step's."""
    cause = submitted()
    step = BookingConfirmed.effect_of(cause, confirmed(), source="onward/booking", time=NOW)
    event = BookingConfirmed.effect_of(step, confirmed(), source="onward/booking", time=NOW)
    assert (step.id, cause.id) == (event.causationid, event.correlationid)


def test_a_new_event_names_its_contract() -> None:
    """Type, schema address and classification are the contract's, in what is written too."""
    cause = submitted()
    event = BookingConfirmed.effect_of(cause, confirmed(), source="onward/booking", time=NOW)
    written = BookingConfirmed.read(event.to_json())
    assert ("booking.confirmed", "urn:onward:contracts:booking.confirmed:1.0", "clinical") == (
        written.type,
        written.dataschema,
        written.dataclassification,
    )


def test_new_ids_are_in_the_order_of_the_milliseconds_in_which_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 7 of RFC 9562: 48 bits of the time stand first."""
    made = []
    for millisecond in (1_700_000_000_000, 1_700_000_000_001, 1_900_000_000_000):
        monkeypatch.setattr(time, "time_ns", lambda at=millisecond: at * 1_000_000 + 999_999)
        ids = [new_id() for _ in range(200)]
        assert {(7, RFC_4122, millisecond)} == {(one.version, one.variant, one.int >> 80) for one in ids}
        made.append(ids)
    first, second, third = made
    assert max(first) < min(second)
    assert max(second) < min(third)


def test_new_ids_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """74 of their bits are random, and each is used."""
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    ids = {new_id().int for _ in range(2_000)}
    assert 2_000 == len(ids)
    either = same = next(iter(ids))
    for one in ids:
        either, same = either | one, same & one
    assert 74 == (either & ~same).bit_count()
