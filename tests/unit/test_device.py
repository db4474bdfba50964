"""The device: the same key until it is answered, NOT SENT without signal, never late, whatever its clock says."""

import asyncio
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from itertools import islice
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from services.device import device as rules
from services.device.device import Decision
from services.device.screen import clock_lines, lines_of
from services.device.sender import Reply
from services.device.shift import shift
from services.device.signal import Gap
from tests.device_examples import MIDDLE, NOW, OUTCOME, Clocks, Recording, device_at, incident


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The device's file."""
    return tmp_path / "device.sqlite"


@dataclass
class Replies:
    """Answers in turn, the last one for ever; what was asked is kept."""

    replies: list[httpx.Response | Exception]
    asked: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """The next one."""
        key = request.headers.get("idempotency-key")
        self.asked.append((request.method, request.url.path, key, request.content))
        reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        return reply


def settled(**headers: str) -> httpx.Response:
    """201 with an outcome."""
    return httpx.Response(201, json=OUTCOME, headers=headers)


async def test_the_same_key_and_body_are_sent_until_there_is_an_answer(file: Path) -> None:
    """No answer, 503, 429, a token that ran out, a proxy's page and 202 are tried again; 201 ends it."""
    replies = Replies(
        [
            httpx.ConnectError("gone"),
            httpx.Response(503),
            httpx.Response(429, headers={"Retry-After": "0"}),
            httpx.Response(401, json={"title": "who?"}),
            httpx.Response(502, text="<html>"),
            httpx.Response(202, json={"referral_id": "r", "outcome": "pending"}),
            settled(),
        ]
    )
    screen, clocks, one = Recording(), Clocks(), incident()
    async with device_at(file, replies, screen, clocks) as (device, queue):
        await device.refer([one])
        await device.rest()
        [entry] = queue.entries.values()

    body = one.submission.model_dump_json(exclude_none=True).encode()
    assert [("POST", "/referrals", str(one.key), body)] * 7 == replies.asked
    assert ("answered", 201, OUTCOME, 7) == (entry.state, entry.status, entry.answer, entry.tries)
    assert ["sent"] * 5 + ["received", "answered"] == screen.states


@pytest.mark.parametrize("status", [400, 403, 409, 413, 415, 422])
async def test_a_refusal_is_not_sent_again(file: Path, status: int) -> None:
    """The crew must mend it: once, with every fault on the screen."""
    refusal = {
        "title": "The submission cannot be used",
        "detail": "Mend it.",
        "faults": [{"pointer": "/patient/age", "message": "wrong unit"}],
    }
    replies, screen, clocks = Replies([httpx.Response(status, json=refusal)]), Recording(), Clocks()
    async with device_at(file, replies, screen, clocks) as (device, queue):
        await device.refer([incident()])
        await device.rest()
        [entry] = queue.entries.values()

    assert (1, "answered", None) == (len(replies.asked), entry.state, entry.outcome)
    assert [
        f"stroke: REFUSED ({status}) The submission cannot be used. Mend it.",
        "   /patient/age: wrong unit",
    ] == lines_of(entry, "", clocks.clock())


async def test_retry_after_is_respected(file: Path) -> None:
    """The pause is as long as the gateway asks."""
    replies, clocks = Replies([httpx.Response(429, headers={"Retry-After": "17"}), settled()]), Clocks()
    async with device_at(file, replies, Recording(), clocks) as (device, _):
        await device.refer([incident()])
        await device.rest()

    assert [17.0] == clocks.slept


async def test_pauses_grow_and_are_jittered(file: Path) -> None:
    """Each up to twice the one before, shortened by up to a half, to at most the longest."""
    replies, clocks = Replies([httpx.Response(503)] * 10 + [settled()]), Clocks()
    async with device_at(file, replies, Recording(), clocks) as (device, _):
        await device.refer([incident()])
        await device.rest()

    tops = [min(5.0, 0.2 * 2**number) for number in range(10)]
    assert all(top / 2 <= pause <= top for pause, top in zip(clocks.slept, tops, strict=True))
    assert 10 == len(set(clocks.slept))


async def test_without_signal_it_shows_not_sent_and_sends_when_there_is(file: Path) -> None:
    """Nothing leaves the device; the crew sees NOT SENT and for how long; with signal it is sent and answered."""
    clocks, replies, screen = Clocks(), Replies([settled()]), Recording()
    async with device_at(file, replies, screen, clocks, Gap(0, 540)) as (device, queue):
        await device.refer([incident()])
        [entry] = queue.entries.values()
        said = lines_of(entry, "no signal", clocks.clock())
        await device.rest()

    assert [("queued", "no signal"), ("answered", "")] == screen.shown
    assert ("stroke: NOT SENT, no signal", "within 10 min") == (said[0], said[1][-13:])
    assert (1, [540.0]) == (len(replies.asked), clocks.slept)


async def test_what_is_too_old_is_not_sent_and_the_crew_is_asked(file: Path) -> None:
    """Ten minutes without signal: the crew is asked there and then, and again; what it confirms in time is sent."""
    clocks, replies, screen = Clocks(), Replies([settled()]), Recording(decisions=["send", "send"])
    async with device_at(file, replies, screen, clocks, Gap(0, 1500)) as (device, _):
        await device.refer([incident()])
        await device.rest()

    assert ["queued", "expired", "expired", "answered"] == screen.states
    assert (1, [600.0, 600.0, 300.0]) == (len(replies.asked), clocks.slept)


@pytest.mark.parametrize(("decision", "state"), [("drop", "dropped"), ("later", "expired")])
async def test_what_the_crew_does_not_confirm_is_never_sent(file: Path, decision: Decision, state: str) -> None:
    """Given up, or left until the crew is asked again at the next start: with signal back nothing leaves the device."""
    clocks, replies = Clocks(), Replies([settled()])
    async with device_at(file, replies, Recording(decisions=[decision]), clocks, Gap(0, 601)) as (device, _):
        await device.refer([incident()])
        await device.rest()
    again = Recording(decisions=["later"])
    async with device_at(file, replies, again, clocks) as (device, queue):
        device.resume()
        await device.rest()
        [entry] = queue.entries.values()

    assert (state, [], state == "expired") == (entry.state, replies.asked, len(again.asked) == 1)


@pytest.mark.parametrize(("set_by", "gap", "state"), [(-1, 601, "expired"), (1, 599, "answered")])
async def test_a_wrong_clock_neither_sends_late_nor_expires_early(
    file: Path, set_by: int, gap: float, state: str
) -> None:
    """The clock is set back or on by an hour while a referral waits: only the time that passed counts."""
    clocks, replies = Clocks(), Replies([settled()])

    def set_wrong(_: object) -> None:
        clocks.shown += timedelta(hours=set_by)

    screen = Recording(decisions=["later"], on_shown=set_wrong)
    async with device_at(file, replies, screen, clocks, Gap(0, gap)) as (device, queue):
        await device.refer([incident()])
        await device.rest()
        [entry] = queue.entries.values()

    assert (state, state == "answered") == (entry.state, bool(replies.asked))


async def test_a_clock_that_is_an_hour_off_is_shown_loudly(file: Path) -> None:
    """An hour ahead of the server's Date: said once, with both times, and again when it is right."""
    clocks = Clocks(shown=NOW + timedelta(hours=1))
    replies = Replies([settled(Date=format_datetime(NOW, usegmt=True))])
    screen = Recording()
    async with device_at(file, replies, screen, clocks) as (device, _):
        for number in range(2):
            await device.refer([incident(number)])
            await device.rest()
        said = clock_lines(screen.wrong_by[-1], clocks.clock())
        clocks.shown = NOW
        await device.refer([incident(3)])
        await device.rest()

    assert [timedelta(hours=1), timedelta()] == screen.wrong_by
    assert "THE CLOCK OF THIS DEVICE IS WRONG: 60 min ahead." == said[0]
    assert "it shows 15:02, and it is 14:02" in said[1]


async def test_after_a_restart_what_was_left_is_sent_under_its_key(file: Path) -> None:
    """Switched off without signal and started again in time: sent once, as it was written down."""
    clocks, one, replies = Clocks(), incident(), Replies([settled()])
    async with device_at(file, replies, Recording(), clocks, Gap(0, math.inf)) as (device, _):
        await device.refer([one])
    clocks.later(minutes=5)
    async with device_at(file, replies, Recording(), clocks) as (device, queue):
        left = device.resume()
        await device.rest()
        await device.refer([one])
        await device.rest()
        [entry] = queue.entries.values()

    assert (1, "answered", [str(one.key)]) == (left, entry.state, [key for _, _, key, _ in replies.asked])


async def test_after_the_device_was_switched_off_the_crew_is_asked(file: Path) -> None:
    """How long it was off only its clock says, which may be wrong: what was not sent is not sent unasked."""
    clocks, replies, screen = Clocks(), Replies([settled()]), Recording(decisions=["send"])
    async with device_at(file, replies, Recording(), clocks, Gap(0, math.inf)) as (device, _):
        await device.refer([incident()])
    clocks.boot, clocks.elapsed = "second", 5.0
    async with device_at(file, replies, screen, clocks) as (device, _):
        device.resume()
        await device.rest()

    assert (["expired", "answered"], 1) == (screen.states, len(replies.asked))


@pytest.mark.parametrize(
    ("came_of_it", "states", "posts"),
    [
        (httpx.Response(200, json=OUTCOME), ["answered"], 0),
        (httpx.Response(202, json={"referral_id": "r", "outcome": "pending"}), ["received", "answered"], 1),
        (httpx.Response(404, json={"title": "Nothing was received"}), ["expired", "dropped"], 0),
    ],
    ids=["settled", "received", "never received"],
)
async def test_a_device_that_comes_back_learns_what_came_of_what_it_sent(
    file: Path, came_of_it: httpx.Response, states: list[str], posts: int
) -> None:
    """The answer was lost, and now the referral is too old to be sent: the device asks by the key, referring nobody."""
    clocks, screen = Clocks(), Recording(decisions=["drop"])
    sent = asyncio.Event()

    def lose(_request: httpx.Request) -> httpx.Response:
        sent.set()
        raise httpx.ReadTimeout("no answer")

    async with device_at(file, lose, Recording(), clocks) as (device, _):
        await device.refer([incident()])
        await sent.wait()
    clocks.later(hours=1)
    replies = Replies([came_of_it, settled()])
    async with device_at(file, replies, screen, clocks) as (device, _):
        device.resume()
        await device.rest()

    key = incident().key
    assert (states, ("GET", f"/attempts/{key}")) == (screen.states, replies.asked[0][:2])
    assert posts == sum(method == "POST" for method, *_ in replies.asked)


async def test_a_signal_that_is_lost_during_a_request_leaves_it_unknown(file: Path) -> None:
    """What left the device and was not answered is NOT KNOWN, never NOT SENT; with signal it is asked for again."""
    clocks, screen = Clocks(), Recording()
    within: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        within.append(request.extensions["timeout"]["read"])
        if len(within) == 1:
            clocks.later(seconds=2)
            raise httpx.ReadTimeout("the signal is gone")
        return settled()

    async with device_at(file, answer, screen, clocks, Gap(2, 60)) as (device, _):
        await device.refer([incident()])
        await device.rest()

    assert ["sent", "sent", "answered"] == screen.states
    assert ("no signal", [2.0, 10.0]) == (screen.shown[1][1], within)


async def test_five_thousand_queued_are_sent_at_once_and_answered_once_each(file: Path) -> None:
    """When the signal is back: never more on their way than a device may, and each key ends with its own answer."""
    gateway, clocks, screen = Crowd(), Clocks(), Recording()
    incidents = list(islice(shift(5, [MIDDLE], lambda _: NOW), 5000))
    async with device_at(file, settled, screen, clocks, Gap(0, math.inf)) as (device, _):
        await device.refer(incidents)
    async with device_at(file, settled, screen, clocks, gateway=gateway) as (device, queue):
        assert 5000 == device.resume()
        await device.rest()
        answers = {key: entry.referral for key, entry in queue.entries.items()}

    assert {one.key: str(one.key) for one in incidents} == answers
    assert (5000, {1, 2}, rules.AT_ONCE) == (len(gateway.asked), set(gateway.asked.values()), gateway.most)


class Crowd:
    """A gateway that tells one in eight to come again, and counts how many are with it at a time."""

    def __init__(self) -> None:
        self.asked: Counter[UUID] = Counter()
        self.most = 0
        self._now = 0

    async def refer(self, key: UUID, _body: bytes, _within: float) -> Reply:
        """Answer, one turn of the loop later."""
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        self.asked[key] += 1
        if self.asked[key] == 1 and key.int % 8 == 0:
            return Reply(429, {}, 0.0, "the answer was 429")
        return Reply(201, OUTCOME | {"referral_id": str(key)}, 0.0)
