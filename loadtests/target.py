"""The system under load: one of the run's own, one that runs on this machine, or anybody's deployment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from contracts.people import Desk
from services.backing import instance
from services.chassis.identity import sign
from services.chassis.kafka import Kafka
from services.cli.connection import TRUST
from services.cli.local import LocalSystem

Sign = Callable[[str, str, str], str]
"""A token for an organisation, a practitioner and a role."""


@dataclass(frozen=True)
class Target:
    """Where a system answers, and as whom it is spoken to."""

    url: str
    kafka: Kafka
    """As the administrator: who accounts for a run reads everything."""
    database_url: str
    sign: Sign
    organisation: str = TRUST
    """For whom is referred. It must have a desk in the directory."""
    prefix: str = ""
    processes: Mapping[str, int] = field(default_factory=dict)
    """Processes on this machine whose CPU and memory are sampled, with their children, by name."""
    metrics: Sequence[str] = ()
    """Addresses of processes elsewhere, whose own metrics say what they use."""

    @classmethod
    def local(cls, system: LocalSystem) -> Self:
        """A system that runs on this machine."""
        servers = instance.status(system.folder)
        processes = {worker.name: worker.child.pid for worker in system.workers}
        if servers.kafka is not None:
            processes["kafka"] = servers.kafka.child.pid
        if servers.postgres is not None:
            processes["postgres"] = servers.postgres.child.pid
        return cls(system.base_url, system.kafka, system.database_url, system.token, processes=processes)

    @property
    def desk(self) -> Desk:
        """Who owns what is told in the gateway's place."""
        return Desk(organisation=self.organisation, name="Clinical hub", telephone="01632 960000")

    def headers(self, role: str = "paramedic") -> dict[str, str]:
        """The headers that say who calls, for as long as a token lives."""
        return {"Authorization": f"Bearer {self.sign(self.organisation, 'load', role)}"}


def signing(key: Path) -> Sign:
    """Tokens signed with a private key that the system knows the public one of."""
    return lambda organisation, practitioner, role: sign(
        key, organisation=organisation, practitioner=practitioner, role=role, now=datetime.now(UTC)
    )
