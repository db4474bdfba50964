"""Who is told of an outcome, by which channel, under which id."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.notifications import NotificationSent, NotificationSentData
from contracts.people import Contact
from services.notification.messages import SOURCE, Message, messages_of, open_channel, sent_json
from tests.notification_examples import (
    BY_EMAIL,
    BY_TEXT,
    EMAIL,
    MOBILE,
    NHS_NUMBER,
    NOON,
    OWNER,
    RECEIVER,
    REFERRER,
    UNKNOWN,
    an_id,
    candidate,
    confirmed,
    every_outcome,
    exhausted,
)


def told(messages: list[Message]) -> set[tuple[str, str, str | None, str | None]]:
    """Who is told, by which channel, and where."""
    return {(one.audience, one.channel, one.organisation, one.address) for one in messages}


def test_a_booking_is_told_to_service_owner_and_patient() -> None:
    """The receiving organisation and the owner's desk hear on their own channel, the patient by text message."""
    expected = {
        ("service", "system", RECEIVER, None),
        ("referrer", "system", OWNER.organisation, None),
        ("patient", "sms", None, MOBILE),
    }
    assert expected == told(messages_of(confirmed(BY_TEXT)))


def test_a_patient_without_a_known_channel_is_not_told() -> None:
    """Where no channel is known, service and owner alone hear."""
    assert ["service", "referrer"] == [message.audience for message in messages_of(confirmed(UNKNOWN))]


def test_an_unplaced_referral_is_told_to_the_owner_alone() -> None:
    """No service has the patient, and nothing is arranged that the patient could be told."""
    expected = {("referrer", "system", OWNER.organisation, None)}
    assert expected == told(messages_of(exhausted(BY_TEXT)))


def test_a_service_that_keeps_its_own_diary_is_told_what_it_called_the_booking_there() -> None:
    """So its team finds the slot; the patient is told one reference."""
    own = " (R-7 in the service's own diary)"
    messages = messages_of(confirmed(BY_TEXT, starts_at=NOON, receiver_reference="R-7"))
    assert {"service", "referrer"} == {one.audience for one in messages if own in one.text}


@pytest.mark.parametrize("outcome", every_outcome(BY_TEXT), ids=lambda outcome: outcome.data.outcome)
def test_a_further_placement_is_told_to_nobody_here(outcome) -> None:  # type: ignore[no-untyped-def]
    """What became of the place before is known by referrals alone, which tells of both."""
    assert [] == messages_of(outcome.model_copy(update={"correlationid": an_id("action")}))


@pytest.mark.parametrize(
    ("expected", "contact"),
    [
        (None, Contact()),
        (None, Contact(prefers="sms")),
        (None, Contact(mobile=MOBILE, email=EMAIL, prefers="none")),
        (("sms", MOBILE), Contact(mobile=MOBILE)),
        (("sms", MOBILE), Contact(mobile=MOBILE, email=EMAIL)),
        (("sms", MOBILE), Contact(mobile=MOBILE, email=EMAIL, prefers="sms")),
        (("sms", MOBILE), Contact(mobile=MOBILE, prefers="email")),
        (("email", EMAIL), Contact(email=EMAIL)),
        (("email", EMAIL), Contact(email=EMAIL, prefers="sms")),
        (("email", EMAIL), Contact(mobile=MOBILE, email=EMAIL, prefers="email")),
    ],
)
def test_the_patient_is_told_by_one_channel(expected: tuple[str, str] | None, contact: Contact) -> None:
    """What they prefer comes first, then a text message, then email; `none` means none."""
    assert expected == open_channel(contact)


def test_a_repeated_outcome_makes_the_same_messages() -> None:
    """Everything in a message follows from the outcome alone."""
    assert messages_of(confirmed(BY_TEXT)) == messages_of(confirmed(BY_TEXT))


def test_no_two_messages_share_an_id() -> None:
    """Each outcome and each recipient make an id of their own, also where receiver and owner are one organisation."""
    alike = confirmed(BY_TEXT, of="alike", service=candidate(organisation=OWNER.organisation))
    messages = [message for outcome in [alike, *every_outcome(BY_TEXT)] for message in messages_of(outcome)]
    assert len(messages) == len({message.id for message in messages})


def test_the_patient_is_one_person_whatever_the_address() -> None:
    """A patient told by text message is not told again by email, and the id cannot be searched for the number."""
    by_text, by_email = (messages_of(confirmed(contact))[-1] for contact in (BY_TEXT, BY_EMAIL))
    assert (by_text.id, "sms", "email") == (by_email.id, by_text.channel, by_email.channel)


def test_the_referring_organisation_is_kept_with_every_message() -> None:
    """Who referred may read all messages about the referral: it is not always whose desk owns it."""
    messages = [message for outcome in every_outcome(BY_TEXT) for message in messages_of(outcome)]
    assert {REFERRER} == {message.referrer for message in messages}


@pytest.mark.parametrize("outcome", every_outcome(BY_TEXT), ids=lambda outcome: outcome.data.outcome)
def test_what_is_told_of_a_message_is_the_contract(outcome) -> None:  # type: ignore[no-untyped-def]
    """The JSON that is written out is the `notification.sent` that the contract would make of the outcome."""
    at = NOON + timedelta(seconds=1, microseconds=5)
    for message in messages_of(outcome):
        expected = NotificationSent.effect_of(
            outcome,
            NotificationSentData(
                message_id=message.id,
                audience=message.audience,
                organisation=message.organisation,
                reason=outcome.type,
                channel=message.channel,
                template=message.template,
                placement_id=outcome.data.brief.placement_id,
            ),
            source=SOURCE,
            time=at,
            effect_key=f"{message.audience}/{message.organisation or ''}/{outcome.type}",
        )
        assert expected == NotificationSent.model_validate_json(sent_json(message, at))


@given(traceparent=st.none() | st.text(max_size=60))
def test_what_is_told_is_json_whatever_the_envelope_carries(traceparent: str | None) -> None:
    """The trace context is a free text: it comes back as it went in."""
    message = messages_of(confirmed())[0]._replace(traceparent=traceparent)
    event = NotificationSent.model_validate_json(sent_json(message, NOON))
    assert traceparent == event.traceparent


def test_what_is_told_names_no_patient() -> None:
    """Neither address nor NHS number is on the topic of notifications."""
    for contact in (BY_TEXT, BY_EMAIL):
        for message in messages_of(confirmed(contact)):
            fact = sent_json(message, NOON).decode()
            assert [] == [private for private in (MOBILE, EMAIL, NHS_NUMBER) if private in fact]
