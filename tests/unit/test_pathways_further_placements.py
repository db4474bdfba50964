"""A further placement: who is left out, whom a person named, and who is waited for."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.brief import Brief
from contracts.directory import CapacityReported, OpeningHours, OpeningPeriod, Service
from contracts.envelope import effect_id
from contracts.placements import BookingRequestedData
from services.pathways.handlers import rank
from tests.pathways_examples import (
    CODES,
    COMMUNITY,
    ED,
    NOON,
    STROKE,
    UTC_CENTRE,
    accepted,
    brief,
    further,
    index_of,
    reported,
    service,
    triaged,
)

NOT_ASKED_AGAIN = "it is not asked again: it would not take the patient, took its place back, or is to be left"
UNTIL = NOON + timedelta(hours=6)


async def asked(
    *directory: Service | CapacityReported, of: Brief, why: str = "rebooking", **changes: Any
) -> BookingRequestedData:
    """What booking is asked for when another place is."""
    [told] = await rank([further(of, why, **changes)], index=index_of(*directory), clock=lambda: NOON, codes=CODES)
    return told.data


def ids(request: BookingRequestedData) -> list[str]:
    """The candidates."""
    return [candidate.service_id for candidate in request.candidates]


async def test_its_request_follows_from_the_one_that_asked() -> None:
    """Another placement has another request: its id is made of what asked for it, in that transaction."""
    event = further(brief(STROKE))
    [told] = await rank([event], index=index_of(service("S1")), clock=lambda: NOON, codes=CODES)
    assert (effect_id(event.id, "booking.requested"), event.id, event.correlationid) == (
        told.id,
        told.causationid,
        told.correlationid,
    )


async def test_who_is_not_asked_again_is_left_out_and_says_so() -> None:
    """The next of its type take its place; it is a near miss."""
    three = [service(f"S{km}", km=km) for km in (1, 2, 3)]
    request = await asked(*three, of=brief(STROKE), without=("S1", "UNHEARD-OF"))
    assert (["S2", "S3"], [("S1", "left out", NOT_ASKED_AGAIN)]) == (
        ids(request),
        [(miss.service_id, miss.failed, miss.why) for miss in request.near_misses],
    )


async def test_who_is_not_asked_again_is_left_out_where_it_is_named() -> None:
    """Whoever names it again is told why it is not tried."""
    request = await asked(service("S1"), of=brief(STROKE, accept=accepted("S1")), without=("S1",))
    assert ([], ["left out"]) == (ids(request), [miss.failed for miss in request.near_misses])


async def test_only_the_search_that_says_so_leaves_out() -> None:
    """Others of the same batch find it."""
    events = [further(brief(STROKE)), further(brief(STROKE), without=("S1",)), triaged(brief(STROKE))]
    told = await rank(events, index=index_of(service("S1"), service("S2", km=2)), clock=lambda: NOON, codes=CODES)
    assert [["S1", "S2"], ["S2"], ["S1", "S2"]] == [ids(one.data) for one in told]


async def test_who_would_not_take_the_patient_is_proposed_last() -> None:
    """The nearest emergency department that was not left out; if there is none, the one that was, and why it was."""
    near, far = service("E1", ED, km=1), service("E2", ED, km=9)
    other = await asked(near, far, of=brief(STROKE), without=("E1",))
    alone = await asked(near, of=brief(STROKE), without=("E1",))
    assert other.catch_all is not None
    assert alone.catch_all is not None
    assert ("E2", "E1", True) == (
        other.catch_all.service_id,
        alone.catch_all.service_id,
        NOT_ASKED_AGAIN in alone.catch_all.why,
    )


async def test_what_a_person_names_is_fit() -> None:
    """A type that triage did not find fit is asked for, and the brief says that a person decided."""
    request = await asked(service("U1", UTC_CENTRE), of=brief(STROKE, accept=accepted(UTC_CENTRE)))
    assert (["U1"], (STROKE, UTC_CENTRE), ["fast-positive", "named-by-a-person"]) == (
        ids(request),
        request.brief.service_types,
        [reason.rule for reason in request.brief.reasons],
    )


@pytest.mark.parametrize("choice", ["U1", UTC_CENTRE])
async def test_what_went_to_a_clinician_is_placed_where_a_person_says(choice: str | int) -> None:
    """Triage found nothing fit; somebody has looked since."""
    to_clinician = brief(to_clinician=True, accept=accepted(choice))
    request = await asked(service("U1", UTC_CENTRE), of=to_clinician)
    assert (["U1"], False) == (ids(request), request.brief.to_clinician)


async def test_a_presentation_without_codes_is_searched_for_by_type() -> None:
    """A person chose the service, so no code need stand for what the patient has."""
    unmapped = brief(presentation="no-such", reasons=(), accept=accepted("U1"))
    assert ["U1"] == ids(await asked(service("U1", UTC_CENTRE), of=unmapped))


@pytest.mark.parametrize("why", ["service withdrew", "session withdrawn"])
async def test_what_nobody_asked_for_goes_where_triage_said(why: str) -> None:
    """A place that is taken back by its service lets nothing pass that was not fit before."""
    named = brief(STROKE, accept=accepted(UTC_CENTRE, STROKE))
    request = await asked(service("U1", UTC_CENTRE), service("S1"), of=named, why=why)
    assert (["S1"], (STROKE,)) == (ids(request), request.brief.service_types)


async def test_any_is_what_triage_found() -> None:
    """Who names nothing has decided nothing: to a clinician stays to a clinician."""
    request = await asked(service("S1"), of=brief(to_clinician=True))
    assert ([], True) == (ids(request), request.brief.to_clinician)


async def test_a_service_that_nobody_knows_decides_nothing() -> None:
    """Nothing is known of what was named, so a clinician looks again."""
    request = await asked(service("S1"), of=brief(to_clinician=True, accept=accepted("GONE")))
    assert ([], True) == (ids(request), request.brief.to_clinician)


async def test_who_is_full_is_waited_for() -> None:
    """Until then booking keeps the patient on its list; the reason says that it is full."""
    waiting = brief(COMMUNITY, accept=accepted("C1"))
    request = await asked(service("C1", COMMUNITY), reported("C1", "red"), of=waiting, why="waiting", wait_until=UNTIL)
    assert (UNTIL, ["C1"], "unknown", True) == (
        request.wait_until,
        ids(request),
        request.candidates[0].capacity,
        "and it reports that it is full (red), since 11:50 on 14 January" in request.candidates[0].why,
    )


async def test_who_is_full_is_not_asked_where_nobody_waits() -> None:
    """A rebooking needs a place now."""
    request = await asked(service("C1", COMMUNITY), reported("C1", "red"), of=brief(COMMUNITY))
    assert ([], None, ["capacity"]) == (ids(request), request.wait_until, [miss.failed for miss in request.near_misses])


async def test_who_opens_before_the_wait_is_over_is_waited_for() -> None:
    """The disposition's two hours count no more once a desk waits for longer."""
    evening = OpeningHours(periods=(OpeningPeriod(days=("wed",), opens="16:00", closes="22:00"),))
    named = brief(COMMUNITY, accept=accepted("C1"))
    late = service("C1", COMMUNITY, hours=evening)
    waiting = await asked(late, of=named, why="waiting", wait_until=UNTIL)
    assert (["C1"], []) == (ids(waiting), ids(await asked(late, of=named)))


async def test_a_full_department_is_still_proposed_as_full() -> None:
    """Nobody waits for what is only proposed."""
    request = await asked(
        service("C1", COMMUNITY), service("E1", ED), reported("E1", "red"), of=brief(COMMUNITY), wait_until=UNTIL
    )
    assert request.catch_all is not None
    assert "it reports that it is full (red)" in request.catch_all.why
