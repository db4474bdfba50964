"""PostgreSQL, one schema and one role for each service."""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import asyncpg
import psycopg
import yoyo
from psycopg import errors, sql

from services.chassis import traces
from services.chassis.asyncpg_patches import tell_arrays_by_their_types
from services.chassis.passwords import password_of
from services.chassis.settings import Settings

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
"""A connection as the pool lends it."""

SILENT_MS = 5_000
"""How long a session may say nothing amid a transaction before PostgreSQL ends it.

Below the session time-out of Kafka's groups: a process that froze has lost its locks before others get its partitions.
"""

MOST_HELD = 4
"""How many works a service may have that one replica does alone, each on a connection that it keeps."""

_HERE = Path(__file__).parent / "migrations"
OUTBOX = _HERE / "outbox"
AUDIT = _HERE / "audit"
"""Folders of numbered SQL for tables that several services keep in their own schemas."""

_MIGRATING = 0x0A11A4D
"""Advisory lock: one migration at a time in a database, however many replicas start."""


class Database:
    """One service's schema: its migrations, and a small pool that sees nothing else."""

    def __init__(self, settings: Settings, schema: str, *migrations: Path) -> None:
        tell_arrays_by_their_types()
        self._url = settings.database_url
        self._size = settings.pool_size
        self.schema = schema
        self.role = f"onward_{schema}"
        self._migrations = migrations
        self._passwords = settings.database_passwords
        self.pool: asyncpg.Pool[asyncpg.Record]
        self._held: asyncpg.Pool[asyncpg.Record]
        """For what is done alone and for ever, so that no request and no batch ever waits for such a connection."""

    def migrate(self) -> None:
        """Make the role, the schema, and every table that is missing. Blocks; safe from many processes at once.

        The role reaches this schema alone. Raises PasswordMissing.
        """
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(%s)", [_MIGRATING])
            role, schema = sql.Identifier(self.role), sql.Identifier(self.schema)
            if not connection.execute("select 1 from pg_roles where rolname = %s", [self.role]).fetchone():
                # Roles belong to the server and locks to a database: another system's migration may be making it.
                with contextlib.suppress(errors.DuplicateObject, errors.UniqueViolation), connection.transaction():
                    connection.execute(sql.SQL("create role {}").format(role))
                    connection.execute(sql.SQL("grant {} to current_user").format(role))
            connection.execute(sql.SQL("create schema if not exists {} authorization {}").format(schema, role))
            # PostgreSQL before 15 lets everyone.
            connection.execute("revoke create on schema public from public")
            if self._passwords is not None:
                # What travels and is stored is the verifier, made here: the password itself reaches no log.
                verifier = connection.pgconn.encrypt_password(
                    password_of(self._passwords, self.role).encode(), self.role.encode(), b"scram-sha-256"
                )
                connection.execute(sql.SQL("alter role {} login password {}").format(role, verifier.decode()))
            self._apply()

    def _apply(self) -> None:
        migrations = yoyo.read_migrations(*map(str, self._migrations))
        separator = "&" if "?" in self._url else "?"
        options = quote(f"-c role={self.role} -c search_path={self.schema}")
        address = self._url.replace("postgresql://", "postgresql+psycopg://", 1)
        backend = yoyo.get_backend(f"{address}{separator}options={options}")
        try:
            backend.apply_migrations(backend.to_apply(migrations))
        finally:
            backend.connection.close()

    async def start(self) -> None:
        """Open the pool: as the service's role, or, without passwords, as one that takes it on.

        Raises NotMigrated, NotLetIn, PasswordMissing, and asyncpg's errors while PostgreSQL is away.
        """
        who: dict[str, Any] = {}
        if self._passwords is not None:
            who = {"user": self.role, "password": password_of(self._passwords, self.role)}
        try:
            self.pool = await self._open(1, self._size, **who)
            self._held = await self._open(0, MOST_HELD, **who)
        except asyncpg.InvalidParameterValueError as error:  # the role does not exist
            raise NotMigrated(self.schema) from error
        except asyncpg.InvalidPasswordError as error:
            raise NotLetIn(self.role) from error

    def _open(self, least: int, most: int, **who: Any) -> "asyncpg.Pool[asyncpg.Record]":
        return asyncpg.create_pool(
            self._url,
            **who,
            min_size=least,
            max_size=most,
            command_timeout=30,
            init=self._trace if traces.of(self.schema) is not None else None,
            # asyncpg's own asks the server at each release; here nothing outlives its `async with`.
            reset=_nothing_to_reset,
            server_settings={
                "role": self.role,
                "search_path": self.schema,
                "application_name": f"onward-{self.schema}",
                "idle_in_transaction_session_timeout": str(SILENT_MS),
                "jit": "off",
                # A generic plan made while a table was empty is ten times slower, and stays.
                "plan_cache_mode": "force_custom_plan",
            },
        )

    async def _trace(self, connection: Any) -> None:
        tracer = traces.of(self.schema)
        if tracer is not None:
            connection.add_query_logger(traces.Statements(tracer, self.schema))

    async def stop(self) -> None:
        """Close the pools: waits for the connections in use, unless it is cancelled."""
        pools: list[Any] = [getattr(self, name, None) for name in ("_held", "pool")]
        for pool in pools:
            if pool is not None:
                pool.terminate() if pool.is_closing() else await pool.close()

    @property
    def use(self) -> tuple[int, int, int]:
        """Connections in use, open, and allowed."""
        pool: Any = getattr(self, "pool", None)
        open_ones = pool.get_size() if pool is not None else 0
        return open_ones - (pool.get_idle_size() if pool is not None else 0), open_ones, self._size

    @asynccontextmanager
    async def alone(self, work: str) -> AsyncIterator["Connection | None"]:
        """A connection whose holder alone, of all replicas, does this work; none while another does.

        By an advisory lock, which ends with the connection: a killed replica leaves nothing to expire. It is none of
        the pool's, which `ONWARD_POOL_SIZE` counts.
        """
        digest = hashlib.sha256(f"{self.schema}/{work}".encode()).digest()
        lock = int.from_bytes(digest[:8], "big", signed=True)
        async with self._held.acquire() as connection:
            alone = await connection.fetchval("select pg_try_advisory_lock($1)", lock)
            try:
                yield connection if alone else None
            finally:
                if alone:
                    with contextlib.suppress(asyncpg.InterfaceError, asyncpg.PostgresConnectionError):  # it is freed
                        await connection.execute("select pg_advisory_unlock($1)", lock)


async def _nothing_to_reset(_connection: Any) -> None:
    """Transactions, locks and cursors end with the block that began them."""


class NotMigrated(Exception):
    """A service's schema and role have not been made."""

    def __init__(self, schema: str) -> None:
        super().__init__(f"the schema {schema} has not been made: run `onward migrate`")


class NotLetIn(Exception):
    """A service's role has another password, or has not been made."""

    def __init__(self, role: str) -> None:
        super().__init__(f"PostgreSQL does not let {role} in with its password: run `onward migrate` with the same one")
