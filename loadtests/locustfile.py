"""Users of Locust for the same scenarios, over HTTP: for those who have Locust already.

    ONWARD_SCENARIO=single-transaction ONWARD_TOKEN=... locust -f loadtests/locustfile.py --headless --host http://...

Each user does one thing a second, so there are as many users as requests a second, on the scenario's own schedule: told
events become transactions. Locust times a request from when it leaves: a user that waits for a slow answer sends less,
and the stall shows in fewer requests than in the latencies. For tails, and for accounting, use `onward load`.
"""

import os
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

from locust import HttpUser, LoadTestShape, constant_throughput, events, task

from loadtests import material
from loadtests.material import Body
from loadtests.run import Asked
from loadtests.scenario import Load, file_of, read

SCENARIO = read(file_of(os.environ.get("ONWARD_SCENARIO", "single-transaction")))
ASKED = Asked(
    shorten=float(os.environ.get("ONWARD_SHORTEN", "1")),
    times=float(os.environ.get("ONWARD_TIMES", "1")),
)
CAPACITY = float(os.environ.get("ONWARD_CAPACITY", "100"))
"""Transactions a second, where a scenario's rates are multiples of what the system does."""

BURST_SECONDS = 10.0
"""Locust knows no bursts: all at once becomes evenly over so long."""

DIFFERENT = 1_000


class _User(HttpUser):
    """One who does one thing a second."""

    abstract = True
    wait_time = constant_throughput(1)
    load: ClassVar[Load]
    numbers: ClassVar[Any]

    def on_start(self) -> None:
        """Say who calls."""
        self.client.headers["Authorization"] = f"Bearer {os.environ.get('ONWARD_TOKEN', '')}"


class _Referrer(_User):
    """Refers a patient and waits for the answer. A refusal for want of room is an answer."""

    abstract = True
    bodies: ClassVar[list[Body]]

    @task
    def refer(self) -> None:
        """`POST /referrals`, under a key of its own."""
        body = self.bodies[next(self.numbers) % len(self.bodies)]
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        with self.client.post("/referrals", data=body.json, headers=headers, catch_response=True) as response:
            if response.status_code in (201, 202, 429):
                response.success()


class _Seeker(_User):
    """Asks who could take a patient."""

    abstract = True
    searches: ClassVar[list[dict[str, Any]]]

    @task
    def look(self) -> None:
        """`GET /pathways`."""
        search = self.searches[next(self.numbers) % len(self.searches)]
        self.client.get("/pathways", params=search, name="/pathways")


def user_of(load: Load, seed: int) -> type[_User]:
    """The users of a stream."""
    incidents = material.incidents(load, seed, DIFFERENT)
    said: dict[str, Any] = {"load": load, "numbers": count()}
    if load.kind == "lookup":
        said["searches"] = [material.search_of(one) for one in incidents]
        return type(f"Look_{load.name}", (_Seeker,), said)
    return type(f"Refer_{load.name}", (_Referrer,), said | {"bodies": [Body.of(one.submission) for one in incidents]})


USERS = [user_of(load, SCENARIO.seed * 1_000 + number) for number, load in enumerate(SCENARIO.load)]
globals().update({user.__name__: user for user in USERS})


def rate(load: Load, at: float) -> float | None:
    """How many of a stream a second, so many seconds from the beginning; none once it is over."""
    schedule = ASKED.schedule(load, SCENARIO.faster, CAPACITY)
    if schedule.at_once:
        return schedule.at_once / BURST_SECONDS if at < BURST_SECONDS else None
    return schedule.rate(at) if at < schedule.seconds else None


class OnSchedule(LoadTestShape):
    """As many users as the scenario asks requests a second."""

    def tick(self) -> tuple[int, float] | tuple[int, float, list[type[_User]]] | None:
        """How many users there are to be now, and of which streams."""
        rates = {user: rate(user.load, self.get_run_time()) for user in USERS}
        if all(one is None for one in rates.values()):
            return None
        users = max(1, round(sum(one or 0 for one in rates.values())))
        for user, one in rates.items():
            user.weight = max(1, round((one or 0) * 100))
        return users, 1_000.0, [user for user, one in rates.items() if one]


@events.quitting.add_listener
def fail_on_failures(environment: Any, **_: Any) -> None:
    """The exit code says whether every request was answered as it should be."""
    if environment.stats.total.num_failures or not environment.stats.total.num_requests:
        environment.process_exit_code = 1
