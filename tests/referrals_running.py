"""The database of referrals, for tests that ask it without Kafka."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.chassis.database import Database
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.referrals.service import MIGRATIONS


@asynccontextmanager
async def referrals_database(address: str) -> AsyncIterator[Database]:
    """The service's database, migrated and empty, with a connection for each of a dozen at once."""
    settings = Settings(kafka=Kafka(""), database_url=address, keys_file=Path("none"), pool_size=12)
    own = Database(settings, "referrals", *MIGRATIONS)
    own.migrate()
    await own.start()
    try:
        yield own
    finally:
        await own.stop()
