"""The golden examples: what is valid is read and kept, what is not is refused where it is wrong."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.compatibility import in_words
from contracts.envelope import Event, effect_id
from contracts.generate import schema_of
from contracts.placements import BookingRequested, BookingRequestedData
from contracts.referrals import FINISHED
from contracts.triage import ReferralTriagedData
from services.chassis.problems import faults_of
from services.gateway.nhs_number import check_digit_holds
from tests.contracts.golden_examples import (
    CONTRACTS,
    EXAMPLES,
    FROZEN,
    INVALID,
    VALID,
    VALID_BY_NAME,
    Example,
    faults_by_schema,
)

EXPECTED = json.loads((EXAMPLES / "invalid" / "expected.json").read_bytes())
BY_ID = {example.document["id"]: example for example in VALID}
EFFECTS = [example for example in VALID if example.document.get("causationid")]
NO_ONE = re.compile(r"01632 960\d{3}|07700 900\d{3}")
"""Numbers that Ofcom keeps free for drama: nobody answers there."""


def every(examples: list[Example]) -> pytest.MarkDecorator:
    """Run a test once for each example."""
    return pytest.mark.parametrize("example", examples, ids=str)


def strings_in(document: Any) -> Iterator[tuple[str, str]]:
    """Each string of a document under the name of its attribute."""
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in inner:
        if isinstance(value, str):
            yield str(name), value
        elif isinstance(value, (dict, list)):
            yield from strings_in(value)


def missing(said: Any, kept: Any, at: str = "") -> list[str]:
    """Pointers of what one document has and another lacks."""
    if isinstance(said, dict):
        return [
            fault
            for name, value in said.items()
            for fault in ([f"{at}/{name}"] if name not in kept else missing(value, kept[name], f"{at}/{name}"))
        ]
    if isinstance(said, list):
        return [fault for n, one in enumerate(said) for fault in missing(one, kept[n], f"{at}/{n}")]
    return []


@pytest.mark.parametrize("kind", [VALID, INVALID], ids=["valid", "invalid"])
@pytest.mark.parametrize("type_", CONTRACTS)
def test_every_contract_has_examples(type_: str, kind: list[Example]) -> None:
    """Each type has at least two examples of either kind."""
    assert sum(example.type == type_ for example in kind) >= 2


@pytest.mark.parametrize("type_", CONTRACTS)
def test_every_frozen_version_has_a_valid_example(type_: str) -> None:
    """A version without an example would be compared by its schema alone."""
    shown = {example.document["dataschema"] for example in VALID if example.type == type_}
    assert {f"urn:onward:contracts:{type_}:{in_words(version)}" for version in FROZEN[type_]} == shown


@every(VALID)
def test_a_valid_example_is_read_by_todays_model(example: Example) -> None:
    """What was ever written is read, as the type that its folder names."""
    event = example.read()
    assert (example.type, example.contract.CLASSIFICATION) == (event.type, event.dataclassification)


@every(VALID)
def test_a_valid_example_follows_todays_schema(example: Example) -> None:
    """What was ever written is allowed by the schema of today's model."""
    assert set() == faults_by_schema(schema_of(example.contract), example.document)


@every(VALID)
def test_a_valid_example_follows_every_frozen_schema_that_reads_it(example: Example) -> None:
    """Old readers of the same major version, and all later readers, read what a writer of its version wrote."""
    versions = {in_words(version): version for version in FROZEN[example.type]}
    own = versions[example.document["dataschema"].rsplit(":", 1)[1]]
    readers = [schema for version, schema in FROZEN[example.type].items() if version[0] >= own[0]]
    assert [set()] * len(readers) == [faults_by_schema(schema, example.document) for schema in readers]


@every(VALID)
def test_an_event_is_passed_on_byte_by_byte(example: Example) -> None:
    """What was read and not changed is told as it came."""
    assert example.value == example.read().to_json()


@every(VALID)
def test_an_event_written_anew_says_the_same(example: Example) -> None:
    """Read and written by the models, nothing is lost and nothing differs, unknown attributes included."""
    event = example.read()
    anew = event.model_dump_json().encode()
    again = example.contract.read(anew)
    assert ([], event.model_dump()) == (missing(example.document, json.loads(anew)), again.model_dump())


def test_an_unknown_attribute_reaches_the_next_event() -> None:
    """A brief that is passed on into another event keeps what this version does not know."""
    triaged = VALID_BY_NAME["referral.triaged/unknown-attributes"].read()
    assert isinstance(triaged.data, ReferralTriagedData)
    data = BookingRequestedData(brief=triaged.data.brief, candidates=())
    told = BookingRequested.effect_of(triaged, data, source="onward/pathways", time=triaged.time)
    assert json.loads(told.to_json())["data"]["brief"]["desk"]["textphone"] == "01632 960011"


def test_every_place_of_an_unknown_attribute_is_shown() -> None:
    """The examples have unknown attributes in the envelope, in the data, and further in."""
    document = VALID_BY_NAME["booking.confirmed/unknown-attributes"].document
    assert {"sequence", "follow_up", "parking"} == {
        *(set(document) & {"sequence"}),
        *(set(document["data"]) & {"follow_up"}),
        *(set(document["data"]["service"]) & {"parking"}),
    }


def test_every_invalid_example_says_what_is_wrong_with_it() -> None:
    """The index names each file, and nothing else."""
    assert sorted(EXPECTED) == [f"{example}.json" for example in INVALID]


@every(INVALID)
def test_an_invalid_example_is_refused_by_the_model(example: Example) -> None:
    """The model names the one place that is wrong; or reads it, where only the schema refuses it."""
    expected = EXPECTED[f"{example}.json"]
    found: set[str] = set()
    try:
        example.read()
    except ValidationError as error:
        found = {fault.pointer for fault in faults_of(error, example.document)}
    assert ({expected["pointer"]} if "model" in expected["refused_by"] else set()) == found


@every(INVALID)
def test_an_invalid_example_is_refused_by_the_schema(example: Example) -> None:
    """The schema names the one place that is wrong; or allows it, where only the model refuses it."""
    expected = EXPECTED[f"{example}.json"]
    found = faults_by_schema(schema_of(example.contract), example.document)
    assert ({expected["pointer"]} if "schema" in expected["refused_by"] else set()) == found


def test_an_invalid_example_is_refused_by_someone() -> None:
    """Each is refused by the model, by the schema, or by both."""
    known = ["model"], ["schema"], ["model", "schema"]
    assert [] == [name for name, expected in EXPECTED.items() if expected["refused_by"] not in known]


def effect_key(event: Event) -> str:
    """What tells the effects of one cause and one type apart, by contracts/README.md."""
    told = event.data.model_dump()
    if event.type == "booking.withdrawn":
        return str(told["placement_id"])
    if event.type != "notification.sent":
        return ""
    return f"{told['audience']}/{told['organisation'] or ''}/{told['reason']}"


@every(EFFECTS)
def test_the_id_of_an_effect_follows_from_its_cause(example: Example) -> None:
    """A thread of examples can be followed back: each id is made of the cause's id, the type and the effect key."""
    event, cause = example.read(), BY_ID[example.document["causationid"]].read()
    assert effect_id(cause.id, event.type, effect_key(event)) == event.id


@every(EFFECTS)
def test_an_effect_stays_in_its_thread(example: Example) -> None:
    """Referral, key, transaction and trace are those of the cause, which is earlier."""
    event, cause = example.read(), BY_ID[example.document["causationid"]].read()
    assert (cause.subject, cause.partitionkey, cause.correlationid, cause.traceparent, True) == (
        event.subject,
        event.partitionkey,
        event.correlationid,
        event.traceparent,
        cause.time < event.time,
    )


def test_no_two_examples_are_one_event() -> None:
    """Ids differ."""
    assert len(VALID) == len(BY_ID)


def test_a_placement_ends_once() -> None:
    """No request has both a confirmation and an exhaustion."""
    ends = ("booking.confirmed", "booking.exhausted")
    ended = [example.document["causationid"] for example in VALID if example.type in ends]
    assert len(ended) == len(set(ended))


@every([example for example in VALID if "brief" in example.document["data"]])
def test_a_placement_has_the_id_of_what_asked_for_it(example: Example) -> None:
    """The first is the submission's, a further one its request's: the brief says which event of its thread it is."""
    asked = BY_ID[example.document["data"]["brief"]["placement_id"]].document
    way = [example.document]
    while way[-1].get("causationid"):
        way.append(BY_ID[way[-1]["causationid"]].document)
    assert (True, True) == (asked["type"] in ("referral.submitted", "placement.requested"), asked in way)


@every([example for example in VALID if example.type == "placement.requested"])
def test_only_a_further_placement_bears_its_own_request(example: Example) -> None:
    """What asks for a further placement names itself in the brief and as what is asked for now."""
    data = example.document["data"]
    assert [example.document["id"]] * 2 == [data["brief"]["placement_id"], data["standing"]["asked"]]


@every([example for example in VALID if example.document["data"].get("standing")])
def test_nothing_is_held_where_nothing_is_to_be_done(example: Example) -> None:
    """A referral that is cancelled or arranged elsewhere expects the patient nowhere, and looks for nothing."""
    standing = example.document["data"]["standing"]
    over = standing["state"] in FINISHED - {"outcome_given"}
    assert not (over and (standing.get("place") or standing.get("asked")))


def test_nobody_is_meant() -> None:
    """NHS numbers are of the range for tests and hold by Modulus 11; nobody answers at a telephone or an address."""
    wrong = []
    for example in VALID:
        for name, value in strings_in(example.document):
            if name == "nhs_number":
                made_up = value >= "9000000000" and check_digit_holds(value)
            elif name in ("telephone", "mobile", "textphone"):
                made_up = NO_ONE.fullmatch(value) is not None
            else:
                made_up = name != "email" or value.endswith("@example.org")
            wrong += [] if made_up else [f"{example}: {name}"]
    assert [] == wrong
