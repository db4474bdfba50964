"""What messages say, and what they must never say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.brief import Disposition, Reason
from services.notification.hearing import messages_about
from services.notification.messages import Message, Outcome, messages_of
from services.notification.templates import OPEN_FIELDS, TEMPLATES, fields_of, in_words
from tests.notification_examples import (
    BY_EMAIL,
    BY_TEXT,
    NOON,
    OWNER,
    RECEIVER,
    UNKNOWN,
    brief,
    candidate,
    confirmed,
    every_outcome,
    exhausted,
    leaves,
    place_held,
)
from tests.notification_facts import every_fact

LONGEST_TEXT_MESSAGE = 918
"""Characters (NHS Notify's limit for SMS)."""

WALK: list[tuple[Outcome, Message]] = [
    (outcome, message)
    for contact in (UNKNOWN, BY_TEXT, BY_EMAIL)
    for outcome in every_outcome(contact)
    for message in messages_of(outcome)
]
"""Every outcome, told to everyone by every channel."""


def named(pair: tuple[Outcome, Message]) -> str:
    """A test's name for an outcome and a message."""
    return f"{pair[1].template} by {pair[1].channel}"


def said(text: str, values: Any) -> set[str]:
    """Those of the values that stand in the text."""
    return {value for value in leaves(values) if value.lower() in text.lower()}


def test_the_walk_meets_every_template() -> None:
    """No template is left out of the tests below, nor of those of what becomes of a referral; two tell of what is found
    given back when it is told (tests/component/test_notification_given_back.py)."""
    afterwards = {message.template for fact in every_fact() for message in messages_about(fact)}
    given_back = {"patient.cancelled-at-once.v1", "referrer.given-back.v1"}
    assert set(TEMPLATES) == {message.template for _, message in WALK} | afterwards | given_back


@pytest.mark.parametrize("pair", WALK, ids=named)
def test_no_message_says_anything_of_the_brief(pair: tuple[Outcome, Message]) -> None:
    """Nothing clinical and nothing personal leaves in a message, on any channel: it says where to read instead."""
    outcome, message = pair
    assert set() == said(message.text, outcome.data.brief.model_dump(mode="json"))


@pytest.mark.parametrize("pair", [pair for pair in WALK if pair[1].channel != "system"], ids=named)
def test_an_open_channel_says_time_reference_and_telephone_alone(pair: tuple[Outcome, Message]) -> None:
    """Of all that an outcome holds, an open channel carries the reference and the desk's telephone, and a time."""
    outcome, message = pair
    expected = {outcome.data.reference, OWNER.telephone}
    assert expected == said(message.text, outcome.data.model_dump(mode="json"))


def test_the_walk_sees_what_is_said() -> None:
    """On its own channel a service is named: the search above finds what is there."""
    message = messages_of(confirmed())[0]
    assert candidate().name in said(message.text, confirmed().data.model_dump(mode="json"))


@pytest.mark.parametrize("template", [name for name in TEMPLATES if name.startswith("patient.")])
def test_a_template_for_patients_has_only_open_fields(template: str) -> None:
    """A template that a patient is told by can be given a time, the reference and a telephone only."""
    assert fields_of(template) <= OPEN_FIELDS


FREE = st.text(min_size=1, max_size=40)
CODE = st.from_regex(r"[a-z][a-z0-9-]{1,60}", fullmatch=True)


@given(
    name=FREE, presentation=CODE, disposition=FREE, reason=FREE, why=FREE, instructions=FREE, type_=st.integers(1, 9999)
)
def test_the_patients_message_is_the_same_whatever_the_condition(
    name: str, presentation: str, disposition: str, reason: str, why: str, instructions: str, type_: int
) -> None:
    """Two referrals that differ only in why, how urgent and to whom are told to the patient in the same words."""
    other = confirmed(
        brief=brief(
            BY_TEXT,
            presentation=presentation,
            disposition=Disposition(code=disposition, name=disposition, minutes=type_),
            acuity="immediate",
            reasons=(Reason(rule=reason, text=reason, source=reason),),
            service_types=(type_,),
        ),
        service=candidate(name, service_type=type_, why=why, instructions=instructions, organisation="OTHER1"),
    )
    assert messages_of(confirmed(BY_TEXT))[-1] == messages_of(other)[-1]


@pytest.mark.parametrize("pair", [pair for pair in WALK if pair[1].channel == "sms"], ids=named)
def test_a_text_message_fits(pair: tuple[Outcome, Message]) -> None:
    """A text message stays within what a provider takes."""
    assert len(pair[1].text) <= LONGEST_TEXT_MESSAGE


def test_the_patient_is_told_when_the_reference_and_whom_to_ring() -> None:
    """The words of a held slot, on the clock of Europe/London."""
    expected = (
        "Your appointment is arranged for Wednesday 3 June 2026 at 13:45. Your reference is 123456789012. "
        "To change it or to ask about it, ring 01632 960001. In an emergency ring 999."
    )
    assert expected == messages_of(confirmed(BY_TEXT))[-1].text


def test_a_place_that_awaits_acceptance_is_not_called_an_appointment() -> None:
    """The patient is told until when to wait and whom to ring, and no time of an appointment."""
    expected = (
        "A visit is being arranged for you. Your reference is 123456789012. "
        "If you have heard nothing by Wednesday 3 June 2026 at 14:00, ring 01632 960001. In an emergency ring 999."
    )
    assert expected == messages_of(place_held(BY_TEXT))[-1].text


def test_the_service_is_told_who_comes_when_and_whom_to_ring() -> None:
    """The receiving service reads which of its services, the slot, where to read more, and the referrer's desk."""
    outcome = confirmed()
    expected = (
        "A patient is referred to Moorside hyper-acute stroke unit and has your slot on Wednesday 3 June 2026 at "
        f"13:45. Reference 123456789012, referral {outcome.subject}. "
        "Referred by Trust clinical hub, telephone 01632 960001."
    )
    assert expected == messages_of(outcome)[0].text


def test_the_owner_of_an_unplaced_patient_is_told_so_and_what_is_proposed() -> None:
    """The desk reads that the patient is its own, until when it must decide, and what is proposed."""
    outcome = exhausted()
    expected = (
        "No service has your patient (none could take the patient). The patient is yours: decide what happens next "
        f"by Wednesday 3 June 2026 at 13:15. Referral {outcome.subject}. "
        "Proposed, not booked: Valley emergency department, professional line 01632 960444."
    )
    assert expected == messages_of(outcome)[0].text


def test_a_slot_without_a_time_is_told_without_one() -> None:
    """An outcome that claims a slot and names no time is told as delivered, never as an appointment."""
    odd = confirmed(BY_TEXT, starts_at=None)
    expected = ["service.delivered.v1", "referrer.delivered.v1", "patient.delivered.v1"]
    assert expected == [message.template for message in messages_of(odd)]


@pytest.mark.parametrize(
    ("expected", "at"),
    [
        ("Wednesday 3 June 2026 at 13:00", NOON),
        ("Wednesday 3 June 2026 at 13:00", NOON + timedelta(seconds=59, microseconds=999_999)),
        ("Thursday 1 January 2026 at 00:05", datetime(2026, 1, 1, 0, 5, tzinfo=UTC)),
        ("Thursday 4 June 2026 at 00:30", datetime(2026, 6, 3, 23, 30, tzinfo=UTC)),
        ("Sunday 25 October 2026 at 01:30 BST", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("Sunday 25 October 2026 at 01:30 GMT", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("Sunday 25 October 2026 at 02:00", datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        ("Sunday 29 March 2026 at 02:00", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
    ],
)
def test_times_are_the_clock_on_the_wall(expected: str, at: datetime) -> None:
    """Europe/London, to the minute; the zone is said only in the hour that comes twice."""
    assert expected == in_words(at)


def test_the_receiving_organisation_is_told_not_the_one_tried() -> None:
    """Services that were tried and could not take the patient hear nothing."""
    assert {RECEIVER, OWNER.organisation} == {message.organisation for message in messages_of(confirmed())}
