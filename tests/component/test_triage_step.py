"""Triage as a step: submissions in, as records; what is told out, without Kafka."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from contracts.envelope import effect_id
from contracts.people import Desk, PatientIdentity, Referrer
from contracts.submissions import Mark, ReferralSubmitted, ReferralSubmittedData, Submission
from contracts.topics import Topic
from contracts.triage import ReferralTriaged
from services.chassis.decoding import Record
from services.chassis.step import Breaker, Step
from services.triage.handlers import triage
from services.triage.precedence import Rules
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED
from tests.recording import RecordingGraveyard, RecordingPublisher, record_of

RULES = Rules(load(SHIPPED))
NOW = datetime(2025, 3, 4, 3, 0, tzinfo=UTC)
REFERRAL = "5f1c2a34-0000-4000-8000-000000000001"

FALL: dict[str, Any] = {
    "patient": {
        "nhs_number": "9000000009",
        "name": "Invented Person",
        "age": {"value": 84},
        "gender": "female",
        "surgery": "Y00001",
        "contact": {"mobile": "07700 900123", "prefers": "sms"},
    },
    "position": {"latitude": 54.0, "longitude": -1.5},
    "presentation": "fall",
    "observations": {
        "respiration_per_min": 17,
        "oxygen_saturation_percent": 97,
        "on_oxygen": False,
        "systolic_mmhg": 134,
        "pulse_per_min": 78,
        "consciousness": "alert",
        "temperature_celsius": 36.6,
    },
    "accept": ({"service_type": 146}, {"service": "S-7"}),
    "narrative": "found on the kitchen floor",
}


def submitted(number: int = 1, marks: tuple[Mark, ...] = (), **changes: Any) -> ReferralSubmitted:
    """A submission as the gateway tells it."""
    return ReferralSubmitted.first(
        ReferralSubmittedData(
            submission=Submission.model_validate(FALL | changes),
            referrer=Referrer(organisation="RX1", practitioner="P123", role="paramedic"),
            desk=Desk(organisation="RX1", name="Clinical hub", telephone="01632 960001"),
            answer_by=NOW + timedelta(minutes=15),
            marks=marks,
        ),
        id=UUID(int=number),
        source="onward/gateway/RX1",
        subject=REFERRAL,
        time=NOW - timedelta(seconds=1),
    )


class Triage:
    """The step of triage, with everything that it told and buried."""

    def __init__(self, minutes: int = 0) -> None:
        self.publisher = RecordingPublisher()
        self.graveyard = RecordingGraveyard()
        self.step = Step(
            reader="triage",
            topic=Topic.SUBMISSIONS,
            types=(ReferralSubmitted,),
            handler=partial(triage, rules=RULES, clock=lambda: NOW + timedelta(minutes=minutes)),
            publisher=self.publisher,
            graveyard=self.graveyard,
            breaker=Breaker(),
        )

    async def told(self, *records: Record) -> list[ReferralTriaged]:
        """What is told of these records, as a reader of the topic finds it."""
        await self.step.run(records)
        return [ReferralTriaged.read(event.to_json()) for event in self.publisher.told]


async def test_a_submission_becomes_one_triaged_referral() -> None:
    """Told once, about the same referral, caused by the submission, in its transaction and partition."""
    cause = submitted()
    [event] = await Triage().told(record_of(cause))
    assert effect_id(cause.id, "referral.triaged") == event.id
    assert (REFERRAL, REFERRAL, cause.id, cause.correlationid, NOW, "onward/triage") == (
        event.subject,
        event.partitionkey,
        event.causationid,
        event.correlationid,
        event.time,
        event.source,
    )


async def test_the_brief_carries_all_that_later_steps_need() -> None:
    """Placement, deadline, acceptance, where, who, what was decided, who refers and who owns it."""
    cause = submitted()
    [event] = await Triage().told(record_of(cause))
    brief = event.data.brief
    received = cause.data
    assert (cause.id, received.answer_by) == (brief.placement_id, brief.answer_by)
    assert received.submission.accept == brief.accept
    assert (received.submission.position, received.submission.patient.age) == (brief.position, brief.age)
    assert ("female", "Y00001", "fall") == (brief.gender, brief.surgery, brief.presentation)
    assert ((146, 135), False, "standard", "UCR-2H") == (
        brief.service_types,
        brief.to_clinician,
        brief.acuity,
        brief.disposition.code,
    )
    assert ["fall"] == [reason.rule for reason in brief.reasons]
    assert (received.referrer, received.desk) == (brief.referrer, brief.desk)
    assert ("9000000009", "07700 900123") == (brief.patient.nhs_number, brief.patient.contact.mobile)
    assert "onward-default 2.0.0" == event.data.rule_pack


async def test_name_observations_and_narrative_stop_here() -> None:
    """What later steps do not need does not travel on."""
    await (heard := Triage()).told(record_of(submitted()))
    [event] = heard.publisher.told
    assert isinstance(event, ReferralTriaged)
    assert PatientIdentity is type(event.data.brief.patient)
    value = event.to_json()
    assert b"9000000009" in value
    for stopped in (b"Invented Person", b"kitchen floor", b'"systolic_mmhg":134', b'"temperature_celsius":36.6'):
        assert stopped not in value


async def test_marks_of_the_gateway_are_kept_before_those_of_triage() -> None:
    """A clinician sees both."""
    mark = Mark(code="nhs-number-missing", pointer="/patient/nhs_number", text="No NHS number.")
    [event] = await Triage().told(record_of(submitted(marks=(mark,), presentation="purple-spots")))
    assert ["nhs-number-missing", "presentation-unknown"] == [one.code for one in event.data.brief.marks]


async def test_a_repeat_tells_the_same_id() -> None:
    """A submission that is read again later is the same fact to every reader."""
    record = record_of(submitted())
    [first] = await Triage().told(record)
    [again] = await Triage(minutes=5).told(record)
    assert first.id == again.id


async def test_a_batch_keeps_its_order() -> None:
    """As many are told as were read, in the order in which they came."""
    records = [record_of(submitted(number), offset=number) for number in range(1, 51)]
    assert list(range(1, 51)) == [int(event.data.brief.placement_id) for event in await Triage().told(*records)]


async def test_a_record_that_is_no_submission_is_buried_alone() -> None:
    """The rest of its batch is told."""
    heard = Triage()
    junk = Record(Topic.SUBMISSIONS, 0, 1, None, b'{"data": {}}', (("type", b"referral.submitted"),))
    told = await heard.told(record_of(submitted(1)), junk, record_of(submitted(2), offset=2))
    assert [1, 2] == [int(event.data.brief.placement_id) for event in told]
    assert [junk] == [record for record, _ in heard.graveyard.dead]
