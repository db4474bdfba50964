"""What is shown while a run goes on."""

import asyncio
import time

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadtests.histograms import milliseconds, recorded
from loadtests.run import Run

EVERY_SECONDS = 0.5
SAID_EVERY_SECONDS = 5.0
"""Where nobody looks at a terminal, a line so often."""

OF_LATE_SECONDS = 5.0
LOOKED_AT = 10_000
"""So many of the latest requests: to look at all of them would take from the machine that is measured."""


def shown(run: Run, now: float) -> Group:
    """The run as it stands."""
    table = Table("stream", "offered", "answered", "refused", "failed", "under way", "p50 ms", "p99 ms", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    of_late = [one for one in run.journal.entries[-LOOKED_AT:] if one.ended > now - OF_LATE_SECONDS]
    for name, fates in run.journal.fates.items():
        late = recorded(one.latency for one in of_late if one.stream == name and one.fate in ("answered", "taken"))
        some = late.get_total_count() > 0
        table.add_row(
            name,
            f"{fates.total():,}",
            f"{fates['answered'] + fates['taken']:,}",
            f"{fates['refused']:,}",
            f"{fates['failed']:,}",
            f"{fates['under_way']:,}",
            f"{milliseconds(late, 50):,.1f}" if some else "",
            f"{milliseconds(late, 99):,.1f}" if some else "",
        )
    return Group(Text(headline(run, now)), table)


def headline(run: Run, now: float) -> str:
    """One line: what goes on, how far it is, and what waits."""
    parts = [f"{run.scenario.title}: {run.phase}"]
    if run.began and run.phase == "sending":
        parts.append(f"{max(0.0, now - run.began):.0f} of {run.seconds:.0f} s")
    if run.samples:
        parts.append(f"{sum(run.samples[-1].lag.values()):,} records behind")
    if run.stopped:
        parts.append("stopping: what was sent is accounted for; again to leave it")
    return ", ".join(parts)


async def watch(run: Run, console: Console) -> None:
    """Show the run until it is cancelled: a table where there is a terminal, else a line now and then."""
    if not console.is_terminal:
        while True:
            console.print(headline(run, time.time()), markup=False)
            await asyncio.sleep(SAID_EVERY_SECONDS)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(shown(run, time.time()), refresh=True)
            await asyncio.sleep(EVERY_SECONDS)
