"""The life of a referral over the whole system, from its submission to its outcome, by whoever acts on it over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.backing import instance
from services.cli.connection import TRUST, Connection
from services.cli.directory import SHIPPED, load
from services.cli.facts import DECIDED
from services.cli.watching import BEGINNING, Filters, follow
from tests.conftest import broken_in, empty_database, new_prefix
from tests.diaries_elsewhere import receiver
from tests.journeys.acting import PATIENCE_SECONDS, World, at_last, diary_elsewhere, service
from tests.journeys.conftest import make_topics
from tests.running import System

pytestmark = pytest.mark.backing

FIRST, SECOND = "ONW05", "ONW06"
"""Organisations with a service of these journeys."""
STRANGER = "ONW07"
RACING = 30

FAR_OFF = f'"{datetime.now(UTC) + timedelta(days=3):%a}"'.lower()
"""A day of the week on which no patient of these journeys is expected."""


DIRECTORY = (
    service("first", FIRST)
    + service("second", SECOND)
    + service("moving", FIRST)
    + service("moved-to", SECOND)
    + service("full", FIRST, capacity=1)
    + service("for-the-very-old", SECOND, age=110)
)


TO_THE_SERVICE = """
select text from notification.messages_as_they_stand
where referral = %s and reason = 'booking.confirmed' and audience = 'service'
"""


@dataclass(frozen=True)
class Whole:
    """A system that all journeys of this module share."""

    system: System
    database: str

    def lists(self, directory: str, folder: Path) -> None:
        """List what a directory says."""
        file = folder / "directory.toml"
        file.write_text(directory)
        load(Connection(self.system.url("edge"), self.system.token(TRUST, "directory-editor")), file)


@pytest.fixture(scope="module")
def whole(backing: instance.Backing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Three processes, so that booking and referrals can be taken away; in the end every invariant holds."""
    folder = tmp_path_factory.mktemp("life")
    with empty_database(backing) as database, new_prefix(backing.kafka) as prefix:
        system = System.prepare(backing.kafka, database, prefix, folder)
        make_topics(backing.kafka, prefix)
        try:
            system.start("edge", "gateway", "triage", "pathways")
            system.start("booking", "booking", "notification")
            system.start("referrals")
            system.wait_until_ready(except_for="the directory is empty")
            whole = Whole(system, database)
            whole.lists(SHIPPED.read_text() + DIRECTORY, folder)
            system.wait_until_ready()
            yield whole
        finally:
            system.stop()
        assert [] == broken_in(backing.kafka, database, prefix)


@pytest.fixture
async def world(whole: Whole) -> AsyncIterator[World]:
    """Whoever acts on referrals, over the shared system."""
    async with httpx.AsyncClient(timeout=60) as client:
        yield World(whole.system, whole.database, client, gateway="edge", referrals="referrals")


async def test_a_life_from_submission_to_outcome(world: World) -> None:
    """Each step is answered with the version that both desks read from then on; the feed tells both the same; whoever
    is to be told is told; in the end it is over and nothing is held."""
    answer = await world.placed("first")
    referral = answer["referral_id"]
    version = (await world.stands(referral, "placed"))["version"]
    course: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
        (FIRST, "receive", "received", {}),
        (FIRST, "want_information", "information_wanted", {"words": "Which leg?"}),
        (TRUST, "give_information", "received", {"words": "The left."}),
        (FIRST, "accept", "accepted", {}),
        (FIRST, "record_contact", "accepted", {"reached": True}),
        (FIRST, "begin_care", "in_progress", {}),
        (FIRST, "see", "seen", {}),
        (TRUST, "leave_message", "seen", {"words": "Her sister asks."}),
        (FIRST, "give_outcome", "outcome_given", {"kind": "treated-and-discharged"}),
    )
    for organisation, action, state, said in course:
        done = await world.done(organisation, referral, action, seen=version, **said)
        reads = [(await world.read(one, referral)).json() for one in (TRUST, FIRST)]
        assert [(state, done["version"])] * 3 == [(one["state"], one["version"]) for one in (done, *reads)]
        version = done["version"]

    versions = (await world.read(FIRST, referral, "/versions")).json()["versions"]
    assert list(range(1, version + 1)) == [one["version"] for one in versions]
    moves = [state for _, action, state, _ in course if action not in ("record_contact", "leave_message")]
    assert moves == [one["state"] for one in versions][-len(moves) :]
    assert [] == [one for one in versions if not one["changes"]]
    assert {"referrer"} <= await world.told(referral, "referral.outcome-given")
    await world.holds_nothing(referral)
    ours, theirs = [await decided_of(world, one, referral, until="referral.outcome-given") for one in (TRUST, FIRST)]
    assert (len(course), ours) == (len(ours), theirs)


async def decided_of(world: World, organisation: str, referral: str, *, until: str) -> list[str]:
    """The facts of the feed that answer actions on a referral, up to the first of a type."""
    connection = Connection(world.system.url("referrals"), world.system.token(organisation, "desk"))
    ids: list[str] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for fact in follow(connection, Filters(), since=BEGINNING):
            if fact.event["subject"] == referral and fact.type in DECIDED:
                ids.append(fact.event["id"])
                if fact.type == until:
                    return ids
    raise AssertionError("the feed ended")


async def test_a_rejected_patient_is_rebooked_and_the_slot_is_free_again(world: World) -> None:
    """The desk owns the patient and is told; the old service sees nothing of what follows, the new one may act."""
    answer = await world.placed("first")
    referral = answer["referral_id"]

    rejected = await world.done(FIRST, referral, "reject", reason="no-capacity")
    assert (TRUST, None, answer["reference"]) == (
        rejected["owner"]["organisation"],
        rejected["place"],
        rejected["given_back"]["reference"],
    )
    assert {"referrer", "patient"} == await world.told(referral, "referral.rejected")
    await world.holds_nothing(referral)

    rebooked = await world.done(TRUST, referral, "rebook", accept=[{"service": "second"}])
    assert ("referral.rebooked", "second", None) == (
        rebooked["done"],
        rebooked["place"]["service"]["id"],
        rebooked["given_back"],
    )
    assert [404, 200] == [(await world.read(one, referral)).status_code for one in (FIRST, SECOND)]
    assert 404 == (await world.act(FIRST, referral, "accept")).status_code
    await world.done(SECOND, referral, "accept")
    assert [referral] == world.holding([referral])


async def test_a_rebooking_holds_the_new_place_before_the_old_is_given_back(world: World) -> None:
    """The answer names both; where nobody else can take the patient, the old place stays."""
    answer = await world.placed("first")
    referral = answer["referral_id"]

    kept = await world.act(TRUST, referral, "rebook", accept=[{"service": "for-the-very-old"}])
    assert (409, "no-place", "placed") == (kept.status_code, kept.json()["refusal"], kept.json()["state"])
    assert [referral] == world.holding([referral])

    rebooked = await world.done(TRUST, referral, "rebook", accept=[{"service": "second"}])
    assert ("second", answer["reference"]) == (
        rebooked["place"]["service"]["id"],
        rebooked["given_back"]["reference"],
    )
    assert {"service", "former_service", "referrer", "patient"} == await world.told(referral, "referral.rebooked")

    async def old_is_free() -> bool:
        query = "select released_at is not null from booking.bookings where reference = %s"
        return [(True,)] == await asyncio.to_thread(world.asked, query, answer["reference"])

    await at_last(old_is_free, "the old place is given back")
    assert [referral] == world.holding([referral])


async def test_a_redirected_patient_has_the_other_place_before_this_one_is_given_back(world: World) -> None:
    """By the receiver, with what crew and patient agree to; the receiver is on it no longer."""
    answer = await world.placed("first")
    referral = answer["referral_id"]
    await world.done(FIRST, referral, "receive")

    redirected = await world.done(FIRST, referral, "redirect", accept=[{"service": "second"}], agreed=True)

    assert ("referral.rebooked", "placed", "second", answer["reference"]) == (
        redirected["done"],
        redirected["state"],
        redirected["place"]["service"]["id"],
        redirected["given_back"]["reference"],
    )
    assert 404 == (await world.act(FIRST, referral, "accept")).status_code
    await world.done(SECOND, referral, "accept")


async def test_a_cancel_while_the_placement_is_under_way_leaves_nothing_held(world: World) -> None:
    """Booking is away: the cancel is answered; the confirmation that comes later is given back, and moves nothing."""
    system = world.system
    await asyncio.to_thread(system.terminate, "booking")
    try:
        referral = (await world.refer("first", prefer="respond-async")).json()["referral_id"]
        cancelled = await world.done(TRUST, referral, "cancel", reason="patient-better")
    finally:
        system.start("booking")
        await asyncio.to_thread(system.wait_until_ready)

    async def confirmed() -> bool:
        query = "select told_type from booking.placements where referral_id = %s"
        return [("booking.confirmed",)] == await asyncio.to_thread(world.asked, query, referral)

    await at_last(confirmed, "the placement is settled")
    await world.holds_nothing(referral)
    now = (await world.read(TRUST, referral)).json()
    assert ("cancelled", cancelled["version"], None) == (now["state"], now["version"], now["service"])


async def test_a_cancel_while_another_place_is_looked_for_leaves_nothing_held(world: World) -> None:
    """A second search is refused meanwhile; the first is answered that it was closed; both places are given back."""
    system, key = world.system, uuid4()
    answer = await world.placed("first")
    referral = answer["referral_id"]
    await asyncio.to_thread(system.terminate, "booking")
    try:
        accept = [{"service": "second"}]
        asked = await world.act(TRUST, referral, "rebook", key=key, accept=accept, prefer="respond-async")
        await at_last(lambda: looked_for(world, referral), "another place is looked for")
        another = await world.act(TRUST, referral, "rebook", accept=accept)
        await world.done(TRUST, referral, "cancel", reason="patient-better")
    finally:
        system.start("booking")
        await asyncio.to_thread(system.wait_until_ready)

    closed = await answered(world, referral, key, "rebook", accept=accept)
    assert [(202, None), (409, "not-possible"), (409, "not-possible")] == [
        (one.status_code, one.json().get("refusal")) for one in (asked, another, closed)
    ]
    await world.holds_nothing(referral)
    assert "cancelled" == (await world.read(TRUST, referral)).json()["state"]


async def looked_for(world: World, referral: str) -> bool:
    """Whether another place is being looked for."""
    return (await world.read(TRUST, referral)).json()["asked"] is not None


async def answered(world: World, referral: str, key: Any, action: str, **said: Any) -> httpx.Response:
    """The answer under a key, once there is one."""

    async def ask() -> httpx.Response | None:
        response = await world.act(TRUST, referral, action, key=key, **said)
        return None if response.status_code == 202 else response

    answer: httpx.Response = await at_last(ask, "the action is answered")
    return answer


async def test_cancels_that_race_their_confirmations_leave_nothing_held(world: World) -> None:
    """Each is asked for as soon as the referral has an id, before, amid and after its placement: all are cancelled,
    and whatever was held is given back once."""

    async def refer_and_cancel(number: int) -> str:
        response = await world.refer("first", prefer="respond-async" if number % 2 else "wait=30")
        referral = str(response.json()["referral_id"])
        await world.done(TRUST, referral, "cancel", reason="entered-in-error")
        return referral

    referrals = await asyncio.gather(*map(refer_and_cancel, range(RACING)))

    async def settled() -> bool:
        query = "select count(*) from booking.placements where referral_id = any(%s)"
        return [(RACING,)] == await asyncio.to_thread(world.asked, query, referrals)

    await at_last(settled, "every placement is settled")
    await world.holds_nothing(*referrals)
    states = [(await world.read(TRUST, referral)).json()["state"] for referral in referrals]
    assert ["cancelled"] * RACING == states


async def test_a_session_that_is_withdrawn_moves_its_patients_and_everyone_is_told(
    world: World, whole: Whole, tmp_path: Path
) -> None:
    """Those whom another service can take have its place; whom nobody else can take goes back to the desk."""
    moved = [(await world.placed("moving", "moved-to"))["referral_id"] for _ in range(3)]
    stranded = (await world.placed("moving"))["referral_id"]

    await asyncio.to_thread(whole.lists, service("moving", FIRST, days=FAR_OFF), tmp_path)

    for referral in moved:
        rebooked = await at_last(lambda referral=referral: placed_with(world, referral, "moved-to"), "it has moved")
        assert ("placed", TRUST) == (rebooked["state"], rebooked["owner"]["organisation"])
        assert {"service", "former_service", "referrer", "patient"} == await world.told(referral, "referral.rebooked")
    withdrawn = await world.stands(stranded, "withdrawn")
    assert (None, TRUST) == (withdrawn["service"], withdrawn["owner"]["organisation"])
    assert {"former_service", "referrer", "patient"} == await world.told(stranded, "referral.withdrawn")

    async def given_back() -> bool:
        query = "select count(*) from booking.bookings where service_id = 'moving' and released_at is null"
        return [(0,)] == await asyncio.to_thread(world.asked, query)

    await at_last(given_back, "nothing is held at the session that is no more")


async def placed_with(world: World, referral: str, service: str) -> dict[str, Any] | None:
    """The referral, where it is placed with this service."""
    read: dict[str, Any] = (await world.read(TRUST, referral)).json()
    return read if read["service"] and read["service"]["service_id"] == service else None


async def test_a_service_that_withdraws_gives_its_patient_another_place_or_the_desk(world: World) -> None:
    """The answer is what came of the search."""
    moved = (await world.placed("first", "second"))["referral_id"]
    stranded = (await world.placed("first"))["referral_id"]
    await world.done(FIRST, moved, "accept")

    one = await world.done(FIRST, moved, "withdraw")
    other = await world.done(FIRST, stranded, "withdraw")

    assert [("referral.rebooked", "second"), ("referral.withdrawn", None)] == [
        (done["done"], done["place"] and done["place"]["service"]["id"]) for done in (one, other)
    ]
    await world.holds_nothing(stranded)
    assert [moved] == world.holding([moved])


async def test_who_waits_for_a_full_service_is_given_the_place_that_is_freed(world: World) -> None:
    """The desk is answered at once that the patient waits; a cancellation gives them the place, and all are told."""
    holding = []
    while (response := await world.refer("full")).json()["outcome"] != "unplaced":
        holding.append(response.json()["referral_id"])
    waiting = response.json()["referral_id"]
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()

    listed = await world.done(TRUST, waiting, "wait", service="full", until=until)
    assert ("referral.wait-listed", "waiting", None) == (listed["done"], listed["state"], listed["place"])
    await world.done(TRUST, holding[0], "cancel", reason="patient-better")

    placed = await at_last(lambda: placed_with(world, waiting, "full"), "the one who waits is placed")
    assert "placed" == placed["state"]
    assert {"service", "referrer", "patient"} == await world.told(waiting, "referral.rebooked")
    await world.holds_nothing(holding[0])
    assert [waiting] == world.holding([waiting])


async def test_a_receiver_that_keeps_its_own_diary_has_the_patient_in_its_hour(
    world: World, whole: Whole, tmp_path: Path
) -> None:
    """Asked over HTTP, it has the patient booked: its time is what the crew and both desks read, its own reference what
    its team is told. After the outcome it is to hold nothing any more."""
    at = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=45)
    async with receiver() as other:
        other.offers(at)
        listed = diary_elsewhere("elsewhere", SECOND, other.address)
        await asyncio.to_thread(whole.lists, listed, tmp_path)
        await at_last(lambda: is_found(world, "elsewhere"), "the search knows of it")

        answer = await world.placed("elsewhere")
        referral = answer["referral_id"]
        [booked] = other.alive.values()
        await world.stands(referral, "placed")
        reads = [(await world.read(organisation, referral)).json() for organisation in (TRUST, SECOND)]
        assert ["elsewhere"] * 3 == [answer["service"]["id"], *(one["service"]["service_id"] for one in reads)]
        assert [at] * 3 == [datetime.fromisoformat(one["starts_at"]) for one in (answer, *reads)]
        assert {"service", "referrer", "patient"} == await world.told(referral, "booking.confirmed")
        [(text,)] = await asyncio.to_thread(world.asked, TO_THE_SERVICE, referral)
        assert booked.reference in text

        await world.done(SECOND, referral, "see")
        await world.done(SECOND, referral, "give_outcome", kind="treated-and-discharged")
        await world.holds_nothing(referral)

        async def given_back() -> bool:
            return not other.alive

        await at_last(given_back, "the receiver holds nothing")
        await asyncio.to_thread(whole.lists, f"{listed}active = false\n", tmp_path)


async def is_found(world: World, service: str) -> bool:
    """Whether a search knows of a service."""
    address = f"{world.system.url(world.gateway)}/pathways/explanation"
    asked = {"service": service, "latitude": 52.9, "longitude": -1.2, "type": 146}
    response = await world.client.get(address, params=asked, headers=world.headers(TRUST))
    assert response.status_code in (200, 404), response.text
    return response.status_code == httpx.codes.OK


async def test_every_refusal_says_why_and_moves_nothing(world: World) -> None:
    """An action on an unknown referral, on someone else's, by the wrong side, out of order, on an old version, twice,
    to a service that may not take the patient, after the end: each under its status, with where it stands."""
    referral = (await world.placed("first"))["referral_id"]
    version = (await world.done(FIRST, referral, "receive"))["version"]
    nowhere = [{"service": "for-the-very-old"}]
    refused = {
        "unknown": await world.act(TRUST, str(uuid4()), "cancel", reason="other"),
        "a stranger's": await world.act(STRANGER, referral, "accept"),
        "the referrer accepts": await world.act(TRUST, referral, "accept"),
        "the receiver cancels": await world.act(FIRST, referral, "cancel", reason="other"),
        "twice, under two keys": await world.act(FIRST, referral, "receive"),
        "out of order": await world.act(FIRST, referral, "give_outcome", kind="admitted"),
        "an answer to no question": await world.act(TRUST, referral, "give_information", words="The left."),
        "an old version": await world.act(FIRST, referral, "accept", seen=version - 1),
        "too early to have missed it": await world.act(FIRST, referral, "not_attended"),
        "a service that may not take it": await world.act(TRUST, referral, "rebook", accept=nowhere),
        "a redirection to nobody": await world.act(FIRST, referral, "redirect", accept=nowhere, agreed=True),
    }
    assert {
        "unknown": (404, "unknown"),
        "a stranger's": (404, "unknown"),
        "the referrer accepts": (403, "not-yours"),
        "the receiver cancels": (403, "not-yours"),
        "twice, under two keys": (409, "wrong-state"),
        "out of order": (409, "wrong-state"),
        "an answer to no question": (409, "wrong-state"),
        "an old version": (412, "moved-on"),
        "too early to have missed it": (409, "not-possible"),
        "a service that may not take it": (409, "no-place"),
        "a redirection to nobody": (409, "no-place"),
    } == {what: (one.status_code, one.json().get("refusal")) for what, one in refused.items()}
    known = [one.json() for one in refused.values() if one.status_code != 404]
    assert [(version, "received", referral)] * len(known) == [
        (one["version"], one["state"], one["referral_id"]) for one in known
    ]
    assert all(one["detail"] and one["next_step"] and one["owner"]["telephone"] for one in known)
    unknown = [one.json() for one in refused.values() if one.status_code == 404]
    assert all(not {"version", "state", "owner"} & one.keys() for one in unknown)
    assert version == (await world.read(TRUST, referral)).json()["version"]

    await world.done(TRUST, referral, "cancel", reason="patient-declined")
    after = [await world.act(FIRST, referral, "accept"), await world.act(TRUST, referral, "cancel", reason="other")]
    assert [(409, "wrong-state", "cancelled")] * 2 == [
        (one.status_code, one.json()["refusal"], one.json()["state"]) for one in after
    ]


async def test_an_action_that_comes_again_is_done_once_and_answered_the_same(world: World) -> None:
    """At once, later, after a restart of whoever decided it, and also where it was refused."""
    referral = (await world.placed("first"))["referral_id"]
    done, not_done = uuid4(), uuid4()

    at_once = await asyncio.gather(*(world.act(FIRST, referral, "accept", key=done) for _ in range(4)))
    refusal = await world.act(FIRST, referral, "receive", key=not_done)
    await asyncio.to_thread(world.system.terminate, "referrals")
    world.system.start("referrals")
    await asyncio.to_thread(world.system.wait_until_ready)
    await world.done(FIRST, referral, "begin_care")
    later = await world.act(FIRST, referral, "accept", key=done)
    refused_later = await world.act(FIRST, referral, "receive", key=not_done)
    other_body = await world.act(FIRST, referral, "see", key=done)

    assert [(200, at_once[0].content)] * 5 == [(one.status_code, one.content) for one in (*at_once, later)]
    assert [(409, refusal.content)] * 2 == [(one.status_code, one.content) for one in (refusal, refused_later)]
    assert (409, True) == (other_body.status_code, "refusal" not in other_body.json())
    facts = "select count(*) from referrals.facts where referral_id::text = %s and type = 'referral.accepted'"
    assert [(1,)] == world.asked(facts, referral)


async def test_a_patient_whom_two_refer_is_shown_to_both_desks(world: World) -> None:
    """Each is told once, and whom to telephone; one says that it is no duplicate, the other cancels its own."""
    referrals = []
    for organisation in (TRUST, SECOND):
        answer = await world.refer("first", organisation=organisation, nhs_number="9000009998")
        assert 201 == answer.status_code, answer.text
        referrals.append(answer.json()["referral_id"])
    one, other = referrals
    assert [{"referrer"}] * 2 == [await world.told(each, "referral.duplicate-suspected") for each in referrals]

    ((mine,), (theirs,)) = [
        (await world.read(who, each)).json()["duplicates"] for who, each in ((TRUST, one), (SECOND, other))
    ]
    assert [(other, SECOND, "nhs-number"), (one, TRUST, "nhs-number")] == [
        (each["other_referral"], each["other_desk"]["organisation"], each["match"]) for each in (mine, theirs)
    ]
    assert [] == (await world.read(FIRST, one)).json()["duplicates"]
    ruled_out = await world.done(TRUST, one, "not_duplicate", other=other, words="Twins.")
    assert ("referral.duplicate-ruled-out", "placed") == (ruled_out["done"], ruled_out["state"])
    await world.done(SECOND, other, "cancel", reason="already-referred")
    assert [[], []] == [
        (await world.read(who, each)).json()["duplicates"] for who, each in ((TRUST, one), (SECOND, other))
    ]


async def test_a_discharge_summary_is_sent_back_with_the_outcome(world: World) -> None:
    """The service attaches it, the referrer's desk is told and reads it; an outcome may name no other."""
    referral = (await world.placed("first"))["referral_id"]
    about = {"Idempotency-Key": str(uuid4()), "Content-Type": "text/plain", "Document-Title": "Discharge summary"}
    address = f"{world.system.url(world.referrals)}/referrals/{referral}/documents"
    attached = await world.client.post(
        address, params={"kind": "discharge-summary"}, content=b"Seen at home.", headers=world.headers(FIRST) | about
    )
    document = attached.json()["document_id"]
    await world.done(FIRST, referral, "see")
    unknown = await world.act(FIRST, referral, "give_outcome", kind="advice-given", documents=[str(uuid4())])
    outcome = await world.done(FIRST, referral, "give_outcome", kind="advice-given", documents=[document])
    read = await world.read(TRUST, referral, f"/documents/{document}")
    assert (201, (409, "not-possible"), "outcome_given", b"Seen at home.") == (
        attached.status_code,
        (unknown.status_code, unknown.json()["refusal"]),
        outcome["state"],
        read.content,
    )
    assert {"referrer"} == await world.told(referral, "referral.document-attached")
