"""Every reader of every service, given whatever a topic may hold: it hands on, skips or buries, and never raises."""

import json
import os
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.topics import COMPACTED
from services.chassis.decoding import Record
from services.chassis.reader import Reader
from services.chassis.step import Breaker, Step
from services.cli.documents import hosted
from tests.contracts.golden_examples import VALID
from tests.recording import RecordingGraveyard, RecordingPublisher

SERVICES = hosted()
STEPS = [step for service in SERVICES for step in service._ways.values()]
READERS = [reader for service in SERVICES for reader in service._readers]
EXAMPLES = int(os.environ.get("ONWARD_FUZZ_EXAMPLES", "10"))
"""How often each is tried; `make fuzz` tries more."""

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@st.composite
def mutated(draw: st.DrawFn, types: Sequence[str]) -> bytes:
    """A golden example with one member taken away, or of another value, or the bytes of it cut or changed."""
    example = draw(st.sampled_from([one for one in VALID if one.type in types]))
    document: Any = example.document
    part = document
    while isinstance(part, dict | list) and part:
        names: Any = list(part) if isinstance(part, dict) else range(len(part))
        name = draw(st.sampled_from(names))
        if not isinstance(part[name], dict | list) or not part[name] or draw(st.booleans()):
            if draw(st.booleans()):
                del part[name]
            else:
                part[name] = draw(documents)
            break
        part = part[name]
    value = json.dumps(document).encode()
    if draw(st.booleans()):
        at = draw(st.integers(0, len(value)))
        value = value[:at] + draw(st.binary(max_size=4)) + value[at + draw(st.integers(0, 4)) :]
    return value


def records(topic: str, types: Sequence[str]) -> st.SearchStrategy[list[Record]]:
    """A batch of whatever, under headers that fit or do not."""
    values = st.none() | st.binary(max_size=200) | documents.map(lambda one: json.dumps(one).encode()) | mutated(types)
    names = st.sampled_from([*types, "no.such"]).map(str.encode)
    headers = st.lists(st.tuples(st.just("type") | st.text(max_size=5), st.none() | names | st.binary(max_size=9)))
    record = st.builds(
        Record,
        topic=st.just(topic),
        partition=st.just(0),
        offset=st.integers(0, 2**40),
        key=st.none() | st.binary(max_size=50),
        value=values,
        headers=headers.map(lambda some: tuple(some[:2])),
    )
    return st.lists(record, min_size=1, max_size=4)


def alone(step: Step) -> tuple[Step, RecordingGraveyard, list[Any]]:
    """The step without Kafka and without its handler: what it would have handled is kept."""
    graveyard, handled = RecordingGraveyard(), list[Any]()

    async def handle(events: Sequence[Any]) -> Sequence[Any]:
        handled.extend(events)
        return ()

    found = Step(
        reader=step.reader,
        topic=step.topic,
        types=list(step._types.values()),
        handler=handle,
        publisher=RecordingPublisher(),  # type: ignore[arg-type]
        graveyard=graveyard,
        breaker=Breaker(),
    )
    return found, graveyard, handled


def step_name(step: Step) -> str:
    """Who reads what."""
    return f"{step.reader}-{step.topic}"


@pytest.mark.parametrize("step", STEPS, ids=step_name)
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None)
@given(data=st.data())
async def test_a_group_hands_on_skips_or_buries(step: Step, data: st.DataObject) -> None:
    """Nothing that a record may hold raises; what is buried is the record as it came, with a reason."""
    one, graveyard, handled = alone(step)
    batch = data.draw(records(step.topic, list(step._types)))
    await one.run(batch)
    assert all(record in batch and why for record, why in graveyard.dead)
    assert len(handled) + len(graveyard.dead) <= len(batch)
    tombstones = (
        0
        if step.topic in COMPACTED
        else sum(record.value is None and not any(name == "type" for name, _ in record.headers) for record in batch)
    )
    assert tombstones <= len(graveyard.dead)


@pytest.mark.parametrize(
    "reader", READERS, ids=lambda reader: "-".join((reader._log._context["service"], *reader.topics))
)
@settings(max_examples=EXAMPLES, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_follower_reads_or_leaves_out(reader: Reader, data: st.DataObject) -> None:
    """Nothing that a record may hold stops it."""
    topic = data.draw(st.sampled_from(list(reader.topics)))
    read = [reader._decode(record) for record in data.draw(records(topic, list(reader._types)))]
    assert all(one is None or hasattr(one, "type") or hasattr(one, "key") for one in read)


@pytest.mark.parametrize("step", STEPS, ids=step_name)
@pytest.mark.parametrize("value", [b"[" * 2**20, b'{"type":' * 2**17, b'{"a":' * 10 + b"[" * 2**20])
async def test_a_deep_megabyte_is_buried_in_little_memory(step: Step, value: bytes) -> None:
    """It is not parsed to its bottom."""
    one, graveyard, _ = alone(step)
    tracemalloc.start()
    await one.run([Record(step.topic, 0, 7, None, value)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 1 == len(graveyard.dead)
    assert peak < 16 * 2**20
