"""A patient at sea or abroad, from the crew's device to its screen, through the rules of every service."""

import json
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import uuid4

import pytest

from contracts.bookings import BookingExhausted
from contracts.people import Desk, Position, Referrer
from contracts.submissions import ReferralSubmitted, ReferralSubmittedData
from services.booking.diary import Refused
from services.booking.outcome import outcome_of
from services.device.queue import Entry
from services.device.screen import lines_of
from services.device.shift import shift
from services.gateway.answer import body_of
from services.gateway.marks import marks_of
from services.pathways.directory_file import read_file
from services.pathways.handlers import rank
from services.triage.handlers import triage
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED
from tests.device_examples import Clocks
from tests.pathways_examples import CODES, index_of
from tests.recording import read_again

NOW = datetime(2026, 3, 2, 16, 40, tzinfo=UTC)
RULES = Rules(load(SHIPPED))
DIRECTORY = index_of(*read_file(Path(__file__).parents[2] / "deploy" / "directory" / "elvershire.toml").services)
DESK = Desk(organisation="ONW01", name="Clinical hub", telephone="01632 960010")

AWAY = {
    "in the North Sea": Position(latitude=57.0, longitude=3.5),
    "in Paris": Position(latitude=48.85, longitude=2.35),
    "with latitude and longitude swapped": Position(latitude=-1.2, longitude=52.9),
    "at the pole": Position(latitude=90.0, longitude=0.0),
}


@pytest.mark.parametrize("where", AWAY.values(), ids=AWAY)
async def test_a_patient_at_sea_or_abroad_is_accepted_marked_and_given_to_the_desk(where: Position) -> None:
    """Nobody is within the search distance: the screen says so, what to check, and whom to telephone by when."""
    for incident in islice(shift(1, [where], lambda _: NOW), 12):
        submission = incident.submission
        submitted = ReferralSubmitted.first(
            ReferralSubmittedData(
                submission=submission,
                referrer=Referrer(organisation="ONW01", practitioner="device", role="paramedic"),
                desk=DESK,
                answer_by=NOW + timedelta(minutes=15),
                marks=marks_of(submission, NOW),
            ),
            id=uuid4(),
            source="onward/gateway/ONW01",
            subject=str(uuid4()),
            time=NOW,
        )
        [triaged] = await triage([submitted], rules=RULES, clock=lambda: NOW)
        [requested] = await rank([triaged], index=DIRECTORY, clock=lambda: NOW, codes=CODES)
        outcome = read_again(outcome_of(requested, Refused(), reference="", now=NOW))
        assert isinstance(outcome, BookingExhausted)
        answer = json.loads(body_of(outcome))
        entry = Entry(
            incident.key, incident.scenario, b"", NOW, "first", 0.0, state="answered", status=201, answer=answer
        )
        screen = lines_of(entry, "", Clocks().clock())

        assert ("no candidate", None) == (answer["unplaced_because"], answer["proposal"])
        assert "   where  nowhere yet: nobody suitable is within the search distance" in screen
        assert "   check  The position is outside the British Isles: confirm where the patient is." in screen
        assert (
            "   next   Nobody is within the search distance, not even an emergency department: confirm where the "
            "patient is. Clinical hub looks after the referral: telephone 01632 960010." in screen
        )
        assert "   else   nothing heard by 16:55? Telephone Clinical hub, 01632 960010." in screen
