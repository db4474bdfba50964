"""The file that declares the topics: whole, readable, and of one mind with the contracts."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from contracts.topics import COMPACTED, PARTITIONS, Topic
from services.chassis.publishing import MAX_EVENT_BYTES
from services.chassis.topics import DECLARED_IN, Declaration, declared

WHOLE = {
    "defaults": {"partitions": 12, "replication": 3, "config": {"retention.ms": 1}},
    "topics": {"desks": {"written_by": "pathways", "read_by": ["gateway"]}},
    "dead_letters": {"readers": ["gateway"], "read_by": [], "sent_again_by": [], "partitions": 1},
}


def test_every_topic_of_the_contracts_is_declared() -> None:
    """A topic that is spoken of exists, and none is made that nobody speaks of."""
    declaration = Declaration.model_validate(yaml.safe_load(DECLARED_IN.read_text()))
    assert set(Topic) == declaration.topics.keys()


def test_every_topic_of_facts_has_the_partitions_that_keys_are_placed_by() -> None:
    """Otherwise keys would land where no other client looks for them."""
    facts = [topic for topic in declared() if topic.name in set(Topic)]
    assert {PARTITIONS} == {topic.partitions for topic in facts}


def test_the_topics_that_the_contracts_call_compacted_are() -> None:
    """Elsewhere a tombstone is a fault, and nothing is ever thinned out."""
    compacted = {topic.name for topic in declared() if topic.config["cleanup.policy"] == "compact"}
    assert COMPACTED == compacted


def test_every_reader_has_dead_letters() -> None:
    """A record that cannot be read has somewhere to go."""
    declaration = Declaration.model_validate(yaml.safe_load(DECLARED_IN.read_text()))
    readers = {reader for topic in declaration.topics.values() for reader in topic.read_by}
    assert readers <= set(declaration.dead_letters.readers)


def test_the_largest_event_fits_every_topic() -> None:
    """With its key, its headers and the batch around it."""
    assert all(int(topic.config["max.message.bytes"]) - MAX_EVENT_BYTES > 1_000 for topic in declared())


def test_the_largest_record_of_a_topic_fits_the_dead_letters() -> None:
    """Buried with why and where from: a record that no reader can use must not stop one either."""
    sizes = {topic.name: int(topic.config["max.message.bytes"]) for topic in declared()}
    largest = max(size for name, size in sizes.items() if name in set(Topic))
    assert all(size - largest > 4_000 for name, size in sizes.items() if name.endswith((".dlq", ".replay")))


def test_a_prefix_stands_before_every_name(tmp_path: Path) -> None:
    """So that several systems can share a broker."""
    file = tmp_path / "topics.yaml"
    file.write_text(yaml.safe_dump(WHOLE))
    assert ["t1-desks", "t1-gateway.dlq", "t1-gateway.replay"] == [topic.name for topic in declared("t1-", file)]


def test_a_topics_own_config_stands_over_the_default(tmp_path: Path) -> None:
    """Said once for all, and again where one differs."""
    file = tmp_path / "topics.yaml"
    file.write_text(yaml.safe_dump(WHOLE | {"topics": {"desks": WHOLE["topics"]["desks"] | {"config": {"a": 2}}}}))
    assert {"retention.ms": "1", "a": "2"} == declared(file=file)[0].config


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"topics": {"desks": {"written_by": "pathways"}}}, r"topics\.desks\.read_by"),
        ({"topics": {"desks": {"written_by": "p", "read_by": [], "retention": 1}}}, r"topics\.desks\.retention"),
        ({"defaults": {"partitions": "many", "replication": 3, "config": {}}}, r"defaults\.partitions"),
        ({"dead_letters": None}, "dead_letters"),
        ({"topic": {}}, "topic"),
    ],
)
def test_a_fault_of_the_file_is_named_by_its_place(tmp_path: Path, changes: dict[str, object], place: str) -> None:
    """Whoever edits it finds the line."""
    file = tmp_path / "topics.yaml"
    file.write_text(yaml.safe_dump(WHOLE | changes))
    with pytest.raises(ValidationError, match=place):
        declared(file=file)
