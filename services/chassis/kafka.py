"""Kafka: where it answers, and as whom to speak to it."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLScram512

from services.chassis.passwords import password_of

ADMINISTRATOR = "administrator"
"""Who makes topics, users and rules; no rule binds this user."""


HANDSHAKE_SECONDS = 5.0


class NotTrusted(Exception):
    """A broker shows a certificate for which nobody vouches who is trusted, or that is for another name."""

    def __init__(self, address: str, error: ssl.SSLCertVerificationError) -> None:
        super().__init__(
            f"Kafka at {address} was told nothing, for its certificate does not hold ({error.verify_message}): "
            "ONWARD_KAFKA_CA_FILE must name who vouches for it, and KAFKA_BOOTSTRAP_SERVERS a name that stands in it"
        )


@dataclass(frozen=True)
class Kafka:
    """An address; and how to speak to it: as nobody, each service as itself, or everyone as one user."""

    bootstrap_servers: str
    passwords: Path | None = None
    """A folder with a file for each user (SASL/SCRAM-SHA-512); without it Kafka is told no user and no password."""
    user: str = ""
    """The one user, whoever speaks."""
    ca_file: Path | None = None
    """Certificates of those who vouch for the brokers; with it, and only then, what is said is encrypted (TLS)."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Kafka | None":
        """From the environment: `KAFKA_BOOTSTRAP_SERVERS`, without which there is none, and how to speak to it."""
        address = environ.get("KAFKA_BOOTSTRAP_SERVERS")
        if not address:
            return None
        passwords, ca_file = environ.get("ONWARD_KAFKA_PASSWORDS"), environ.get("ONWARD_KAFKA_CA_FILE")
        return cls(
            address,
            passwords=Path(passwords) if passwords else None,
            user=environ.get("ONWARD_KAFKA_USER", ""),
            ca_file=Path(ca_file) if ca_file else None,
        )

    @property
    def environ(self) -> dict[str, str]:
        """What `read` reads, for a process of ours."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "ONWARD_KAFKA_PASSWORDS": str(self.passwords or ""),
            "ONWARD_KAFKA_USER": self.user,
            "ONWARD_KAFKA_CA_FILE": str(self.ca_file or ""),
        }

    @property
    def administrator(self) -> "Kafka":
        """The same Kafka, for who makes topics and rules: another user than ADMINISTRATOR only where one was named."""
        return replace(self, user=self.user or ADMINISTRATOR)

    @property
    def services(self) -> "Kafka":
        """The same Kafka, each service as itself."""
        return replace(self, user="")

    def client(self, user: str = "") -> dict[str, Any]:
        """Arguments of aiokafka's clients, for this user unless there is one user for all. Raises PasswordMissing."""
        return {"bootstrap_servers": self.bootstrap_servers, **parse_security(self.security(user))}

    def security(self, user: str = "") -> BaseSecurity | None:
        """The same for FastStream's broker. Raises PasswordMissing."""
        if self.passwords is not None:
            user = self.user or user
            password = password_of(self.passwords, user)
            return SASLScram512(user, password, ssl_context=self._tls)
        return BaseSecurity(ssl_context=self._tls) if self._tls is not None else None

    async def certificates_hold(self) -> None:
        """Look at each broker's certificate: of one that does not hold, clients say only that they cannot connect.

        A broker that does not answer is left to whoever connects. Raises NotTrusted.
        """
        if self._tls is None:
            return
        for address in self.bootstrap_servers.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    _, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=self._tls)
                writer.close()
            except ssl.SSLCertVerificationError as error:
                raise NotTrusted(address, error) from error
            except OSError:
                continue

    @cached_property
    def _tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file is not None else None
