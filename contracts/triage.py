"""The topic `triage`: how urgent, and which kinds of service are fit."""

from typing import Literal

from pydantic import Field

from contracts.brief import Brief
from contracts.envelope import Data, ReferralEvent
from contracts.topics import Topic


class News2(Data):
    """A National Early Warning Score 2. Incomplete: an observation is missing, and the total is a lower bound."""

    total: int = Field(ge=0, le=20)
    complete: bool
    missing: tuple[str, ...] = ()
    points: dict[str, int]
    highest_single: int = Field(ge=0, le=3)
    band: Literal["low", "low-medium", "medium", "high"]


class Scores(Data):
    """The scores that were made. NEWS2 is absent, with the reason, where it is not valid."""

    news2: News2 | None = None
    news2_not_scored: str | None = None


class ReferralTriagedData(Data):
    """The decision of a versioned rule pack."""

    brief: Brief
    scores: Scores
    rule_pack: str = Field(description="name and version of the pack that decided")


class ReferralTriaged(ReferralEvent, type="referral.triaged", topic=Topic.TRIAGE, classification="clinical"):
    """A referral has an acuity, a disposition, and the service types that are fit, in order."""

    data: ReferralTriagedData
