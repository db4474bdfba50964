"""What becomes of three referrals after their answers: one is accepted and seen, one rejected and rebooked, one
cancelled. Each is checked: who owns the patient, whether the desk is told, whether the slot is free again."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from contracts.referrals import FINISHED
from services.cli.act import answer_lines, refusal_lines
from services.cli.facts import Fact
from services.cli.standing import clock, lines_of_place

SECONDS = 30.0

Tell = Callable[[str], None]
Answered = tuple[str, Mapping[str, Any]]
"""A scenario, and the answer to its submission."""


@dataclass
class Heard:
    """The facts that were heard so far, and a bell for the next one."""

    facts: list[Fact] = field(default_factory=list)
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, is_so: Callable[[list[Fact]], bool], seconds: float) -> bool:
        """Whether it is so within these seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_so(self.facts):
                    self.bell.clear()
                    await self.bell.wait()
        return is_so(self.facts)


@dataclass
class Afterwards:
    """What was shown. `wrong` names everything that is not as it must be."""

    accepted: int = 0
    rebooked: int = 0
    freed: int = 0
    wrong: list[str] = field(default_factory=list)


class NotAsExpected(Exception):
    """Something did not become of a referral that must."""


class Desks:
    """Every organisation's desk, over one client: tokens are signed for whom they speak."""

    def __init__(self, client: httpx.AsyncClient, token_of: Callable[[str], str], tell: Tell) -> None:
        self._client = client
        self._token_of = token_of
        self._tell = tell

    async def act(self, organisation: str, referral: str, action: str, **said: Any) -> dict[str, Any]:
        """Ask for an action and show its answer. Raises NotAsExpected when it is not done."""
        response = await self._client.post(
            f"/referrals/{referral}/actions",
            json={"action": action, **said},
            headers=self._headers(organisation) | {"Idempotency-Key": str(uuid4())},
            timeout=SECONDS,
        )
        answer: dict[str, Any] = response.json()
        if response.status_code != httpx.codes.OK:
            why = refusal_lines(answer)[0] if "title" in answer else answer["next_step"]
            raise NotAsExpected(f"{action} by {organisation}: {why}")
        who = "nothing is left to do" if answer["state"] in FINISHED else f"{answer['owner']['name']} has the patient"
        self._tell(f"   {organisation}  {answer_lines(answer)[0]}: {who}")
        return answer

    async def receiver_of(self, organisation: str, referral: str) -> str:
        """The organisation whose service has the patient."""
        response = await self._client.get(
            f"/referrals/{referral}", headers=self._headers(organisation), timeout=SECONDS
        )
        return str(response.json()["service"]["organisation"])

    async def free(self, organisation: str, service: str, slot: str) -> int:
        """How many patients a slot still takes."""
        response = await self._client.get(
            f"/services/{service}/slots",
            params={"from": slot, "limit": 1},
            headers=self._headers(organisation),
            timeout=SECONDS,
        )
        return sum(one["free"] for one in response.json()["slots"] if one["begins"] == slot)

    def _headers(self, organisation: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token_of(organisation)}"}


async def show(answered: Sequence[Answered], heard: Heard, desks: Desks, tell: Tell, *, referrer: str) -> Afterwards:
    """Let receivers and the referrer's desk act on three of the referrals, those that there are."""
    found = Afterwards()
    held = [one for one in answered if one[1]["outcome"] == "slot_held"]
    # Somebody else must be able to take the one that is turned away.
    rejected = next((one for one in held if one[1]["alternatives"]), None)
    cancelled = next((one for one in held if one is not rejected), None)
    accepted = next((one for one in answered if one[1]["outcome"] == "place_held"), None)
    for one, becomes in ((accepted, _accepted), (rejected, _rejected), (cancelled, _cancelled)):
        if one is None:
            continue
        try:
            await becomes(one, heard, desks, tell, referrer, found)
        except NotAsExpected as error:
            found.wrong.append(f"{one[0]}: {error}")
    return found


async def _accepted(one: Answered, _heard: Heard, desks: Desks, tell: Tell, referrer: str, found: Afterwards) -> None:
    scenario, answer = one
    there = await desks.receiver_of(referrer, answer["referral_id"])
    tell(f"\n{scenario}: {answer['service']['name']} accepts, sees the patient, and says what came of it")
    for action in ("receive", "accept", "begin_care", "see"):
        await desks.act(there, answer["referral_id"], action)
    over = await desks.act(there, answer["referral_id"], "give_outcome", kind="treated-and-discharged")
    _expect("outcome_given", over["state"], "the state")
    found.accepted += 1


async def _rejected(one: Answered, heard: Heard, desks: Desks, tell: Tell, referrer: str, found: Afterwards) -> None:
    scenario, answer = one
    referral, service = answer["referral_id"], answer["service"]
    tell(f"\n{scenario}: {service['name']} will not see the patient; the desk is told, and finds another place")
    there = await desks.receiver_of(referrer, referral)
    rejected = await desks.act(there, referral, "reject", reason="no-capacity")
    _expect(referrer, rejected["owner"]["organisation"], "the owner after the rejection")
    if not await heard.until(lambda facts: any(_says_so(fact, referral) for fact in facts), SECONDS):
        raise NotAsExpected("the desk was not told of the rejection")
    again = await desks.act(referrer, referral, "rebook", accept="any")
    tell("\n".join(lines_of_place(again["place"], "where")))
    if again["place"]["service"]["id"] == service["id"]:
        raise NotAsExpected("the patient was sent again where nobody will see them")
    found.rebooked += 1


async def _cancelled(one: Answered, heard: Heard, desks: Desks, tell: Tell, referrer: str, found: Afterwards) -> None:
    scenario, answer = one
    referral, service, slot = answer["referral_id"], answer["service"]["id"], answer["starts_at"]
    tell(f"\n{scenario}: the patient is better, and the desk cancels")
    before = await desks.free(referrer, service, slot)
    await desks.act(referrer, referral, "cancel", reason="patient-better")
    if not await heard.until(lambda facts: any(_is_about(one, referral, "booking.released") for one in facts), SECONDS):
        raise NotAsExpected("the slot was not given back")
    after = await desks.free(referrer, service, slot)
    _expect(before + 1, after, "the patients that the slot takes")
    tell(f"   freed  {answer['service']['name']}, {clock(slot)}: it takes {after} more patients, and took {before}")
    found.freed += 1


def _expect(expected: Any, found: Any, what: str) -> None:
    if expected != found:
        raise NotAsExpected(f"{what}: {found}, and not {expected}")


def _is_about(fact: Fact, referral: str, type: str) -> bool:
    return fact.type == type and fact.event["subject"] == referral


def _says_so(fact: Fact, referral: str) -> bool:
    """Whether it is the message that tells the referrer's desk of a rejection."""
    data = fact.event["data"]
    is_told = _is_about(fact, referral, "notification.sent")
    return is_told and (data["audience"], data["reason"]) == ("referrer", "referral.rejected")
