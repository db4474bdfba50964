"""Every kind of bad request, made of a good one and of what is documented of its route."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.edges.bad_bodies import (
    DEEP,
    MANY_BYTES,
    bad_media_types,
    bad_members,
    bad_values,
    large_bodies,
    no_documents,
    no_json,
)
from tests.edges.forged_tokens import FOREMOST, forged
from tests.edges.routes import FIRST, MANY, OPERATIONS, Bad, Case
from tests.edges.whole_system import OTHER

Kind = Callable[[Case], Iterator[Bad]]

# Who calls


def bad_tokens(case: Case) -> Iterator[Bad]:
    """Nobody's, forged, run out, another system's; and such as break who reads them before their signature is known."""
    good = case.good()
    if 401 not in case.documented:
        return
    without = {name: value for name, value in good.headers.items() if name != "Authorization"}
    yield "no token", replace(good, headers=without), {401}
    for said in ("", "Bearer", "Basic b25l", "Bearer a b", "Bearer \xff"):
        yield (
            f"authorised by {said!r}",
            replace(good, headers={**without, "Authorization": said.encode("latin-1")}),
            {401},
        )
    # Who calls is found out in one place, before anything else: some of all show that it stands before every route.
    tokens = forged(case.whole.system.signing_key)
    for what, token in tokens if MANY or case.label == FIRST else tokens[:FOREMOST]:
        yield what, good.bearing(token), {401}


def others(case: Case) -> Iterator[Bad]:
    """Another organisation asks for the same."""
    if case.route.to_others is not None:
        token = case.whole.token(OTHER, "paramedic")
        yield "another organisation asks", case.good().bearing(token), {case.route.to_others}
    if case.route.names_the_caller:
        yield "another organisation is named", case.good().saying("organisation", OTHER), {403}


# Path, query and headers

ODD_TEXTS = ("%00", "%FF", "%ED%A0%80", "x" * 20_000, "%F0%9F%9A%91", "..%2F", "%27%3B--", "1%0D%0AX:1")
BAD_VALUES: dict[str, tuple[str, ...]] = {
    "integer": ("x", "1.5", "1e400", "1" + "0" * 400, "9" * 5000, "-" + "9" * 400, "NaN", "0x1", "%EF%BC%91x"),
    "number": ("x", "1e400", "-1e400", "NaN", "Infinity", "1" + "0" * 400, "9" * 5000),
    "boolean": ("x", "2", "1" + "0" * 400),
    "uuid": ("x", "0" * 33, "00000000-0000-0000-0000-00000000000g", "1" + "0" * 400),
    "date-time": ("x", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "1e400"),
}


def bad_ids(case: Case) -> Iterator[Bad]:
    """In the path: what is no id, and ids of nothing."""
    template = case.label.split(" ")[1]
    names = {**case.whole.values, **case.route.values}
    for parameter in case.parameters("path"):
        name, schema = parameter["name"], parameter["schema"]
        kind = schema.get("format", schema["type"])
        nothing = {"uuid": "00000000-0000-4000-8000-000000000000", "integer": "999999", "string": "no-such"}[kind]
        for value in (*BAD_VALUES.get(kind, ()), *ODD_TEXTS, nothing):
            path = template.format_map(names | {name: value})
            # With a slash it is the path of no route.
            refused = {404} if "%2F" in value else {404, 422} & case.documented
            yield f"{name} is {value[:20]}", replace(case.good(), path=path), refused


def bad_parameters(case: Case) -> Iterator[Bad]:
    """In the query: each parameter with what it cannot be."""
    for parameter in case.parameters("query"):
        name = parameter["name"]
        for value in dict.fromkeys(_not_of(parameter["schema"])):
            yield f"{name}={value[:20]}", case.good().saying(name, value), {400, 404, 409, 422} & case.documented
        if parameter.get("required"):
            good = case.good()
            without = tuple(pair for pair in good.query if pair[0] != name)
            yield f"without {name}", replace(good, query=without), {422}


def _not_of(schema: Mapping[str, Any]) -> Iterator[str]:
    """What a parameter of this schema cannot be, escaped."""
    for one in schema.get("anyOf", [schema]):
        one = one.get("items", one)
        kind = one.get("format", one["type"])
        if kind == "null":
            continue
        yield from BAD_VALUES.get(kind, ())
        yield from ODD_TEXTS
        for limit, step in (("minimum", -1), ("maximum", 1)):
            if limit in one:
                yield str(one[limit] + step)
        if "maxLength" in one:
            yield "x" * (one["maxLength"] + 1)


def unknown_parameters(case: Case) -> Iterator[Bad]:
    """A parameter that nobody knows is refused where all are known, and changes nothing elsewhere."""
    good = case.good()
    for name in ("nhs_number", "%00%ED%A0%80" + "x" * 20_000):
        refused = {422} if case.route.knows_all_parameters else {case.route.answers}
        yield f"{name[:20]} in the query", good.saying(name, "9000000009"), refused


def bad_headers(case: Case) -> Iterator[Bad]:
    """Each header that is documented, with what it cannot be; and more of a head than anybody needs."""
    good = case.good()
    expected = {"idempotency-key": {400}, "last-event-id": {400}, "if-match": {400}}
    expected["document-title"] = {422, case.route.answers}  # nearly anything is a title
    for parameter in case.parameters("header"):
        name = parameter["name"]
        for value in (b"\xff", b"x", b"9" * 5000, b'"', b"1-" + b"9" * 400, b"\xed\xa0\x80"):
            good = case.good()  # under a key of its own: with another title the same key is refused
            statuses = expected.get(name.lower(), {case.route.answers})
            kept = {one: said for one, said in good.headers.items() if one.lower() != name.lower()}
            yield f"{name} is {value[:20]!r}", replace(good, headers={**kept, name: value}), statuses
    odd = dict.fromkeys(("traceparent", "Cookie", "Accept", "Accept-Language", "Range", "Upgrade"), b"\xff" * 5000)
    yield "odd headers that it does not know", replace(good, headers={**good.headers, **odd}), {case.route.answers}


def large_heads(case: Case) -> Iterator[Bad]:
    """More of a head than anybody needs. Nobody knows yet who asks for what, so one route stands for all."""
    if case.label != FIRST:
        return
    good = case.good()
    for what, headers in {
        "one header of 10 MB": {"X-Large": "x" * MANY_BYTES},
        "one header of 70 kB": {"X-Large": "x" * 70_000},
        "a name of 10 MB": {"x" * MANY_BYTES: "x"},
        "a hundred thousand headers": {f"X-{n}": "x" * 90 for n in range(DEEP)},
        "a thousand empty headers": {f"X-{n}": "" for n in range(1000)},
    }.items():
        yield what, replace(good, headers={**good.headers, **headers}), {431}
    yield "an address of 10 MB", good.saying("x", "x" * MANY_BYTES), {431}
    yield "a token of 70 kB", good.bearing("x" * 70_000), {431}
    yield "no HTTP", replace(good, method="BREW IT"), {400}


def bad_methods(case: Case) -> Iterator[Bad]:
    """What is asked in a way that the path does not know."""
    good = case.good()
    known = {
        method
        for method, template in (label.split(" ") for label in OPERATIONS)
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), good.path)
    }
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - known:
        yield method, replace(good, method=method, body=b""), {405}


KINDS: dict[str, Kind] = {
    kind.__name__.replace("_", " "): kind
    for kind in (
        bad_tokens,
        others,
        bad_media_types,
        large_bodies,
        no_documents,
        no_json,
        bad_values,
        bad_members,
        bad_ids,
        bad_parameters,
        unknown_parameters,
        bad_headers,
        large_heads,
        bad_methods,
    )
}
"""Every kind. Each finds by itself what of it applies to a route."""
