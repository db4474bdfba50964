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
