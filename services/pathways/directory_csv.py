"""Directory files as CSV: a service or a desk a row, with short forms for hours, sessions, ages and lists.

A column is named as the attribute, but for `latitude` and `longitude`. An empty cell is an absent attribute. A cell
that begins with { or [ is JSON. The short forms:

| column | example |
|---|---|
| `hours` | `always`, or `mon-fri 09:00-17:00; sat 10:00-12:00; holidays closed; 2026-12-24 09:00-11:00 12:00-14:00` |
| `sessions` | `mon-fri 09:00-12:00 every 20 for 2; sat 10:00-12:00 every 10 for 1` |
| `age_from`, `age_until` | `18 years`, `6 months` |
| `symptom_groups` | `1011: 4003 4052; 1203` |
| other lists | `female; male` |
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, BinaryIO, TextIO

from contracts.directory import DAYS, Service
from contracts.people import Desk
from services.pathways.csv_rows import rows_of
from services.pathways.directory_forms import Kind, Raw
from services.pathways.faults import FileFault

CLOCKS = r"(\d\d:\d\d)-(\d\d:\d\d)"
PERIOD = re.compile(rf"([a-z,-]+) {CLOCKS}")
DATED = re.compile(rf"(\d{{4}}-\d\d-\d\d|holidays) (closed|{CLOCKS}(?: {CLOCKS})*)")
SESSION = re.compile(rf"([a-z,-]+) {CLOCKS} every (\d+) for (\d+)")
AGE = re.compile(r"(\d+) ?([a-z]+)")
GROUP = re.compile(r"([^\s:;]+)(?:: *([^:;]+))?")


class _NotRead(ValueError):
    """A cell is not in its short form; the message is what it should be."""


def read_csv(file: BinaryIO) -> Iterator[Raw | FileFault]:
    """The rows of a file of services, or of one of desks: the line of names says which."""
    rows = rows_of(file)
    first = next(rows, (1, []))
    if isinstance(first, FileFault):
        yield first
        return
    names = [name.strip() for name in first[1]]
    kind: Kind = "desks" if "service_id" not in names and "organisation" in names else "services"
    faults = list(_names_at_fault(names, kind))
    yield from faults
    if faults:
        return
    for one in rows:
        if isinstance(one, FileFault):
            yield one
        elif one[1]:
            yield from _entry(one[1], names, kind, one[0])


def _names_at_fault(names: list[str], kind: Kind) -> Iterator[FileFault]:
    columns = _columns(kind)
    if not {"service_id", "organisation"} & set(names):
        message = f"the first line must name the columns: {', '.join(columns)}"
        yield FileFault(pointer="", line=1, message=message)
        return
    for number, name in enumerate(names):
        if name not in columns:
            yield FileFault(pointer=f"/{name}", line=1, message="there is no attribute of this name")
        elif name in names[:number]:
            yield FileFault(pointer=f"/{name}", line=1, message="there are two columns of this name")


def _entry(row: list[str], names: list[str], kind: Kind, line: int) -> Iterator[Raw | FileFault]:
    if len(row) != len(names):
        message = f"it has {len(row)} columns of {len(names)}: is it half a file?"
        yield FileFault(pointer="", line=line, message=message)
        return
    value: dict[str, Any] = {}
    faults: list[Raw | FileFault] = []
    for name, cell in zip(names, map(str.strip, row), strict=True):
        if cell:
            try:
                read = _cell(name, cell, kind)
            except _NotRead as error:
                faults.append(FileFault(pointer=f"/{name}", line=line, message=f"{_called(row, names)}: {error}"))
            else:
                if name in ("latitude", "longitude"):
                    value.setdefault("position", {})[name] = read
                else:
                    value[name] = read
    yield from faults or [Raw(kind, value, line)]


def _called(row: list[str], names: list[str]) -> str:
    name = "service_id" if "service_id" in names else "organisation"
    return f"{'service' if name == 'service_id' else 'desk'} {row[names.index(name)][:50]}"


def _cell(name: str, cell: str, kind: Kind) -> Any:
    """What a cell says, as JSON. Raises _NotRead."""
    shape = _columns(kind)[name]
    if cell[0] in "{[" and shape != "text":
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            raise _NotRead("it begins as JSON and is not") from None
    match name, shape:
        case "hours", "object":
            return _hours(cell)
        case "sessions", _:
            return [_session(part) for part in _parts(cell)]
        case "symptom_groups", _:
            return [_group(part) for part in _parts(cell)]
        case (("age_from" | "age_until"), _):
            age = _matched(AGE, cell, "write an age as 18 years, 6 months or 28 days")
            return {"value": int(age[1]), "unit": age[2]}
        case _, "boolean":
            said = cell.lower()
            if said not in ("true", "false", "yes", "no"):
                raise _NotRead("write true or false")
            return said in ("true", "yes")
        case _, "integer":
            return int(_matched(re.compile(r"-?\d{1,18}"), cell, "write a whole number")[0])
        case _, "number":
            return float(_matched(re.compile(r"-?\d{1,18}(\.\d+)?"), cell, "write a number, such as 52.95")[0])
        case _, "list":
            return _parts(cell)
        case _, "object":
            raise _NotRead("write it as JSON")
    return cell


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(";") if part.strip()]


def _matched(form: re.Pattern[str], text: str, instead: str) -> re.Match[str]:
    matched = form.fullmatch(" ".join(text.split()))
    if matched is None:
        raise _NotRead(instead)
    return matched


def _hours(cell: str) -> dict[str, Any]:
    hours: dict[str, Any] = {}
    for part in _parts(cell):
        if part == "always":
            hours["always"] = True
        elif dated := DATED.fullmatch(" ".join(part.split())):
            periods = [list(clocks) for clocks in re.findall(CLOCKS, dated[2])]
            if dated[1] == "holidays":
                hours["public_holidays"] = periods
            else:
                hours.setdefault("dates", []).append({"on": dated[1], "periods": periods})
        else:
            period = _matched(PERIOD, part, "write hours as always, or mon-fri 09:00-17:00; 2026-12-25 closed")
            opens, closes = period[2], period[3]
            hours.setdefault("periods", []).append({"days": _days(period[1]), "opens": opens, "closes": closes})
    return hours


def _session(part: str) -> dict[str, Any]:
    said = _matched(SESSION, part, "write sessions as mon-fri 09:00-12:00 every 20 for 2 (minutes, patients a slot)")
    slot = {"slot_minutes": int(said[4]), "capacity": int(said[5])}
    return {"days": _days(said[1]), "begins": said[2], "ends": said[3], **slot}


def _group(part: str) -> dict[str, Any]:
    said = _matched(GROUP, part, "write symptom groups as 1011: 4003 4052; 1203")
    return {"code": said[1], "discriminators": said[2].split() if said[2] else []}


def _days(text: str) -> list[str]:
    """The days of mon-fri,sun, in the order in which they are written."""
    days: list[str] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise _NotRead("write days as mon, tue, wed, thu, fri, sat or sun, and many as mon-fri")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        days += DAYS[begin : end + 1] if begin <= end else (*DAYS[begin:], *DAYS[: end + 1])
    return days


@cache
def _columns(kind: Kind) -> Mapping[str, str]:
    """The columns of a kind, and the shape of each: text, integer, number, boolean, list (of text) or object."""
    contract = Service if kind == "services" else Desk
    schema = contract.model_json_schema()
    columns: dict[str, str] = {}
    for name, attribute in schema["properties"].items():
        if name == "position":
            columns |= {"latitude": "number", "longitude": "number"}
        else:
            columns[name] = _shape(attribute, schema.get("$defs", {}))
    return columns


def _shape(attribute: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    for one in attribute.get("anyOf", []):
        if one.get("type") != "null":
            return _shape(one, named)
    if "$ref" in attribute:
        return _shape(named[attribute["$ref"].rpartition("/")[2]], named)
    match attribute.get("type"):
        case "array":
            return "list" if _shape(attribute.get("items", {}), named) == "text" else "object"
        case ("integer" | "number" | "boolean" | "object") as shape:
            return str(shape)
    return "text"


def write_csv(entries: Iterable[Mapping[str, Any]], kind: Kind, file: TextIO) -> None:
    """Entries of one kind, given as JSON with every attribute, as `read_csv` reads them."""
    writer = csv.DictWriter(file, list(_columns(kind)))
    writer.writeheader()
    for entry in entries:
        writer.writerow(_row(entry, kind))


def _row(entry: Mapping[str, Any], kind: Kind) -> dict[str, str]:
    row: dict[str, str] = {}
    for name, value in entry.items():
        if name == "position":
            # Without an exponent, which is not read back: beside the meridian 0.00008 would be written as 8e-05.
            row |= {part: f"{Decimal(repr(value[part])):f}" for part in ("latitude", "longitude")}
        elif value not in (None, "", []):
            row[name] = _written(name, value, kind)
    return row


def _written(name: str, value: Any, kind: Kind) -> str:
    """A cell that reads as this value: in its short form where that says all of it, else as JSON."""
    text = _short(name, value)
    if text is not None:
        try:
            if text and _said(_cell(name, text, kind)) == _said(value):
                return text
        except _NotRead:
            pass
    return json.dumps(value, ensure_ascii=False)


def _said(value: Any) -> Any:
    """A value without what says nothing: attributes that are absent, false or empty."""
    if isinstance(value, dict):
        said = {name: _said(one) for name, one in value.items()}
        return {name: one for name, one in said.items() if one not in (None, False, [])}
    return [_said(one) for one in value] if isinstance(value, list) else value


def _short(name: str, value: Any) -> str | None:
    """The short form of a value, which may not say all of it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return repr(value)
        case {"value": number, "unit": unit}:
            return f"{number} {unit}"
        case dict() if name == "hours":
            return _short_hours(value)
        case [{"days": _, "begins": _}, *_]:
            return "; ".join(map(_short_session, value))
        case [{"code": _}, *_]:
            groups = (f"{one['code']}: {' '.join(one['discriminators'])}".rstrip(": ") for one in value)
            return "; ".join(groups)
        case [str(), *_]:
            return "; ".join(value)
    return None


def _short_hours(hours: Mapping[str, Any]) -> str:
    parts = ["always"] if hours.get("always") else []
    parts += [f"{_short_days(one['days'])} {one['opens']}-{one['closes']}" for one in hours.get("periods", [])]
    if hours.get("public_holidays") is not None:
        parts.append(f"holidays {_short_clocks(hours['public_holidays'])}")
    parts += [f"{one['on']} {_short_clocks(one.get('periods', []))}" for one in hours.get("dates", [])]
    return "; ".join(parts)


def _short_session(session: Mapping[str, Any]) -> str:
    every = f"every {session['slot_minutes']} for {session['capacity']}"
    return f"{_short_days(session['days'])} {session['begins']}-{session['ends']} {every}"


def _short_clocks(periods: list[list[str]]) -> str:
    return " ".join(f"{opens}-{closes}" for opens, closes in periods) or "closed"


def _short_days(days: list[str]) -> str:
    begin = DAYS.index(days[0]) if days[0] in DAYS else 0
    run = list(DAYS[begin : begin + len(days)])
    return f"{days[0]}-{days[-1]}" if len(days) > 1 and run == days else ",".join(days)
