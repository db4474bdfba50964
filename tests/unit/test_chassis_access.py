"""Rules for access: what is declared is what the services' wiring uses, and nothing else."""

import ast
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, AclPermissionType, ResourceType

import contracts
from contracts.envelope import Event
from services import composition
from services.chassis.access import Rule, rules, sentence, users
from services.chassis.kafka import ADMINISTRATOR, Kafka
from services.chassis.passwords import PasswordMissing, make_password, password_of
from tests.chassis_examples import NOWHERE, settings

ROOT = Path(composition.__file__).parent


def topics_of(service: str, operation: AclOperation, among: Iterable[Rule] | None = None) -> set[str]:
    """The topics that a service may write, or read."""
    return {
        rule.name
        for rule in (rules() if among is None else among)
        if (rule.principal, rule.operation, rule.restype) == (f"User:{service}", operation, ResourceType.TOPIC)
    }


def of_contracts(service: str) -> set[str]:
    """The topics of the contracts that a service's modules import: those that it makes, or reads whole."""
    names = {
        alias.name
        for file in (ROOT / service).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == contracts.__name__
        for alias in node.names
    }
    return {contract.TOPIC for contract in Event.KNOWN.values() if contract.__name__ in names}


@pytest.mark.parametrize("name", composition.SERVICES)
def test_a_service_may_read_what_its_wiring_reads(name: str) -> None:
    """Every topic that it reads or follows, its dead letters sent again, and no other."""
    service = composition.SERVICES[name](settings(), {})
    wired = set(service._topics).union(*(reader.topics for reader in service._readers))
    assert topics_of(name, AclOperation.READ) == wired


@pytest.mark.parametrize("name", composition.SERVICES)
def test_a_service_may_write_what_its_code_makes(name: str) -> None:
    """It imports the contracts of what it tells; and no contract of a topic that it may neither write nor read."""
    written = {topic for topic in topics_of(name, AclOperation.WRITE) if "." not in topic}
    assert of_contracts(name) >= written
    assert of_contracts(name) <= written | topics_of(name, AclOperation.READ)


def test_a_topic_of_facts_has_one_writer() -> None:
    """It belongs to it."""
    writers = [rule.name for rule in rules() if rule.operation is AclOperation.WRITE and "dlq" not in rule.name]
    facts = [name for name in writers if "." not in name]
    assert sorted(set(facts)) == sorted(facts)


def test_services_are_the_users() -> None:
    """Nobody else is let in, and the administrator is made with the data."""
    assert sorted(composition.SERVICES) == users()


def test_nothing_is_forbidden_for_what_is_not_allowed_is() -> None:
    """A rule that forbids would hide one that allows."""
    assert {AclPermissionType.ALLOW} == {rule.permission_type for rule in rules()}


def test_systems_that_share_a_broker_share_no_rule() -> None:
    """Users, topics and groups all stand behind the prefix."""
    assert {True} == {rule.name.startswith("a-") and rule.principal.startswith("User:a-") for rule in rules("a-")}
    assert ["a-booking", "a-gateway"] == users("a-")[:2]


def test_a_rule_is_said_in_words() -> None:
    """As `onward topics plan` shows it."""
    said = {sentence(rule) for rule in rules()}
    assert {"gateway may write topic submissions", "gateway may read group every one named gateway.*"} <= said


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"KAFKA_BOOTSTRAP_SERVERS": ""}, None),
        ({"KAFKA_BOOTSTRAP_SERVERS": "here:1"}, Kafka("here:1")),
        (
            {"KAFKA_BOOTSTRAP_SERVERS": "here:1", "ONWARD_KAFKA_PASSWORDS": "/p", "ONWARD_KAFKA_USER": "ann"},
            Kafka("here:1", passwords=Path("/p"), user="ann"),
        ),
    ],
)
def test_kafka_is_read_from_the_environment(environ: Mapping[str, str], expected: Kafka | None) -> None:
    """And written there for a process of ours."""
    assert expected == Kafka.read(environ)
    assert expected is None or expected == Kafka.read(expected.environ)


def test_a_kafka_that_asks_for_no_password_is_told_none() -> None:
    """Brokers without users must work too."""
    assert {"bootstrap_servers": "127.0.0.1:1"} == NOWHERE.client("booking")


def test_each_service_speaks_as_itself_unless_one_user_is_named(tmp_path: Path) -> None:
    """The services for themselves, the administrator for the operator's commands."""
    for user in ("booking", ADMINISTRATOR):
        make_password(tmp_path, user)
    kafka = Kafka("here:1", passwords=tmp_path)
    spoken = [one.client("booking")["sasl_plain_username"] for one in (kafka, kafka.administrator)]
    assert ["booking", ADMINISTRATOR] == spoken
    assert kafka == kafka.administrator.services


def test_a_password_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Whoever starts a system again finds the one that the servers know."""
    folder = tmp_path / "kafka"
    made = make_password(folder, "booking")
    assert [made, made] == [make_password(folder, "booking"), password_of(folder, "booking")]
    assert (0o700, 0o600) == tuple(stat.S_IMODE(one.stat().st_mode) for one in (folder, folder / "booking"))
    assert make_password(folder, "gateway") != made


def test_a_missing_password_is_named_by_its_file(tmp_path: Path) -> None:
    """With what makes it."""
    with pytest.raises(PasswordMissing, match=rf"{tmp_path}/booking should hold .* `onward passwords FOLDER`"):
        Kafka("here:1", passwords=tmp_path).client("booking")


def test_a_password_is_never_shown() -> None:
    """Settings may be logged; they hold where passwords are, and none."""
    assert "sasl_plain_password" not in repr(Kafka("here:1", passwords=Path("/p")))
