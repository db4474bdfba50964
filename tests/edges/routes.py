"""One line a route: a request that it answers well, and what it says to those who should not ask."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from services.cli.connection import TRUST
from services.cli.documents import openapi
from services.pathways.directory_export import write
from services.pathways.directory_forms import MEDIA_TYPES
from tests.document_examples import WHOLE as DOCUMENTS
from tests.edges.whole_system import EDITOR, OPERATOR, SUBMISSION, Whole
from tests.pathways_examples import service

DOCUMENT: dict[str, Any] = json.loads(openapi())
OPERATIONS: dict[str, dict[str, Any]] = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
"""What is documented of each route, by method and path."""
FIRST = next(iter(OPERATIONS))

MANY = "ONWARD_FUZZ_EXAMPLES" in os.environ
"""`make fuzz` asks everything of every route and every place of a body; `make test` each kind of each, in turns."""


@dataclass(frozen=True)
class Ask:
    """A request as it goes over the wire."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    """Escaped already."""
    headers: Mapping[str, str | bytes] = field(default_factory=dict)
    body: bytes = b""
    in_parts: bool = False
    """The body's length is not announced."""

    @property
    def target(self) -> bytes:
        """Path and query."""
        query = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.path}?{query}".removesuffix("?").encode()

    def bearing(self, token: str | bytes) -> "Ask":
        """The same with this token."""
        bearer = b"Bearer " + (token.encode() if isinstance(token, str) else token)
        return replace(self, headers={**self.headers, "Authorization": bearer})

    def saying(self, name: str, value: str) -> "Ask":
        """The same with this parameter in the query, and no other of its name."""
        return replace(self, query=(*((one, said) for one, said in self.query if one != name), (name, value)))


@dataclass(frozen=True)
class Route:
    """A route, as the table has it."""

    organisation: str = TRUST
    role: str = "paramedic"
    values: Mapping[str, str] = field(default_factory=dict)
    """Of its path's parameters, where they are not those of the system."""
    query: str = ""
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    """One that it takes, by media type."""
    answers: int = 200
    to_others: int | None = None
    """What another organisation's paramedic is told of the same; nothing where everybody may know it."""
    names_the_caller: bool = False
    """The query may name the caller's organisation, and no other."""
    knows_all_parameters: bool = False
    """A parameter that it does not know is refused."""


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _directory() -> Iterator[tuple[str, bytes]]:
    """A directory of one service in each form that is taken."""
    endings = {"application/fhir+json": ".fhir.json", "application/x-ndjson": ".ndjson"}
    for media_type, form in MEDIA_TYPES.items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"directory{endings.get(media_type, f'.{form}')}"
            yield media_type, write([service("edges-1")], file)[0].read_bytes()


SENT = {"application/json": _json(SUBMISSION)}
DIRECTORY = dict(_directory())
PLACES = {"text/csv": b"outcode,latitude,longitude\nNG7,52.9600,-1.1800\nTR1,50.2600,-5.0500\n"}
MESSAGE = {"application/json": b'{"action":"leave_message","words":"Narrative-words: said by telephone."}'}
LOOKUP = "latitude=52.9&longitude=-1.2&type=122"
ON_A_REFERRAL = Route(to_others=404, names_the_caller=True)
OF_THE_OPERATOR = Route(OPERATOR, "operator", to_others=403)

ROUTES: dict[str, Route] = {
    "POST /referrals": Route(bodies=SENT, answers=201, names_the_caller=True),
    "GET /attempts/{key}": ON_A_REFERRAL,
    "POST /triage": Route(bodies=SENT),
    "GET /presentations": Route(),
    "POST /services/import": Route(role=EDITOR, bodies=DIRECTORY, to_others=403),
    "GET /services/export": Route(),
    "GET /services/{service_id}": Route(),
    "GET /places": Route(query="q=lincoln"),
    "POST /places/import": Route(role=EDITOR, bodies=PLACES, to_others=403),
    "PUT /services/{service_id}/capacity": Route(
        "ONW02", "nurse", bodies={"application/json": b'{"capacity":"green","notes":"Quiet."}'}, to_others=403
    ),
    "GET /services/{service_id}/capacity": Route(query="limit=2"),
    "GET /pathways": Route(query=LOOKUP, knows_all_parameters=True),
    "GET /pathways/explanation": Route(query=f"service=elverbridge-stroke&{LOOKUP}", knows_all_parameters=True),
    "GET /services/{service_id}/slots": Route(values={"service_id": "elverbridge-utc"}),
    "GET /messages/{message_id}": Route(to_others=404),
    "GET /referrals": Route(query="limit=2"),
    "GET /referrals/{referral_id}": ON_A_REFERRAL,
    "GET /referrals/{referral_id}/versions": ON_A_REFERRAL,
    "GET /referrals/{referral_id}/versions/{number}": replace(ON_A_REFERRAL, values={"number": "1"}),
    "GET /referrals/{referral_id}/handover": ON_A_REFERRAL,
    "POST /referrals/{referral_id}/actions": replace(ON_A_REFERRAL, bodies=MESSAGE),
    "POST /referrals/{referral_id}/documents": replace(
        ON_A_REFERRAL, bodies=dict(DOCUMENTS), query="kind=discharge-summary", answers=201
    ),
    "GET /referrals/{referral_id}/documents": ON_A_REFERRAL,
    "GET /referrals/{referral_id}/documents/{document_id}": ON_A_REFERRAL,
    "GET /events": Route(names_the_caller=True),
    "GET /worklists": Route(),
    "GET /worklists/{name}": Route(values={"name": "awaiting-clinician"}),
    "GET /worklists/unreadable": Route(),
    "GET /dead-letters": OF_THE_OPERATOR,
    "GET /dead-letters/{number}": OF_THE_OPERATOR,
    "POST /dead-letters/{number}/replay": replace(OF_THE_OPERATOR, query="dry_run=true"),
    "GET /health/live": Route(),
    "GET /health/ready": Route(),
    "GET /metrics": Route(),
}
"""Every route that is documented. A new one needs its line here."""


def asked(label: str, whole: Whole, media_type: str = "") -> Ask:
    """The request that a route answers well, with a body of this media type if it takes one."""
    route = ROUTES[label]
    method, template = label.split(" ")
    names = {**whole.values, **route.values}
    headers: dict[str, str | bytes] = {"Authorization": f"Bearer {whole.token(route.organisation, route.role)}"}
    if media_type:
        headers["Content-Type"] = media_type
    documented = {one["name"] for one in OPERATIONS[label].get("parameters", ())}
    needed = {"Idempotency-Key": str(uuid4()), "Document-Title": "Letter"}
    headers |= {name: said for name, said in needed.items() if name in documented}
    return Ask(
        method,
        template.format_map({name: quote(value, safe="") for name, value in names.items()}),
        tuple((name, value) for name, _, value in (one.partition("=") for one in route.query.split("&") if one)),
        headers,
        route.bodies.get(media_type, b""),
    )


Bad = tuple[str, Ask, set[int]]
"""What is bad about a request, the request, and with what it may be refused."""


@dataclass(frozen=True)
class Case:
    """A route, and the system that it is asked of."""

    label: str
    whole: Whole

    @property
    def route(self) -> Route:
        """Its line in the table."""
        return ROUTES[self.label]

    @property
    def operation(self) -> dict[str, Any]:
        """What is documented of it."""
        return OPERATIONS[self.label]

    @property
    def documented(self) -> set[int]:
        """The statuses that it may answer with."""
        return {int(status) for status in self.operation["responses"]}

    @property
    def media_types(self) -> list[str]:
        """In which a body may be sent; none where none is taken."""
        return list(self.operation.get("requestBody", {}).get("content", {}))

    def good(self, media_type: str | None = None) -> Ask:
        """The request that is answered well."""
        media_type = next(iter(self.media_types), "") if media_type is None else media_type
        return asked(self.label, self.whole, media_type)

    def parameters(self, where: str) -> list[dict[str, Any]]:
        """Those that are documented of a place."""
        return [one for one in self.operation.get("parameters", ()) if one["in"] == where]
