"""Reading referrals over HTTP, on a real PostgreSQL."""

import json
from uuid import uuid4

import httpx
import pytest

from contracts.actions import Rebook, Reject
from contracts.envelope import effect_id
from contracts.referrals import PlacementRequested
from contracts.topics import Topic
from services.chassis.failures import Transient
from tests.referrals_examples import (
    ANOTHER_RECEIVER,
    DESK,
    RECEIVER,
    REFERRER,
    asks,
    confirmed,
    placed,
    searched_again,
    submitted,
    triaged,
    unplaced,
)
from tests.referrals_replica import Replica

pytestmark = pytest.mark.backing


async def test_a_referral_is_read_with_its_state_owner_and_next_step(replica: Replica) -> None:
    """Where it stands, who owns it, until when, what next, where and when, and the version as a weak ETag."""
    referral = uuid4()
    events = placed(referral)
    await replica.store(events)
    outcome = json.loads(events[3].to_json())["data"]
    answer = await replica.get(f"/referrals/{referral}")
    expected = {
        "id": str(referral),
        "version": 4,
        "at": "2031-03-04T03:05:00Z",
        "state": "placed",
        "outcome": "slot_held",
        "owner": outcome["owner"],
        "due": outcome["due"],
        "next_step": outcome["next_step"],
        "acuity": "urgent",
        "service": outcome["service"],
        "starts_at": outcome["starts_at"],
        "hour": None,
        "acceptance_due": None,
        "reference": outcome["reference"],
        "why_unplaced": None,
        "proposal": None,
        "referrer": REFERRER,
        "escalations": 0,
        "clocks": {"acknowledge_by": None, "answer_by": None, "outcome_by": "2031-03-04T08:30:00Z"},
        "asked": None,
        "duplicates": [],
        "actions": ["rebook", "cancel", "leave_message"],
    }
    assert (200, 'W/"4"', expected) == (answer.status_code, answer.headers["etag"], answer.json())


async def test_a_referral_without_an_outcome_is_owned_by_the_referrers_desk(replica: Replica) -> None:
    """Before booking has answered, a desk with a telephone owns the referral."""
    referral = uuid4()
    await replica.store([submitted(referral)])
    answer = (await replica.get(f"/referrals/{referral}")).json()
    assert ("submitted", DESK.model_dump()) == (answer["state"], answer["owner"])


async def test_the_same_version_is_not_sent_again(replica: Replica) -> None:
    """If-None-Match with the version that stands answers 304 without a body; with an older one, the referral."""
    referral = uuid4()
    first = submitted(referral)
    await replica.store([first])
    same = await replica.get(f"/referrals/{referral}", if_none_match='"zz", W/"1"')
    await replica.store([triaged(first)])
    moved = await replica.get(f"/referrals/{referral}", if_none_match='W/"1"')
    assert (304, b"", 200, 2) == (same.status_code, same.content, moved.status_code, moved.json()["version"])


async def test_every_earlier_version_can_be_read(replica: Replica) -> None:
    """The versions are listed, first one first, and each is read by its number as it stood."""
    referral = uuid4()
    await replica.store(unplaced(referral))
    listed = (await replica.get(f"/referrals/{referral}/versions")).json()["versions"]
    second = (await replica.get(f"/referrals/{referral}/versions/2")).json()
    assert ["submitted", "triaged", "placement_asked", "unplaced"] == [version["state"] for version in listed]
    assert listed[1] == second


async def test_each_side_reads_what_it_may_ask_for(replica: Replica) -> None:
    """From the table of the lifecycle, for the caller's side; what is not possible now is left out."""
    referral = uuid4()
    await replica.store(placed(referral))
    open_to = {
        organisation: (await replica.get(f"/referrals/{referral}", organisation)).json()["actions"]
        for organisation in (REFERRER, RECEIVER)
    }
    receivers = "receive accept reject want_information record_contact begin_care see withdraw redirect leave_message"
    assert {REFERRER: ["rebook", "cancel", "leave_message"], RECEIVER: receivers.split()} == open_to


async def test_a_search_under_way_is_shown(replica: Replica) -> None:
    """Under which placement another place is looked for, and that no other search may begin; no version is made."""
    referral = uuid4()
    rebook = asks(referral, Rebook(action="rebook", accept="any"), organisation=REFERRER)
    await replica.store([*placed(referral), rebook])
    now = (await replica.get(f"/referrals/{referral}")).json()
    search = str(effect_id(rebook.id, PlacementRequested.TYPE))
    assert (4, search, ["cancel", "leave_message"]) == (now["version"], now["asked"], now["actions"])


async def test_a_version_says_who_when_why_and_what_changed(replica: Replica) -> None:
    """What a person made carries their name, their reason and their words; what a service made, its reason."""
    referral = uuid4()
    reject = asks(referral, Reject(action="reject", reason="no-capacity", words="We are full tonight."))
    await replica.store([*placed(referral), reject])
    *_, was_placed, rejected = (await replica.get(f"/referrals/{referral}/versions")).json()["versions"]
    assert (None, "onward/booking", "nearest that is open and fit") == (
        was_placed["by"],
        was_placed["source"],
        was_placed["why"],
    )
    assert ("referral.rejected", reject.data.by.model_dump(), "no capacity: We are full tonight.") == (
        rejected["fact"],
        rejected["by"],
        rejected["why"],
    )
    assert [
        "state: rejected, was placed",
        "outcome: none, was slot held",
        "due: 2031-03-04 03:20:00 UTC, was 2031-03-04 05:00:00 UTC",
        f"next step: {rejected['next_step']}, was {was_placed['next_step']}",
        "service: none, was Same-day emergency care, Northside",
        "starts at: none, was 2031-03-04 04:00:00 UTC",
        f"reference: none, was {was_placed['reference']}",
        "outcome by: none, was 2031-03-04 08:30:00 UTC",
    ] == rejected["changes"]


async def test_who_rejected_reads_the_referral_until_another_has_it(replica: Replica) -> None:
    """They see what became of it; once another service has the patient it is no longer theirs to read."""
    referral = uuid4()
    rebook = asks(referral, Rebook(action="rebook", accept="any"), organisation=REFERRER)
    await replica.store([*placed(referral), asks(referral, Reject(action="reject", reason="other")), rebook])
    before = await replica.get(f"/referrals/{referral}", RECEIVER)
    ((body,),) = await replica.database.pool.fetch("select body from facts where type = 'placement.requested'")
    await replica.store([confirmed(searched_again(PlacementRequested.read(body.encode())))])
    after = [await replica.get(f"/referrals/{referral}", one) for one in (RECEIVER, ANOTHER_RECEIVER)]
    assert [200, 404, 200] == [answer.status_code for answer in (before, *after)]


@pytest.mark.parametrize("number", [0, 5, -1])
async def test_a_version_that_is_not_there_is_404(replica: Replica, number: int) -> None:
    """A referral has the versions from 1 to the last."""
    referral = uuid4()
    await replica.store(placed(referral))
    assert 404 == (await replica.get(f"/referrals/{referral}/versions/{number}")).status_code


async def test_the_receiving_organisation_reads_the_referral(replica: Replica) -> None:
    """Referrer and receiving service are both on a referral that is placed."""
    referral = uuid4()
    await replica.store(placed(referral))
    assert 200 == (await replica.get(f"/referrals/{referral}", RECEIVER)).status_code


async def test_those_on_a_referral_read_its_handover(replica: Replica) -> None:
    """Referrer and receiving service, each read with an audit row of its own kind; before a place only the referrer."""
    referral = uuid4()
    first, *rest = placed(referral)
    await replica.store([first])
    early = [await replica.get(f"/referrals/{referral}/handover", one) for one in (REFERRER, RECEIVER)]
    await replica.store(rest)
    late = await replica.get(f"/referrals/{referral}/handover", RECEIVER)
    assert [200, 404, 200] == [one.status_code for one in (*early, late)]
    assert ("9000000009", "blocked-catheter", 18, "private, no-store") == (
        late.json()["patient"]["nhs_number"],
        late.json()["presentation"],
        late.json()["observed"][-1]["observations"]["respiration_per_min"],
        late.headers["cache-control"],
    )
    assert [(REFERRER, [str(referral)]), (RECEIVER, [str(referral)])] == await replica.audited("read handover")


async def test_a_handover_whose_submission_is_still_to_be_read_is_503(replica: Replica) -> None:
    """Facts come in any order: the outcome may be known first."""
    referral = uuid4()
    await replica.store(placed(referral)[1:])
    answer = await replica.get(f"/referrals/{referral}/handover")
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])


async def test_what_is_wrong_where_nobody_looked_is_shown_as_far_as_it_was_understood(replica: Replica) -> None:
    """The versions without who and why; of the handover nothing, and whom to telephone instead."""
    referral = uuid4()
    first, second, *_ = placed(referral)
    document = json.loads(first.to_json())
    document["data"]["submission"]["position"] = 7
    await replica.store_as_it_came(json.dumps(document).encode(), first.type)
    await replica.store([second])
    history = (await replica.get(f"/referrals/{referral}/versions")).json()["versions"]
    handover = await replica.get(f"/referrals/{referral}/handover")
    assert [("submitted", first.source, None), ("triaged", second.source, None)] == [
        (one["state"], one["source"], one["by"]) for one in history
    ]
    assert (500, "What was submitted cannot be read") == (handover.status_code, handover.json()["title"])
    assert DESK.telephone in handover.json()["detail"]


@pytest.mark.parametrize("path", ["", "/versions", "/versions/1", "/handover"])
async def test_another_organisations_referral_is_answered_as_one_that_is_not_there(replica: Replica, path: str) -> None:
    """Whether an id exists is not told to those who are not on the referral, and nothing is audited."""
    referral = uuid4()
    await replica.store(unplaced(referral))
    foreign = await replica.get(f"/referrals/{referral}{path}", RECEIVER)
    unknown = await replica.get(f"/referrals/{uuid4()}{path}", RECEIVER)
    assert (404, unknown.content) == (foreign.status_code, foreign.content)
    assert [] == await replica.audited("read referral")


async def test_each_read_leaves_an_audit_row(replica: Replica) -> None:
    """One row a response, by organisation and referral, for the referral, its versions, and a 304."""
    referral = uuid4()
    await replica.store(placed(referral))
    await replica.get(f"/referrals/{referral}", RECEIVER)
    await replica.get(f"/referrals/{referral}/versions")
    await replica.get(f"/referrals/{referral}", if_none_match="*")
    row = [str(referral)]
    assert [(RECEIVER, row), (REFERRER, row), (REFERRER, row)] == await replica.audited("read referral")


async def test_nothing_is_answered_when_the_audit_cannot_be_written(replica: Replica) -> None:
    """A read that leaves no row does not happen."""
    referral = uuid4()
    await replica.store(placed(referral))
    await replica.database.pool.execute("alter table audit add constraint closed check (false) not valid")
    answer = await replica.get(f"/referrals/{referral}")
    assert 500 == answer.status_code
    assert "reference" not in answer.text


async def test_a_call_without_a_token_is_refused(replica: Replica) -> None:
    """Nobody reads without saying who they are."""
    async with httpx.AsyncClient(base_url=replica.address) as client:
        answers = [await client.get(path) for path in (f"/referrals/{uuid4()}", "/events")]
    assert [401, 401] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("path", ["/referrals/00000000-0000-4000-8000-000000000001", "/events"])
async def test_a_query_that_claims_another_organisation_is_refused(replica: Replica, path: str) -> None:
    """The organisation is the token's; a query may not say another."""
    assert 403 == (await replica.get(f"{path}?organisation={RECEIVER}")).status_code


# A referral that may be on its way


async def test_a_referral_on_its_way_is_found(replica: Replica) -> None:
    """While the group has not passed what was on the log at the request, the read waits for its row."""
    referral = uuid4()
    replica.log.passed = False

    async def arrive() -> None:
        replica.log.on_question = None
        await replica.store([submitted(referral)])

    replica.log.on_question = arrive
    answer = await replica.get(f"/referrals/{referral}")
    assert (200, "submitted") == (answer.status_code, answer.json()["state"])


async def test_whom_a_referral_is_being_placed_with_is_not_denied(replica: Replica) -> None:
    """A receiver may have its outcome from the log before it is stored here."""
    facts = placed(referral := uuid4())
    await replica.store(facts[:3])
    replica.log.passed = False

    async def arrive() -> None:
        replica.log.on_question = None
        await replica.store(facts[3:])

    replica.log.on_question = arrive
    answer = await replica.get(f"/referrals/{referral}", RECEIVER)
    assert (200, "placed") == (answer.status_code, answer.json()["state"])
    assert [(Topic.BOOKINGS, str(referral), 17)] == replica.log.asked


async def test_an_id_that_the_log_never_held_is_404(replica: Replica) -> None:
    """Once the group has passed the end that the partition had at the request, there is no such referral."""
    referral = uuid4()
    answer = await replica.get(f"/referrals/{referral}")
    assert (404, [(Topic.SUBMISSIONS, str(referral), 17)]) == (answer.status_code, replica.log.asked)


async def test_an_id_that_may_still_come_is_503_with_when_to_ask_again(replica: Replica) -> None:
    """What is not known is not denied."""
    replica.log.passed = False
    answer = await replica.get(f"/referrals/{uuid4()}")
    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])


async def test_an_id_cannot_be_denied_while_the_log_is_away(replica: Replica) -> None:
    """Without Kafka a referral that is stored is read, and one that is not may be on its way."""
    referral = uuid4()
    replica.log.failure = Transient("the broker is away")
    await replica.store([submitted(referral)])
    there, unknown = await replica.get(f"/referrals/{referral}"), await replica.get(f"/referrals/{uuid4()}")
    assert (200, 503, "1") == (there.status_code, unknown.status_code, unknown.headers["retry-after"])


async def test_the_routes_are_described(replica: Replica) -> None:
    """The OpenAPI document has every route, what it answers, and the members of a referral with their meaning."""
    async with httpx.AsyncClient(base_url=replica.address) as client:
        document = (await client.get("/openapi.json")).json()
    answers = {
        path: set(document["paths"][path]["get"]["responses"])
        for path in (
            "/referrals/{referral_id}",
            "/referrals/{referral_id}/versions",
            "/referrals/{referral_id}/versions/{number}",
            "/events",
        )
    }
    assert {
        "/referrals/{referral_id}": {"200", "304", "401", "403", "404", "422", "503"},
        "/referrals/{referral_id}/versions": {"200", "401", "403", "404", "422", "503"},
        "/referrals/{referral_id}/versions/{number}": {"200", "401", "403", "404", "422", "503"},
        "/events": {"200", "400", "401", "403", "410", "422", "503"},
    } == answers
    assert {"text/event-stream"} == set(document["paths"]["/events"]["get"]["responses"]["200"]["content"])
    due = document["components"]["schemas"]["ReferralNow"]["properties"]["due"]
    assert "when the owner must look again if nothing is heard" == due["description"]
