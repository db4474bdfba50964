"""Who may write and read which topic, as deploy/topics.yaml declares it: Kafka's users and rules, and making them so.

What no rule allows is refused to everybody but the administrator.
"""

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from services.chassis.kafka import Kafka
from services.chassis.passwords import password_of
from services.chassis.topics import DECLARED_IN, read

ANSWER_SECONDS = 10.0
SETTLE_SECONDS = 30.0
ITERATIONS = 4096
"""Of the hash that a password is checked by: the fewest that Kafka takes. The passwords are long and random."""

Rule: TypeAlias = AclBinding
"""Somebody may do something to something."""

_ANY_RULE = AclBindingFilter(
    ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
)


@dataclass(frozen=True)
class Plan:
    """What `apply` would do; passwords are set at each."""

    missing: tuple[Rule, ...]
    surplus: tuple[Rule, ...]
    """What services may do beyond what is declared."""
    as_declared: tuple[Rule, ...]

    @property
    def holds(self) -> bool:
        """Nothing is left to do."""
        return not (self.missing or self.surplus)


class AccessRefused(Exception):
    """Kafka would not tell or make its users and rules."""

    def __init__(self, what: str, why: object) -> None:
        super().__init__(f"Kafka refused {what}: {why}")


def users(prefix: str = "", file: Path = DECLARED_IN) -> list[str]:
    """As whom services speak to Kafka: each by its name, behind the prefix of its system."""
    return sorted({rule.principal.removeprefix("User:") for rule in rules(prefix, file)})


def rules(prefix: str = "", file: Path = DECLARED_IN) -> set[Rule]:
    """What each service may do: what is declared, and nothing more.

    Whoever may write or read a topic may see that it is there.
    """
    declaration = read(file)
    found = set()
    for topic, one in declaration.topics.items():
        found.add(_rule(prefix, one.written_by, AclOperation.WRITE, topic))
        found |= {_rule(prefix, reader, AclOperation.READ, topic) for reader in one.read_by}
        for other in one.lag_seen_by:
            found.add(_rule(prefix, other, AclOperation.DESCRIBE, topic))
            # By the beginning of its name, as all rules about groups; no other group's begins so.
            found |= {
                _rule(prefix, other, AclOperation.DESCRIBE, f"{reader}.{topic}", groups=True) for reader in one.read_by
            }
    dead = declaration.dead_letters
    for reader in dead.readers:
        found.add(_rule(prefix, reader, AclOperation.WRITE, f"{reader}.dlq"))
        found |= {_rule(prefix, other, AclOperation.READ, f"{reader}.dlq") for other in dead.read_by}
        found |= {_rule(prefix, other, AclOperation.WRITE, f"{reader}.replay") for other in dead.sent_again_by}
        found.add(_rule(prefix, reader, AclOperation.READ, f"{reader}.replay"))
        found.add(_rule(prefix, reader, AclOperation.READ, f"{reader}.", groups=True))
    return found


def _rule(prefix: str, service: str, operation: AclOperation, name: str, *, groups: bool = False) -> Rule:
    """A rule about a topic, or about all groups whose names begin so."""
    return AclBinding(
        ResourceType.GROUP if groups else ResourceType.TOPIC,
        f"{prefix}{name}",
        ResourcePatternType.PREFIXED if groups else ResourcePatternType.LITERAL,
        f"User:{prefix}{service}",
        "*",
        operation,
        AclPermissionType.ALLOW,
    )


def sentence(rule: Rule) -> str:
    """A rule for people."""
    may = "may" if rule.permission_type is AclPermissionType.ALLOW else "may not"
    beginning = "every one named " if rule.resource_pattern_type is ResourcePatternType.PREFIXED else ""
    rest = "*" if beginning else ""
    user = rule.principal.removeprefix("User:")
    return f"{user} {may} {rule.operation.name.lower()} {rule.restype.name.lower()} {beginning}{rule.name}{rest}"


def plan(kafka: Kafka, prefix: str = "", file: Path = DECLARED_IN) -> Plan:
    """Compare the rules that are declared with those that Kafka has; to others than its administrator it shows none.

    Passwords cannot be compared: Kafka keeps none. Raises AccessRefused and PasswordMissing. Blocks.
    """
    return _compare(administering(kafka.administrator), users(prefix, file), rules(prefix, file))


def apply(kafka: Kafka, prefix: str = "", file: Path = DECLARED_IN) -> Plan:
    """Make every user, set each password, make rules that are missing, take back what is not declared. Blocks.

    Returns what it did, once Kafka goes by it. Raises AccessRefused and PasswordMissing.
    """
    client, names, declared = administering(kafka.administrator), users(prefix, file), rules(prefix, file)
    assert kafka.passwords is not None
    hashed = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    credentials = [
        UserScramCredentialUpsertion(name, hashed, password_of(kafka.passwords, name).encode()) for name in names
    ]
    _settle("to set passwords", client.alter_user_scram_credentials(credentials).values())
    found = _compare(client, names, declared)
    if found.missing:
        _settle("to make rules", client.create_acls(list(found.missing)).values())
    if found.surplus:
        _settle("to take rules back", client.delete_acls([_exactly(rule) for rule in found.surplus]).values())
    deadline = time.monotonic() + SETTLE_SECONDS
    while not (left := _compare(client, names, declared)).holds:
        if time.monotonic() > deadline:
            raise AccessRefused("to go by its rules", "; ".join(map(sentence, left.missing + left.surplus)))
        time.sleep(0.02)
    for name in names:
        _log_in(replace(kafka, user=name))
    return found


def _log_in(kafka: Kafka) -> None:
    """A broker learns of a password some time after it was set."""
    try:
        administering(kafka).list_topics(timeout=SETTLE_SECONDS)
    except KafkaException as error:
        raise AccessRefused(f"to let {kafka.user} in", error.args[0].name()) from error


def administering(kafka: Kafka) -> AdminClient:
    """A client for what aiokafka's administration lacks. Raises PasswordMissing."""
    options = kafka.client()
    settings: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "log_level": 0,  # what goes wrong is raised
    }
    if kafka.passwords is not None:
        settings |= {
            "sasl.mechanism": options["sasl_mechanism"],
            "sasl.username": options["sasl_plain_username"],
            "sasl.password": options["sasl_plain_password"],
        }
    if "security_protocol" in options:
        settings["security.protocol"] = options["security_protocol"]
    if kafka.ca_file is not None:
        settings["ssl.ca.location"] = str(kafka.ca_file)
    return AdminClient(settings)


def _compare(client: AdminClient, names: list[str], declared: set[Rule]) -> Plan:
    (every_rule,) = _settle("to tell its rules", [client.describe_acls(_ANY_RULE, request_timeout=ANSWER_SECONDS)])
    found = {rule for rule in every_rule if rule.principal.removeprefix("User:") in names}
    return Plan(
        missing=tuple(sorted(declared - found, key=sentence)),
        surplus=tuple(sorted(found - declared, key=sentence)),
        as_declared=tuple(sorted(found & declared, key=sentence)),
    )


def _exactly(rule: Rule) -> AclBindingFilter:
    return AclBindingFilter(
        rule.restype,
        rule.name,
        rule.resource_pattern_type,
        rule.principal,
        rule.host,
        rule.operation,
        rule.permission_type,
    )


def _settle(what: str, answers: Iterable[Future[Any]]) -> list[Any]:
    try:
        return [answer.result(timeout=2 * ANSWER_SECONDS) for answer in answers]
    except KafkaException as error:
        raise AccessRefused(what, error.args[0].name()) from error
    except TimeoutError as error:
        raise AccessRefused(what, f"no answer in {2 * ANSWER_SECONDS:.0f} s") from error
