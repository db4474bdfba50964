"""The answer to an action, from the fact that was decided."""

import json
from typing import Any
from uuid import UUID

import pytest

from contracts.envelope import Event
from contracts.topics import Topic
from services.gateway.decided import ANSWERING, DECIDED, STATUS, answered
from tests.action_examples import REFERRAL, WORDS, accepted, rebooked, refused, rejected
from tests.gateway_examples import MOBILE, NHS_NUMBER

ACTION = UUID("7d9e2a51-0a5a-4a0e-9a53-1f2a3b4c5d6e")

SILENT = {
    "referral.escalated",
    "referral.document-attached",
    "referral.duplicate-suspected",
}
"""What a time, a document or another referral brings about."""


def answer_to(fact: Any) -> tuple[int, dict[str, Any]]:
    """Status and body."""
    answer = answered(fact)
    return answer.status, json.loads(answer.body)


def test_what_was_done_is_answered_with_where_the_referral_stands() -> None:
    """State, version, owner, due time, next step, clocks and place: enough to go on without another question."""
    status, body = answer_to(accepted(ACTION, REFERRAL))
    assert (200, "referral.accepted", 5, "accepted", "Riverside desk", "The service sees the patient.") == (
        status,
        body["done"],
        body["version"],
        body["state"],
        body["owner"]["name"],
        body["next_step"],
    )
    assert (str(REFERRAL), "S-146-1", "2026-03-02T12:45:00Z", "2026-03-02T12:30:00Z", "RX9", None) == (
        body["referral_id"],
        body["place"]["service"]["id"],
        body["place"]["starts_at"],
        body["clocks"]["answer_by"],
        body["referrer"],
        body["given_back"],
    )


@pytest.mark.parametrize(
    ("fact", "now", "given_back"),
    [(rejected(ACTION, REFERRAL), None, "S-146-1"), (rebooked(ACTION, REFERRAL), "S-146-2", "S-146-1")],
)
def test_what_is_given_back_is_said(fact: Event, now: str | None, given_back: str) -> None:
    """Beside the place that counts now, if there is one."""
    _, body = answer_to(fact)
    assert (now, given_back) == (
        body["place"] and body["place"]["service"]["id"],
        body["given_back"]["service"]["id"],
    )


@pytest.mark.parametrize(("refusal", "status"), list(STATUS.items()))
def test_a_refusal_explains_and_gives_the_next_step(refusal: str, status: int) -> None:
    """A problem document with its own status, why, and where the referral stands."""
    found, body = answer_to(refused(ACTION, REFERRAL, refusal))
    known = {
        "version": 5,
        "state": "cancelled",
        "next_step": "The service sees the patient.",
        "referral_id": str(REFERRAL),
    }
    assert (status, status, refusal, "It is cancelled already.", {} if refusal == "unknown" else known) == (
        found,
        body["status"],
        body["refusal"],
        body["detail"],
        {name: body[name] for name in known if name in body},
    )


def test_one_who_is_not_on_the_referral_is_told_nothing_of_it() -> None:
    """Whatever the fact carries: 404, no version, no state, no owner."""
    for known in (True, False):
        status, body = answer_to(refused(ACTION, REFERRAL, "unknown", known=known))
        assert (404, {"type", "title", "status", "detail", "refusal"}) == (status, set(body))


@pytest.mark.parametrize("fact", [accepted(ACTION, REFERRAL), rejected(ACTION, REFERRAL), refused(ACTION, REFERRAL)])
def test_an_answer_holds_nothing_of_who_the_patient_is(fact: Event) -> None:
    """No number and no contact; nor what the desks say to each other: so it leaves no row in the audit."""
    answer = answered(fact)
    assert [] == [one for one in (NHS_NUMBER, MOBILE, WORDS) if one in answer.body.decode()]


def test_every_fact_of_referrals_is_read_unless_no_action_brings_it_about() -> None:
    """A new fact must be given its place here."""
    told = {type_ for type_, contract in Event.KNOWN.items() if contract.TOPIC == Topic.REFERRALS}
    answering = {type_ for type_ in told if type_.startswith("referral.")} - SILENT
    assert (answering, answering) == ({one.TYPE for one in ANSWERING}, {one.TYPE for one in DECIDED})


def test_only_whose_it_is_is_read_of_a_fact_that_nobody_waits_for() -> None:
    """The whole is read only where it answers."""
    fact = accepted(ACTION, REFERRAL)
    [view] = [one for one in DECIDED if one.TYPE == fact.type]
    lame = json.loads(fact.to_json()) | {"data": {}}
    assert (ACTION, fact.type) == (
        (seen := view.read(json.dumps(lame).encode())).correlationid,
        seen.type,
    )
