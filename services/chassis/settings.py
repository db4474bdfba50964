"""Settings of a process, read once and handed down. Nothing else reads the environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from services.chassis.kafka import Kafka


class Settings(BaseModel):
    """What every hosted service needs to know of its surroundings."""

    model_config = ConfigDict(frozen=True)

    kafka: Kafka
    database_url: str
    database_passwords: Path | None = None
    """A folder with the password of each service's role; without it the user of the address takes on the role."""
    keys_file: Path | None = None
    """Public keys of callers: a JSON Web Key Set."""
    keys_url: str = ""
    """The address of one, which may change them; it goes before the file."""
    topic_prefix: str = ""
    """Stands before every topic and group name, so that several systems can share a broker."""
    replica: str = ""
    """A stable name of this process alone: the next of that name takes over at once (docs/decisions)."""
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    gives_way: bool = False
    """It shares its cores with services whose work is waited for: what nobody waits for stands back in a rush."""
    pool_size: int = 4
    """Connections each service may hold to PostgreSQL."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Settings from the environment. Missing ones are named, all at once."""
        names = {
            "kafka": "KAFKA_BOOTSTRAP_SERVERS",
            "database_url": "DATABASE_URL",
            "database_passwords": "ONWARD_DATABASE_PASSWORDS",
            "keys_file": "ONWARD_KEYS_FILE",
            "keys_url": "ONWARD_KEYS_URL",
            "topic_prefix": "ONWARD_TOPIC_PREFIX",
            "replica": "ONWARD_REPLICA",
            "http_host": "ONWARD_HTTP_HOST",
            "http_port": "ONWARD_HTTP_PORT",
            "gives_way": "ONWARD_GIVES_WAY",
            "pool_size": "ONWARD_POOL_SIZE",
        }
        required = [name for field, name in names.items() if cls.model_fields[field].is_required()]
        missing = [name for name in required if not environ.get(name)]
        if not environ.get("ONWARD_KEYS_FILE") and not environ.get("ONWARD_KEYS_URL"):
            missing.append("ONWARD_KEYS_FILE (or ONWARD_KEYS_URL)")
        if missing:
            raise SettingsMissing(missing)
        given: dict[str, Any] = {field: environ[name] for field, name in names.items() if environ.get(name)}
        return cls.model_validate(given | {"kafka": Kafka.read(environ)})

    @property
    def environ(self) -> dict[str, str]:
        """What `read` reads, for a process that hosts services: of the surroundings that a system's processes share."""
        return {
            **self.kafka.services.environ,
            "DATABASE_URL": self.database_url,
            "ONWARD_DATABASE_PASSWORDS": str(self.database_passwords or ""),
            "ONWARD_KEYS_FILE": str(self.keys_file or ""),
            "ONWARD_KEYS_URL": self.keys_url,
            "ONWARD_TOPIC_PREFIX": self.topic_prefix,
        }

    def kafka_user(self, service: str) -> str:
        """As whom a service speaks to Kafka, where each speaks as itself."""
        return f"{self.topic_prefix}{service}"


class SettingsMissing(Exception):
    """Settings are missing from the environment."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"set {', '.join(names)} in the environment; `onward up` prints those of a local system")
