"""`onward watch`: the stream of facts. It goes on where it was, survives a restart of the server, repeats nothing."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, nullcontext, suppress
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

import httpx
import typer
from httpx_sse import SSEError, aconnect_sse
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from services.cli import local
from services.cli.connection import TRUST, AsJson, Connection, Folder, Organisation, Token, Url, connect
from services.cli.facts import DECIDED, Fact, cells_of, line_of
from services.cli.speaking import Refused, out, print_line, say

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 3.0
BEGINNING = "1-0"
"""The cursor before the first fact."""
SHOWN = ("booking.confirmed", "booking.exhausted", "notification.sent", *DECIDED)
"""What `watch` shows unless it is told otherwise: outcomes, messages, and what became of each referral."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which facts are wanted; empty is all of the organisation's."""

    types: Sequence[str] = ()
    service: str | None = None
    referral: UUID | None = None

    @property
    def query(self) -> list[tuple[str, str]]:
        """As `GET /events` reads it."""
        single = {"service": self.service, "referral": self.referral}
        return [("type", one) for one in self.types] + [(name, str(said)) for name, said in single.items() if said]


async def follow(
    connection: Connection,
    filters: Filters = Filters(),
    *,
    since: str = "now",
    tell: Callable[[str], None] = lambda _: None,
) -> AsyncGenerator[Fact, None]:
    """Facts as they happen, from a cursor on. Raises Refused when the server says that it never will.

    `tell` hears when the connection is lost, and when it is back.
    """
    cursor, pause, lost = since, FIRST_PAUSE, False
    async with httpx.AsyncClient(base_url=connection.url, headers=connection.headers, timeout=30.0) as client:
        while True:
            try:
                params = httpx.QueryParams([*filters.query, ("since", cursor)])
                async with aconnect_sse(client, "GET", "/events", params=params) as source:
                    if source.response.status_code in (400, 401, 403, 404, 410, 422):
                        await source.response.aread()
                        raise Refused(_why(source.response))
                    source.response.raise_for_status()
                    # Closed by us when the reader stops: the loop's own tidying would meet it at work.
                    async with aclosing(source.aiter_sse()) as blocks:
                        async for one in blocks:
                            if lost:
                                tell(f"Connected again; going on from {cursor}")
                            pause, lost = FIRST_PAUSE, False
                            if one.id:
                                cursor = one.id
                            if one.data:
                                yield Fact(cursor, one.event, one.json())
            except (httpx.HTTPError, SSEError) as error:
                if not lost:
                    tell(f"No connection to {connection.url} ({type(error).__name__}); trying again")
                lost = True
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)


def _why(response: httpx.Response) -> str:
    problem = response.json()
    faults = "".join(f"\n  {fault['pointer']}: {fault['message']}" for fault in problem.get("faults", []))
    resume = f" Go on with --since {problem['resume']}" if "resume" in problem else ""
    return f"{problem.get('title')}. {problem.get('detail')}{resume}{faults}"


@dataclass(slots=True)
class Row:
    """What is known of one referral."""

    at: str
    acuity: str = ""
    outcome: str = ""
    where: str = ""
    when: str = ""
    told: str = ""


class Board:
    """A row for each referral, the one that was last heard of at the end; the oldest leave."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._facts = 0
        self._cursor = ""
        self.rows: dict[str, Row] = {}

    def take(self, fact: Fact) -> None:
        """Bring the referral's row up to date."""
        self._facts += 1
        self._cursor = fact.cursor
        row = self.rows.pop(fact.referral, None) or Row(fact.told_at)
        data = fact.event["data"]
        row.at = fact.told_at
        if acuity := data.get("brief", data.get("standing") or {}).get("acuity"):
            row.acuity = acuity.replace("_", " ")
        if fact.type == "notification.sent":
            row.told = ", ".join(filter(None, [row.told, f"{data['audience']} by {data['channel']}"]))
        elif (cells := cells_of(fact)) is not None:
            row.outcome, row.where, row.when = cells
        else:
            row.outcome = row.outcome or fact.type
        self.rows[fact.referral] = row
        if len(self.rows) > self._most:
            del self.rows[next(iter(self.rows))]

    def table(self) -> Table:
        """The rows as they stand."""
        said = f"{self._facts} facts, up to {self._cursor}" if self._facts else "nothing yet"
        table = Table(caption=f"{said}; Ctrl-C ends", expand=True, highlight=False)
        for name in ("at", "referral", "acuity", "outcome", "where", "when", "told"):
            table.add_column(name, overflow="fold" if name in ("where", "told") else "ellipsis")
        for referral, row in self.rows.items():
            said_of = (row.at, referral, row.acuity, row.outcome, row.where, row.when, row.told)
            table.add_row(*map(escape, said_of))
        return table


Shape = Literal["table", "lines", "json"]


async def show(facts: AsyncGenerator[Fact, None], shape: Shape, most: int | None = None) -> None:
    """Show facts until there are no more, or so many were shown."""
    board = Board(max(5, out.height - 6))
    live = Live(board.table(), console=out, auto_refresh=False) if shape == "table" else None
    shown = 0
    async with aclosing(facts):
        with live or nullcontext():
            async for fact in facts:
                if live:
                    board.take(fact)
                    live.update(board.table(), refresh=True)
                elif shape == "json":
                    print_line({"cursor": fact.cursor, "type": fact.type, "event": fact.event})
                else:
                    print(line_of(fact), flush=True)
                shown += 1
                if shown == most:
                    return


def watch(
    type: Annotated[
        list[str] | None,
        typer.Option(help="Which types of fact; outcomes, messages and what became of each referral if none."),
    ] = None,
    service: Annotated[str | None, typer.Option(help="Only facts of referrals placed with this service.")] = None,
    referral: Annotated[UUID | None, typer.Option(help="Only facts of this referral.")] = None,
    since: Annotated[str, typer.Option(help="A cursor to go on from, or now.")] = "now",
    count: Annotated[int | None, typer.Option(min=1, help="End after so many facts.")] = None,
    shape: Annotated[
        Shape | None, typer.Option("--as", help="A table at a terminal, otherwise lines, if not given.")
    ] = None,
    organisation: Organisation = TRUST,
    url: Url = "",
    token: Token = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Show facts of referrals as they happen, until it is interrupted. Survives a restart of the server.

    --json is --as json: a fact a line, each with the cursor to go on from.
    """
    connection = connect(folder, url, token, organisation=organisation, role="clinical-hub", practitioner="watch")
    filters = Filters(type or SHOWN, service, referral)
    usual: Shape = "table" if sys.stdout.isatty() else "lines"
    with suppress(KeyboardInterrupt):
        asyncio.run(
            show(follow(connection, filters, since=since, tell=say), "json" if as_json else shape or usual, count)
        )
