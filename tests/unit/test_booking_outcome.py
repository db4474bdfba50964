"""What is told of each placement: where, when and why, who owns it, when to look again, and what comes next."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.bookings import BookingConfirmed, BookingConfirmedData, BookingExhausted, BookingExhaustedData, Tried
from contracts.envelope import effect_id
from contracts.placements import BookingRequested
from services.booking.diary import Given, Refused
from services.booking.outcome import outcome_of
from tests.booking_requests import DESK, NOON, candidate, requested
from tests.recording import read_again

REFERENCE = "100000000001"
OWNED = "Clinical hub looks after the referral: telephone 01632 960000."
TRIED = (Tried(service_id="S0", name="Service S0", why="no free slot in time"),)
NOBODY = Refused()
DEPARTMENT = candidate("ED1", name="Queen's emergency department", telephone="01632 960999", distance_km=7.2)


def minutes(number: int) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=number)


def slot(place: int = 0, **changes: Any) -> Given:
    """A slot in an hour, of half an hour, at the candidate of this place."""
    return Given(candidate(f"S{place}"), place, starts_at=NOON + minutes(60), slot_minutes=30, **changes)


def confirmed(request: BookingRequested, given: Given) -> BookingConfirmedData:
    """What the confirmed outcome says, as a reader of the topic finds it."""
    event = outcome_of(request, given, reference=REFERENCE, now=NOON)
    return BookingConfirmed.read(event.to_json()).data


def exhausted(request: BookingRequested, refused: Refused = NOBODY, *, late: int = 0) -> BookingExhaustedData:
    """What the exhausted outcome says, as a reader of the topic finds it; told so many minutes late."""
    event = outcome_of(request, refused, reference="", now=NOON + minutes(late))
    return BookingExhausted.read(event.to_json()).data


@pytest.mark.parametrize(
    ("decision", "contract"),
    [(slot(), BookingConfirmed), (NOBODY, BookingExhausted)],
    ids=["confirmed", "exhausted"],
)
def test_the_outcome_is_the_one_effect_of_its_request(decision: Given | Refused, contract: Any) -> None:
    """Of the same referral, in the same transaction; its id is made of the request's and the type alone."""
    request = requested(1, "S0")
    event = read_again(outcome_of(request, decision, reference=REFERENCE, now=NOON))
    assert contract is type(event)
    assert effect_id(request.id, contract.TYPE) == event.id
    assert (request.subject, request.partitionkey, request.id, request.correlationid, NOON) == (
        event.subject,
        event.partitionkey,
        event.causationid,
        event.correlationid,
        event.time,
    )
    assert "onward/booking" == event.source


def test_a_held_slot_says_where_when_and_which_reference() -> None:
    """And carries the brief as it came."""
    request = requested(1, "S0")
    data = confirmed(request, slot())
    assert ("slot_held", candidate("S0"), NOON + minutes(60), 30, None, REFERENCE) == (
        data.outcome,
        data.service,
        data.starts_at,
        data.slot_minutes,
        data.acceptance_due,
        data.reference,
    )
    assert request.data.brief == data.brief


def test_a_held_slot_is_looked_at_again_when_it_is_over() -> None:
    """The referrer's desk owns the patient until then, and is told what to do."""
    data = confirmed(requested(1, "S0"), slot())
    assert (DESK, NOON + minutes(90)) == (data.owner, data.due)
    assert (
        f"The patient is expected at Service S0. If they cannot be there, telephone 01632 960100. {OWNED}"
        == data.next_step
    )


def test_a_held_place_is_looked_at_again_when_it_should_be_accepted() -> None:
    """By the service's own time."""
    due = NOON + minutes(45)
    data = confirmed(requested(1, "S0"), Given(candidate("S0"), 0, acceptance_due=due))
    assert ("place_held", None, None, due, due, DESK) == (
        data.outcome,
        data.starts_at,
        data.slot_minutes,
        data.acceptance_due,
        data.due,
        data.owner,
    )
    assert f"Service S0 must accept in time. If nothing is heard, telephone 01632 960100. {OWNED}" == data.next_step


def test_a_delivered_referral_is_looked_at_again_in_half_an_hour() -> None:
    """Nobody has answered yet, and the answer says so."""
    data = confirmed(requested(1, "S0"), Given(candidate("S0"), 0))
    assert ("delivered", None, None, NOON + minutes(30), DESK) == (
        data.outcome,
        data.starts_at,
        data.acceptance_due,
        data.due,
        data.owner,
    )
    assert (
        f"Service S0 has it; nobody has answered yet. Pre-alert them: telephone 01632 960100. {OWNED}" == data.next_step
    )


def test_what_was_tried_is_told() -> None:
    """Of a confirmed and of an exhausted placement."""
    assert TRIED == confirmed(requested(1, "S0", "S1"), slot(1, tried=TRIED)).tried
    assert TRIED == exhausted(requested(1, "S0"), Refused(TRIED)).tried


def test_alternatives_are_neither_what_was_tried_nor_what_was_chosen() -> None:
    """Only those that rank after it."""
    data = confirmed(requested(1, "S0", "S1", "S2", "S3"), slot(1, tried=TRIED))
    assert ["S2", "S3"] == [one.service_id for one in data.alternatives]


def test_alternatives_are_at_most_five() -> None:
    """The best of them."""
    data = confirmed(requested(1, *(f"S{number}" for number in range(9))), slot(1))
    assert ["S2", "S3", "S4", "S5", "S6"] == [one.service_id for one in data.alternatives]


def test_the_last_candidate_leaves_no_alternative() -> None:
    """None is said, not made up."""
    assert () == confirmed(requested(1, "S0", "S1"), slot(1)).alternatives


def test_a_confirmed_placement_proposes_nothing() -> None:
    """The nearest emergency department is for those who have no place."""
    value = outcome_of(requested(1, "S0", catch_all=DEPARTMENT), slot(), reference=REFERENCE, now=NOON).to_json()
    assert b"proposal" not in value
    assert b"ED1" not in value


def test_an_exhausted_placement_goes_to_the_desk_with_a_proposal() -> None:
    """The nearest emergency department with its telephone and distance: proposed, never booked."""
    data = exhausted(requested(1, "S0", catch_all=DEPARTMENT), Refused(TRIED))
    assert ("unplaced", DEPARTMENT, DESK, NOON + minutes(15)) == (data.outcome, data.proposal, data.owner, data.due)
    proposed = "Proposed, not booked: Queen's emergency department, 7.2 km, telephone 01632 960999."
    assert f"{OWNED} {proposed}" == data.next_step


def test_where_nothing_can_be_proposed_the_desk_is_still_named() -> None:
    """No department in reach: no proposal, and a next step all the same."""
    data = exhausted(requested(1, "S0"), Refused(TRIED))
    assert (None, OWNED) == (data.proposal, data.next_step)


@pytest.mark.parametrize(
    ("why", "names", "changes", "late"),
    [
        ("none could take the patient", ("S0",), {}, 0),
        ("no candidate", (), {}, 0),
        ("to a clinician", (), {"to_clinician": True, "service_types": ()}, 0),
        ("to a clinician", ("S0",), {"to_clinician": True}, 0),
        ("past answer_by", ("S0",), {}, 16),
        ("past answer_by", (), {"to_clinician": True}, 16),
    ],
)
def test_an_exhausted_placement_says_why(why: str, names: tuple[str, ...], changes: dict[str, Any], late: int) -> None:
    """Past its time says most: whatever else was so, it was not decided in time."""
    assert why == exhausted(requested(1, *names, **changes), late=late).why


def test_where_nobody_is_near_the_next_step_says_so() -> None:
    """With a department to propose, and without one: then the position itself may be wrong."""
    near, nowhere = exhausted(requested(1, catch_all=DEPARTMENT)), exhausted(requested(1))
    assert "Nobody who is accepted, fit and open is within the search distance. Clinical hub" == near.next_step[:80]
    assert (
        "Nobody is within the search distance, not even an emergency department: confirm where the patient is. " + OWNED
        == nowhere.next_step
    )


def test_what_booking_does_not_know_of_the_brief_is_passed_on() -> None:
    """An attribute of a newer triage reaches the readers of the outcome."""
    known = requested(1, "S0").to_json()
    newer = BookingRequested.read(known.replace(b'"presentation":"fall"', b'"presentation":"fall","newer":7'))
    value = outcome_of(newer, slot(), reference=REFERENCE, now=NOON).to_json()
    assert b'"newer":7' in value
