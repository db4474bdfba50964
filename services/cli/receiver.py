"""`onward receiver`: simulated receiving services, which answer the referrals that they are given."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import typer

from contracts.directory import Service
from services.cli import local
from services.cli.act import answer_lines, refusal_lines
from services.cli.connection import TRUST, AsJson, Connection, Folder, Token, Url, connect
from services.cli.directory import exported
from services.cli.speaking import Refused, print_line, say
from services.cli.standing import when
from services.cli.watching import follow
from services.receiver.course import Step
from services.receiver.team import DONE, Habits, Team

WAIT_SECONDS = 5
REPLY_SECONDS = 15.0
ROLE = "receiving-team"


class ActionsGateway:
    """The gateway's route of actions, over a client that knows its address."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}", "Prefer": f"wait={WAIT_SECONDS}"}

    async def act(self, referral: str, body: Mapping[str, Any], key: UUID) -> tuple[int | None, dict[str, Any]]:
        """Ask once. Without a status there was no answer, and nobody knows whether it was received."""
        try:
            response = await self._client.post(
                f"/referrals/{referral}/actions",
                json=body,
                headers=self._headers | {"Idempotency-Key": str(key)},
                timeout=REPLY_SECONDS,
            )
            return response.status_code, response.json()
        except (httpx.HTTPError, ValueError):
            return None, {}


class TeamScreen:
    """What a team sees, a line for each thing that happens."""

    def __init__(self, organisation: str, *, as_json: bool) -> None:
        self._organisation = organisation
        self._as_json = as_json

    def expected(self, referral: str, place: Mapping[str, Any]) -> None:
        """A patient is expected."""
        service = place["service"]["name"]
        self._show(referral, f"expected at {service}, {when(place)}, reference {place['reference']}", place=place)

    def answered(self, referral: str, step: Step, status: int, answer: Mapping[str, Any]) -> None:
        """What came of an action."""
        if status == DONE:
            lines = [f"{answer_lines(answer)[0]}; version {answer['version']}"]
        else:
            lines = [f"{step.body['action'].replace('_', ' ')} was refused", *refusal_lines(answer)]
        self._show(referral, "\n".join(lines), action=step.body["action"], status=status, answer=answer)

    def gone(self, referral: str, because: str) -> None:
        """The patient is expected no longer."""
        self._show(referral, f"expected no longer: {because}")

    def _show(self, referral: str, said: str, **more: Any) -> None:
        if self._as_json:
            print_line({"organisation": self._organisation, "referral": referral, "said": said.split("\n")[0], **more})
        else:
            print(f"{self._organisation}  {referral[:8]}  {said}", flush=True)


async def work(
    connections: Mapping[str, Connection], habits: Habits, *, since: str, count: int | None, as_json: bool
) -> None:
    """Let the team of each organisation work until so many courses have ended; for ever without a count."""
    ended = asyncio.Semaphore(0)
    limits = httpx.Limits(max_keepalive_connections=None)
    [url] = {one.url for one in connections.values()}
    async with httpx.AsyncClient(base_url=url, limits=limits) as client:
        teams = {
            name: Team(
                name, ActionsGateway(client, one.token), TeamScreen(name, as_json=as_json), habits, ended=ended.release
            )
            for name, one in connections.items()
        }
        working = [asyncio.create_task(_listen(team, connections[name], since)) for name, team in teams.items()]
        if count is not None:
            working.append(asyncio.create_task(_take(ended, count)))
        try:
            done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            for one in working:
                one.cancel()
            await asyncio.gather(*working, *(team.stop() for team in teams.values()), return_exceptions=True)


async def _take(ended: asyncio.Semaphore, count: int) -> None:
    for _ in range(count):
        await ended.acquire()


async def _listen(team: Team, connection: Connection, since: str) -> None:
    async for fact in follow(connection, since=since, tell=say):
        team.hear(fact.event)


def connections_of(organisations: Sequence[str], *, url: str, token: str, folder: Path) -> dict[str, Connection]:
    """For each organisation a connection that speaks for it: those that are named, or all that have services."""
    if token and len(organisations) != 1:
        raise Refused("a token speaks for one organisation: name it with --organisation")
    if not organisations:
        asking = connect(folder, url, token, organisation=TRUST, role=ROLE, practitioner="onward")
        services = (one for one in exported(asking) if isinstance(one, Service))
        organisations = sorted({one.organisation for one in services if one.active})
    if not organisations:
        raise Refused("the directory has no service yet: load one with onward directory load")
    return {
        one: connect(folder, url, token, organisation=one, role=ROLE, practitioner="receiver") for one in organisations
    }


def receiver(
    organisation: Annotated[
        list[str] | None,
        typer.Option(help="Whose services; repeated for several. All that have services if none is given."),
    ] = None,
    every: Annotated[float, typer.Option(min=0, help="Seconds from one step of a referral to the next, about.")] = 3,
    rejects: Annotated[float, typer.Option(min=0, max=1, help="The share of referrals that are turned away.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Decides everything that is drawn.")] = 1,
    since: Annotated[str, typer.Option(help="A cursor of the feed to begin at: 1-0 is the beginning; or now.")] = "now",
    count: Annotated[int | None, typer.Option(min=1, help="End after so many referrals were seen to the end.")] = None,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Simulate receiving services: receive, accept, see, say what came of it; turn a share away. A seed decides all.

    What a team did before a restart it does not do again.
    """
    connections = connections_of(organisation or (), url=url, token=token, folder=folder)
    say(f"Answering for {', '.join(connections)}; Ctrl-C ends")
    habits = Habits(seed=seed, every=every, rejects=rejects)
    try:
        asyncio.run(work(connections, habits, since=since, count=count, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
