"""Events to batches: one topic, partition and type each, in the order of each key, no larger than a batch may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.bookings import BookingConfirmed, BookingExhausted
from contracts.directory import DeskListed
from contracts.envelope import Event
from services.chassis.failures import is_transient
from services.chassis.partitions import partition_of
from services.chassis.publishing import (
    CHUNK_BYTES,
    MAX_BATCH_BYTES,
    MAX_EVENT_BYTES,
    RECORD_OVERHEAD,
    EventTooLarge,
    runs,
)

Told = tuple[type[Event], str, bytes]

EVENTS = st.lists(
    st.tuples(
        st.sampled_from([BookingConfirmed, BookingExhausted, DeskListed]),
        st.sampled_from(["a", "b", "c", "d", "é"]),
        st.sampled_from([10, 1_000, 70_000, CHUNK_BYTES - 300, CHUNK_BYTES + 300]),
    ),
    max_size=25,
)


def numbered(drawn: list[tuple[type[Event], str, int]]) -> list[Told]:
    """Values of the drawn sizes, each beginning with its number."""
    return [(contract, key, f"{n:06}".encode().ljust(size, b".")) for n, (contract, key, size) in enumerate(drawn)]


@given(EVENTS)
def test_every_event_is_in_one_batch_of_its_topic_partition_and_type(drawn: list[tuple[type[Event], str, int]]) -> None:
    """Nothing is lost, doubled or misplaced."""
    events = numbered(drawn)
    batched = [
        (topic, partition, type_, key.decode(), value)
        for topic, partition, type_, records in runs(events)
        for key, value in records
    ]
    expected = [(contract.TOPIC, partition_of(key), contract.TYPE, key, value) for contract, key, value in events]
    assert sorted(expected) == sorted(batched)


@given(EVENTS)
def test_the_order_of_a_key_on_its_topic_is_kept_across_types(drawn: list[tuple[type[Event], str, int]]) -> None:
    """A referral's facts stay in the order in which they were told, whatever their types."""
    events = numbered(drawn)
    by_key: dict[tuple[str, str], list[bytes]] = {}
    for topic, _, _, records in runs(events):
        for key, value in records:
            by_key.setdefault((topic, key.decode()), []).append(value)
    for (topic, key), values in by_key.items():
        assert [value for contract, of, value in events if (contract.TOPIC, of) == (topic, key)] == values


@given(EVENTS)
def test_a_batch_with_its_keys_and_headers_fits(drawn: list[tuple[type[Event], str, int]]) -> None:
    """Only an event that is larger by itself makes a larger batch, and it is alone in it."""
    for _, _, _, records in runs(numbered(drawn)):
        size = sum(len(key) + len(value) + RECORD_OVERHEAD for key, value in records)
        assert size <= MAX_BATCH_BYTES or len(records) == 1


def test_events_of_one_kind_share_a_batch() -> None:
    """A thousand small events of one key are one batch, not a thousand."""
    assert 1 == len(list(runs([(DeskListed, "a", b"x" * 50)] * 500)))


def test_two_types_of_different_keys_do_not_split_each_other() -> None:
    """Types alternate among referrals all day: each type of a partition has one batch as long as no key has both."""
    same_partition = [key for key in map(str, range(200)) if partition_of(key) == partition_of("0")][:2]
    events: list[Told] = [
        (contract, key, b"x")
        for _ in range(10)
        for contract, key in zip((BookingConfirmed, BookingExhausted), same_partition, strict=True)
    ]
    assert 2 == len(list(runs(events)))


def test_an_event_that_no_topic_takes_is_refused_before_anything_is_told() -> None:
    """It is a bug with a reason, which waiting does not cure; the reason names type and size, not the content."""
    with pytest.raises(EventTooLarge, match=r"^desk.listed of 1040001 bytes: a topic takes 1040000$") as caught:
        list(runs([(DeskListed, "a", b"x" * (MAX_EVENT_BYTES + 1))]))
    assert not is_transient(caught.value)
