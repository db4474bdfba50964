"""Whether two referrals are of one patient. Pure: values in, values out. Nothing is merged or dropped by itself."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Literal, NamedTuple, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from contracts.envelope import effect_id
from contracts.people import Desk, Referrer
from contracts.referrals import FINISHED, DuplicateSuspectedData, ReferralDuplicateSuspected
from services.referrals.cases import Case
from services.referrals.facts import PatientDescribed

SOURCE = "onward/referrals"

Match = Literal["nhs-number", "name-and-age"]


class SuspectedDuplicate(BaseModel):
    """Another referral, by somebody else, that may be of the same patient. The desks talk; nothing is merged."""

    other_referral: Annotated[UUID, Field(description="`other` in the action `not_duplicate`")]
    other_desk: Annotated[Desk, Field(description="whom to telephone")]
    other_submitted_at: AwareDatetime
    match: Annotated[Match, Field(description="what is the same; name-and-age, with the gender, is the weaker one")]
    due: Annotated[AwareDatetime, Field(description="by when the desk should have talked to the other")]

    @classmethod
    def told_in(cls, body: str) -> Self:
        """As the fact that told it says."""
        data = ReferralDuplicateSuspected.read(body.encode()).data
        return cls(**{name: getattr(data, name) for name in cls.model_fields})


class Marks(NamedTuple):
    """By what a patient is told apart: keyed hashes, each none where too little is known."""

    by_number: bytes | None
    by_name: bytes | None
    """Name, age and gender: the contract carries no date of birth."""


class Pair(NamedTuple):
    """A referral and an earlier one, sent by somebody else, that may be of the same patient."""

    referral: UUID
    other: UUID
    match: Match
    desk: Desk
    """Of whoever sent the first."""
    other_desk: Desk
    submitted_at: datetime
    other_submitted_at: datetime


def marks_of(patient: PatientDescribed, key: bytes) -> Marks:
    """The marks of a patient. A name is compared without case, accents, order and punctuation."""
    number = _hash(key, "number", patient.nhs_number) if patient.nhs_number else None
    name = _plain(patient.name) if patient.name else ""
    if not name or patient.age is None:
        return Marks(number, None)
    return Marks(number, _hash(key, "name", name, str(round(patient.age.in_days)), patient.gender))


def mark_of_sender(sender: Referrer, key: bytes) -> bytes:
    """By what it is known that somebody else sent a referral: another organisation, or another person of the same."""
    return _hash(key, "sender", sender.organisation, sender.practitioner)


def _hash(key: bytes, *parts: str) -> bytes:
    return blake2b("\0".join(parts).encode(), key=key, digest_size=16).digest()


def _plain(name: str) -> str:
    letters = (one for one in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(one))
    return " ".join(sorted("".join(one if one.isalnum() else " " for one in letters).split()))


def suspected(
    pairs: Sequence[Pair], cases: Mapping[UUID, Case], *, now: datetime, within: timedelta
) -> list[tuple[Case, ReferralDuplicateSuspected]]:
    """What is told of each pair to either desk. Of a referral that is finished nobody need decide anything any more."""
    told = []
    for pair in pairs:
        one, other = cases[pair.referral], cases[pair.other]
        if one.standing.state in FINISHED or other.standing.state in FINISHED:
            continue
        told.append(
            (one, _told(one, other.referral, pair.other_desk, pair.other_submitted_at, pair.match, now, within))
        )
        told.append((other, _told(other, one.referral, pair.desk, pair.submitted_at, pair.match, now, within)))
    return told


def _told(
    case: Case,
    other: UUID,
    other_desk: Desk,
    other_submitted_at: datetime,
    match: Match,
    now: datetime,
    within: timedelta,
) -> ReferralDuplicateSuspected:
    data = DuplicateSuspectedData(
        standing=case.standing,
        other_referral=other,
        other_desk=other_desk,
        other_submitted_at=other_submitted_at,
        match=match,
        due=now + within,
    )
    return ReferralDuplicateSuspected.first(
        data,
        id=effect_id(case.referral, ReferralDuplicateSuspected.TYPE, str(other)),
        source=SOURCE,
        subject=str(case.referral),
        time=now,
    )
