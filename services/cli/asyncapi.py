"""The AsyncAPI 3 document: every topic, who tells what on it, and who reads what of it; and the same as a page."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import contracts
from contracts.envelope import Event
from contracts.generate import declared, schema_of
from contracts.topics import PARTITIONS, Topic
from services.chassis.publishing import CONTENT_TYPE
from services.chassis.service import Service

EXAMPLES = Path(contracts.__file__).parent / "examples" / "valid"

Document = dict[str, Any]

ABOUT = (
    "What travels over Kafka in Onward: facts in the past tense, each a CloudEvents 1.0 event in structured JSON, one "
    "a message. A topic belongs to the one service that writes it. The type is a header too, so that a reader can skip "
    "without parsing. Readers ignore attributes that they do not know. The same fact may come twice, under one id."
)


def document(services: Sequence[Service], writers: Mapping[str, str]) -> Document:
    """The document. `writers` says which service writes each topic."""
    family = declared()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Onward",
            "version": "0.1.0",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "Apache Kafka, as KAFKA_BOOTSTRAP_SERVERS names it.",
                "variables": {"bootstrap": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {topic.value: _channel(topic, family) for topic in Topic},
        "operations": dict(_operations(services, writers, family)),
        "components": {
            "messages": {type_: _message(contract) for type_, contract in family.items()},
            "schemas": _schemas(family),
        },
    }


def _channel(topic: Topic, family: Mapping[str, type[Event]]) -> Document:
    types = [type_ for type_, contract in family.items() if topic == contract.TOPIC]
    return {
        "address": topic.value,
        "messages": {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in types},
        "bindings": {"kafka": {"topic": topic.value, "partitions": PARTITIONS, "bindingVersion": "0.5.0"}},
    }


def _operations(
    services: Sequence[Service], writers: Mapping[str, str], family: Mapping[str, type[Event]]
) -> Iterator[tuple[str, Document]]:
    for topic, writer in writers.items():
        types = [type_ for type_, contract in family.items() if topic == contract.TOPIC]
        yield f"{writer}.send.{topic}", _operation("send", topic, types, f"{writer} tells {_listed(types)}")
    for service in services:
        for reading in service.readings:
            operation = _operation(
                "receive", reading.topic, reading.types, f"{service.name} reads {_listed(reading.types)}"
            )
            if reading.group is None:
                yield f"{service.name}.follow.{reading.topic}", operation
            else:
                group = {"type": "string", "const": reading.group}
                operation["bindings"] = {"kafka": {"groupId": group, "bindingVersion": "0.5.0"}}
                yield f"{service.name}.receive.{reading.topic}", operation


def _operation(action: str, topic: str, types: Sequence[str], summary: str) -> Document:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{topic}/messages/{type_}"} for type_ in types],
    }


def _listed(types: Iterable[str]) -> str:
    return ", ".join(types)


def _message(contract: type[Event]) -> Document:
    examples = sorted((EXAMPLES / contract.TYPE).glob("*.json"))[:1]
    return {
        "name": contract.TYPE,
        "title": contract.__name__,
        "summary": " ".join((contract.__doc__ or "").split()),
        "contentType": "application/cloudevents+json",
        "headers": {
            "type": "object",
            "required": ["type", "content-type"],
            "properties": {"type": {"const": contract.TYPE}, "content-type": {"const": CONTENT_TYPE}},
        },
        "payload": {"$ref": f"#/components/schemas/{contract.TYPE}"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": "the event's partitionkey"}, "bindingVersion": "0.5.0"}
        },
        "examples": [{"name": file.stem, "payload": json.loads(file.read_text())} for file in examples],
    }


def _schemas(family: Mapping[str, type[Event]]) -> Document:
    """Each event's schema, and once each part that they share."""
    schemas: Document = {}
    for type_, contract in family.items():
        schema = schema_of(contract)
        parts = schema.pop("$defs")
        for name, part in {**parts, type_: schema}.items():
            moved = _moved({key: value for key, value in part.items() if key not in ("$schema", "$id")})
            if schemas.setdefault(name, moved) != moved:
                raise ValueError(f"two different parts of contracts are named {name}: rename one")
    return dict(sorted(schemas.items()))


def _moved(part: Any) -> Any:
    if isinstance(part, list):
        return [_moved(one) for one in part]
    if isinstance(part, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref" and isinstance(value, str)
            else _moved(value)
            for key, value in part.items()
        }
    return part


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #212b32 }
h1, h2, h3 { line-height: 1.2 } h2 { border-top: 2px solid #005eb8; padding-top: 1rem; margin-top: 3rem }
code, pre { font: 14px/1.4 ui-monospace, monospace } pre { background: #f0f4f5; padding: 1rem; overflow: auto }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 } td, th { text-align: left; vertical-align: top }
td, th { border-bottom: 1px solid #d8dde0; padding: .3rem .6rem .3rem 0 } summary { cursor: pointer; color: #005eb8 }
"""


def page(of: Document) -> str:
    """The document as one HTML page that needs nothing else: no script, no address outside it."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>Onward: events</title><style>{STYLE}</style>",
        f"<h1>Events of Onward</h1><p>{escape(of['info']['description'])}</p>",
        '<p>The same for programs: <a href="/asyncapi.json">asyncapi.json</a> (AsyncAPI 3).</p><ul>',
        *(f'<li><a href="#{name}">{name}</a>: {_listed(one["messages"])}' for name, one in of["channels"].items()),
        "</ul>",
    ]
    for name, channel in of["channels"].items():
        parts.append(f'<h2 id="{name}">{name}</h2><table>')
        for operation in of["operations"].values():
            if operation["channel"]["$ref"] == f"#/channels/{name}":
                group = operation.get("bindings", {}).get("kafka", {}).get("groupId", {}).get("const")
                alone = "" if operation["action"] == "send" else "each replica by itself"
                said = f"in group <code>{group}</code>" if group else alone
                parts.append(f"<tr><td>{escape(operation['summary'])}<td>{said}")
        parts.append("</table>")
        for type_ in channel["messages"]:
            parts += _section(type_, of["components"]["messages"][type_], of["components"]["schemas"])
    schemas = of["components"]["schemas"]
    parts.append('<h2 id="parts">What they are made of</h2>')
    for name in schemas:
        if name not in of["components"]["messages"]:
            parts += [f'<h3 id="{name}">{name}</h3>', *_attributes(schemas[name])]
    return "\n".join(parts) + "\n"


def _section(type_: str, message: Document, schemas: Document) -> Iterator[str]:
    yield f'<h3 id="{type_}"><code>{type_}</code></h3><p>{escape(message["summary"])}</p>'
    yield from _attributes(schemas[type_])
    for example in message["examples"]:
        shown = escape(json.dumps(example["payload"], indent=2, ensure_ascii=False))
        yield f"<details><summary>An example: {escape(example['name'])}</summary><pre>{shown}</pre></details>"


def _attributes(schema: Document) -> Iterator[str]:
    if schema.get("description"):
        yield f"<p>{escape(schema['description'])}</p>"
    if "properties" not in schema:
        yield f"<p>{_kind(schema)}</p>"
        return
    yield "<table><tr><th>attribute<th>kind<th>meaning"
    for name, one in schema["properties"].items():
        needed = "" if name in schema.get("required", ()) else " (optional)"
        meaning = escape(str(one.get("description", "")))
        yield f"<tr><td><code>{escape(name)}</code>{needed}<td>{_kind(one)}<td>{meaning}"
    yield "</table>"


def _kind(schema: Any) -> str:
    """What a value is, in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f'<a href="#{name}">{name}</a>'
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(one))}</code>" for one in schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(map(_kind, schema[union]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}" if "items" in schema else "list"
    kind = str(schema.get("type", "anything"))
    bounds = [f"{name} {schema[name]}" for name in _BOUNDS if name in schema]
    return escape(", ".join([f"{kind} ({schema['format']})" if "format" in schema else kind, *bounds]))


_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minLength", "maxLength", "pattern")
