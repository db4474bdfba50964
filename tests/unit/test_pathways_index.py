"""The index: the highest version counts, delisting and tombstones, and snapshots that stay as they were."""

from math import cos, degrees, radians

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.people import Age, Position
from contracts.topics import Topic
from services.chassis.reader import Tombstone
from services.pathways import columns
from services.pathways.index import Index, Snapshot
from services.pathways.request import AgeSpan, SearchRequest
from services.pathways.search import search
from tests.pathways_examples import ED, HERE, NOON, STROKE, index_of, listed, reported, service


def found(index: Index, service_type: int = STROKE) -> list[tuple[str, str]]:
    """Ids and names of what a search finds, nearest first."""
    return found_in(index.snapshot, service_type)


def found_in(snapshot: Snapshot, service_type: int = STROKE) -> list[tuple[str, str]]:
    """The same, of a snapshot."""
    ranked = search(snapshot, SearchRequest(position=HERE, at=NOON, wanted=(service_type,)))
    return [(one.service_id, one.name) for one in ranked.candidates]


def test_the_highest_version_counts() -> None:
    """An older version that comes late, or the same again, changes nothing."""
    index = Index()
    index.apply([listed(service("S1", name="second"), 2), listed(service("S1", name="first"), 1)])
    index.apply([listed(service("S1", name="second again"), 2)])
    assert [("S1", "second")] == found(index)


def test_a_higher_version_replaces() -> None:
    """A new version stands in place of the old one, where it is and as it is now."""
    index = index_of(service("S1", km=1), service("S2", name="two", km=2))
    index.apply([listed(service("S1", name="moved", km=3), 2)])
    assert [("S2", "two"), ("S1", "moved")] == found(index)


def test_a_service_may_change_its_type() -> None:
    """It is found under its new type, and under the old one no more."""
    index = index_of(service("S1", STROKE))
    index.apply([listed(service("S1", ED, name="ED now"), 2)])
    assert ([], [("S1", "ED now")]) == (found(index), found(index, ED))


def test_delisting() -> None:
    """What is not active is found no more, and may come back with a higher version."""
    index = index_of(service("S1", name="one"))
    index.apply([listed(service("S1", active=False), 2)])
    assert [] == found(index)
    index.apply([listed(service("S1", name="again"), 3)])
    assert [("S1", "again")] == found(index)


def test_a_tombstone_delists() -> None:
    """A tombstone means what `active: false` means, and a late older record does not bring the service back."""
    index = index_of(service("S1"), service("S2", name="two"))
    index.apply([Tombstone(Topic.SERVICES, "S1"), Tombstone(Topic.SERVICES, "NOBODY"), listed(service("S1"), 1)])
    assert [("S2", "two")] == found(index)


def capacity(index: Index) -> str:
    """How full S1 said that it is."""
    entry = index.snapshot.entry("S1")
    assert entry is not None
    return entry.capacity_at(NOON)


@pytest.mark.parametrize("first", ["service", "report"])
def test_capacity_finds_its_service(first: str) -> None:
    """A report counts whether it is read before its service or after it."""
    events = [listed(service("S1")), reported("S1", "amber")]
    index = Index()
    for event in events if first == "service" else reversed(events):
        index.apply([event])
    assert "amber" == capacity(index)


def test_the_highest_version_of_capacity_counts() -> None:
    """An older report that comes late changes nothing."""
    index = index_of(service("S1"), reported("S1", "red", version=2), reported("S1", "green", version=1))
    assert "red" == capacity(index)


def test_a_tombstone_withdraws_a_report() -> None:
    """Without a report nothing is known."""
    index = index_of(service("S1"), reported("S1", "red"))
    index.apply([Tombstone(Topic.CAPACITY, "S1")])
    assert "unknown" == capacity(index)


def test_a_snapshot_stays_as_it_was() -> None:
    """A search under way is not disturbed by what is read meanwhile."""
    index = index_of(service("S1"))
    before = index.snapshot
    index.apply([listed(service("S1", active=False), 2), listed(service("S2"))])
    assert [("S1", "Service S1")] == found_in(before)
    assert before.entry("S2") is None


def test_the_sides_of_the_square_are_inside() -> None:
    """A service a hair inside a side is found, and one a hair beyond is not."""
    up = degrees(60 / 6371.0088)
    across = up / cos(radians(HERE.latitude))
    entries = {
        "NORTH-EAST": (1 - 1e-9, 1 - 1e-9),
        "SOUTH-WEST": (-1 + 1e-9, -1 + 1e-9),
        "TOO-NORTH": (1 + 1e-9, 0.0),
        "TOO-SOUTH": (-1 - 1e-9, 0.0),
        "TOO-EAST": (0.0, 1 + 1e-9),
        "TOO-WEST": (0.0, -1 - 1e-9),
    }
    index = index_of(
        *(
            service(name, position=Position(latitude=HERE.latitude + up * lat, longitude=HERE.longitude + across * lon))
            for name, (lat, lon) in entries.items()
        )
    )
    assert {"NORTH-EAST", "SOUTH-WEST"} == {service_id for service_id, _ in found(index)}


def test_ids_keep_their_order_whenever_they_come() -> None:
    """Services at one place stand by id, also those that are listed one by one, before, between and after others."""
    index = index_of(service("M"), service("T"))
    for service_id in ("A", "Z", "P", "N", "O"):
        index.apply([listed(service(service_id))])
        assert sorted(index.snapshot.slots)[:2] == [one for one, _ in found(index)]


def test_registers_are_made_anew_when_most_of_them_is_of_nobody() -> None:
    """A service whose hours change for ever does not fill the memory, and is found as before."""
    index = index_of(service("S1", km=1), service("S2", km=2))
    first = index.snapshot.registers
    index._replaced = 10_100  # as after so many snapshots, which would take long to make
    index.apply([listed(service("S1", name="last"), 20_000)])
    assert [("S1", "last"), ("S2", "Service S2")] == found(index)
    assert first is not index.snapshot.registers


def test_what_codes_mean_is_asked_of_new_codes_too() -> None:
    """A search that was made before judges services by codes which nobody had then."""
    index = index_of(service("S1", name="one"))
    assert [("S1", "one")] == found(index)
    index.apply([listed(service("S2", km=0.5, genders=("female",))), listed(service("S3", name="three", km=2))])
    index.apply([listed(service("S4", km=0.5, age_from=Age(value=16)))])
    assert [("S1", "one"), ("S3", "three")] == found(index)


def test_tables_that_grow_too_many_are_forgotten_and_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever other searches need no more memory, and each finds what it would find alone."""
    monkeypatch.setattr(columns, "LEAST_ROOM", 1)
    monkeypatch.setattr(columns, "MOST_ROOM", 16)
    index = index_of(service("S1", age_until=Age(value=40)), service("S2", km=2, age_from=Age(value=41)))
    tables = index.snapshot.registers.tables
    for age in range(2, 100):
        request = SearchRequest(position=HERE, at=NOON, wanted=(STROKE,), age=AgeSpan.of(Age(value=age)))
        [candidate] = search(index.snapshot, request).candidates
        assert ("S1" if age <= 40 else "S2") == candidate.service_id
    assert len(tables.flat) <= 64


def test_not_ready_while_empty() -> None:
    """Empty, or with nothing active, it says what to do; with one active service it is ready."""
    advice = "the directory is empty: load one with onward directory load FILE"
    index = index_of(service("S1", active=False), reported("S2", "green"))
    assert [advice, advice] == [Index().not_ready(), index.not_ready()]
    index.apply([listed(service("S2"))])
    assert index.not_ready() is None


@given(
    told=st.lists(
        st.builds(
            lambda number, version, kind, active: listed(
                service(f"S{number}", kind, km=number, active=active), version
            ),
            st.integers(1, 4),
            st.integers(1, 5),
            st.sampled_from([ED, STROKE]),
            st.booleans(),
        ),
        max_size=12,
        unique_by=lambda event: (event.subject, event.data.version),
    ),
    data=st.data(),
)
def test_the_order_of_reading_does_not_matter(told: list, data: st.DataObject) -> None:  # type: ignore[type-arg]
    """However the records are ordered, repeated and cut into batches, the same directory comes of them."""
    once, otherwise = Index(), Index()
    once.apply(told)
    for event in data.draw(st.permutations([*told, *told])):
        otherwise.apply([event])
    assert [found(once, kind) for kind in (ED, STROKE)] == [found(otherwise, kind) for kind in (ED, STROKE)]
