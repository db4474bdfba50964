"""What of a receiver's answers is believed, and which slot is asked for."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.booking.answers import (
    Booked,
    Offer,
    Offers,
    Ours,
    Wanted,
    choose,
    double_booked,
    fault_of_booked,
    fault_of_offers,
)
from tests.booking_requests import NOON

WANTED = Wanted(UUID(int=1), "R1", NOON, 30)


def offer(minutes: int = 0, *, capacity: int = 1, free: int = 1) -> Offer:
    """A slot so many minutes after noon."""
    return Offer(starts_at=NOON + timedelta(minutes=minutes), minutes=30, capacity=capacity, free=free)


def offers(*several: Offer) -> Offers:
    """These."""
    return Offers(slots=several)


@pytest.mark.parametrize("minutes", [0, 60])
def test_what_begins_within_the_times_that_were_asked_for_is_believed(minutes: int) -> None:
    """Both ends are within."""
    assert None is fault_of_offers(offers(offer(minutes)), NOON, NOON + timedelta(hours=1))


@pytest.mark.parametrize(
    ("fault", "several"),
    [
        ("it offers a slot outside the times that it was asked for", [offer(-1)]),
        ("it offers a slot outside the times that it was asked for", [offer(0), offer(61)]),
        ("it offers more places of a slot than the slot has", [offer(0, capacity=2, free=3)]),
        ("it offers one time twice", [offer(5), offer(0), offer(5)]),
    ],
)
def test_what_cannot_be_offered_is_not(fault: str, several: list[Offer]) -> None:
    """One such slot, and nothing that it offers is believed."""
    assert fault == fault_of_offers(offers(*several), NOON, NOON + timedelta(hours=1))


@pytest.mark.parametrize(
    ("fault", "changes"),
    [
        (None, {"starts_at": datetime.fromisoformat("2026-01-14T13:00:00+01:00")}),
        ("it booked under another key", {"key": UUID(int=2)}),
        ("it booked another service", {"service_id": "R2"}),
        ("it booked another slot", {"starts_at": NOON + timedelta(minutes=1)}),
        ("it booked another slot", {"minutes": 20}),
    ],
)
def test_what_was_not_asked_for_is_not_booked(fault: str | None, changes: dict[str, Any]) -> None:
    """An instant may be written with another offset."""
    said: dict[str, Any] = {**WANTED._asdict(), "reference": "A-1"}
    assert fault == fault_of_booked(Booked(**said | changes), WANTED)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.integers(1, 3)), unique_by=lambda one: one[0]),
    st.dictionaries(st.integers(0, 5), st.tuples(st.integers(0, 3), st.integers(0, 3))),
)
def test_the_first_slot_with_room_beside_our_own_is_asked_for(
    offered: list[tuple[int, int, int]], ours: dict[int, tuple[int, int]]
) -> None:
    """Those whom we ask for just now count against what it says is free, and all of ours against what there is."""
    several = offers(*(offer(at, capacity=capacity, free=free) for at, capacity, free in offered))
    counted = {NOON + timedelta(minutes=at): Ours(*numbers) for at, numbers in ours.items()}
    with_room = sorted(
        at for at, capacity, free in offered if sum(ours.get(at, (0, 0))) < capacity and ours.get(at, (0, 0))[0] < free
    )
    chosen = choose(several, counted)
    assert (NOON + timedelta(minutes=with_room[0]) if with_room else None) == (chosen and chosen.starts_at)


def test_a_slot_that_our_own_fill_is_offered_by_no_honest_receiver() -> None:
    """Those whom we ask for just now may not be booked yet."""
    assert (True, False, False) == (
        double_booked(offers(offer(0)), {NOON: Ours(0, 1)}),
        double_booked(offers(offer(0)), {NOON: Ours(1, 0)}),
        double_booked(offers(offer(0)), {}),
    )
