"""Settings of a process, read once and handed down. Nothing else reads the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """What every hosted service needs to know of its surroundings."""

    model_config = ConfigDict(frozen=True)

    kafka_bootstrap_servers: str
    database_url: str
    keys_file: Path
    """Public keys of callers: a JSON Web Key Set."""
    topic_prefix: str = ""
    """Stands before every topic and group name, so that several systems can share a broker."""
    replica: str = ""
    """A stable name of this process alone: the next of that name takes over at once (docs/decisions)."""
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    pool_size: int = 4
    """Connections each service may hold to PostgreSQL."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Settings from the environment. Missing ones are named, all at once."""
        names = {
            "kafka_bootstrap_servers": "KAFKA_BOOTSTRAP_SERVERS",
            "database_url": "DATABASE_URL",
            "keys_file": "ONWARD_KEYS_FILE",
            "topic_prefix": "ONWARD_TOPIC_PREFIX",
            "replica": "ONWARD_REPLICA",
            "http_host": "ONWARD_HTTP_HOST",
            "http_port": "ONWARD_HTTP_PORT",
            "pool_size": "ONWARD_POOL_SIZE",
        }
        required = [name for field, name in names.items() if cls.model_fields[field].is_required()]
        missing = [name for name in required if not environ.get(name)]
        if missing:
            raise SettingsMissing(missing)
        return cls.model_validate({field: environ[name] for field, name in names.items() if environ.get(name)})


class SettingsMissing(Exception):
    """Settings are missing from the environment."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"set {', '.join(names)} in the environment; `onward up` prints those of a local system")
