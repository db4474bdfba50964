"""The AsyncAPI document and its page: whole, right, and of nothing else than themselves."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema
from jsonschema import Draft202012Validator

import contracts
from contracts.generate import declared
from services.cli.documents import asyncapi_document

FOLDER = Path(contracts.__file__).parent
EXAMPLES = sorted((FOLDER / "examples" / "valid").glob("*/*.json"))


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as the code makes it."""
    return asyncapi_document()


def references(part: Any) -> Iterator[str]:
    """Every reference in it."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(part, list):
        for one in part:
            yield from references(one)


def at(document: Any, reference: str) -> Any:
    """What a reference means. Raises KeyError when that is nothing."""
    for name in reference.removeprefix("#/").split("/"):
        document = document[name]
    return document


def test_it_is_an_asyncapi_3_document(document: dict[str, Any]) -> None:
    """FastStream's model of the specification takes it; that one wants a path of a server too."""
    server = {**document["servers"]["kafka"], "pathname": "/"}
    document = {**document, "servers": {"kafka": server}}
    assert "3.0.0" == ApplicationSchema.model_validate(document).asyncapi


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """Within the document."""
    found = set(references(document))
    assert 50 < len(found)
    for reference in found:
        assert at(document, reference)


def test_every_contract_is_told_once_and_read_only_from_its_topic(document: dict[str, Any]) -> None:
    """By the one service that writes its topic; what is read of a topic is told on it."""
    told = [
        reference["$ref"].rsplit("/", 1)[1]
        for operation in document["operations"].values()
        if operation["action"] == "send"
        for reference in operation["messages"]
    ]
    assert sorted(declared()) == sorted(told)
    for operation in document["operations"].values():
        assert operation["messages"]
        for reference in operation["messages"]:
            assert reference["$ref"].startswith(f"{operation['channel']['$ref']}/messages/")
    assert "booking reads booking.requested" == document["operations"]["booking.receive.placements"]["summary"]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_golden_example_is_as_the_document_says(file: Path, document: dict[str, Any]) -> None:
    """Read by the document alone."""
    schema = {**document, "$ref": f"#/components/schemas/{file.parent.name}"}
    assert [] == list(Draft202012Validator(schema).iter_errors(json.loads(file.read_text())))


def test_the_page_needs_nothing_else() -> None:
    """No script and no address outside it; every topic and every type has its place, and each link within it leads."""
    page = (FOLDER / "asyncapi.html").read_text()
    assert [] == re.findall(r"<script|<link|<img|src=|url\(", page)
    links = set(re.findall(r'href="([^"]*)"', page))
    assert {"/asyncapi.json"} == {link for link in links if not link.startswith("#")}
    places = set(re.findall(r'id="([^"]*)"', page))
    assert {link[1:] for link in links if link.startswith("#")} | set(declared()) <= places
