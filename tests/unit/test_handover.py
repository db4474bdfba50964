"""The handover: bounded, read by those who take over, and in no fact or message beyond."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from contracts.people import Desk, Referrer
from contracts.submissions import Observations, ReferralSubmitted, ReferralSubmittedData, Submission
from services.booking.diary import Given
from services.booking.outcome import outcome_of
from services.gateway.answer import body_of
from services.gateway.marks import marks_of
from services.notification.messages import messages_of
from services.notification.outcomes import Confirmed
from services.pathways.directory_file import read_file
from services.pathways.handlers import rank
from services.referrals.handover import handed_over, trend_of
from services.triage.handlers import triage
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED
from tests.gateway_examples import submission
from tests.handover_examples import EARLIER, HANDOVER, LATEST, WORDS
from tests.pathways_examples import CODES, index_of
from tests.recording import read_again

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DESK = Desk(organisation="ONW01", name="Clinical hub", telephone="01632 960010")


def sent(**changes: Any) -> Submission:
    """A submission with a whole handover, and members replaced."""
    whole = submission(
        handover=HANDOVER, earlier_observations=EARLIER, observations=LATEST, observed_at="2026-03-02T11:58:00Z"
    )
    return Submission.model_validate_json(json.dumps(whole | changes))


def submitted(one: Submission) -> ReferralSubmitted:
    """Its fact."""
    return ReferralSubmitted.first(
        ReferralSubmittedData(
            submission=one,
            referrer=Referrer(organisation="ONW01", practitioner="crew-7", role="paramedic"),
            desk=DESK,
            answer_by=NOW + timedelta(minutes=15),
        ),
        id=uuid4(),
        source="onward/gateway/ONW01",
        subject=str(uuid4()),
        time=NOW,
    )


def test_those_who_take_over_read_all_of_it() -> None:
    """Every member as it was sent; observations the earliest first, and where each vital sign went."""
    read = json.loads(handed_over(submitted(sent())).model_dump_json(exclude_unset=True))
    assert HANDOVER == read["handover"]
    assert [22, 26, 28] == [one["observations"]["respiration_per_min"] for one in read["observed"]]
    assert ["11:30", "11:50", "11:58"] == [one["at"][11:16] for one in read["observed"]]
    assert {"respiration_per_min": "rising", "pulse_per_min": "falling", "systolic_mmhg": "steady"} == read["trend"]


def test_what_was_measured_once_has_no_trend() -> None:
    """Nor has what was not measured; a gap between two measures is none."""
    one, gap, other = Observations(pulse_per_min=90), Observations(), Observations(pulse_per_min=90)
    assert ({}, {"pulse_per_min": "steady"}) == (trend_of([one, gap]), trend_of([one, gap, other]))


async def test_no_fact_after_the_submission_holds_any_of_it() -> None:
    """Nor the answer, nor any message, on an open channel or another."""
    directory = index_of(*read_file(Path(__file__).parents[2] / "deploy" / "directory" / "elvershire.toml").services)
    first = submitted(sent(position={"latitude": 52.9, "longitude": -1.2}, accept="any"))
    assert all(word in first.to_json().decode() for word in WORDS)
    [decided] = await triage([first], rules=Rules(load(SHIPPED)), clock=lambda: NOW)
    [asked] = await rank([decided], index=directory, clock=lambda: NOW, codes=CODES)
    outcome = outcome_of(asked, Given(asked.data.candidates[0], 0), reference="100000000000", now=NOW)
    messages = messages_of(Confirmed.read(outcome.to_json()))
    assert 3 == len(messages)
    everything = [decided.to_json().decode(), asked.to_json().decode(), outcome.to_json().decode()]
    everything += [body_of(read_again(outcome)).decode(), *(message.text for message in messages)]
    assert [] == [word for word in WORDS for text in everything if word in text]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"situation": "x" * 2001}, ("handover", "situation")),
        ({"situation": ""}, ("handover", "situation")),
        ({"medicines_given": [HANDOVER["medicines_given"][0]] * 31}, ("handover", "medicines_given")),
        ({"medicines_given": [{"name": "Givenine", "dose": "5 mg"}]}, ("handover", "medicines_given", 0, "given_at")),
        ({"key_safe": "x\0"}, ("handover", "key_safe")),
        ({"consent": {"decision": "perhaps"}}, ("handover", "consent", "decision")),
        ({"next_of_kin": [{"name": "Kin", "telephone": "ring me"}]}, ("handover", "next_of_kin", 0, "telephone")),
        ({"resuscitation": "ask"}, ("handover", "resuscitation")),
    ],
)
def test_what_is_not_a_handover_is_refused_where_it_is_wrong(
    changes: dict[str, Any], pointer: tuple[str | int, ...]
) -> None:
    """Each part has its kind and its bound."""
    with pytest.raises(ValidationError) as refused:
        sent(handover=HANDOVER | changes)
    assert [pointer] == [fault["loc"] for fault in refused.value.errors()]


def test_too_many_sets_of_observations_are_refused() -> None:
    """Twenty-four are more than a shift at one patient's side."""
    with pytest.raises(ValidationError):
        sent(earlier_observations=[EARLIER[0]] * 25)


def test_an_oddity_is_marked_and_refuses_nothing() -> None:
    """Allergies that contradict each other, and every time that has not come yet, by its place."""
    ahead = {"name": "Givenine", "dose": "5 mg", "given_at": "2026-03-02T12:02:01Z"}
    odd = HANDOVER | {"no_known_allergies": True, "medicines_given": [*HANDOVER["medicines_given"], ahead]}
    marks = marks_of(sent(handover=odd, observed_at="2026-03-02T13:00:00Z"), NOW)
    assert [
        ("allergies-contradict", "/handover/no_known_allergies"),
        ("time-in-future", "/observed_at"),
        ("time-in-future", "/handover/medicines_given/1/given_at"),
    ] == [(mark.code, mark.pointer) for mark in marks]
