"""What is unusual about a submission and yet no reason to refuse it: a clinical oddity never blocks."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from contracts.handover import Handover
from contracts.people import Position
from contracts.submissions import Mark, Submission
from services.gateway.nhs_number import check_digit_holds

OLDEST_USUAL_YEARS = 120

CLOCKS_DIFFER = timedelta(minutes=2)
"""So far may a device's clock be ahead."""

SOUTH, NORTH = 49.0, 61.0
WEST, EAST = -11.0, 2.0
"""A box around the British Isles, in degrees: Jersey to Out Stack, the Blaskets to Lowestoft. A corner of France is in
it: the box finds swapped coordinates and wrong signs, not borders."""


def marks_of(submission: Submission, now: datetime) -> tuple[Mark, ...]:
    """Marks on who the patient is and where, and on the handover. What was observed is marked at triage.

    No text repeats a value.
    """
    marks = []
    patient = submission.patient
    if patient.nhs_number is None:
        marks.append(
            Mark(
                code="nhs-number-missing",
                pointer="/patient/nhs_number",
                text="No NHS number: confirm who the patient is.",
            )
        )
    elif not check_digit_holds(patient.nhs_number):
        marks.append(
            Mark(
                code="nhs-number-check",
                pointer="/patient/nhs_number",
                text="The NHS number fails its check digit: confirm who the patient is.",
            )
        )
    if patient.age is not None and patient.age.in_years > OLDEST_USUAL_YEARS:
        marks.append(
            Mark(
                code="age-unusual",
                pointer="/patient/age",
                text=f"The age is over {OLDEST_USUAL_YEARS} years: confirm it.",
            )
        )
    if not in_the_british_isles(submission.position):
        marks.append(
            Mark(
                code="position-unusual",
                pointer="/position",
                text="The position is outside the British Isles: confirm where the patient is.",
            )
        )
    marks += _marks_of_handover(submission, now)
    return tuple(marks)


def _marks_of_handover(submission: Submission, now: datetime) -> Iterator[Mark]:
    handover = submission.handover or Handover()
    if handover.no_known_allergies and handover.allergies:
        yield Mark(
            code="allergies-contradict",
            pointer="/handover/no_known_allergies",
            text="No known allergies, and some are listed: ask again.",
        )
    times = {
        "/observed_at": submission.observed_at,
        **{f"/earlier_observations/{n}/at": one.at for n, one in enumerate(submission.earlier_observations)},
        **{f"/handover/medicines_given/{n}/given_at": one.given_at for n, one in enumerate(handover.medicines_given)},
        **{
            f"/handover/medicines_taken/{n}/last_taken_at": one.last_taken_at
            for n, one in enumerate(handover.medicines_taken)
        },
    }
    for pointer, at in times.items():
        if at is not None and at > now + CLOCKS_DIFFER:
            yield Mark(code="time-in-future", pointer=pointer, text="The time is in the future: confirm it.")


def in_the_british_isles(position: Position) -> bool:
    """Whether the position, in degrees (WGS 84), is in the box around the British Isles."""
    return SOUTH <= position.latitude <= NORTH and WEST <= position.longitude <= EAST
