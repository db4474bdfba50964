"""How `onward referral` shows where a referral stands, and how it came there."""

from typing import Any

from services.cli.referral import lines_of_now, lines_of_versions
from services.cli.standing import standing_lines

OWNER = {"organisation": "RX9", "name": "Trust clinical hub", "telephone": "01632 960001"}
SERVICE = {"name": "Riverside urgent response", "telephone": "01632 960146"}
CLOCKS = {
    "acknowledge_by": "2026-03-02T12:30:00Z",
    "answer_by": "2026-03-02T13:00:00Z",
    "outcome_by": "2026-03-02T16:00:00Z",
}


def now(**changes: Any) -> dict[str, Any]:
    """A referral that is placed, as it is read."""
    whole = {
        "id": "11111111-2222-4333-8444-555555555555",
        "referrer": "RX9",
        "version": 4,
        "state": "placed",
        "owner": OWNER,
        "due": "2026-03-02T13:15:00Z",
        "next_step": "The service calls the patient.",
        "service": SERVICE,
        "starts_at": None,
        "acceptance_due": "2026-03-02T13:00:00Z",
        "reference": "123456789012",
        "proposal": None,
        "clocks": CLOCKS,
        "asked": None,
        "actions": ["cancel", "leave_message"],
    }
    return whole | changes


def test_where_it_stands_and_what_may_be_done_is_shown() -> None:
    """With the place, the owner, the next step, and the actions as the command writes them."""
    shown = "\n".join(lines_of_now(now()))
    assert [] == [
        said
        for said in (
            "state  placed, version 4",
            "owner  Trust clinical hub, 01632 960001, looks again by Mon 02 Mar 13:15",
            "next   The service calls the patient.",
            "where  Riverside urgent response, 01632 960146, accepts by Mon 02 Mar 13:00, reference 123456789012",
            "may do cancel, leave-message",
        )
        if said not in shown
    ]


def test_a_team_that_comes_is_shown_with_its_time() -> None:
    """By when somebody should have come, before the time to accept."""
    hour = {"begins": "2026-03-02T13:00:00Z", "come_by": "2026-03-02T14:00:00Z", "taken": 1, "patients": 3}
    shown = "\n".join(lines_of_now(now(hour=hour)))
    assert "01632 960146, comes by Mon 02 Mar 14:00, accepts by Mon 02 Mar 13:00, reference" in shown


def test_a_referral_without_a_place_shows_what_is_proposed_and_looked_for() -> None:
    """And that nothing may be done, where that is so."""
    nowhere = now(state="unplaced", service=None, proposal=SERVICE, asked="a search", actions=[])
    shown = "\n".join(lines_of_now(nowhere))
    assert (True, True, True, False) == (
        "proposed: Riverside urgent response" in shown,
        "another place is being looked for" in shown,
        "may do nothing" in shown,
        "where" in shown,
    )


def test_only_clocks_that_still_run_are_shown() -> None:
    """Who has accepted need not accept again."""
    counts = [
        sum("clock" in line for line in standing_lines(now(state=state)))
        for state in ("placed", "received", "accepted", "outcome_given", "cancelled")
    ]
    assert [3, 2, 1, 0, 0] == counts


def test_each_version_says_when_who_why_and_what_changed() -> None:
    """The person where one asked for it, otherwise the service that went on."""
    nurse = {"practitioner": "nurse-4", "role": "receiving-team", "organisation": "RX8"}
    changes = ["state: rejected, was placed", "next step: one, was another", "reference: none, was 123456789012"]
    versions = [
        {"version": 1, "at": "2026-03-02T12:00:00Z", "fact": "referral.triaged", "source": "onward/triage", "by": None}
        | {"why": None, "changes": ["state: triaged"]},
        {"version": 2, "at": "2026-03-02T12:01:00Z", "fact": "referral.rejected", "source": "onward/referrals"}
        | {"by": nurse, "why": "no capacity: Full", "changes": changes},
    ]
    assert [
        "\nversion 1  Mon 02 Mar 12:00  referral.triaged by onward/triage",
        "   state: triaged",
        "\nversion 2  Mon 02 Mar 12:01  referral.rejected by nurse-4 (receiving-team, RX8)",
        "   why    no capacity: Full",
        "   state: rejected, was placed",
        "   reference: none, was 123456789012",
    ] == lines_of_versions(versions)
