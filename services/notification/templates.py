"""What messages say. Each template is named `audience.occasion.version`; other words are another version.

An open channel (sms, email) may be read by anyone near the patient. Its templates carry a time, the reference and a
telephone, and nothing else: not why, not how urgent, and no name of a service or organisation, for "hyper-acute stroke
unit" or "hospice" is a diagnosis. See docs/decisions/notification-open-channels.md.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from string import Formatter
from zoneinfo import ZoneInfo

_LONDON = ZoneInfo("Europe/London")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)

OPEN_FIELDS = frozenset({"when", "by", "reference", "telephone"})
"""All that a template for an open channel may carry."""

TEMPLATES: Mapping[str, str] = {
    "patient.slot-held.v1": (
        "Your appointment is arranged for {when}. Your reference is {reference}. "
        "To change it or to ask about it, ring {telephone}. In an emergency ring 999."
    ),
    "patient.place-held.v1": (
        "A visit is being arranged for you. Your reference is {reference}. "
        "If you have heard nothing by {by}, ring {telephone}. In an emergency ring 999."
    ),
    "patient.delivered.v1": (
        "Your details have been passed on so that a visit can be arranged. Your reference is {reference}. "
        "If you have heard nothing by {by}, ring {telephone}. In an emergency ring 999."
    ),
    "service.slot-held.v1": (
        "A patient is referred to {service} and has your slot on {when}. Reference {reference}, referral {referral}. "
        "Referred by {desk}, telephone {telephone}."
    ),
    "service.place-held.v1": (
        "A patient is referred to {service}. Please accept or reject by {by}. "
        "Reference {reference}, referral {referral}. Referred by {desk}, telephone {telephone}."
    ),
    "service.delivered.v1": (
        "A patient is referred to {service}. {desk}, telephone {telephone}, looks after the patient until you answer, "
        "and looks again on {by}. Reference {reference}, referral {referral}."
    ),
    "referrer.slot-held.v1": (
        "{service} has a slot for your patient on {when}. Reference {reference}, referral {referral}. "
        "Its professional line is {telephone}. If nothing is heard, look again on {by}."
    ),
    "referrer.place-held.v1": (
        "{service} is asked to accept your patient by {by}; until then the patient is yours. "
        "Reference {reference}, referral {referral}. Its professional line is {telephone}."
    ),
    "referrer.delivered.v1": (
        "Your referral was delivered to {service}, and nobody has answered yet; until then the patient is yours. "
        "Reference {reference}, referral {referral}. Its professional line is {telephone}. "
        "If nothing is heard, look again on {by}."
    ),
    "referrer.unplaced.v1": (
        "No service has your patient ({why}). The patient is yours: decide what happens next by {by}. "
        "Referral {referral}."
    ),
    "referrer.unplaced-with-proposal.v1": (
        "No service has your patient ({why}). The patient is yours: decide what happens next by {by}. "
        "Referral {referral}. Proposed, not booked: {service}, professional line {telephone}."
    ),
    # What becomes of a referral after its first placement.
    "patient.accepted-slot-held.v1": (
        "Your appointment on {when} is confirmed. Your reference is {reference}. "
        "To change it or to ask about it, ring {telephone}. In an emergency ring 999."
    ),
    "patient.accepted-place-held.v1": (
        "Your visit is confirmed. Your reference is {reference}. "
        "To change it or to ask about it, ring {telephone}. In an emergency ring 999."
    ),
    "patient.accepted-delivered.v1": (
        "You are expected. Your reference is {reference}. "
        "To change that or to ask about it, ring {telephone}. In an emergency ring 999."
    ),
    "patient.moved-slot-held.v1": (
        "Your appointment has changed, and what you were told before counts no more. It is now arranged for {when}. "
        "Your reference is now {reference}. To change it or to ask about it, ring {telephone}. "
        "In an emergency ring 999."
    ),
    "patient.moved-place-held.v1": (
        "What was arranged for you has changed, and what you were told before counts no more. A visit is being "
        "arranged for you. Your reference is now {reference}. If you have heard nothing by {by}, ring {telephone}. "
        "In an emergency ring 999."
    ),
    "patient.moved-delivered.v1": (
        "What was arranged for you has changed, and what you were told before counts no more. Your details have been "
        "passed on so that a visit can be arranged. Your reference is now {reference}. "
        "If you have heard nothing by {by}, ring {telephone}. In an emergency ring 999."
    ),
    "patient.not-expected.v1": (
        "What was arranged for you under reference {reference} does not take place, and nobody expects you there. "
        "You will hear what is arranged instead. If you have heard nothing by {by}, ring {telephone}. "
        "In an emergency ring 999."
    ),
    "patient.cancelled.v1": (
        "What was arranged for you under reference {reference} is cancelled, and nobody expects you there. "
        "To ask about it, ring {telephone}. In an emergency ring 999."
    ),
    "patient.cancelled-at-once.v1": (
        "What was arranged for you under reference {reference} is cancelled, and nobody expects you there. "
        "To ask about it, ring the number that you were given with it. In an emergency ring 999."
    ),
    "patient.wait-listed.v1": (
        "You are on a list of people who wait for a place. You will hear when there is one. "
        "If you have heard nothing by {by}, ring {telephone}. In an emergency ring 999."
    ),
    "patient.wait-cancelled.v1": (
        "You wait for a place no longer: your request was cancelled. "
        "To ask about it, ring {telephone}. In an emergency ring 999."
    ),
    "service.information-given.v1": (
        "{desk} has answered what {service} asked. Please accept or reject by {by}. "
        "Reference {reference}, referral {referral}. Their telephone is {telephone}."
    ),
    "service.message.v1": (
        "{desk} has left a message for {service}: read it with the referral. "
        "Reference {reference}, referral {referral}. Their telephone is {telephone}."
    ),
    "service.document.v1": (
        "{desk} has attached a document for {service}: read it with the referral. "
        "Reference {reference}, referral {referral}. Their telephone is {telephone}."
    ),
    "service.escalated.v1": (
        "OVERDUE: {missed}, which was due by {was_due}. {owner} looks after the patient: act by {by}. "
        "Reference {reference}, referral {referral}. Referred by {desk}, telephone {telephone}."
    ),
    "former_service.not-expected.v1": (
        "The patient of reference {reference} is not expected any more, and what was held is given back. "
        "Referral {referral}."
    ),
    "referrer.accepted.v1": (
        "{service} will see your patient. {owner}, telephone {owner_telephone}, looks after the patient now. "
        "Reference {reference}, referral {referral}. Its professional line is {telephone}."
    ),
    "referrer.rejected.v1": (
        "REJECTED: {service} will not see your patient ({reason}). THE PATIENT IS YOURS AGAIN: {owner} decides what "
        "happens next by {by}. Nobody else has the patient. Reference {reference}, referral {referral}. "
        "Its professional line is {telephone}."
    ),
    "referrer.information-wanted.v1": (
        "{service} cannot decide about your patient without an answer from you: read what is asked with the "
        "referral, and answer by {by}. Until it accepts, the patient is yours. "
        "Reference {reference}, referral {referral}. Its professional line is {telephone}."
    ),
    "referrer.withdrawn.v1": (
        "WITHDRAWN: {service} cannot take your patient any more, and no other place was found. "
        "THE PATIENT IS YOURS AGAIN: {owner} decides what happens next by {by}. Nobody else has the patient. "
        "Reference {reference}, referral {referral}. Its professional line is {telephone}."
    ),
    "referrer.not-attended.v1": (
        "NOT SEEN: {service} expected your patient, who did not come or was not there. The patient is yours: {owner} "
        "decides what happens next by {by}. Reference {reference}, referral {referral}. "
        "Its professional line is {telephone}."
    ),
    "referrer.outcome-given.v1": (
        "{service} has said what came of your patient: read it with the referral. Nothing more is to be done. "
        "Reference {reference}, referral {referral}. Its professional line is {telephone}."
    ),
    "referrer.escalated.v1": (
        "OVERDUE: {missed}, which was due by {was_due}. {owner}, telephone {owner_telephone}, looks after the patient "
        "and acts by {by}. Referral {referral}."
    ),
    "referrer.message.v1": (
        "{service} has left a message for you: read it with the referral. Reference {reference}, referral {referral}. "
        "Its professional line is {telephone}."
    ),
    "referrer.document.v1": (
        "{service} has attached a document for you: read it with the referral. "
        "Reference {reference}, referral {referral}. Its professional line is {telephone}."
    ),
    "referrer.given-back.v1": (
        "A place was found for your patient after the referral had gone on. It is given back, and nobody is expected "
        "there. Reference {reference}, referral {referral}."
    ),
    "referrer.message-about.v1": "A message about your patient was left for you: read it with referral {referral}.",
    "referrer.document-about.v1": "A document about your patient was attached: read it with referral {referral}.",
    "referrer.duplicate.v1": (
        "Your patient may have been referred twice: {other_desk}, telephone {other_telephone}, referred somebody with "
        "the same {match} on {other_submitted}. Nothing was merged or stopped: please talk to each other by {by}, then "
        "say that it is no duplicate, or cancel yours. Referral {referral}."
    ),
}


def render(template: str, parameters: Mapping[str, str]) -> str:
    """The text of a message. Raises KeyError for an unknown template or a missing parameter."""
    return TEMPLATES[template].format_map(parameters)


def fields_of(template: str) -> frozenset[str]:
    """The names of the parameters that a template needs."""
    return frozenset(field for _, field, _, _ in Formatter().parse(TEMPLATES[template]) if field is not None)


def in_words(at: datetime) -> str:
    """A moment on the clock in Europe/London, e.g. "Tuesday 3 June 2025 at 14:20".

    In the hour that comes twice when summer time ends, the zone is said as well.
    """
    return _minute_in_words(at.replace(second=0, microsecond=0))


@lru_cache(maxsize=4096)
def _minute_in_words(at: datetime) -> str:
    # Remembered, for a burst of outcomes shares its slots and its due times.
    local = at.astimezone(_LONDON)
    words = f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local.year} at {local:%H:%M}"
    twice = local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset()
    return f"{words} {local.tzname()}" if twice else words
