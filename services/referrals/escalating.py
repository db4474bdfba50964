"""What becomes of a referral when its due time has passed and nobody did what was due. Pure: values in, values out."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from contracts.envelope import effect_id
from contracts.referrals import EscalatedData, ReferralEscalated, Standing, State
from services.referrals.cases import Case
from services.referrals.clocks import ClockTable

SOURCE = "onward/referrals"
LONGEST_PAUSE = timedelta(hours=4)
"""However often nobody answered, the desk is told again after this."""

Missed = Literal["acknowledgement", "answer", "outcome", "attendance", "decision", "information", "placement"]

_WORDS: dict[Missed, str] = {
    "acknowledgement": "nobody there said that they have it",
    "answer": "nobody there accepted or rejected it",
    "outcome": "nobody said what came of it",
    "attendance": "nobody said whether the patient came",
    "decision": "nobody decided where the patient goes",
    "information": "the question of the service is not answered",
    "placement": "no place is known",
}


MISSED: Mapping[State, tuple[Missed, ...]] = {
    "submitted": ("placement",),
    "triaged": ("placement",),
    "placement_asked": ("placement",),
    "waiting": ("placement",),
    "placed": ("attendance", "acknowledgement", "answer"),
    "received": ("attendance", "acknowledgement", "answer"),
    "information_wanted": ("information",),
    "accepted": ("attendance", "outcome"),
    "in_progress": ("outcome",),
    "seen": ("outcome",),
    "unplaced": ("decision",),
    "rejected": ("decision",),
    "not_attended": ("decision",),
    "withdrawn": ("decision",),
}
"""What may have been missed in each unfinished state. Attendance where a slot is held, acknowledgement where its clock
is the one that ran out."""


def missed_by(standing: Standing) -> Missed:
    """What was due of an unfinished referral and was not done."""
    first, *others = MISSED[standing.state]
    if first == "attendance" and (standing.place is None or standing.place.starts_at is None):
        first, *others = others
    if first == "acknowledgement" and standing.due != standing.clocks.acknowledge_by:
        first, *others = others
    return first


def escalated(case: Case, *, now: datetime, clocks: ClockTable) -> tuple[Case, ReferralEscalated]:
    """The referral goes back to the desk of whoever referred, which is told; it looks again after a growing pause.

    It stands where it stood: what the service accepted or holds is not taken from it. A repeat makes the same event.
    """
    before = case.standing
    missed = missed_by(before)
    times = before.escalations + 1
    pause = min(timedelta(minutes=clocks.look_again_minutes) * times, LONGEST_PAUSE)
    there = "" if before.place is None else f" {before.place.service.name}: telephone {before.place.service.telephone}."
    standing = before.model_copy(
        update={
            "version": before.version + 1,
            "owner": before.desk,
            "due": now + pause,
            "escalations": times,
            "next_step": f"It was due and {_WORDS[missed]}.{there} {before.desk.name} sees to the patient now: "
            f"telephone {before.desk.telephone}.",
        }
    )
    data = EscalatedData(standing=standing, was=before.state, missed=missed, was_due=before.due)
    return replace(case, standing=standing, escalated=True), ReferralEscalated.first(
        data,
        # With the version: by clocks that differ, a referral may come to be due twice at one time.
        id=effect_id(case.referral, ReferralEscalated.TYPE, f"{before.version} {before.due.isoformat()}"),
        source=SOURCE,
        subject=str(case.referral),
        time=now,
    )
