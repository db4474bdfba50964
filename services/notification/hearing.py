"""Who hears of what becomes of a referral, and in which words: one table, and what it makes of a fact.

Organisations hear on their own channel which referral to read, never what anybody wrote. A patient hears by the one
channel that is known, with a time, the reference and the referrer's desk's telephone, and no name.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from contracts.notifications import Audience, Channel
from services.notification.facts import (
    Accepted,
    ArrangedElsewhere,
    Cancelled,
    DocumentAttached,
    DuplicateSuspected,
    Escalated,
    Fact,
    InformationGiven,
    InformationWanted,
    MessageLeft,
    NotAttended,
    OutcomeGiven,
    Place,
    Rebooked,
    Rejected,
    WaitListed,
    Withdrawn,
    place_left,
)
from services.notification.messages import Message, message, open_channel
from services.notification.templates import OPEN_FIELDS, in_words, render


def _always(_fact: Fact) -> bool:
    return True


def _left_a_place(fact: Fact) -> bool:
    return place_left(fact) is not None


def _had_no_place(fact: Fact) -> bool:
    return not _left_a_place(fact)


def _lives_and_left_a_place(fact: Cancelled) -> bool:
    # Nobody rings, writes or texts to somebody who has died.
    return fact.data.reason != "patient-died" and _left_a_place(fact)


def _lives_and_waited(fact: Cancelled) -> bool:
    return fact.data.reason != "patient-died" and fact.data.was == "waiting"


def _owned_there(fact: Fact) -> bool:
    standing = fact.data.standing
    return standing.place is not None and standing.owner.organisation != standing.desk.organisation


def _from_the_referrer(fact: Fact) -> bool:
    # What an organisation that refers to itself says to itself comes to its one inbox, once.
    standing, by = fact.data.standing, fact.data.by
    return standing.place is not None and by is not None and by.organisation == standing.desk.organisation


def _from_there(fact: Fact) -> bool:
    return fact.data.standing.place is not None and not _from_the_referrer(fact)


def _from_elsewhere(fact: Fact) -> bool:
    # A service that has the patient no longer may still say something.
    standing, by = fact.data.standing, fact.data.by
    return standing.place is None and by is not None and by.organisation != standing.desk.organisation


class Hears(NamedTuple):
    """That an audience hears of a type of fact, on which occasion, and where. `{kind}` is what the place is."""

    fact: type[Fact]
    audience: Audience
    occasion: str
    where: Callable[[Any], bool] = _always


HEARS = (
    Hears(Accepted, "referrer", "accepted"),
    Hears(Accepted, "patient", "accepted-{kind}"),
    Hears(Rejected, "referrer", "rejected"),
    Hears(Rejected, "patient", "not-expected"),
    Hears(InformationWanted, "referrer", "information-wanted"),
    Hears(InformationGiven, "service", "information-given"),
    Hears(Rebooked, "service", "{kind}"),
    Hears(Rebooked, "former_service", "not-expected", _left_a_place),
    Hears(Rebooked, "referrer", "{kind}"),
    Hears(Rebooked, "patient", "moved-{kind}", _left_a_place),
    Hears(Rebooked, "patient", "{kind}", _had_no_place),
    Hears(Withdrawn, "former_service", "not-expected"),
    Hears(Withdrawn, "referrer", "withdrawn"),
    Hears(Withdrawn, "patient", "not-expected"),
    Hears(Cancelled, "former_service", "not-expected", _left_a_place),
    Hears(Cancelled, "patient", "cancelled", _lives_and_left_a_place),
    Hears(Cancelled, "patient", "wait-cancelled", _lives_and_waited),
    Hears(ArrangedElsewhere, "former_service", "not-expected", _left_a_place),
    Hears(NotAttended, "referrer", "not-attended"),
    Hears(OutcomeGiven, "referrer", "outcome-given"),
    Hears(WaitListed, "patient", "wait-listed"),
    Hears(Escalated, "service", "escalated", _owned_there),
    Hears(Escalated, "referrer", "escalated"),  # the owner, or the fail-safe
    Hears(MessageLeft, "service", "message", _from_the_referrer),
    Hears(MessageLeft, "referrer", "message", _from_there),
    Hears(MessageLeft, "referrer", "message-about", _from_elsewhere),
    Hears(DocumentAttached, "service", "document", _from_the_referrer),
    Hears(DocumentAttached, "referrer", "document", _from_there),
    Hears(DocumentAttached, "referrer", "document-about", _from_elsewhere),
    Hears(DuplicateSuspected, "referrer", "duplicate"),
)
"""Who hears of what. Nobody hears of what they did themselves, or of a refusal: who asked has the answer."""

_HEARS_OF: Mapping[str, list[Hears]] = {
    hears.fact.TYPE: [one for one in HEARS if one.fact is hears.fact] for hears in HEARS
}

MISSED = {
    "acknowledgement": "nobody at the service has said that the referral has come",
    "answer": "nobody at the service has accepted or rejected the patient",
    "attendance": "nobody has said whether the patient was seen",
    "outcome": "nobody has said what came of it",
    "decision": "nobody has decided what happens next",
    "information": "nobody has answered what the service asked",
    "placement": "no place was found",
}

MATCHES = {"nhs-number": "NHS number", "name-and-age": "name, age and gender"}


def messages_about(fact: Fact) -> list[Message]:
    """A message for each who must hear of this fact. A patient without a known channel hears nothing."""
    told = [_message(fact, hears) for hears in _HEARS_OF[fact.TYPE] if hears.where(fact)]
    return [one for one in told if one is not None]


def _message(fact: Fact, hears: Hears) -> Message | None:
    standing, audience, place = fact.data.standing, hears.audience, _place_told_of(fact, hears.audience)
    said = _said(fact, audience, place)
    channel, organisation, address = _recipient(fact, audience, place)
    if channel is None:
        return None
    if audience == "patient":
        said = {name: said[name] for name in OPEN_FIELDS & said.keys()}
    template = f"{audience}.{hears.occasion.format(kind=kind_of(place))}.v1"
    placement = None if place is None else place.placement_id
    referrer = standing.referrer.organisation
    text = render(template, said)
    return message(fact, placement, referrer, audience, channel, organisation, address, template, text)


def _place_told_of(fact: Fact, audience: Audience) -> Place | None:
    if isinstance(fact, OutcomeGiven):
        return fact.data.place
    here = fact.data.standing.place
    return place_left(fact) if audience == "former_service" or here is None else here


def _recipient(fact: Fact, audience: Audience, place: Place | None) -> tuple[Channel | None, str | None, str | None]:
    """By which channel, and whose inbox or which address."""
    if audience == "patient":
        channel, address = open_channel(fact.data.standing.patient.contact) or (None, None)
        return channel, None, address
    if audience == "referrer":
        return "system", fact.data.standing.desk.organisation, None
    return ("system", place.service.organisation, None) if place is not None else (None, None, None)


def kind_of(place: Place | None) -> str:
    """What is held there, by what is known of it, so that no template lacks its time."""
    if place is None:
        return "nowhere"
    if place.starts_at is not None:
        return "slot-held"
    return "delivered" if place.acceptance_due is None else "place-held"


def _said(fact: Fact, audience: Audience, place: Place | None) -> dict[str, str]:
    """What is known and may be told. The telephone is that of the other side; for a patient the desk's."""
    standing = fact.data.standing
    said = {
        "referral": fact.subject,
        "by": in_words(standing.due),
        "desk": standing.desk.name,
        "owner": standing.owner.name,
        "owner_telephone": standing.owner.telephone,
        "telephone": standing.desk.telephone,
    }
    if place is not None:
        said |= {"reference": place.reference, "service": place.service.name}
        if place.starts_at is not None:
            said["when"] = in_words(place.starts_at)
        if audience == "referrer":
            said["telephone"] = place.service.telephone
    match fact:
        case Rebooked() if place is not None and place.acceptance_due is not None:
            said["by"] = in_words(place.acceptance_due)
        case Rejected():
            said["reason"] = fact.data.reason.replace("-", " ")
        case Escalated():
            missed = fact.data.missed
            said |= {"missed": MISSED.get(missed, missed), "was_due": in_words(fact.data.was_due)}
        case DuplicateSuspected():
            other = fact.data.other_desk
            said |= {"other_desk": other.name, "other_telephone": other.telephone}
            said |= {"other_submitted": in_words(fact.data.other_submitted_at), "by": in_words(fact.data.due)}
            said["match"] = MATCHES.get(fact.data.match, fact.data.match)
    return said
