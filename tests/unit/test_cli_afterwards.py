"""What the demo shows of referrals after their answers, and that it sees what does not become of them."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.cli import afterwards
from services.cli.afterwards import Afterwards, Desks, Heard, show
from services.cli.facts import Fact
from tests.gateway_examples import DESK

HUB = DESK.organisation
SERVICE = {"id": "S1", "name": "Riverside", "telephone": "01632 960146", "organisation": "RX8"}
ELSEWHERE = {"service": SERVICE | {"id": "S2", "name": "Hill"}, "starts_at": None, "acceptance_due": None}
SLOT = "2026-03-02T12:45:00Z"


def answered(referral: str, outcome: str = "slot_held", *, alternatives: int = 0) -> tuple[str, dict[str, Any]]:
    """A scenario and the answer to its submission."""
    body = {"referral_id": referral, "outcome": outcome, "service": SERVICE, "starts_at": SLOT}
    return "fall", body | {"alternatives": [SERVICE] * alternatives}


class System:
    """Stands for the routes: does what is asked, but for what `refuses`; what follows is heard."""

    def __init__(self, heard: Heard, refuses: str = "", *, tells: bool = True, frees: bool = True) -> None:
        self._heard = heard
        self._refuses = refuses
        self._tells = tells
        self._frees = frees
        self._free = 1
        self.asked: list[tuple[str, str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        *_, kind, name = request.url.path.split("/")
        if request.method == "GET":
            slots = {"slots": [{"begins": SLOT, "free": self._free}]}
            return httpx.Response(200, json=slots if name == "slots" else {"service": SERVICE})
        action = json.loads(request.content)["action"]
        self.asked.append((request.headers["authorization"].removeprefix("Bearer "), kind, action))
        if action == self._refuses:
            return httpx.Response(409, json={"title": "Not as it stands", "detail": "It moved.", "status": 409})
        self._follow(kind, action)
        state = {"give_outcome": "outcome_given", "cancel": "cancelled"}.get(action, action)
        place = ELSEWHERE | {"reference": "123456789012"} if action == "rebook" else None
        owner = DESK.model_dump()
        return httpx.Response(
            200,
            json={"done": f"referral.{action}", "state": state, "owner": owner, "place": place}
            | {"version": 5, "due": SLOT, "next_step": "None.", "clocks": {}, "given_back": None},
        )

    def _follow(self, referral: str, action: str) -> None:
        if action == "reject" and self._tells:
            data = {"audience": "referrer", "reason": "referral.rejected"}
            self._hear("notification.sent", referral, data)
        if action == "cancel":
            self._hear("booking.released", referral, {})
            self._free += self._frees

    def _hear(self, type: str, referral: str, data: dict[str, Any]) -> None:
        self._heard.facts.append(Fact("1-1", type, {"subject": referral, "data": data}))
        self._heard.bell.set()


Shown = tuple[Afterwards, System, list[str]]
ALL = [answered("one", "place_held"), answered("two"), answered("three", alternatives=1)]


async def shown(made: Callable[[Heard], System], referrals: Any = ALL) -> Shown:
    """What is shown of the referrals by a system."""
    heard, told = Heard(), []
    system = made(heard)
    async with httpx.AsyncClient(transport=httpx.MockTransport(system), base_url="http://onward") as client:
        desks = Desks(client, lambda organisation: organisation, told.append)
        return await show(referrals, heard, desks, told.append, referrer=HUB), system, told


async def test_one_is_seen_one_finds_another_place_and_one_frees_its_slot() -> None:
    """Each by whoever may ask for it; the one that somebody else could take is turned away."""
    found, system, _ = await shown(System)
    assert Afterwards(accepted=1, rebooked=1, freed=1) == found
    receiver = [("RX8", "one", one) for one in ("receive", "accept", "begin_care", "see", "give_outcome")]
    rest = [("RX8", "three", "reject"), (HUB, "three", "rebook"), (HUB, "two", "cancel")]
    assert receiver + rest == system.asked


async def test_a_shift_without_such_referrals_shows_none() -> None:
    """A short demo is no failure."""
    found, system, _ = await shown(System, [answered("one", "delivered")])
    assert (Afterwards(), []) == (found, system.asked)


@pytest.mark.parametrize(
    ("made", "counts", "wrong"),
    [
        (lambda heard: System(heard, "see"), (0, 1, 1), "see by RX8: Not as it stands. It moved."),
        (lambda heard: System(heard, tells=False), (1, 0, 1), "the desk was not told of the rejection"),
        (lambda heard: System(heard, frees=False), (1, 1, 0), "the patients that the slot takes: 1, and not 2"),
    ],
)
async def test_what_does_not_become_of_one_is_named(
    monkeypatch: pytest.MonkeyPatch, made: Callable[[Heard], System], counts: tuple[int, ...], wrong: str
) -> None:
    """And the others are shown all the same."""
    monkeypatch.setattr(afterwards, "SECONDS", 0.05)
    found, _, _ = await shown(made)
    assert (counts, [f"fall: {wrong}"]) == ((found.accepted, found.rebooked, found.freed), found.wrong)
