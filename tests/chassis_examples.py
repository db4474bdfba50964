"""Events, records and settings for tests of the chassis: small, operational facts, without a patient."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from contracts.directory import CapacityReported, CapacityReportedData, DeskListed, DeskListedData
from contracts.people import Desk
from services.chassis.settings import Settings

NOW = datetime(2025, 3, 4, 3, 0, tzinfo=UTC)


def settings(kafka: str = "127.0.0.1:1", database: str = "postgresql://nowhere/none", prefix: str = "") -> Settings:
    """Settings of a service under test."""
    return Settings(
        kafka_bootstrap_servers=kafka, database_url=database, keys_file=Path("none.json"), topic_prefix=prefix
    )


def desk(key: str = "RX1", version: int = 1, *, id: uuid.UUID | None = None, name: str = "Clinical hub") -> DeskListed:
    """A desk is listed under this key."""
    return DeskListed.first(
        DeskListedData(version=version, desk=Desk(organisation="RX1", name=name, telephone="01632 960001")),
        id=id or uuid.uuid4(),
        source="onward/test",
        subject=key,
        time=NOW,
    )


def effect(cause: DeskListed) -> CapacityReported:
    """What a handler under test tells of a desk: the same version, under an id made of the cause's."""
    return CapacityReported.effect_of(
        cause,
        CapacityReportedData(
            version=cause.data.version, service_id="S-1", capacity="green", reported_by="RX1", reported_at=NOW
        ),
        source="onward/test",
        time=NOW,
    )


async def tell_effects(events: Sequence[DeskListed]) -> list[CapacityReported]:
    """A handler that tells one effect of each desk."""
    return [effect(event) for event in events]


async def until(fact: Callable[[], object], *, within: float = 20.0) -> None:
    """Wait until something is so. Fails when it is not, `within` seconds."""
    deadline = time.monotonic() + within
    while not fact():
        assert time.monotonic() < deadline, f"not so after {within:.0f} s"
        await asyncio.sleep(0.01)
