"""What is sent: submissions, searches and events, made before the run so that making them takes nothing from it.

A seed decides what is in them. Ids and keys are new in every run: a key that was used before would only be answered.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice
from typing import Any
from uuid import UUID

from contracts.envelope import new_id
from contracts.people import Desk, Position, Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData, Submission
from loadtests.scenario import ENGLAND, Load
from services.device.incidents import Incident
from services.device.shift import shift
from services.gateway.marks import marks_of
from services.pathways.invented import drawn_near
from services.pathways.towns import town, towns

MOST_INCIDENTS = 4_000
"""So many different patients; after that they come again, under new ids."""

PLACES_OF_ENGLAND = 2_000
ANSWER_WITHIN = timedelta(minutes=15)
"""As the gateway says."""

_ID, _REFERRAL = UUID(int=0xA11CE << 100), UUID(int=0xB0B << 100)
_TIME, _ANSWER_BY = datetime(1999, 1, 1, tzinfo=UTC), datetime(1999, 1, 2, tzinfo=UTC)


def places(where: str | Position, seed: int) -> list[Position]:
    """Middles of the areas that patients are in: of all England, more where more people live."""
    if isinstance(where, Position):
        return [where]
    if where != ENGLAND:
        found = town(where)
        assert found is not None
        return [found.position]
    chance = random.Random(seed)
    people = list(accumulate(one.population for one in towns()))
    return [drawn_near(one, chance) for one in chance.choices(towns(), cum_weights=people, k=PLACES_OF_ENGLAND)]


def incidents(load: Load, seed: int, count: int, now: datetime | None = None) -> list[Incident]:
    """So many incidents of a stream, or as many different ones as there are, as they are written down now."""
    written_at = now or datetime.now(UTC)
    drawn = shift(seed, places(load.where, seed), lambda _: written_at, load.incidents)
    return list(islice(drawn, max(1, min(count, MOST_INCIDENTS))))


@dataclass(frozen=True, slots=True)
class Body:
    """A submission as it is posted."""

    json: bytes
    reachable: bool

    @classmethod
    def of(cls, submission: Submission) -> "Body":
        """As a device writes it."""
        return cls(submission.model_dump_json(exclude_none=True).encode(), reachable(submission))


def reachable(submission: Submission) -> bool:
    """Whether a message to the patient follows when they are placed. Incidents know telephones and no email."""
    return submission.patient.contact.mobile is not None


class EventTemplate:
    """A submission as the gateway tells it, but for its ids and times."""

    def __init__(self, submission: Submission, referrer: Referrer, desk: Desk, now: datetime) -> None:
        self.reachable = reachable(submission)
        event = ReferralSubmitted.first(
            ReferralSubmittedData(
                submission=submission,
                referrer=referrer,
                desk=desk,
                answer_by=_ANSWER_BY,
                marks=marks_of(submission, now),
            ),
            id=_ID,
            source=f"onward/gateway/{referrer.organisation}",
            subject=str(_REFERRAL),
            time=_TIME,
        )
        gaps = rf"({_ID}|{_REFERRAL}|1999-01-01T00:00:00Z|1999-01-02T00:00:00Z)".encode()
        self._parts: Sequence[bytes] = re.split(gaps, event.to_json())

    def told(self, id: UUID, referral: UUID, now: datetime) -> bytes:
        """The event, told now (UTC)."""
        fill = {
            str(_ID).encode(): str(id).encode(),
            str(_REFERRAL).encode(): str(referral).encode(),
            b"1999-01-01T00:00:00Z": _written(now),
            b"1999-01-02T00:00:00Z": _written(now + ANSWER_WITHIN),
        }
        return b"".join([fill.get(part, part) for part in self._parts])


def _written(instant: datetime) -> bytes:
    return instant.isoformat().replace("+00:00", "Z").encode()


def new_event(template: EventTemplate, now: datetime) -> tuple[str, str, bytes]:
    """Id, referral and JSON of a new event."""
    id, referral = new_id(), new_id()
    return str(id), str(referral), template.told(id, referral, now)


def search_of(incident: Incident) -> dict[str, Any]:
    """The search that a crew makes of a patient before it refers: `GET /pathways`."""
    patient = incident.submission.patient
    asked: dict[str, Any] = {
        "latitude": incident.submission.position.latitude,
        "longitude": incident.submission.position.longitude,
        "presentation": incident.submission.presentation,
        "gender": patient.gender,
    }
    if patient.age is not None:
        asked["age"] = patient.age.value
    return asked
