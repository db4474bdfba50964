"""What the contracts promise as a whole: names, topics, what they import, and where personal data may travel."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

import contracts.envelope
from contracts.actions import Action, ActionName
from contracts.brief import Brief
from contracts.envelope import Event
from contracts.people import Contact, Patient, PatientIdentity, Referrer
from contracts.submissions import FastTest, Findings, Observations, Submission
from contracts.topics import PARTITIONS, Topic
from contracts.triage import Scores
from tests.contracts.golden_examples import CONTRACTS, VALID

ROOT = Path(__file__).parents[2]
DECLARED = yaml.safe_load((ROOT / "deploy" / "topics.yaml").read_text())
MODULES = sorted(Path(contracts.envelope.__file__).parent.glob("*.py"))

VAGUE = {"updated", "changed", "processed", "handled", "status", "completed", "finished", "started", "failed"}
LISTED = {"notification.failed"}
"""Where the design names a type with such a word: a message failed to arrive, which is the fact."""

PERSONAL = {Patient, PatientIdentity, Contact, Submission, Observations, Findings, FastTest, Scores, Brief, Referrer}
"""Models that say something of one person: patient or practitioner."""

PERSONAL_NAMES = {"nhs_number", "patient", "mobile", "email", "practitioner", "narrative"}


@pytest.mark.parametrize("type_", CONTRACTS)
def test_a_type_names_a_fact(type_: str) -> None:
    """A subject and what happened to it, in small letters; never a vague verb."""
    words = set(re.split(r"[.-]", type_))
    assert (True, True) == (
        re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", type_) is not None,
        type_ in LISTED or not words & VAGUE,
    )


@pytest.mark.parametrize("type_", CONTRACTS)
def test_the_readme_lists_every_type(type_: str) -> None:
    """With its topic and the service that writes it."""
    topic = CONTRACTS[type_].TOPIC
    row = rf"\| `{type_}` \| `{topic}`(, compacted)? \| {DECLARED['topics'][topic]['written_by']} \|"
    assert re.search(row, (ROOT / "contracts" / "README.md").read_text()) is not None


@pytest.mark.parametrize("type_", CONTRACTS)
def test_no_type_speaks_for_the_nhs(type_: str) -> None:
    """The NHS's own types begin with uk.nhs."""
    assert not type_.startswith("uk.nhs")


def test_the_topics_are_those_that_are_deployed() -> None:
    """deploy/topics.yaml declares each topic of the contracts, and no other."""
    assert {topic.value for topic in Topic} == set(DECLARED["topics"])


def test_every_topic_has_as_many_partitions_as_the_contracts_say() -> None:
    """A referral has the same partition everywhere: no topic has a count of its own."""
    own = [name for name, topic in DECLARED["topics"].items() if "partitions" in topic]
    assert (PARTITIONS, []) == (DECLARED["defaults"]["partitions"], own)


def test_every_topic_carries_something() -> None:
    """A topic without a type of event would be one that nobody writes."""
    assert set(Topic) == {contract.TOPIC for contract in CONTRACTS.values()}


@pytest.mark.parametrize("type_", CONTRACTS)
def test_an_event_comes_from_the_one_service_that_writes_its_topic(type_: str) -> None:
    """A topic belongs to one service: the examples' sources name it."""
    writer = DECLARED["topics"][CONTRACTS[type_].TOPIC]["written_by"]
    assert {writer} == {example.document["source"].split("/")[1] for example in VALID if example.type == type_}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_contracts_stand_alone(module: Path) -> None:
    """Whoever depends on the contracts gets pydantic with them, and nothing of the services."""
    imported = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add("." if node.level else str(node.module).split(".")[0])
    assert set() == imported - {"contracts", "pydantic"} - sys.stdlib_module_names


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that a value of this type may hold, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models_in(field.annotation)
    for inner in get_args(annotation):
        yield from models_in(inner)


def personal_in(contract: type[Event]) -> set[str]:
    """The models and attributes of a contract that say something of one person."""
    models = set(models_in(contract))
    names = {name for model in models for name in model.model_fields}
    return {model.__name__ for model in models & PERSONAL} | (names & PERSONAL_NAMES)


COMPACTED = [
    type_
    for type_, contract in CONTRACTS.items()
    if "compact" in DECLARED["topics"][contract.TOPIC]["config"]["cleanup.policy"]
]
OPERATIONAL = [type_ for type_, contract in CONTRACTS.items() if contract.CLASSIFICATION == "operational"]


def test_some_topics_are_compacted() -> None:
    """Those of which only the newest counts, and no others."""
    assert {"service.listed", "desk.listed", "capacity.reported", "diary.reported"} == set(COMPACTED)


@pytest.mark.parametrize("type_", COMPACTED)
def test_a_compacted_topic_has_no_personal_data(type_: str) -> None:
    """What is kept for ever says nothing of a person: nothing could be forgotten there."""
    assert (set(), "operational") == (personal_in(CONTRACTS[type_]), CONTRACTS[type_].CLASSIFICATION)


@pytest.mark.parametrize("type_", OPERATIONAL)
def test_an_operational_event_has_no_personal_data(type_: str) -> None:
    """Its classification lets more people read it."""
    assert set() == personal_in(CONTRACTS[type_])


@pytest.mark.parametrize("type_", sorted(set(CONTRACTS) - set(OPERATIONAL)))
def test_personal_data_is_found_where_it_is(type_: str) -> None:
    """The search that finds nothing above finds who acts in every clinical event, and the patient in all but a request
    for an action, which names none."""
    patient = set() if type_ == "referral.action-requested" else {"Contact", "nhs_number"}
    assert {"Referrer", "practitioner", *patient} <= personal_in(CONTRACTS[type_])


def test_every_action_has_a_name_of_its_own() -> None:
    """What a refusal may name is what may be asked."""
    forms = get_args(get_args(Action)[0])
    assert list(get_args(ActionName)) == [get_args(form.model_fields["action"].annotation)[0] for form in forms]
