"""Where Kafka and PostgreSQL come from, read once from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_cache_path

from services.chassis.kafka import Kafka


@dataclass(frozen=True)
class Settings:
    """The addresses of servers that are given, and the folder for what is downloaded once.

    A server without an address is embedded.
    """

    kafka: Kafka | None = None
    database_url: str | None = None
    cache: Path = field(default_factory=lambda: user_cache_path("onward", appauthor=False))

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read `KAFKA_BOOTSTRAP_SERVERS` and `DATABASE_URL`; an empty value counts as not given."""
        return cls(kafka=Kafka.read(environ), database_url=environ.get("DATABASE_URL") or None)
