"""Kafka that speaks to nobody in the clear: an embedded broker with a certificate made here, and everything that speaks
to it."""

import asyncio
import os
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from contracts.directory import CapacityReported, ServiceListed
from contracts.envelope import Event
from contracts.topics import Topic
from services.backing import kafka as embedded
from services.backing.settings import Settings as Backing
from services.chassis.failures import Poison
from services.chassis.kafka import Kafka, NotTrusted
from services.chassis.reader import Tombstone
from services.chassis.service import START_SECONDS, Service
from services.chassis.settings import Settings
from services.cli.topics import compare
from services.composition import make_passwords
from tests.chassis_examples import admin_of, committed, effect, everything_on, hosted, until
from tests.pathways_examples import listed
from tests.pathways_examples import service as entry

pytestmark = pytest.mark.backing


@dataclass(frozen=True)
class Authority:
    """Who vouches for a broker."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path

    @classmethod
    def made_in(cls, folder: Path) -> "Authority":
        """A new one, and its certificate in a file."""
        key = generate_private_key(SECP256R1())
        certificate = _certificate("an authority made for a test", key, key, authority=True)
        file = folder / "authority.pem"
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(key, certificate, file)

    def vouch(self, file: Path) -> None:
        """Put the key and the certificate of a broker on 127.0.0.1 into a file."""
        key = generate_private_key(SECP256R1())
        certificate = _certificate("a broker", key, self.key, authority=False)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.public_bytes(Encoding.PEM))


def _certificate(
    name: str, key: EllipticCurvePrivateKey, signer: EllipticCurvePrivateKey, *, authority: bool
) -> x509.Certificate:
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority made for a test")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, SHA256())


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, Authority]]:
    """A broker whose clients must encrypt, itself among them; topics, users and rules are made over TLS."""
    folder = tmp_path_factory.mktemp("encrypted")
    authority = Authority.made_in(folder)
    authority.vouch(folder / "broker.pem")
    encrypted = {
        "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:SASL_PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(folder / "broker.pem"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.file),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "USERS", embedded.USERS | encrypted)
        started = embedded.start(folder / "kafka", cache=Backing().cache, say=print)
    try:
        kafka = replace(started.access, ca_file=authority.file)
        make_passwords(Settings(kafka=kafka, database_url="postgresql://"), os.environ)
        asyncio.run(compare(kafka.administrator, "", change=True))
        yield kafka, authority
    finally:
        embedded.stop(folder / "kafka")


async def test_a_service_reads_follows_tells_and_buries_over_tls(broker: tuple[Kafka, Authority]) -> None:
    """By its own password and rights: everything that a service says to Kafka is encrypted, and nothing is lost."""
    kafka, _ = broker
    good, bad = [listed(entry(f"S-{n}")) for n in range(50)], listed(entry("S-1"), version=2)
    followed: list[Event | Tombstone] = []

    async def handler(events: Sequence[ServiceListed]) -> list[CapacityReported]:
        for event in events:
            if event.id == bad.id:
                raise Poison(bad.id, "no such service")
        return [effect(event) for event in events]

    settings = Settings(kafka=kafka, database_url="postgresql://")
    service = Service("pathways", settings)
    service.reads(Topic.SERVICES, handler, ServiceListed)
    service.follows([Topic.CAPACITY], followed.extend, since="beginning")
    async with hosted(service):
        await service.publisher.tell([*good, bad])
        await until(lambda: len(followed) >= len(good))
        await committed(kafka.administrator, service.group(Topic.SERVICES), at_least=len(good) + 1)
    assert Counter(effect(event).id for event in good) == Counter(one.id for one in followed)  # type: ignore[union-attr]
    buried = await everything_on(kafka.administrator, "pathways.dlq")
    assert [bad.id] == [ServiceListed.read(record.value).id for record in buried]


async def test_a_broker_for_whom_nobody_vouches_is_told_nothing(
    broker: tuple[Kafka, Authority], tmp_path: Path
) -> None:
    """Another authority than the one that is trusted: no connection, so no password; a service says why, at once."""
    kafka, _ = broker
    stranger = replace(kafka, ca_file=Authority.made_in(tmp_path).file)
    await _told_nothing(stranger, "unable to get local issuer certificate|self-signed|signature failure")


async def test_a_broker_under_another_name_is_told_nothing(broker: tuple[Kafka, Authority]) -> None:
    """The certificate is good, and not for the name by which the broker was asked for."""
    kafka, _ = broker
    renamed = replace(kafka, bootstrap_servers=kafka.bootstrap_servers.replace("127.0.0.1", "localhost"))
    await _told_nothing(renamed, "not valid for 'localhost'")


async def _told_nothing(kafka: Kafka, why: str) -> None:
    with pytest.raises(KafkaConnectionError, match="bootstrap"):
        await _asked(kafka.administrator)
    with pytest.raises(NotTrusted, match=rf"does not hold \(.*({why}).*ONWARD_KAFKA_CA_FILE"):
        await compare(kafka, "", change=False)
    service = Service("pathways", Settings(kafka=kafka, database_url="postgresql://"))
    service.reads(Topic.SERVICES, _nothing, ServiceListed)
    try:
        async with asyncio.timeout(START_SECONDS / 2):
            with pytest.raises(NotTrusted, match=why):
                await service.start()
    finally:
        await service.stop()


async def _nothing(_: Sequence[ServiceListed]) -> list[Event]:
    return []


def test_nothing_is_said_in_the_clear(broker: tuple[Kafka, Authority]) -> None:
    """The listener answers TLS of 1.2 or newer; what is no TLS is hung up on, and a client without it is not let in."""
    kafka, authority = broker
    host, port = kafka.bootstrap_servers.split(":")
    context = ssl.create_default_context(cafile=authority.file)
    with socket.create_connection((host, int(port))) as plain, context.wrap_socket(plain, server_hostname=host) as one:
        assert one.version() in {"TLSv1.2", "TLSv1.3"}
    with pytest.raises(KafkaConnectionError, match="bootstrap"):
        asyncio.run(_asked(replace(kafka.administrator, ca_file=None)))


async def _asked(kafka: Kafka) -> None:
    async with admin_of(kafka):
        pass
