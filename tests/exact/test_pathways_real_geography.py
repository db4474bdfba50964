"""Five hundred patients where people live, among the 22,000 services of England: each answer against a plain search."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from contracts.people import Desk, Position, Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData, Submission
from services.device.incidents import met, scenarios
from services.pathways.handlers import rank
from services.pathways.placing import mapped, request_of
from services.triage.handlers import triage
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED as RULE_PACK
from tests import plain_search, real_places
from tests.pathways_examples import CODES, index_of
from tests.plain_asking import asked, site_of

pytestmark = [pytest.mark.exact, pytest.mark.fixtures, pytest.mark.timeout(1200)]

PATIENTS = 500
TIMES = (
    datetime(2026, 1, 14, 11, 20, tzinfo=UTC),  # a weekday
    datetime(2026, 1, 17, 16, 40, tzinfo=UTC),  # twenty minutes before pharmacies close on a Saturday
    datetime(2026, 7, 20, 1, 5, tzinfo=UTC),  # a night in summer
)
REACH_KM = 86.0
"""Past the corners of the search square. What is further away fails by distance, and is nobody's near miss."""


def submitted(number: int, submission: Submission, now: datetime) -> ReferralSubmitted:
    """The fact that a crew has referred."""
    data = ReferralSubmittedData(
        submission=submission,
        referrer=Referrer(organisation="ONW01", practitioner="P1", role="paramedic"),
        desk=Desk(organisation="ONW01", name="Clinical hub", telephone="01632 960000"),
        answer_by=now + timedelta(minutes=15),
    )
    referral = UUID(int=number + 1)
    return ReferralSubmitted.first(data, id=referral, source="onward/gateway", subject=str(referral), time=now)


async def test_patients_all_over_england(fixtures_folder: Path) -> None:
    """The same candidates in the same order, the same near misses and the same proposal as by looking at each one."""
    services = real_places.services(fixtures_folder / "places")
    assert 21_000 < len(services)
    index = index_of(*services)
    directory = index.snapshot
    site = site_of(directory.rules)
    kinds, random = list(scenarios()), Random(20)
    positions = real_places.patients(fixtures_folder / "places", PATIENTS, random)
    rules = Rules(load(RULE_PACK))
    counted: Counter[str] = Counter()
    for number, position in enumerate(positions):
        now = TIMES[number % len(TIMES)]
        kind = scenarios()[kinds[number % len(kinds)]]
        fact = submitted(number, met(kind, position, now, random), now)
        triaged = await triage([fact], rules=rules, clock=lambda now=now: now)  # type: ignore[misc]
        [told] = await rank(triaged, index=index, clock=lambda now=now: now, codes=CODES)  # type: ignore[misc]

        request = request_of(mapped(triaged[0].data.brief, CODES), directory, now, CODES)
        near = [one for one in services if plain_search.metres(request.position, one.position) <= REACH_KM * 1000]
        plainly = asked(near, {}, request, site)

        data = told.data
        assert plainly.candidates == [(one.service_id, one.distance_km) for one in data.candidates]
        assert plainly.near_misses == [(one.service_id, one.failed) for one in data.near_misses]
        assert plainly.proposed == (data.catch_all and data.catch_all.service_id)
        counted["with candidates"] += bool(data.candidates)
        counted["with near misses"] += bool(data.near_misses)
        counted["to a clinician"] += data.brief.to_clinician
    assert PATIENTS / 2 < counted["with candidates"]
    assert PATIENTS / 10 < counted["with near misses"]


def test_positions_are_where_people_live(fixtures_folder: Path) -> None:
    """Drawn by population: about a sixth of them in London, and all of them in England."""
    positions = real_places.patients(fixtures_folder / "places", 2000, Random(1))
    assert all(49.8 < one.latitude < 56 and -6.5 < one.longitude < 2 for one in positions)
    middle = Position(latitude=51.5, longitude=-0.12)
    in_london = sum(plain_search.metres(middle, one) < 22_000 for one in positions)
    assert 0.1 < in_london / 2000 < 0.2
