"""A device that sends until each key is answered, and writes down what it was told."""

import random
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import uuid4

import httpx

from contracts.people import Position
from services.device.clock import ShiftClock, clock_of_this_machine
from services.device.device import Decision, Device
from services.device.incidents import Incident
from services.device.queue import Entry, Queue
from services.device.sender import Gateway
from services.device.shift import shift
from services.device.signal import Signal

MIDDLE = Position(latitude=52.90, longitude=-1.20)


def incident_of(scenario: str) -> Incident:
    """An incident of a scenario, whose patient can be reached, under a key that nobody else has."""
    incidents = shift(11, [MIDDLE], lambda _: datetime.now(UTC), [scenario])
    found = next(one for one in incidents if one.submission.patient.contact.mobile is not None)
    return found.model_copy(update={"key": uuid4()})


class NoScreen:
    """Nobody looks at it."""

    def referral(self, entry: Entry, because: str) -> None:
        """Not shown."""

    def clock(self, wrong_by: timedelta) -> None:
        """Not shown."""


async def give_up(_entry: Entry) -> Decision:
    """What would be too old shows in the account."""
    return "drop"


async def send_all(url: str, token: str, queue: Queue, *, count: int, at_once: int, seed: int) -> None:
    """Send `count` incidents, so many at a time; return when every key is settled or refused."""
    incidents = list(islice(shift(seed, [MIDDLE], lambda _: datetime.now(UTC)), count))
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    clock = clock_of_this_machine()
    async with httpx.AsyncClient(base_url=url, limits=limits) as client:
        device = Device(
            queue,
            Gateway(client, token),
            NoScreen(),
            clock=clock,
            signal=Signal(),
            shift_clock=ShiftClock(clock),
            lasts_seconds=600.0,
            ask=give_up,
            chance=random.Random(seed),
            at_once=at_once,
        )
        try:
            await device.refer(incidents)
            await device.rest()
        finally:
            await device.stop()
