"""`GET /pathways` and its explanation: what may be asked, and what is told of each service."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from rich.console import Console

from contracts.people import Age
from services.chassis.identity import Verifier, make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.service import Service as Hosted
from services.chassis.settings import Settings
from services.chassis.web import create_app
from services.cli.pathways import LEAST_WIDTH, explanation, show
from services.pathways.free_slots import FreeSlots
from services.pathways.index import Index
from services.pathways.lookup_http import routes
from services.pathways.places import HOW_TO_LOAD, NoTable, Place, town_named
from services.pathways.postcodes import Postcodes
from tests.pathways_examples import (
    CODES,
    ED,
    HERE,
    NOON,
    STROKE,
    UTC_CENTRE,
    diary,
    index_of,
    reported,
    service,
)

WHERE: dict[str, Any] = {"latitude": HERE.latitude, "longitude": HERE.longitude}


class Towns:
    """Stands for postcodes without a table: towns are known."""

    async def find(self, asked: str) -> Place:
        """The built-in town. Raises NoTable for what looks like a postcode."""
        if any(character.isdigit() for character in asked):
            raise NoTable(HOW_TO_LOAD)
        return town_named(asked)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A signing key and its public keys."""
    return make_keys(tmp_path_factory.mktemp("keys"))


class Lookup:
    """The routes of lookup over an index of this test's."""

    def __init__(self, keys: tuple[Path, Path]) -> None:
        signing, public = keys
        self.index = Index()
        self.free_slots = FreeSlots()
        self.complete = True
        hosted = Hosted("pathways", Settings(kafka=Kafka("127.0.0.1:1"), database_url="", keys_file=public))
        token = sign(signing, organisation="ONW01", practitioner="P1", role="paramedic", now=datetime.now(UTC))
        self.headers = {"authorization": f"Bearer {token}"}
        self._hosted, self._verifier = hosted, Verifier.from_file(public)

    async def answer(self, path: str = "/pathways", *, token: bool = True, **query: Any) -> httpx.Response:
        """What is answered."""
        hosted = self._hosted
        hosted.routers.clear()
        postcodes = cast("Postcodes", Towns())
        hosted.serves(
            routes(self.index, self.free_slots, postcodes, CODES, complete=lambda: self.complete, clock=lambda: NOON)
        )
        transport = httpx.ASGITransport(create_app([hosted], self._verifier))
        async with httpx.AsyncClient(transport=transport, base_url="http://pathways") as client:
            return await client.get(path, params=query, headers=self.headers if token else {})

    async def found(self, **query: Any) -> Any:
        """The body of a good answer."""
        answer = await self.answer(**query)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    async def explained(self, service_id: str, **query: Any) -> Any:
        """The body of a good explanation."""
        answer = await self.answer("/pathways/explanation", service=service_id, **query)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    async def faults(self, **query: Any) -> dict[str, str]:
        """The faults of a refused query, by pointer."""
        answer = await self.answer(**query)
        assert (422, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
        return {fault["pointer"]: fault["message"] for fault in answer.json()["faults"]}


@pytest.fixture
def lookup(keys: tuple[Path, Path]) -> Lookup:
    """A lookup in a small directory."""
    one = Lookup(keys)
    full = {"age_from": Age(value=16), "genders": ("female",), "hours": service("S").hours}
    one.index = index_of(
        service("NEAR", UTC_CENTRE, km=1, **full),
        service("MID", UTC_CENTRE, km=2),
        service("FAR", UTC_CENTRE, km=3),
        service("FULL", UTC_CENTRE, km=4),
        service("E1", ED, km=9),
        reported("NEAR", "amber", resets_at=NOON + timedelta(hours=1)),
        reported("MID", "green", resets_at=NOON - timedelta(minutes=5)),
        reported("FULL", "red"),
    )
    return one


def ids(services: list[Any]) -> list[str]:
    """Their ids."""
    return [one["service_id"] for one in services]


async def test_candidates_are_ranked_with_why(lookup: Lookup) -> None:
    """The best two of the type, nearest first, each with its place and its reason."""
    found = await lookup.found(**WHERE, type=UTC_CENTRE, age=70, gender="female")
    assert ["NEAR", "MID"] == ids(found["candidates"])
    assert [(1, 1.0), (2, 2.0)] == [(one["place"], one["distance_km"]) for one in found["candidates"]]
    assert found["candidates"][0]["why"].startswith(
        "nearest suitable open urgent treatment centre, 1.0 km; type 1 of 1"
    )
    assert ([], 60, "national") == (found["catch_all"], found["search_km"], found["search_km_from"])


async def test_a_candidate_says_what_a_crew_needs(lookup: Lookup) -> None:
    """Telephone, instructions, whom it takes, how full it is and since when, and until when it is open."""
    [near, mid] = (await lookup.found(**WHERE, type=UTC_CENTRE, age=70, gender="female"))["candidates"]
    assert ("01632 960100", "Ring ahead.", None) == (near["telephone"], near["instructions"], near["open_until"])
    assert ["takes patients from 16 years", "takes patients of gender female"] == near["exclusions"]
    assert {"status": "amber", "since": "2026-01-14T11:50:00Z", "until": "2026-01-14T13:00:00Z"} == near["capacity"]
    assert {"status": "unknown", "since": "2026-01-14T11:55:00Z", "until": None} == mid["capacity"]
    assert [] == mid["exclusions"]


async def test_near_misses_name_the_one_criterion(lookup: Lookup) -> None:
    """And the telephone, for a clinician who wants to ask all the same."""
    found = await lookup.found(**WHERE, type=UTC_CENTRE, age=70, gender="female")
    assert [("FULL", "capacity", "01632 960100")] == [
        (one["service_id"], one["failed"], one["telephone"]) for one in found["near_misses"]
    ]
    assert [] == (await lookup.found(**WHERE, type=UTC_CENTRE, age=70, near_misses=0))["near_misses"]


async def test_free_slots_are_shown_with_their_time(lookup: Lookup) -> None:
    """What booking told, without slots that have begun; none where it told nothing, or where there are no slots."""
    sessions = {"booking": "slots", "sessions": (session(),)}
    lookup.index = index_of(service("S1", UTC_CENTRE, **sessions), service("S2", UTC_CENTRE, km=2, **sessions))
    lookup.free_slots.learn([diary("S1", NOON - timedelta(minutes=1), NOON + timedelta(minutes=30), free=7)])
    [told, untold] = (await lookup.found(**WHERE, type=UTC_CENTRE))["candidates"]
    assert {
        "as_of": "2026-01-14T11:59:00Z",
        "next_free": [{"begins": "2026-01-14T12:30:00Z", "minutes": 30, "free": 1}],
        "free": 7,
        "until": "2026-01-15T12:00:00Z",
    } == told["free_slots"]
    assert untold["free_slots"] is None
    lookup.free_slots.learn([diary("E1", NOON + timedelta(hours=1))])
    lookup.index = index_of(service("E1", ED))
    assert [None] == [one["free_slots"] for one in (await lookup.found(**WHERE, type=ED))["candidates"]]
    lookup.index = index_of(service("E1", ED, patients_an_hour=3))
    lookup.free_slots.learn([diary("E1", NOON - timedelta(minutes=5), version=2)])
    [by_the_hour] = (await lookup.found(**WHERE, type=ED))["candidates"]
    assert ["2026-01-14T11:55:00Z"] == [slot["begins"] for slot in by_the_hour["free_slots"]["next_free"]]


def session() -> dict[str, Any]:
    """A session on every day."""
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return {"days": days, "begins": "08:00", "ends": "20:00", "slot_minutes": 30, "capacity": 1}


async def test_types_stand_in_the_order_in_which_they_are_asked_for(lookup: Lookup) -> None:
    """Each once."""
    found = await lookup.found(**WHERE, type=[ED, UTC_CENTRE, ED], age=70, gender="male")
    assert ["E1", "MID", "FAR"] == ids(found["candidates"])


async def test_a_presentation_is_searched_for_by_its_codes(lookup: Lookup) -> None:
    """In all types: what does not take its symptom group is not found."""
    group = CODES.presentations["fall"].symptom_group
    lookup.index = index_of(
        service("TAKES", UTC_CENTRE, symptom_groups=({"code": group},)),
        service("OTHER", UTC_CENTRE, symptom_groups=({"code": "SG-ELSE"},)),
        service("ALL", ED, km=5),
    )
    assert {"TAKES", "ALL"} == set(ids((await lookup.found(**WHERE, presentation="fall"))["candidates"]))
    assert ["ALL"] == ids((await lookup.found(**WHERE, presentation="fall", type=ED))["candidates"])
    assert {"TAKES", "ALL"} == set(ids((await lookup.found(**WHERE, symptom_group=group))["candidates"]))


async def test_another_time_may_be_asked_for(lookup: Lookup) -> None:
    """What is known of capacity is told as of then."""
    later = (NOON + timedelta(hours=2)).isoformat()
    found = await lookup.found(**WHERE, type=UTC_CENTRE, age=70, gender="female", at=later)
    assert ("2026-01-14T14:00:00Z", "unknown") == (found["at"], found["candidates"][0]["capacity"]["status"])


async def test_a_town_stands_for_its_position(lookup: Lookup) -> None:
    """As the built-in table has it."""
    town = town_named("Nottingham").position
    found = await lookup.found(town="nottingham", type=UTC_CENTRE)
    assert town.model_dump() == found["position"]


async def test_where_nothing_remains_the_nearest_departments_are_told(lookup: Lookup) -> None:
    """Marked as the catch-all that they are."""
    found = await lookup.found(**WHERE, type=STROKE)
    assert ([], ["E1"], "Service E1 (Catch-all)") == (
        found["candidates"],
        ids(found["catch_all"]),
        found["catch_all"][0]["name"],
    )


async def test_nothing_near_is_an_ordinary_answer(lookup: Lookup) -> None:
    """At sea nobody is found, and it is said how far was searched."""
    found = await lookup.found(latitude=54.5, longitude=3.5, type=[UTC_CENTRE, ED])
    assert ([], [], 60) == (found["candidates"], found["catch_all"], found["search_km"])


async def test_every_fault_is_named_at_once(lookup: Lookup) -> None:
    """Form, combinations and meaning, each by its parameter."""
    faults = await lookup.faults(
        latitude=91,
        km=100,
        presentation="not-in-the-table",
        disposition="DX-1",
        age=40,
        age_unit="days",
        gender="f",
        type=[UTC_CENTRE, "ed"],
        nhs_number="9000000009",
        at="noon",
    )
    assert {
        "/latitude",
        "/longitude",
        "/km",
        "/presentation",
        "/disposition",
        "/age",
        "/gender",
        "/type/1",
        "/nhs_number",
        "/at",
    } == set(faults)
    assert "give it in months" in faults["/age"]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ({}, {"/latitude", "/presentation"}),
        ({**WHERE, "type": 135, "town": "Nottingham"}, {"/town"}),
        ({"town": "Atlantis", "type": 135}, {"/town"}),
        ({"postcode": "NG1", "type": 135}, {"/postcode"}),
        ({**WHERE, "type": 135, "age": 5, "age_group": "child"}, {"/age_group"}),
        ({**WHERE, "type": 135, "age_unit": "days"}, {"/age_unit"}),
        ({**WHERE, "type": 135, "age": [5, 6]}, {"/age"}),
        ({**WHERE, "type": 135, "discriminator": "SD-FULL"}, {"/discriminator"}),
        ({**WHERE, "symptom_group": "SG-NONE"}, {"/symptom_group"}),
        ({**WHERE, "type": 135, "at": "0001-01-01T00:00:00Z"}, {"/at"}),
        ({**WHERE, "type": 135, "latitude": "nan"}, {"/latitude"}),
        ({**WHERE, "type": 135, "a/b~c": "x"}, {"/a~1b~0c"}),
    ],
)
async def test_what_makes_no_query_is_refused(lookup: Lookup, query: dict[str, Any], pointers: set[str]) -> None:
    """With the parameter that is wrong or missing."""
    assert pointers == set(await lookup.faults(**query))


async def test_a_postcode_without_a_table_says_how_to_load_one(lookup: Lookup) -> None:
    """And what can be given meanwhile."""
    assert HOW_TO_LOAD == (await lookup.faults(postcode="NG1 5FS", type=UTC_CENTRE))["/postcode"]


async def test_a_directory_that_is_not_read_yet_finds_nobody_falsely(lookup: Lookup) -> None:
    """503 until the index is complete, and while it is empty; 401 without a token."""
    unknown = await lookup.answer(token=False, **WHERE, type=UTC_CENTRE)
    lookup.complete = False
    early = await lookup.answer(**WHERE, type=UTC_CENTRE)
    lookup.complete, lookup.index = True, Index()
    empty = await lookup.answer(**WHERE, type=UTC_CENTRE)
    assert [401, 503, 503] == [unknown.status_code, early.status_code, empty.status_code]


async def test_a_candidates_place_is_explained(lookup: Lookup) -> None:
    """The same place and words as in the search."""
    explained = await lookup.explained("MID", **WHERE, type=UTC_CENTRE, age=70, gender="female")
    [_, mid] = (await lookup.found(**WHERE, type=UTC_CENTRE, age=70, gender="female"))["candidates"]
    assert (2, mid["why"], []) == (explained["place"], explained["why"], explained["excluded"])


async def test_every_criterion_that_excludes_is_explained(lookup: Lookup) -> None:
    """Not the first alone."""
    explained = await lookup.explained("NEAR", **WHERE, type=ED, age=5, gender="male")
    assert (None, ["service type", "gender", "age"]) == (
        explained["place"],
        [one["criterion"] for one in explained["excluded"]],
    )
    assert all(one["why"] for one in explained["excluded"])


async def test_one_that_others_go_before_is_explained(lookup: Lookup) -> None:
    """Nothing excludes it."""
    explained = await lookup.explained("FAR", **WHERE, type=UTC_CENTRE, age=70, gender="female")
    assert (None, []) == (explained["place"], explained["excluded"])
    assert "no. 3 of 3 of its type" in explained["why"]


async def test_a_service_that_is_not_there_is_not_explained(lookup: Lookup) -> None:
    """404; and without a service 422."""
    unknown = await lookup.answer("/pathways/explanation", service="NOBODY", **WHERE, type=UTC_CENTRE)
    unnamed = await lookup.answer("/pathways/explanation", **WHERE, type=UTC_CENTRE)
    assert (404, 422) == (unknown.status_code, unnamed.status_code)


async def test_every_parameter_is_described(lookup: Lookup) -> None:
    """In the OpenAPI document, with a sentence."""
    described = (await lookup.answer("/openapi.json")).json()["paths"]
    for path in ("/pathways", "/pathways/explanation"):
        parameters = {one["name"]: one for one in described[path]["get"]["parameters"]}
        assert {"latitude", "town", "postcode", "presentation", "type", "age", "gender", "surgery"} <= set(parameters)
        assert all(one.get("description") for name, one in parameters.items() if name != "service")


async def test_the_command_shows_what_was_found(lookup: Lookup) -> None:
    """Ids to accept, telephone, capacity with its age, why, and the criterion of each near miss."""
    console = Console(width=LEAST_WIDTH, record=True, file=StringIO())
    show(await lookup.found(**WHERE, type=UTC_CENTRE, age=70, gender="female"), console)
    text = console.export_text()
    for words in ("NEAR, 01632 960100", "Ring ahead.", "amber since", "nearest suitable", "as they come"):
        assert words in text
    assert len(text.splitlines()) < 40  # no column is so narrow that it breaks its words into letters
    assert "capacity: it reports that it is full (red)" in text
    explained = await lookup.explained("NEAR", **WHERE, type=ED, age=5, gender="male")
    assert "Service NEAR (urgent treatment centre): no candidate" == explanation(explained)[0]
