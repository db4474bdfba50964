"""The handler: one request for a placement for each referral, with what the index holds at the moment."""

from contracts.envelope import effect_id
from contracts.people import Age
from contracts.placements import BookingRequested
from services.pathways.handlers import rank
from tests.pathways_examples import CODES, ED, NOON, STROKE, brief, index_of, service, triaged


async def test_each_referral_gets_one_request() -> None:
    """One event for each, in order, also where nobody could take the patient."""
    events = [triaged(brief(STROKE)), triaged(brief(ED)), triaged(brief(STROKE, to_clinician=True))]
    told = await rank(events, index=index_of(service("S1")), clock=lambda: NOON, codes=CODES)
    assert [event.subject for event in events] == [one.subject for one in told]
    assert [["S1"], [], []] == [[candidate.service_id for candidate in one.data.candidates] for one in told]


async def test_the_request_follows_from_its_cause() -> None:
    """Its id is made of the cause's, so that a repeat has the same; the brief is passed on whole."""
    event = triaged(brief(STROKE))
    [told] = await rank([event], index=index_of(service("S1")), clock=lambda: NOON, codes=CODES)
    [again] = await rank([event], index=index_of(), clock=lambda: NOON, codes=CODES)
    assert effect_id(event.id, "booking.requested") == told.id == again.id
    assert (event.id, event.correlationid, event.partitionkey) == (
        told.causationid,
        told.correlationid,
        told.partitionkey,
    )
    assert event.data.brief == told.data.brief


async def test_what_is_told_can_be_read() -> None:
    """The JSON is what the contract says, catch-all and near misses included."""
    index = index_of(service("S1"), service("S2", age_until=Age(value=17)), service("E1", ED))
    [told] = await rank([triaged(brief(STROKE))], index=index, clock=lambda: NOON, codes=CODES)
    read = BookingRequested.read(told.to_json())
    assert read.data.catch_all is not None
    assert ["S2"] == [miss.service_id for miss in read.data.near_misses]
