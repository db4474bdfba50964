"""What `onward act` makes of its options, and how it says what came of it."""

from typing import Any

import httpx
import pytest

from contracts.actions import ReferralActionRequestedData
from services.cli.act import CONTRACTS, RECEIVERS, answer_lines, body_of, done
from services.cli.speaking import Refused
from services.gateway.decided import answered
from tests.action_examples import BY, REFERRAL, WHOLE, accepted, refused, rejected

NOT_GIVEN = dict.fromkeys(("words", "reason", "kind", "documents", "reached", "accept", "agreed", "service", "until"))


def asked(action: str, **said: Any) -> dict[str, Any]:
    """The body that the command makes; options that are not given are none."""
    return body_of(action, **(NOT_GIVEN | said))


def answer_to(fact: Any) -> httpx.Response:
    """As the gateway answers an action that this fact decides."""
    answer = answered(fact)
    kind = "application/json" if answer.status == 200 else "application/problem+json"
    return httpx.Response(answer.status, content=answer.body, headers={"content-type": kind})


@pytest.mark.parametrize(("name", "said"), WHOLE.items())
def test_every_action_is_made_of_its_options(name: str, said: dict[str, Any]) -> None:
    """With hyphens or without; the contract reads it."""
    body = asked(name.replace("_", "-"), **said)
    read = ReferralActionRequestedData.model_validate_json(
        httpx.Request("POST", "http://x", json={"action": body, "by": BY.model_dump()}).content
    )
    assert (body, name) == (asked(name, **said), read.action.action)


@pytest.mark.parametrize(
    ("action", "said", "why"),
    [
        ("acept", {}, "there is no action acept; there are receive, accept, reject"),
        ("reject", {}, "reject needs --reason, one of no-capacity, not-suitable"),
        ("wait", {}, "wait needs --service; --until"),
        ("redirect", {"accept": "any"}, "redirect needs --agreed"),
        ("accept", {"reason": "other"}, "accept takes no --reason; it takes --words"),
        ("see", {"words": "x"}, "see takes no --words; it takes no options of its own"),
        ("give-outcome", {"documents": []}, "give-outcome needs --kind, one of treated-and-discharged"),
        ("accept", {"documents": [str(REFERRAL)]}, "accept takes no --document"),
    ],
)
def test_what_an_action_needs_or_does_not_take_is_said(action: str, said: dict[str, Any], why: str) -> None:
    """Before anything is asked of the gateway."""
    with pytest.raises(Refused) as raised:
        asked(action, **said)
    assert str(raised.value).startswith(why)


def test_who_may_ask_is_known_of_every_action() -> None:
    """Some are the receiver's alone."""
    assert (True, {"accept", "reject", "see"} <= RECEIVERS, set()) == (
        set(CONTRACTS) > RECEIVERS,
        True,
        RECEIVERS & {"cancel", "rebook", "leave_message"},
    )


def test_what_was_done_is_shown_with_where_it_stands() -> None:
    """State, owner, next step, clocks, the place, and what was given back."""
    lines = "\n".join(answer_lines(done(answer_to(rejected(REFERRAL, REFERRAL)))))
    assert [] == [
        said
        for said in (
            "rejected\n",
            "state  rejected, version 6",
            "owner  Trust clinical hub, 01632 960001",
            "freed  Riverside urgent response",
            "reference 123456789012",
        )
        if said not in lines
    ]
    assert "where  Riverside" in "\n".join(answer_lines(done(answer_to(accepted(REFERRAL, REFERRAL)))))


@pytest.mark.parametrize(("refusal", "shown"), [("wrong-state", True), ("moved-on", True), ("unknown", False)])
def test_a_refusal_is_explained_with_where_the_referral_stands(refusal: str, shown: bool) -> None:
    """To one who is on it; in place of a body."""
    with pytest.raises(Refused) as raised:
        done(answer_to(refused(REFERRAL, REFERRAL, refusal)))
    said = str(raised.value)
    assert (True, shown, shown) == (
        "It is cancelled already." in said,
        "state  cancelled, version 5" in said,
        "owner  Riverside desk, 01632 960146" in said,
    )
