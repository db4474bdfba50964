"""The composition root: any set of services in one process, with their routes on one port."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence

import uvicorn

import services.booking.service
import services.gateway.service
import services.notification.service
import services.pathways.service
import services.referrals.service
import services.triage.service
from services.chassis import traces
from services.chassis.access import users
from services.chassis.collector import spare_the_collector
from services.chassis.database import Database
from services.chassis.http_protocol import BoundedHead
from services.chassis.http_server import Server
from services.chassis.identity import Verifier
from services.chassis.kafka import ADMINISTRATOR, Kafka
from services.chassis.keys import KeyAddress
from services.chassis.log import logger
from services.chassis.passwords import make_password
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.web import create_app

Build = Callable[[Settings, Mapping[str, str]], Service]

SERVICES: dict[str, Build] = {
    "gateway": services.gateway.service.build,
    "triage": services.triage.service.build,
    "pathways": services.pathways.service.build,
    "booking": services.booking.service.build,
    "notification": services.notification.service.build,
    "referrals": services.referrals.service.build,
}
"""Every service, by its name."""

HTTP_GRACE_SECONDS = 6
"""How long answers under way may take when the process stops: a little more than a submission waits by default."""


KEEP_ALIVE_SECONDS = 75
"""Longer than proxies keep an idle connection, so that the client's side closes first and no request meets a closing
one."""


class ServiceUnknown(Exception):
    """There is no service of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no service named {name}; there are {', '.join(SERVICES)}")


def build(names: Sequence[str], settings: Settings, environ: Mapping[str, str]) -> list[Service]:
    """Build services by name. Raises ServiceUnknown."""
    for name in names:
        if name not in SERVICES:
            raise ServiceUnknown(name)
    return [SERVICES[name](settings, environ) for name in names]


def databases(settings: Settings, environ: Mapping[str, str], names: Sequence[str] = tuple(SERVICES)) -> list[Database]:
    """Every service's databases. Kafka is not spoken to for them, and no password of it is needed."""
    unspoken = settings.model_copy(update={"kafka": Kafka(settings.kafka.bootstrap_servers)})
    return [database for service in build(names, unspoken, environ) for database in service.databases]


def migrate(settings: Settings, environ: Mapping[str, str], names: Sequence[str] = tuple(SERVICES)) -> None:
    """Make every service's role, schema and tables. Safe to repeat, and from several processes at once."""
    for database in databases(settings, environ, names):
        database.migrate()


def make_passwords(settings: Settings, environ: Mapping[str, str]) -> None:
    """Make the passwords that are missing of every service, for Kafka and for PostgreSQL, where they are asked for."""
    if settings.kafka.passwords is not None:
        for user in (ADMINISTRATOR, *users(settings.topic_prefix)):
            make_password(settings.kafka.passwords, user)
    if settings.database_passwords is not None:
        for database in databases(settings, environ):
            make_password(settings.database_passwords, database.role)


async def serve(
    names: Sequence[str], settings: Settings, environ: Mapping[str, str], *, answering: Sequence[str] = ()
) -> None:
    """Host services in this process until SIGTERM or SIGINT; then finish what is under way.

    Those named in `answering` only answer their routes here: another process reads their topics. Live at once, ready
    when every service is.
    """
    traces.configure(environ)
    working = build(names, settings, environ)
    only_answering = build([name for name in answering if name not in names], settings, environ)
    everything = [*working, *only_answering]
    verifier, following = _verifier(settings)
    app = create_app(everything, verifier)
    server = Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            loop="none",
            http=BoundedHead,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=HTTP_GRACE_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
    )
    log = logger("process")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.ask_to_stop)
    serving = asyncio.create_task(server.serve())
    try:
        spare_the_collector()
        starting = asyncio.create_task(_start(working, only_answering))
        await asyncio.wait([starting, serving], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            starting.cancel()
        else:
            await starting
            spare_the_collector()  # what the services have read at their start stays too
            log.info("ready_to_serve", port=settings.http_port, part=",".join(names))
        await serving
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        if following is not None:
            following.cancel()
        await asyncio.gather(*(service.stop() for service in everything), return_exceptions=True)
        await asyncio.to_thread(traces.stop)
        log.info("stopped", port=settings.http_port)


def _verifier(settings: Settings) -> tuple[Verifier, asyncio.Task[None] | None]:
    """Who checks tokens; and what keeps its keys as their address has them. Raises KeysUnusable."""
    if settings.keys_url:
        verifier = Verifier()
        return verifier, asyncio.create_task(KeyAddress(settings.keys_url, verifier).follow())
    assert settings.keys_file is not None
    return Verifier.from_file(settings.keys_file), None


async def _start(working: Sequence[Service], only_answering: Sequence[Service]) -> None:
    await asyncio.gather(
        *(service.start() for service in working), *(service.start(reading=False) for service in only_answering)
    )
