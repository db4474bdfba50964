"""What becomes of a referral: who hears of it, by which channel, in which words, and what is never said."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.notifications import NotificationSent, NotificationSentData
from contracts.people import Referrer
from services.notification.facts import Fact
from services.notification.hearing import HEARS, MISSED, messages_about
from services.notification.messages import SOURCE, Message, sent_json
from services.notification.outcomes import Confirmed, Exhausted
from tests.contracts.golden_examples import VALID
from tests.notification_examples import (
    BY_EMAIL,
    BY_TEXT,
    EMAIL,
    MOBILE,
    NHS_NUMBER,
    NOON,
    RECEIVER,
    REFERRER,
    UNKNOWN,
    an_id,
    candidate,
    leaves,
)
from tests.notification_facts import (
    DELIVERED,
    DESK,
    HUB,
    KINDS,
    NURSE,
    OLD,
    OLD_NAME,
    PLACE,
    SLOT,
    THERE,
    VIEWS,
    WORDS,
    accepted,
    arranged_elsewhere,
    cancelled,
    document_attached,
    duplicate_suspected,
    escalated,
    every_fact,
    information_given,
    information_wanted,
    message_left,
    not_attended,
    outcome_given,
    place,
    rebooked,
    rejected,
    wait_listed,
    withdrawn,
)

FORMER = "former_service"
OUTCOMES: dict[str, Any] = {view.TYPE: view for view in (Confirmed, Exhausted)}
LONGEST_TEXT_MESSAGE = 918
"""Characters (NHS Notify's limit for SMS)."""

WALK: list[tuple[Fact, Message]] = [
    (fact, message)
    for contact in (UNKNOWN, BY_TEXT, BY_EMAIL)
    for fact in every_fact(contact)
    for message in messages_about(fact)
]
"""Every fact, told to everyone by every channel."""


def named(pair: tuple[Fact, Message]) -> str:
    """A test's name for a fact and a message."""
    return f"{pair[0].type} {pair[1].template} by {pair[1].channel}"


def audiences(fact: Fact) -> list[str]:
    """Who hears of it."""
    return sorted(message.audience for message in messages_about(fact))


def to(audience: str, fact: Fact) -> str:
    """What one hears of it."""
    [text] = [message.text for message in messages_about(fact) if message.audience == audience]
    return text


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (accepted(), ["patient", "referrer"]),
        (rejected(), ["patient", "referrer"]),
        (information_wanted(), ["referrer"]),
        (information_given(), ["service"]),
        (rebooked(), [FORMER, "patient", "referrer", "service"]),
        (rebooked(old=None), ["patient", "referrer", "service"]),
        (withdrawn(), [FORMER, "patient", "referrer"]),
        (cancelled(), [FORMER, "patient"]),
        (cancelled(None), []),
        (cancelled(None, was="waiting"), ["patient"]),
        (arranged_elsewhere(), [FORMER]),
        (arranged_elsewhere(None), []),
        (not_attended(), ["referrer"]),
        (outcome_given(), ["referrer"]),
        (outcome_given(where_it_was=False), ["referrer"]),
        (wait_listed(), ["patient"]),
        (escalated(), ["referrer"]),
        (escalated(THERE), ["referrer", "service"]),
        (message_left(HUB), ["service"]),
        (message_left(NURSE), ["referrer"]),
        (message_left(HUB, None), []),
        (message_left(NURSE, None), ["referrer"]),
        (document_attached(HUB), ["service"]),
        (document_attached(NURSE), ["referrer"]),
        (duplicate_suspected(), ["referrer"]),
    ],
    ids=lambda value: value.type if isinstance(value, Fact) else "-".join(value),
)
def test_who_hears(fact: Fact, expected: list[str]) -> None:
    """Each who must act, and each who was told something that holds no more; nobody of what they did themselves."""
    assert expected == audiences(fact)


def test_every_fact_that_is_read_is_heard_of() -> None:
    """What nobody hears of is not read. What is given back when nobody wanted it any more is told by its messages."""
    assert set(VIEWS) == {hears.fact.TYPE for hears in HEARS} | {"booking.withdrawn"}


@pytest.mark.parametrize("type_", [*VIEWS, *OUTCOMES])
def test_whatever_the_contract_allows_is_read(type_: str) -> None:
    """Also what leaves out all that may be left out, and a patient of whom nothing is known."""
    views = VIEWS | OUTCOMES
    examples = [example for example in VALID if example.type == type_]
    assert [example.document["id"] for example in examples] == [
        str(views[type_].read(example.value).id) for example in examples
    ]


def test_organisations_hear_in_their_own_inbox_and_the_patient_by_their_channel() -> None:
    """The new service, the old one, the desk that refers; and one message to the patient."""
    fact = rebooked(old=place(OLD_NAME, service=candidate(OLD_NAME, organisation="OLDONE1"), placement_id=an_id("x")))
    expected = {
        ("service", "system", RECEIVER, None),
        (FORMER, "system", "OLDONE1", None),
        ("referrer", "system", REFERRER, None),
        ("patient", "sms", None, MOBILE),
    }
    assert expected == {(one.audience, one.channel, one.organisation, one.address) for one in messages_about(fact)}


@pytest.mark.parametrize("fact", every_fact(UNKNOWN), ids=lambda fact: fact.type)
def test_a_patient_without_a_known_channel_hears_nothing(fact: Fact) -> None:
    """Where none is known, organisations alone hear."""
    if fact.data.standing.patient.contact == UNKNOWN:
        assert "patient" not in audiences(fact)


@pytest.mark.parametrize(
    "left", [cancelled(reason="patient-died"), cancelled(None, was="waiting", reason="patient-died")]
)
def test_nobody_writes_to_who_has_died(left: Fact) -> None:
    """Where the desk says so when it takes the referral back, the service alone hears."""
    assert "patient" not in audiences(left)


def test_an_organisation_that_refers_to_itself_hears_once() -> None:
    """What one of its people says to another comes to its one inbox."""
    own = place(service=candidate(organisation=REFERRER))
    by = Referrer(organisation=REFERRER, practitioner="practitioner-9", role="charge nurse")
    assert [("service", REFERRER)] == [
        (one.audience, one.organisation) for one in messages_about(message_left(by, own))
    ]


def test_old_and_new_service_of_one_organisation_hear_both() -> None:
    """Two messages for two teams: one patient comes, one does not."""
    messages = [one for one in messages_about(rebooked()) if one.organisation == RECEIVER]
    assert ({"service", FORMER}, 2) == ({one.audience for one in messages}, len({one.id for one in messages}))


def test_a_repeated_fact_makes_the_same_messages() -> None:
    """Everything in a message follows from the fact alone."""
    assert [messages_about(fact) for fact in every_fact()] == [messages_about(fact) for fact in every_fact()]


def test_no_two_messages_share_an_id() -> None:
    """Each fact and each recipient make an id of their own."""
    messages = [message for fact in every_fact() for message in messages_about(fact)]
    assert len(messages) == len({message.id for message in messages})


@pytest.mark.parametrize("pair", WALK, ids=named)
def test_what_is_told_of_a_message_is_the_contract(pair: tuple[Fact, Message]) -> None:
    """The JSON that is written out is the `notification.sent` of the contract; without a place it names none."""
    fact, message = pair
    event = NotificationSent.model_validate_json(sent_json(message, NOON + timedelta(seconds=1)))
    expected = NotificationSentData(
        message_id=message.id,
        audience=message.audience,
        organisation=message.organisation,
        reason=fact.type,
        channel=message.channel,
        template=message.template,
        placement_id=message.placement,
    )
    assert (expected, SOURCE, fact.id, fact.correlationid, fact.traceparent) == (
        event.data,
        event.source,
        event.causationid,
        event.correlationid,
        event.traceparent,
    )


def test_a_message_names_the_place_that_it_tells_of() -> None:
    """The old service hears of the old placement, all others of the new one; without a place of none."""
    placements = {one.audience: one.placement for one in messages_about(rebooked())}
    assert (OLD.placement_id, SLOT.placement_id, [None]) == (
        placements[FORMER],
        placements["service"],
        [one.placement for one in messages_about(wait_listed())],
    )


def said(text: str, values: Any) -> set[str]:
    """Those of the values that stand in the text."""
    return {value for value in leaves(values) if value.lower() in text.lower()}


@pytest.mark.parametrize("pair", WALK, ids=named)
def test_no_message_says_what_somebody_wrote_or_who_the_patient_is(pair: tuple[Fact, Message]) -> None:
    """Neither words nor documents, kinds of outcome, numbers or addresses leave: it says where to read instead."""
    _fact, message = pair
    kept = [WORDS, NHS_NUMBER, MOBILE, EMAIL, "title of the document", "died", "very_urgent", "practitioner"]
    assert set() == said(message.text, kept)
    assert set() == said(sent_json(message, NOON).decode(), kept)


@pytest.mark.parametrize("pair", [pair for pair in WALK if pair[1].channel != "system"], ids=named)
def test_an_open_channel_says_times_a_reference_and_the_desks_telephone_alone(pair: tuple[Fact, Message]) -> None:
    """Of all that a fact holds, whoever reads the telephone learns nothing of where, why and how urgent."""
    fact, message = pair
    allowed = {SLOT.reference, OLD.reference, DESK.telephone}
    assert said(message.text, fact.data.model_dump(mode="json")) <= allowed


@pytest.mark.parametrize("kind", KINDS)
def test_the_patients_message_is_the_same_whatever_the_service(kind: str) -> None:
    """Two places that differ in name, organisation and telephone are told in the same words."""
    one = KINDS[kind]
    other = one.model_copy(update={"service": candidate("Other crisis house", organisation="OTHER1", telephone="999")})
    for make in (accepted, rejected, rebooked):
        assert to("patient", make(one)) == to("patient", make(other))


@pytest.mark.parametrize("pair", [pair for pair in WALK if pair[1].channel == "sms"], ids=named)
def test_a_text_message_fits(pair: tuple[Fact, Message]) -> None:
    """A text message stays within what a provider takes."""
    assert len(pair[1].text) <= LONGEST_TEXT_MESSAGE


def test_a_rejection_says_loudly_who_owns_the_patient_and_by_when() -> None:
    """The desk reads who would not, why, that nobody else has the patient, and until when to decide."""
    fact = rejected()
    expected = (
        "REJECTED: Moorside hyper-acute stroke unit will not see your patient (no capacity). THE PATIENT IS YOURS "
        "AGAIN: Trust clinical hub decides what happens next by Wednesday 3 June 2026 at 14:15. Nobody else has the "
        f"patient. Reference 123456789012, referral {fact.subject}. Its professional line is 01632 960222."
    )
    assert expected == to("referrer", fact)


def test_a_patient_who_is_expected_no_more_is_told_so() -> None:
    """Whoever was told to come must not: until when they hear, and whom they ring."""
    expected = (
        "What was arranged for you under reference 123456789012 does not take place, and nobody expects you there. "
        "You will hear what is arranged instead. If you have heard nothing by Wednesday 3 June 2026 at 14:15, ring "
        "01632 960001. In an emergency ring 999."
    )
    assert [expected, expected] == [to("patient", rejected()), to("patient", withdrawn())]


def test_a_patient_who_is_moved_is_told_that_the_old_time_counts_no_more() -> None:
    """The new time and the new reference; of the place before nothing."""
    expected = (
        "Your appointment has changed, and what you were told before counts no more. It is now arranged for Wednesday "
        "3 June 2026 at 13:45. Your reference is now 123456789012. To change it or to ask about it, ring 01632 960001. "
        "In an emergency ring 999."
    )
    assert expected == to("patient", rebooked())


def test_who_must_accept_is_told_until_when() -> None:
    """A rebooked place that must be accepted is told like any: with its own time, not the desk's."""
    assert "Please accept or reject by Wednesday 3 June 2026 at 14:00" in to("service", rebooked(PLACE))
    assert "looks again on Wednesday 3 June 2026 at 14:15" in to("service", rebooked(DELIVERED))


@pytest.mark.parametrize("missed", MISSED)
def test_an_escalation_says_what_nobody_did_and_who_acts(missed: str) -> None:
    """The owner and the fail-safe read the same: what was due when, and whose the patient is."""
    for audience in ("referrer", "service"):
        text = to(audience, escalated(THERE, missed=missed))
        assert (True, True, True) == (
            f"OVERDUE: {MISSED[missed]}, which was due by Wednesday 3 June 2026 at 12:55" in text,
            THERE.name in text,
            "Wednesday 3 June 2026 at 14:15" in text,
        )


def test_two_desks_are_told_of_each_other() -> None:
    """Whose the other referral is, what is the same, when it was sent, where to ring and by when."""
    text = to("referrer", duplicate_suspected())
    assert [True] * 4 == [
        "Desk of the other, telephone 01632 960009" in text,
        "the same name, age and gender" in text,
        "on Wednesday 3 June 2026 at 12:10" in text,
        "by Wednesday 3 June 2026 at 13:15" in text,
    ]
