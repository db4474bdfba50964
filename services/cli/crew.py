"""`onward device`: simulated crews at work, each with its own device, shift and file."""

import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import httpx
import typer

from contracts.people import Position
from services.cli import local
from services.cli.connection import TRUST, AsJson, Connection, Folder, Organisation, Token, Url, connect
from services.cli.speaking import Refused, print_line, say
from services.device.clock import Clock, ShiftClock, clock_of_this_machine
from services.device.device import Ask, Decision, Device
from services.device.incidents import Incident, scenarios
from services.device.queue import Entry, Queue
from services.device.screen import LONDON, clock_lines, lines_of
from services.device.sender import Gateway
from services.device.shift import figures, shift
from services.device.signal import NotASpell, Signal, at_random, by_schedule
from services.pathways.places import town_named

WhenExpired = Literal["ask", "drop", "resend"]
DECISIONS: dict[WhenExpired, Decision] = {"ask": "later", "drop": "drop", "resend": "send"}
"""What is decided where nobody can be asked."""

MIDDLE = Position(latitude=52.9, longitude=-1.2)
"""The middle of the invented region."""


@dataclass(frozen=True)
class Plan:
    """What the simulated crews do."""

    count: int
    devices: int
    every: float | None
    """Seconds from one referral of a device to the next; none: as the shift has it, at `speed`."""
    speed: float
    seed: int
    kinds: Sequence[str]
    places: Sequence[Position]
    begins: time
    offline: Sequence[str]
    signal: float
    lasts_minutes: float
    when_expired: WhenExpired
    clock_wrong_by: timedelta
    queue: Path


class Crew:
    """What one crew sees and says."""

    def __init__(self, name: str, clock: Clock, *, as_json: bool) -> None:
        self._before = f"{name}  " if name else ""
        self._name = name
        self._clock = clock
        self._as_json = as_json

    def referral(self, entry: Entry, because: str) -> None:
        """Show where a referral stands."""
        if self._as_json:
            where = {"device": self._name, "scenario": entry.scenario, "key": entry.key, "state": entry.state}
            print_line(where | {"because": because, "status": entry.status, "answer": entry.answer})
        else:
            print("\n".join(self._before + line for line in lines_of(entry, because, self._clock)), flush=True)

    def clock(self, wrong_by: timedelta) -> None:
        """Show that the device's clock is wrong, or right again."""
        if self._as_json:
            print_line({"device": self._name, "clock_wrong_by_seconds": round(wrong_by.total_seconds())})
        else:
            print("\n".join(self._before + line for line in clock_lines(wrong_by, self._clock)), flush=True)


def asking(when_expired: WhenExpired) -> Ask:
    """How a crew is asked about what is too old: at the terminal, one question at a time, where there is one."""
    turn = asyncio.Lock()

    async def ask(entry: Entry) -> Decision:
        if when_expired != "ask" or not sys.stdin.isatty():
            return DECISIONS[when_expired]
        async with turn:
            written = entry.written_at.astimezone(LONDON)
            question = f"{entry.scenario}, written down at {written:%H:%M}: send it now?"
            return "send" if await asyncio.to_thread(typer.confirm, question, err=True) else "drop"

    return ask


async def work(connection: Connection, plan: Plan, *, as_json: bool) -> dict[str, int]:
    """Work the shifts of all devices to their end; returns how many referrals stand in each state, over their files.

    Referrals that a file has are not made again: those that are not over are seen to, the others are left.
    """
    unknown = sorted(set(plan.kinds) - set(scenarios()))
    if unknown:
        raise Refused(f"there is no scenario {', '.join(unknown)}; there are {', '.join(scenarios())}")
    try:
        by_schedule(plan.offline, plan.begins)
    except NotASpell as error:
        raise Refused(str(error)) from None
    limits = httpx.Limits(max_keepalive_connections=None)
    queues = [Queue(_file_of(plan, number)) for number in range(plan.devices)]
    try:
        ask = asking(plan.when_expired)
        async with httpx.AsyncClient(base_url=connection.url, limits=limits) as client:
            gateway = Gateway(client, connection.token)
            await asyncio.gather(
                *(_one(plan, number, queue, gateway, ask, as_json=as_json) for number, queue in enumerate(queues))
            )
    finally:
        for queue in queues:
            queue.close()
    states: dict[str, int] = {}
    for queue in queues:
        for entry in queue.entries.values():
            state = "refused" if entry.state == "answered" and entry.outcome is None else entry.state
            states[state] = states.get(state, 0) + 1
    return states


def _file_of(plan: Plan, number: int) -> Path:
    return plan.queue if plan.devices == 1 else plan.queue.with_stem(f"{plan.queue.stem}-{number + 1}")


async def _one(plan: Plan, number: int, queue: Queue, gateway: Gateway, ask: Ask, *, as_json: bool) -> None:
    """One device's shift."""
    seed = plan.seed + number
    clock = clock_of_this_machine(plan.clock_wrong_by)
    speed = 1.0 if plan.every is not None else plan.speed
    shift_clock = ShiftClock(clock, speed)
    chance = random.Random(f"device {seed}")  # noqa: S311 a simulation: not the draws of the shift
    gaps = at_random(plan.signal, figures().without_signal_minutes * 60, chance)
    device = Device(
        queue,
        gateway,
        Crew(f"{number + 1}" if plan.devices > 1 else "", clock, as_json=as_json),
        clock=clock,
        signal=Signal(by_schedule(plan.offline, plan.begins), gaps),
        shift_clock=shift_clock,
        lasts_seconds=plan.lasts_minutes * 60 / speed,
        ask=ask,
        chance=chance,
    )
    left = device.resume()
    if left and not as_json:
        say(f"{left} referral{'s' if left > 1 else ''} of before to see to")
    began = datetime.now(UTC)

    def written_at(at: timedelta) -> datetime:
        return datetime.now(UTC) if plan.every is not None else began + at / speed

    try:
        for place, incident in enumerate(islice(shift(seed, plan.places, written_at, plan.kinds), plan.count)):
            due = incident.at.total_seconds() if plan.every is None else place * plan.every
            await asyncio.sleep(shift_clock.in_life(due - shift_clock.seconds()))
            if plan.every is None and not as_json and incident.key not in queue.entries:
                print(_met(incident, plan.begins), flush=True)
            await device.refer([incident])
        await device.rest()
    finally:
        await device.stop()


def _met(incident: Incident, begins: time) -> str:
    """A line of the shift: when, after which drive, what."""
    clock = datetime.combine(datetime(2000, 1, 1, tzinfo=UTC), begins, UTC) + incident.at
    return f"{clock:%H:%M} of the shift, {incident.driven_km:.1f} km driven: {incident.scenario}"


def device(
    scenario: Annotated[list[str] | None, typer.Option(help="Which scenarios, in turn; all of them if none.")] = None,
    count: Annotated[int, typer.Option(min=0, help="How many referrals a device; 0 sees to what is left.")] = 8,
    devices: Annotated[int, typer.Option(min=1, max=200, help="How many devices at once.")] = 1,
    every: Annotated[
        float | None, typer.Option(min=0, help="Seconds from one referral to the next. 1 unless --speed is given.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(min=0.01, help="A shift as in life, drives included, so many times as fast.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn; device n has seed + n - 1.")] = 1,
    town: Annotated[
        list[str] | None, typer.Option(help="A town as the middle of the area; between several the crew drives.")
    ] = None,
    latitude: Annotated[
        float, typer.Option(min=-90, max=90, help="The middle of the crew's area, degrees.")
    ] = MIDDLE.latitude,
    longitude: Annotated[
        float, typer.Option(min=-180, max=180, help="The middle of the crew's area.")
    ] = MIDDLE.longitude,
    begins: Annotated[str, typer.Option(help="What the shift's clock shows at its beginning; now if not given.")] = "",
    offline: Annotated[
        list[str] | None, typer.Option(help='Without signal, by the shift\'s clock: "08:00-08:20"; may be repeated.')
    ] = None,
    signal: Annotated[float, typer.Option(min=0.01, max=1, help="The share of time with signal, at random.")] = 1.0,
    expires: Annotated[float, typer.Option(min=0, help="Minutes until an unsent referral asks the crew again.")] = 10,
    when_expired: Annotated[
        WhenExpired, typer.Option(help="What the crew says then; asked at the terminal, kept where there is none.")
    ] = "ask",
    clock_wrong_by: Annotated[float, typer.Option(help="Minutes by which the device's clock is ahead.")] = 0,
    queue: Annotated[
        Path | None,
        typer.Option(help="The device's file: a second start goes on where the first ended. A new one if not given."),
    ] = None,
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Simulate ambulance devices: refer, lose signal, keep what is unsent, show what the crew sees. A seed decides all.

    Exit code 1 when a referral was refused, or waits for the crew.
    """
    if every is not None and speed is not None:
        raise typer.BadParameter("give --every or --speed: referrals at a pace, or a shift as in life")
    try:
        starts = time.fromisoformat(begins) if begins else datetime.now(LONDON).time()
    except ValueError:
        raise typer.BadParameter(f"{begins!r} is not a time: write it as 08:00", param_hint="--begins") from None
    plan = Plan(
        count=count,
        devices=devices,
        every=(1.0 if every is None else every) if speed is None else None,
        speed=speed or 1.0,
        seed=seed,
        kinds=scenario or [],
        places=[town_named(one).position for one in town or ()] or [Position(latitude=latitude, longitude=longitude)],
        begins=starts,
        offline=offline or [],
        signal=signal,
        lasts_minutes=expires,
        when_expired=when_expired,
        clock_wrong_by=timedelta(minutes=clock_wrong_by),
        queue=queue or folder / "devices" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.sqlite",
    )
    connection = connect(folder, url, token, organisation=organisation, role="paramedic", practitioner="device")
    again = f"onward device --count 0 --devices {devices} --queue {plan.queue}"
    try:
        states = asyncio.run(work(connection, plan, as_json=as_json))
    except KeyboardInterrupt:
        say(f"What is not answered is kept. Go on with: {again}")
        raise typer.Exit(130) from None
    if waiting := states.get("expired", 0):
        say(f"{waiting} NOT SENT, and too old to be sent unasked. Decide: {again} --when-expired resend (or drop)")
    elif queue is None:
        for number in range(devices):
            _file_of(plan, number).unlink()
    if states.get("refused") or waiting:
        raise typer.Exit(1)
