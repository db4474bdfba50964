"""A referral as it is read: where it stands and stood, who made each version and why, and what may be asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from pydantic import Field, ValidationError
from pydantic_core import from_json

from contracts.actions import ActionName
from contracts.envelope import Event
from contracts.people import OrganisationCode, Referrer
from services.referrals.asking import open_to
from services.referrals.cases import sides_of
from services.referrals.clocks import ClockTable
from services.referrals.difference import difference, made_by, reason_of
from services.referrals.duplicates import SuspectedDuplicate
from services.referrals.facts import fact_in
from services.referrals.standing import standing_of
from services.referrals.state import Referral, read_version

UNREADABLE = "unreadable"


@dataclass(slots=True, kw_only=True)
class ReferralNow(Referral):
    """A referral as it stands, and what may be asked for."""

    asked: Annotated[UUID | None, Field(description="a further placement that is being looked for")]
    duplicates: Annotated[
        list[SuspectedDuplicate],
        Field(description="referrals that may be of the same patient; only for the organisation that refers"),
    ]
    actions: Annotated[list[ActionName], Field(description="what your organisation may ask for now")]


@dataclass(slots=True, kw_only=True)
class ReferralVersion(Referral):
    """A referral as it stood, and how it came to stand there."""

    fact: Annotated[str, Field(description="the type of the fact that made the version")]
    source: Annotated[str, Field(description="the service that told it")]
    by: Annotated[
        Referrer | None,
        Field(description="the person who asked for it; none where a service went on, or where that cannot be read"),
    ]
    why: Annotated[str | None, Field(description="the reason, as far as one was given")]
    changes: Annotated[list[str], Field(description="a line for all that is not as it was in the version before")]


class History:
    """The versions of one referral, the first is 1."""

    def __init__(self, id: UUID, rows: Sequence[asyncpg.Record], clocks: ClockTable) -> None:
        self._id = id
        self._rows = rows
        self._clocks = clocks

    def concerns(self, organisation: OrganisationCode) -> bool:
        """Whether the organisation is on the referral."""
        return organisation in (self._rows[-1]["referrer"], self._rows[-1]["receiver"])

    @property
    def last(self) -> int:
        """The number of the version that stands now."""
        return len(self._rows)

    def is_referred_by(self, organisation: OrganisationCode) -> bool:
        """Whether the organisation is the one that refers."""
        return bool(organisation == self._rows[-1]["referrer"])

    def now(
        self, organisation: OrganisationCode, now: datetime, duplicates: Sequence[SuspectedDuplicate]
    ) -> ReferralNow:
        """The referral as it stands, for somebody of an organisation, who may know of these duplicates."""
        row = self._rows[-1]
        fact = fact_in(row["body"].encode(), row["type"])
        standing = standing_of(fact, version=self.last, asked=row["asked"], clocks=self._clocks)
        sides = sides_of(organisation, row["referrer"], row["receiver"])
        return ReferralNow(
            **_members(self.version(self.last)),
            asked=row["asked"],
            duplicates=list(duplicates),
            actions=open_to(standing, sides=sides, now=now, suspected=bool(duplicates)),
        )

    def version(self, number: int) -> Referral:
        """The referral as it stood then. Raises LookupError."""
        if not 1 <= number <= self.last:
            raise LookupError(number)
        row = self._rows[number - 1]
        fact = fact_in(row["body"].encode(), row["type"])
        return read_version(self._id, number, row["at"], fact, self._clocks)

    def told(self, number: int) -> ReferralVersion:
        """The same, with who made it so, why, and what is not as it was before. Raises LookupError."""
        version, row = self.version(number), self._rows[number - 1]
        try:
            fact = Event.KNOWN[row["type"]].read(row["body"].encode())
        except ValidationError:  # wrong in a part that this service did not look at when it came
            source, by, why = str(from_json(row["body"]).get("source", UNREADABLE)), None, None
        else:
            source, by, why = fact.source, made_by(fact), reason_of(fact)
        return ReferralVersion(
            **_members(version),
            fact=row["type"],
            source=source,
            by=by,
            why=why,
            changes=difference(self.version(number - 1) if number > 1 else None, version),
        )


def _members(referral: Referral) -> dict[str, Any]:
    return {field.name: getattr(referral, field.name) for field in fields(referral)}
