"""`onward load`: putting a system under load, honestly. Needs the extra `load`: pip install 'onward[load]'."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop
from rich.table import Table

from services.chassis.kafka import Kafka
from services.cli import local
from services.cli.connection import TRUST, AsJson
from services.cli.speaking import Refused, err, out, print_json, say

if TYPE_CHECKING:
    from loadtests.run import Asked, Run
    from loadtests.scenario import Scenario
    from loadtests.target import Target

app = typer.Typer(help="Put a system under load, account for all of it, and report.", no_args_is_help=True)

Runs = Annotated[list[Path], typer.Argument(help="Folders of runs, or their latencies.hlog.")]
RESULTS = Path("build") / "load"


@contextlib.contextmanager
def _with_the_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("aiohttp", "hdrh"):
            raise
        raise Refused("putting a system under load needs more packages: pip install 'onward[load]'") from None


@app.command("list")
def load_list(as_json: AsJson = False) -> None:
    """The scenarios that come with Onward."""
    with _with_the_extra():
        from loadtests.scenario import read, shipped
    found = {file.stem: read(file) for file in shipped()}
    if as_json:
        print_json({name: one.model_dump(mode="json", exclude_none=True) for name, one in found.items()})
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, one in found.items():
        table.add_row(name, " ".join(one.shows.split()))
    out.print(table)


@app.command("run")
def load_run(
    scenario: Annotated[str, typer.Argument(help="A scenario by name (onward load list), or a TOML file.")],
    into: Annotated[Path | None, typer.Option(help="The folder of the result; a new one in build/load.")] = None,
    shorten: Annotated[float, typer.Option(min=1, help="So much shorter, at the same rates.")] = 1.0,
    faster: Annotated[float, typer.Option(min=0.01, help="The same requests in so much less time.")] = 1.0,
    times: Annotated[float, typer.Option(min=0.001, help="So many times the rates, for the same time.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Other arrivals and patients than the scenario's.")] = None,
    capacity: Annotated[
        float | None, typer.Option(min=1, help="Transactions a second that the system does, if known.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="A system that runs on this machine, by its folder; else one of the run's own.")
    ] = None,
    url: Annotated[
        str, typer.Option(envvar="ONWARD_URL", help="A deployment, with KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL.")
    ] = "",
    token: Annotated[str, typer.Option(envvar="ONWARD_TOKEN", help="Who refers to that deployment.")] = "",
    signing_key: Annotated[Path | None, typer.Option(help="Or the private key that signs such tokens.")] = None,
    organisation: Annotated[str, typer.Option(help="For whom is referred: it must have a desk there.")] = TRUST,
    database: Annotated[str, typer.Option(envvar="DATABASE_URL", help="The deployment's PostgreSQL.")] = "",
    prefix: Annotated[str, typer.Option(envvar="ONWARD_TOPIC_PREFIX", help="Stands before every topic's name.")] = "",
    metrics: Annotated[
        list[str] | None, typer.Option(help="Addresses of processes whose /metrics say what they use.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a scenario, and hold the system to the sender's journal. Everyone in it is made up.

    Against a system of its own on this machine, one that runs here (--folder), or a deployment (--url): never one that
    cares for patients. Ctrl-C stops the sending, and what was sent is accounted for. Exit code 1 when it does not add
    up, however fast it was.
    """
    with _with_the_extra():
        from loadtests.run import Asked
        from loadtests.scenario import file_of, read

    written = read(file_of(scenario))
    asked = Asked(shorten, faster, times, seed, capacity)
    own = not url and folder is None
    target = _target(written, folder, url, token, signing_key, organisation, database, prefix, metrics or [])
    try:
        result = uvloop.run(_under_load(written, asked, target, _folder(into, scenario)))
    finally:
        if own:
            from loadtests import system

            system.stop()
    if as_json:
        print_json(result)
    else:
        out.print(result["verdict"], markup=False, style="bold green" if result["adds_up"] else "bold red")
        out.print(f"report  {result['folder']}/report.html", markup=False)
    if not result["adds_up"]:
        raise typer.Exit(1)


def _target(
    written: "Scenario",
    folder: Path | None,
    url: str,
    token: str,
    signing_key: Path | None,
    organisation: str,
    database: str,
    prefix: str,
    metrics: list[str],
) -> "Target":
    from loadtests import system
    from loadtests.target import Target, signing

    if url:
        kafka = Kafka.read(os.environ)
        if kafka is None or not database:
            raise Refused("a run is accounted for: set KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL of the deployment")
        if bool(token) == (signing_key is not None):
            raise Refused("say who refers: either --token, or --signing-key")
        sign = signing(signing_key) if signing_key is not None else lambda *_: token
        return Target(
            url.rstrip("/"),
            kafka.administrator,
            database,
            sign,
            organisation=organisation,
            prefix=prefix,
            metrics=[one.rstrip("/") for one in metrics],
        )
    if folder is not None:
        return Target.local(local.find(folder))
    wanted = written.directory
    return Target.local(
        system.start(services=wanted.services, room=wanted.room, horizon_days=wanted.horizon_days, say=say)
    )


def _folder(into: Path | None, scenario: str) -> Path:
    folder = into or RESULTS / f"{Path(scenario).stem}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def _under_load(written: "Scenario", asked: "Asked", target: "Target", into: Path) -> dict[str, Any]:
    from loadtests import live, results
    from loadtests.journal import Journal
    from loadtests.run import Run, run

    under_way = Run(written, asked, target, into, Journal.begin(into / results.JOURNAL))
    watching = asyncio.create_task(live.watch(under_way, err))
    running = asyncio.create_task(run(under_way))
    _stop_on_interrupt(under_way, running)
    try:
        await running
    except asyncio.CancelledError:
        raise Refused(f"left unaccounted for; what was sent is in {into / results.JOURNAL}") from None
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return {"folder": str(into), **results.keep(under_way)}


def _stop_on_interrupt(under_way: "Run", running: "asyncio.Task[Run]") -> None:
    """The first Ctrl-C stops the sending; the second leaves at once."""

    def interrupted() -> None:
        if under_way.stopped:
            running.cancel()
        under_way.stop()

    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted)


@app.command("merge")
def load_merge(
    runs: Runs,
    into: Annotated[Path, typer.Option("--out", help="The log to write.")],
    as_json: AsJson = False,
) -> None:
    """Put the latencies of several runs, or of several senders of one run, into one log."""
    with _with_the_extra():
        from loadtests.results import merge
    figures = merge(into, runs)
    if as_json:
        print_json(figures)
        return
    table = Table("", "count", "p50 ms", "p99 ms", "longest ms", box=None)
    for tag, found in figures.items():
        table.add_row(
            tag, f"{found['count']:,}", *(f"{found[name]:,.2f}" for name in ("p50_ms", "p99_ms", "longest_ms"))
        )
    out.print(table)


@app.command("compare")
def load_compare(
    one: Annotated[Path, typer.Argument(help="The folder of a run, or its latencies.hlog.")],
    other: Annotated[Path, typer.Argument(help="Another's.")],
    as_json: AsJson = False,
) -> None:
    """How another run's latencies and costs differ from one's."""
    with _with_the_extra():
        from loadtests.results import compare
    rows = list(compare(one, other))
    if as_json:
        names = ("tag", "figure", "one", "other", "more_percent")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    table = Table("", "", "one", "other", "more", box=None)
    for tag, figure, before, after, more in rows:
        table.add_row(tag, figure, f"{before:,.2f}", f"{after:,.2f}", f"{more:+.0f} %")
    out.print(table)
