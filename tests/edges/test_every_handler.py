"""Every handler and every follower, on a real PostgreSQL, given events that their contracts allow and nobody would
send: each is told, stored or buried. A handler that meets an error that nobody foresaw fails here.

A new type of event is taken up by itself, as soon as a service reads it.
"""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.backing import instance
from services.chassis.decoding import Record
from services.chassis.failures import Unfinished
from services.chassis.kafka import Kafka
from services.chassis.publishing import runs
from services.chassis.reader import Reader
from services.chassis.service import Service
from services.chassis.settings import Settings
from services.chassis.step import Breaker, EffectsShareId, Step
from services.cli.documents import hosted
from services.composition import SERVICES, build, migrate
from tests.conftest import empty_database
from tests.contracts.golden_examples import VALID
from tests.edges.odd_events import contract_of, events
from tests.recording import RecordingGraveyard, RecordingPublisher

pytestmark = pytest.mark.backing

EXAMPLES = int(os.environ.get("ONWARD_FUZZ_EXAMPLES", "4"))
"""How often each is tried; `make fuzz` tries more."""

READS = [(service.name, topic) for service in hosted() for topic in service._ways]
FOLLOWS = [(service.name, number) for service in hosted() for number, _ in enumerate(service._readers)]

TRIED = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES < 10,
    phases=[Phase.generate] if EXAMPLES < 10 else [Phase.generate, Phase.shrink],
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

Events = cache(lambda type_: events(contract_of(type_)))


@pytest.fixture(scope="module")
def surroundings(backing: instance.Backing) -> Iterator[Settings]:
    """A database with every service's schema."""
    with empty_database(backing) as database:
        found = Settings(kafka=Kafka("127.0.0.1:1"), database_url=database, keys_file=Path("none"))
        migrate(found, {})
        yield found


@pytest.fixture
async def services(surroundings: Settings) -> AsyncIterator[dict[str, Service]]:
    """Every service with its tables, and without Kafka: what they told stays there from one test to the next."""
    built = build(list(SERVICES), surroundings, {})
    databases = [database for service in built for database in service.databases]
    for database in databases:
        await database.start()
    yield {service.name: service for service in built}
    for database in databases:
        await database.stop()


class Batch(list[Record]):
    """Some records, of which no more is printed than anybody reads."""

    def __repr__(self) -> str:
        return f"{super().__repr__():.5000}"


def records(topic: str, types: Sequence[str]) -> st.SearchStrategy[Batch]:
    """A few odd events of a topic."""

    def record(type_: str) -> st.SearchStrategy[Record]:
        return st.builds(
            Record,
            topic=st.just(topic),
            partition=st.just(0),
            offset=st.integers(0, 2**40),
            key=st.just(b"k"),
            value=Events(type_),
            headers=st.just((("type", type_.encode()),)),
        )

    return st.lists(st.sampled_from(list(types)).flatmap(record), min_size=1, max_size=2).map(Batch)


def beside(step: Step) -> tuple[Step, RecordingPublisher, RecordingGraveyard]:
    """The same step, which tells nobody."""
    publisher, graveyard = RecordingPublisher(), RecordingGraveyard()
    found = Step(
        reader=step.reader,
        topic=step.topic,
        types=list(step._types.values()),
        handler=step.handler,
        publisher=publisher,  # type: ignore[arg-type]
        graveyard=graveyard,
        breaker=Breaker(),
    )
    return found, publisher, graveyard


async def run(step: Step, batch: Batch) -> None:
    """Run a batch. Where two events lead to effects of one id, which the step refuses together, each runs by itself, as
    the service has it: an event before had the id of one and the placement of the other, and its effect is told again.
    """
    try:
        await step.run(batch)
    except EffectsShareId:
        if len(batch) == 1:
            raise
        for record in batch:
            await step.run([record])


@pytest.mark.parametrize(("name", "topic"), READS, ids=lambda one: one)
@settings(parent=TRIED, suppress_health_check=[*TRIED.suppress_health_check, HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_a_handler_tells_stores_or_buries(
    services: dict[str, Service], name: str, topic: str, data: st.DataObject
) -> None:
    """Whatever an event may say: nothing raises, and what is told is itself by its contract and fits on its topic."""
    step, publisher, graveyard = beside(services[name]._ways[topic])
    batch = data.draw(records(topic, list(step._types)))
    # What waits for a listing does so for half a minute at most; what is told of the others is held to the same.
    with suppress(Unfinished):
        await run(step, batch)
    assert all(record in batch and why for record, why in graveyard.dead)
    for event in publisher.told:
        value = event.to_json()
        contract_of(event.type).read(value)
        assert 1 == len(list(runs([(contract_of(event.type), event.partitionkey, value)])))
    # Once more, as after a crash: what was told is told again, under its id.
    again, repeated, _ = beside(services[name]._ways[topic])
    with suppress(Unfinished):
        await run(again, batch)
    assert {event.id for event in publisher.told} <= {event.id for event in repeated.told}


@pytest.mark.parametrize(("name", "number"), FOLLOWS, ids=str)
@settings(parent=TRIED, suppress_health_check=[*TRIED.suppress_health_check, HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_a_follower_learns_or_leaves_out(
    services: dict[str, Service], name: str, number: int, data: st.DataObject
) -> None:
    """Whatever it learns, the service still does all that it does: what is learnt stays, and comes again at a start."""
    reader: Reader = services[name]._readers[number]
    topic = data.draw(st.sampled_from(list(reader.topics)))
    types = [type_ for type_ in reader._types if contract_of(type_).TOPIC == reader.topics[topic]]
    read = [reader._decode(record) for record in data.draw(records(topic, types))]
    reader._apply([one for one in read if one is not None])
    services[name].not_ready()
    for topic, step in services[name]._ways.items():
        plain, _, graveyard = beside(step)
        examples = [one for one in VALID if one.type in step._types]
        with suppress(Unfinished):
            await plain.run([Record(topic, 0, 7, b"k", one.value, (("type", one.type.encode()),)) for one in examples])
        assert [] == graveyard.dead
