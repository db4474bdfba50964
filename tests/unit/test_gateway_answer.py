"""The answer, from the outcome."""

import json
from uuid import UUID

import pytest

from contracts.bookings import BookingConfirmed, BookingExhausted
from services.chassis.lean import lean
from services.gateway.answer import Answer, answer_of, body_of
from tests.gateway_examples import DESK, MOBILE, NHS_NUMBER, brief, candidate, confirmed, exhausted

TRANSACTION = UUID("7d9e2a51-0a5a-4a0e-9a53-1f2a3b4c5d6e")
REFERRAL = UUID("11111111-2222-4333-8444-555555555555")


def test_a_held_slot_is_answered_with_where_when_and_why() -> None:
    """Everything that crew and patient need to know, in one answer."""
    assert {
        "referral_id": str(REFERRAL),
        "outcome": "slot_held",
        "acuity": "urgent",
        "disposition": {"code": "UCR2", "name": "urgent community response", "minutes": 120},
        "service": {
            "id": "S-146-1",
            "name": "Riverside urgent response",
            "type": 146,
            "type_name": "urgent community response",
            "telephone": "01632 960146",
            "instructions": "Say which steps are safe.",
            "distance_km": 7.8,
            "why": "first of the accepted types, nearest",
            "position": {"latitude": 54.9, "longitude": -1.6},
        },
        "starts_at": "2026-03-02T12:45:00Z",
        "slot_minutes": 30,
        "acceptance_due": None,
        "hour": None,
        "reference": "123456789012",
        "unplaced_because": None,
        "reasons": [{"rule": "fall-without-injury", "text": "A fall without injury.", "source": "example pack"}],
        "marks": [{"code": "age-unusual", "pointer": "/patient/age", "text": "Confirm the age."}],
        "tried": [{"service_id": "S-146-2", "name": "Hill urgent response", "why": "no free slot in time"}],
        "alternatives": [
            {
                "id": "S-135-1",
                "name": "Riverside urgent response",
                "type": 135,
                "type_name": "urgent treatment centre",
                "telephone": "01632 960146",
                "distance_km": 7.8,
                "why": "first of the accepted types, nearest",
            }
        ],
        "proposal": None,
        "owner": {
            "organisation": "RX9",
            "name": "Trust clinical hub",
            "telephone": "01632 960001",
            "hours": "always",
        },
        "due": "2026-03-02T13:15:00Z",
        "next_step": "The service calls the patient. If nothing is heard by 13:15, telephone it.",
    } == json.loads(body_of(confirmed(TRANSACTION, REFERRAL)))


def test_an_unplaced_referral_has_an_owner_and_a_proposal_and_no_service() -> None:
    """The nearest emergency department is proposed, never booked."""
    answer = answer_of(exhausted(TRANSACTION, REFERRAL))
    assert ("unplaced", None, None, "none could take the patient", "S-105-1", DESK) == (
        answer.outcome,
        answer.service,
        answer.reference,
        answer.unplaced_because,
        answer.proposal and answer.proposal.id,
        answer.owner,
    )


def test_an_unplaced_referral_may_have_nothing_to_propose() -> None:
    """Where no emergency department is known."""
    outcome = exhausted(TRANSACTION, REFERRAL)
    outcome = outcome.model_copy(update={"data": outcome.data.model_copy(update={"proposal": None})})
    assert None is answer_of(outcome).proposal


@pytest.mark.parametrize("outcome", [confirmed(TRANSACTION, REFERRAL), exhausted(TRANSACTION, REFERRAL)])
def test_the_answer_is_the_same_bytes_after_a_journey_over_the_log(
    outcome: BookingConfirmed | BookingExhausted,
) -> None:
    """A waiter that heard the outcome, and a row that another replica stored, say the same."""
    once = type(outcome).read(outcome.to_json())
    twice = type(outcome).read(once.to_json())
    assert body_of(outcome) == body_of(once) == body_of(twice)


@pytest.mark.parametrize("outcome", [confirmed(TRANSACTION, REFERRAL), exhausted(TRANSACTION, REFERRAL)])
def test_an_answer_does_not_say_who_the_patient_is(outcome: BookingConfirmed | BookingExhausted) -> None:
    """The brief carries number, telephone and position; the answer, which needs no audit, carries none of them."""
    identity = (NHS_NUMBER, MOBILE, "54.97")
    event, body = outcome.to_json().decode(), body_of(outcome).decode()
    assert ([True] * 3, [False] * 3) == ([one in event for one in identity], [one in body for one in identity])


def test_a_brief_of_a_later_version_adds_nothing_of_the_patient() -> None:
    """Attributes that this version does not know stay in the event."""
    outcome = confirmed(TRANSACTION, REFERRAL)
    newer = brief(TRANSACTION).model_copy(update={"patient_name": "Ada Example"})
    outcome = outcome.model_copy(update={"data": outcome.data.model_copy(update={"brief": newer})})
    assert (True, False) == (b"Ada Example" in outcome.to_json(), b"Ada Example" in body_of(outcome))


def test_a_service_type_without_a_name_is_named_by_its_number() -> None:
    """A directory may hold types that this project does not use."""
    outcome = confirmed(TRANSACTION, REFERRAL)
    outcome = outcome.model_copy(
        update={"data": outcome.data.model_copy(update={"service": candidate(service_type=131)})}
    )
    service = answer_of(outcome).service
    assert "service type 131" == (service and service.type_name)


@pytest.mark.parametrize("outcome", [confirmed(TRANSACTION, REFERRAL), exhausted(TRANSACTION, REFERRAL)])
def test_a_sender_can_read_the_answer_by_its_schema(outcome: BookingConfirmed | BookingExhausted) -> None:
    """The body is what the documentation says, to the byte."""
    body = body_of(outcome)
    assert body == Answer.model_validate_json(body).model_dump_json().encode()


def test_the_answer_is_the_same_of_an_outcome_that_was_read_leanly() -> None:
    """Of who has it in memory, and of who reads it."""
    outcome = confirmed(TRANSACTION, REFERRAL)
    lean_one = lean(BookingConfirmed).read(outcome.to_json())
    assert Answer.model_validate_json(body_of(outcome)) == Answer.model_validate_json(body_of(lean_one))
