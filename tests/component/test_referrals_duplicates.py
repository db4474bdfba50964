"""The same patient referred by two, on a real PostgreSQL: found once, told to both desks, cleared by what they say."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from contracts import actions
from contracts.envelope import Event
from contracts.people import Age, Desk, Patient
from contracts.submissions import ReferralSubmitted
from services.chassis.database import Database
from services.chassis.outbox import Outbox
from services.referrals.deciding_store import Decisions
from services.referrals.duplicates_store import Duplicates
from services.referrals.facts import fact_in
from services.referrals.handlers import decide
from services.referrals.news import News
from services.referrals.store import Referrals, Wanted
from services.referrals.worklists import DUPLICATES, WorkItem
from services.referrals.worklists_store import Worklists
from tests.recording import RecordingPublisher
from tests.referrals_examples import BEGAN, CLOCKS, PATIENT, RECEIVER, REFERRER, asks, placed, submitted
from tests.referrals_running import referrals_database

pytestmark = pytest.mark.backing

NOW = datetime(2031, 3, 4, 3, 5, tzinfo=UTC)
TALK_BY = NOW + timedelta(minutes=15)
SURGERY = Desk(organisation="RX8", name="Duty doctor", telephone="01632 960080")
UNNUMBERED = PATIENT.model_copy(update={"nhs_number": None})


class Process:
    """One process of the service."""

    def __init__(self, own: Database) -> None:
        self.own = own
        self.referrals = Referrals(own, lambda: NOW, CLOCKS)
        self.decisions = Decisions(own, lambda: NOW, CLOCKS, Outbox(own, RecordingPublisher()))  # type: ignore[arg-type]
        self.duplicates = Duplicates(own, self.decisions, CLOCKS, hours=24)
        self.worklists = Worklists(own, CLOCKS)

    async def read(self, *events: Event) -> list[Event]:
        """Read events as they come off the log."""
        came = [fact_in(event.to_json(), event.type) for event in events]
        return await decide(came, referrals=self.referrals, decisions=self.decisions, news=News())

    async def told(self) -> list[tuple[str, str]]:
        """Of which referrals which other is told, by what is in the outbox."""
        rows = await self.own.pool.fetch(
            "select key, body::json #>> '{data,other_referral}' from outbox where type = 'referral.duplicate-suspected'"
        )
        return sorted((row[0], row[1]) for row in rows)

    async def on_list(self, organisation: str) -> list[WorkItem]:
        """What an organisation's desk should talk about with another."""
        return (await self.worklists.items(organisation, DUPLICATES)).items


@pytest.fixture
async def own(database: str) -> AsyncIterator[Database]:
    """The service's database, empty."""
    async with referrals_database(database) as own:
        yield own


@pytest.fixture
def process(own: Database) -> Process:
    """One that works alone."""
    return Process(own)


def again(referral: UUID, patient: Patient = PATIENT, time: datetime = BEGAN) -> ReferralSubmitted:
    """A surgery refers the patient."""
    return submitted(referral, referrer=SURGERY.organisation, desk=SURGERY, patient=patient, time=time)


async def both(process: Process) -> tuple[UUID, UUID]:
    """A patient whom a crew and a surgery have referred, found out."""
    one, other = uuid4(), uuid4()
    await process.read(*placed(one)[:4])
    await process.read(again(other))
    await process.duplicates.compare()
    return one, other


async def test_the_same_patient_referred_by_somebody_else_is_told_to_both_desks_once(process: Process) -> None:
    """Each side's fact names the other desk and its telephone; a second look, and a repeat of either, tell no more."""
    one, other = await both(process)
    await process.read(*placed(one)[:4], again(other))
    assert 0 == await process.duplicates.compare()
    assert sorted([(str(one), str(other)), (str(other), str(one))]) == await process.told()
    (mine,), (theirs,) = await process.referrals.duplicates(one), await process.referrals.duplicates(other)
    assert (other, SURGERY, "nhs-number", TALK_BY) == (mine.other_referral, mine.other_desk, mine.match, mine.due)
    assert (one, REFERRER) == (theirs.other_referral, theirs.other_desk.organisation)


async def test_each_desk_sees_it_in_its_own_feed_and_the_receiving_service_does_not(process: Process) -> None:
    """One fact in either referrer's feed, with the standing of its own referral and no other."""
    one, other = await both(process)
    seen = {
        organisation: await process.referrals.told(Wanted(organisation, ["referral.duplicate-suspected"]), 0, 1_000, 10)
        for organisation in (REFERRER, SURGERY.organisation, RECEIVER)
    }
    assert {REFERRER: [one], SURGERY.organisation: [other], RECEIVER: []} == {
        organisation: [fact.referral_id for fact in facts] for organisation, facts in seen.items()
    }
    (theirs,) = seen[SURGERY.organisation]
    assert RECEIVER not in theirs.body  # where the other's patient goes is not theirs to know


async def test_the_worklist_says_who_must_talk_by_when_and_what_clears_it(process: Process) -> None:
    """Beside the list that the referral is on anyway."""
    one, other = await both(process)
    (item,) = await process.on_list(REFERRER)
    assert (one, "clinical hub", TALK_BY, ["not_duplicate", "cancel"]) == (
        item.referral_id,
        item.role,
        item.due,
        item.clears,
    )
    assert item.duplicate is not None
    assert (other, SURGERY.telephone) == (item.duplicate.other_referral, item.duplicate.other_desk.telephone)
    assert [] == await process.on_list(RECEIVER)
    counts = {one.name: (one.referrals, one.overdue) for one in await process.worklists.counts(REFERRER, TALK_BY)}
    assert ((1, 1), (0, 0)) == (counts[DUPLICATES], counts["awaiting-booking"])


async def test_a_desk_that_says_it_is_no_duplicate_clears_its_own_list(process: Process) -> None:
    """The other desk says so of its own. An action that comes again answers as it did; a second one is not possible."""
    one, other = await both(process)
    action = asks(one, actions.NotDuplicate(action="not_duplicate", other=other), organisation=REFERRER)
    first, repeated = await process.read(action), await process.read(action)
    (refused,) = await process.read(asks(one, action.data.action, organisation=REFERRER))
    assert ["referral.duplicate-ruled-out"] == [fact.type for fact in first]
    assert [fact.to_json() for fact in first] == [fact.to_json() for fact in repeated]
    assert "not-possible" == refused.data.refusal  # type: ignore[attr-defined]
    assert [[], [other]] == [
        [item.referral_id for item in await process.on_list(organisation)]
        for organisation in (REFERRER, SURGERY.organisation)
    ]
    assert [[], 1] == [await process.referrals.duplicates(one), len(await process.referrals.duplicates(other))]


async def test_a_cancel_as_duplicate_clears_both_lists(process: Process) -> None:
    """Where one of the two is over, there is nothing left to decide about the other."""
    one, other = await both(process)
    cancel = actions.Cancel(action="cancel", reason="already-referred")
    await process.read(asks(other, cancel, organisation=SURGERY.organisation))
    assert [[], []] == [await process.on_list(organisation) for organisation in (REFERRER, SURGERY.organisation)]
    assert [[], []] == [await process.referrals.duplicates(one), await process.referrals.duplicates(other)]


@pytest.mark.parametrize(
    ("patient", "match"),
    [
        (UNNUMBERED.model_copy(update={"name": "UP, Madé"}), "name-and-age"),
        (UNNUMBERED.model_copy(update={"name": "Made Down"}), None),
        (UNNUMBERED.model_copy(update={"age": Age(value=70)}), None),
        (UNNUMBERED.model_copy(update={"name": None}), None),
        (PATIENT.model_copy(update={"nhs_number": "9000000017"}), None),
        (PATIENT.model_copy(update={"name": "Somebody Else"}), "nhs-number"),
    ],
)
async def test_what_is_the_same_is_said(process: Process, patient: Patient, match: str | None) -> None:
    """By number; by name, age and gender where one has none. Two numbers are two patients, whatever their names."""
    one = uuid4()
    await process.read(submitted(one))
    await process.read(again(uuid4(), patient))
    await process.duplicates.compare()
    assert ([match] if match else []) == [found.match for found in await process.referrals.duplicates(one)]


async def test_the_same_sender_and_one_of_long_ago_are_no_duplicates(process: Process) -> None:
    """Nor is one that is over already. What is too old to be compared with is forgotten."""
    await process.read(submitted(uuid4()), submitted(uuid4()))
    await process.duplicates.compare()
    over = uuid4()
    cancel = actions.Cancel(action="cancel", reason="patient-better")
    late = BEGAN + timedelta(hours=25)
    await process.read(again(over, time=late), asks(over, cancel, organisation=SURGERY.organisation))
    await process.duplicates.compare()
    await process.read(submitted(uuid4(), time=late))
    await process.duplicates.compare()
    assert [] == await process.told()
    assert 2 == await process.own.pool.fetchval("select count(*) from patients")


async def test_two_that_come_at_once_are_found_once(own: Database) -> None:
    """In one batch, or in two partitions that two processes read, while two look: each pair once, by either side."""
    processes = [Process(own) for _ in range(4)]
    pairs = [(uuid4(), uuid4()) for _ in range(24)]
    people = [PATIENT.model_copy(update={"nhs_number": f"90000{number:05}"}) for number in range(len(pairs))]

    async def compare(process: Process, ended: asyncio.Event) -> None:
        while not ended.is_set():
            await process.duplicates.compare()

    ended = asyncio.Event()
    looking = [asyncio.create_task(compare(process, ended)) for process in processes[2:]]
    for n, ((one, other), patient) in enumerate(zip(pairs, people, strict=True)):
        first, second = submitted(one, patient=patient), again(other, patient)
        if n % 2:
            await processes[0].read(first, second)
        else:
            await asyncio.gather(processes[0].read(first), processes[1].read(second))
    ended.set()
    await asyncio.gather(*looking)
    await processes[2].duplicates.compare()
    expected = [(str(a), str(b)) for one, other in pairs for a, b in ((one, other), (other, one))]
    assert sorted(expected) == await processes[0].told()


async def test_no_number_and_no_name_is_kept_to_compare_by(process: Process) -> None:
    """Hashes under a key of this database alone: what is listed beside other tables tells nobody who was referred."""
    await both(process)
    for row in await process.own.pool.fetch("select to_jsonb(patients)::text as row from patients"):
        assert [] == [said for said in ("9000000009", "Made", "made") if said in row["row"]]


async def test_what_one_sender_sent_before_is_not_even_looked_at(own: Database) -> None:
    """However often they referred the patient: or each more would take longer. What others sent is found."""
    crew, surgery, patient = b"crew", b"surgery", b"patient"
    sent = [(uuid4(), crew) for _ in range(500)] + [(uuid4(), surgery), (uuid4(), crew)]
    async with own.pool.acquire() as connection, connection.transaction():
        await connection.executemany(
            "insert into patients (referral_id, position, submitted_at, sender, by_number, by_name, desk)"
            " values ($1, $2, $3, $4, $5, $5, '{}')",
            [(referral, number, NOW, sender, patient) for number, (referral, sender) in enumerate(sent)],
        )
        found = await connection.fetch("select * from pairs_with($1, $2)", [sent[-1][0]], timedelta(hours=24))
        read = await connection.fetchval(
            "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relid = 'patients'::regclass"
        )
    assert [(sent[-1][0], sent[-2][0], "nhs-number")] == [tuple(row)[:3] for row in found]
    assert read < 10
