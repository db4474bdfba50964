"""The commands of `onward`, each a thin call."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from services.backing.child import SECRETS
from services.chassis import log
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.cli import (
    act,
    attaching,
    capacity,
    crew,
    dead_letters,
    directory,
    load,
    local,
    pathways,
    places,
    receiver,
    refer,
    referral,
    restored,
    rules,
    watching,
)
from services.cli.connection import AsJson, Folder
from services.cli.speaking import out, print_json, say

DEMO_PORT = 8180

app = typer.Typer(
    name="onward",
    help="Refer a patient, find the pathway and book, in one transaction. Not a certified medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Port = Annotated[int, typer.Option(help="The port of all routes; the next free one if it is taken.")]


@app.command()
def up(folder: Folder = local.DEFAULT_FOLDER, port: Port = local.DEFAULT_PORT, as_json: AsJson = False) -> None:
    """Start Kafka, PostgreSQL and every service here, and leave them running."""
    system = local.start(folder, say=say, port=port)
    described = {
        "url": system.base_url,
        "documentation": f"{system.base_url}/docs",
        "kafka": system.kafka.bootstrap_servers,
        "database": system.database_url,
        "keys_file": str(system.keys_file),
        "signing_key": str(system.signing_key),
        "passwords": str(system.folder / SECRETS),
        "logs": str(system.folder / "log"),
    }
    if as_json:
        print_json(described)
        return
    for name, value in described.items():
        out.print(f"{name:>14}  {value}", markup=False)
    out.print("\nNext: onward directory load deploy/directory/*.toml, then onward device. onward down stops it.")


@app.command()
def down(
    folder: Folder = local.DEFAULT_FOLDER,
    purge: Annotated[bool, typer.Option(help="Delete its data too.")] = False,
) -> None:
    """Stop what `onward up` started."""
    local.stop(folder, say=say, purge=purge)
    say("Stopped" + (", data deleted" if purge else "; its data stays"))


@app.command()
def status(folder: Folder = local.DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """What runs here, whether it is ready or why not, and what waits. Exit code 1 when something is not ready."""
    from services.cli.status import backlog_in, scraped

    system = local.find(folder)
    workers = {worker.name: local.readiness(worker) for worker in system.workers}
    ready = all(answer is not None and answer["status"] == "ready" for answer in workers.values())
    whole = len(workers) == len(local.WORKERS)
    backlog = backlog_in(scraped(worker.url) for worker in system.workers)
    if as_json:
        described = {"ready": ready and whole, "url": system.base_url, "workers": workers}
        print_json({**described, "backlog": backlog.described()})
    else:
        out.print(f"{system.base_url}   {'ready' if ready and whole else 'NOT READY'}")
        for worker in local.WORKERS:
            answer = workers.get(worker.name)
            if answer is None:
                out.print(f"  {worker.name}: does not {'answer' if worker.name in workers else 'run'}")
                continue
            for name, reasons in answer["services"].items():
                out.print(f"  {worker.name:8} {name:14} {'; '.join(reasons) or 'ready'}", markup=False)
        for table in backlog.tables():
            out.print()
            out.print(table)
    if not (ready and whole):
        raise typer.Exit(1)


@app.command()
def check(
    since: Annotated[
        float | None,
        typer.Option(min=0, help="Only facts of the last so many hours; all that the log has if not given."),
    ] = None,
    database: Annotated[
        str, typer.Option(envvar="DATABASE_URL", help="PostgreSQL; of the local system if not given.")
    ] = "",
    prefix: Annotated[str, typer.Option(envvar="ONWARD_TOPIC_PREFIX", help="Stands before every topic's name.")] = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Whether what must always be true is: nothing lost, nothing held twice, everyone told. Changes nothing.

    Safe on a system at work: what is still under way is not asked for. Exit code 1 when something is broken.
    """
    from services.cli.checking import described, lines_of
    from services.invariants.check import check as check_invariants

    kafka = Kafka.read(os.environ)
    if not (kafka and database):
        system = local.find(folder)
        kafka, database = system.kafka, system.database_url
    begin = None if since is None else datetime.now(UTC) - timedelta(hours=since)
    checked = asyncio.run(check_invariants(kafka, database, prefix=prefix, since=begin))
    if as_json:
        print_json(described(checked))
    else:
        print("\n".join(lines_of(checked)))
    if not checked.holds:
        raise typer.Exit(1)


@app.command()
def serve(
    services: Annotated[list[str] | None, typer.Argument(help="Which services; all of them if none is named.")] = None,
    answering: Annotated[
        list[str] | None, typer.Option(help="Services that only answer their routes here; another process works.")
    ] = None,
) -> None:
    """Host services in this process, by the settings in the environment, until it is told to stop."""
    from services.composition import SERVICES
    from services.composition import serve as host

    log.configure(style="text" if sys.stderr.isatty() else "json")
    names = services or [name for name in SERVICES if name not in (answering or ())]
    uvloop.run(host(names, Settings.read(os.environ), os.environ, answering=answering or ()))


@app.command()
def migrate() -> None:
    """Make every service's role, schema and tables in the database that the environment names."""
    from services.composition import migrate as make_tables

    make_tables(Settings.read(os.environ), os.environ)
    say("Every schema is as the code wants it")


@app.command()
def passwords(
    folder: Annotated[Path, typer.Argument(help="Where they are kept, each in a file of its own.")],
    prefix: Annotated[str, typer.Option(envvar="ONWARD_TOPIC_PREFIX", help="Stands before every user of Kafka.")] = "",
) -> None:
    """Make the passwords that are missing: of each service for Kafka and PostgreSQL, and of the administrators."""
    from services.chassis.passwords import make_password
    from services.composition import make_passwords

    settings = Settings(
        kafka=Kafka("", passwords=folder / "kafka"),
        database_url="",
        database_passwords=folder / "database",
        topic_prefix=prefix,
    )
    make_passwords(settings, os.environ)
    make_password(folder, "postgres")
    say(f"Every service has its passwords in {folder}")


@app.command()
def demo(
    count: Annotated[int, typer.Option(min=1, max=2000, help="How many referrals.")] = 48,
    port: Port = DEMO_PORT,
    as_json: AsJson = False,
) -> None:
    """Run a crew's shift on a system of its own: each answer, what follows downstream, a summary.

    Exit code 0 only when every answer is as expected and all is accounted for.
    """
    from services.cli import demo as shift

    summary = shift.run(count, tell=say if as_json else print, port=port)
    if as_json:
        print_json(shift.described(summary))
    else:
        print("\n" + "\n".join(shift.lines(summary)))
    if not summary.agrees:
        raise typer.Exit(1)


app.command()(crew.device)
app.command()(watching.watch)
app.command()(refer.refer)
app.command()(act.act)
app.command()(referral.referral)
app.command()(receiver.receiver)
app.command()(restored.restored)


@app.command()
def triage(
    file: Annotated[str, typer.Argument(help="A submission as JSON; - for standard input.")] = "-",
    as_json: AsJson = False,
) -> None:
    """What triage would decide of a submission, and by which rules. Refers nobody, stores nothing."""
    from services.cli.deciding import decide, lines_of

    text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    decided = decide(text, os.environ, at=datetime.now(UTC))
    if as_json:
        print_json(decided.model_dump(mode="json"))
    else:
        print("\n".join(lines_of(decided)))


app.add_typer(directory.app, name="directory")
app.add_typer(places.app, name="places")
app.add_typer(capacity.app, name="capacity")
app.add_typer(pathways.app, name="pathways")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(attaching.app, name="documents")
app.add_typer(rules.app, name="rules")
app.add_typer(load.app, name="load")

topics_app = typer.Typer(help="Topics, as declared in deploy/topics.yaml.", no_args_is_help=True)
app.add_typer(topics_app, name="topics")

Prefix = Annotated[str, typer.Option(envvar="ONWARD_TOPIC_PREFIX", help="Stands before every topic's name.")]


@topics_app.command("plan")
def topics_plan(folder: Folder = local.DEFAULT_FOLDER, prefix: Prefix = "", as_json: AsJson = False) -> None:
    """What `apply` would make or mend. Exit code 1 when there is something."""
    if _topics(folder, prefix, change=False, as_json=as_json):
        raise typer.Exit(1)


@topics_app.command("apply")
def topics_apply(folder: Folder = local.DEFAULT_FOLDER, prefix: Prefix = "", as_json: AsJson = False) -> None:
    """Make topics, users and rules for access as declared, and take back what is not; return once all of it holds."""
    _topics(folder, prefix, change=True, as_json=as_json)


def _topics(folder: Path, prefix: str, *, change: bool, as_json: bool) -> bool:
    """Plan or apply, and say what differed; true when something did."""
    from services.cli.topics import compare, described, lines_of

    kafka = Kafka.read(os.environ) or local.find(folder).kafka
    compared = asyncio.run(compare(kafka, prefix, change=change))
    if as_json:
        print_json(described(compared, changed=change))
    else:
        print("\n".join(lines_of(compared, changed=change)))
    return not compared.holds
