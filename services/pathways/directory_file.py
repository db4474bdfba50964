"""Directory files: services and desks, written by hand in TOML or sent as JSON, read whole or refused whole."""

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from contracts.directory import Service
from contracts.envelope import Data
from contracts.people import Age, Desk
from services.chassis.problems import Fault, faults_of

Entry = TypeVar("Entry", Service, Desk)


class Directory(Data):
    """A directory document: services, and desks of organisations."""

    services: tuple[Service, ...] = ()
    desks: tuple[Desk, ...] = ()


class DirectoryFaulty(Exception):
    """A directory document does not hold. `faults` names every one: its JSON pointer, the entry and what is wrong."""

    def __init__(self, faults: Sequence[Fault], file: Path | None = None) -> None:
        self.faults = tuple(faults)
        where = "the document" if file is None else str(file)
        lines = [f"{fault.pointer or '/'}: {fault.message}" for fault in self.faults]
        super().__init__("\n  ".join([f"{where} is refused whole; mend each fault and load it again:", *lines]))


def read_file(path: Path) -> Directory:
    """The directory in a TOML file, or in a JSON file by its ending. Raises DirectoryFaulty, which names the file."""
    try:
        text = path.read_bytes()
        if path.suffix == ".json":
            return parse(text)
        return _directory(tomllib.loads(text.decode()))
    except DirectoryFaulty as faulty:
        raise DirectoryFaulty(faulty.faults, path) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DirectoryFaulty([Fault(pointer="", message=f"it cannot be read as TOML: {error}")], path) from None


def parse(text: bytes) -> Directory:
    """The directory in a JSON document. Raises DirectoryFaulty."""
    try:
        document = from_json(text)
    except ValueError as error:
        raise DirectoryFaulty([Fault(pointer="", message=f"it is not JSON: {error}")]) from None
    return _directory(document)


def _directory(document: Any) -> Directory:
    if not isinstance(document, dict):
        raise DirectoryFaulty([Fault(pointer="", message="it is not an object with services and desks")])
    faults = [
        Fault(pointer=f"/{name}", message="a directory has services and desks, and nothing of this name")
        for name in document
        if name not in Directory.model_fields
    ]
    directory = Directory(
        services=_entries(document, "services", Service, lambda one: one.service_id, faults),
        desks=_entries(document, "desks", Desk, lambda one: one.organisation, faults),
    )
    if not document.get("services") and not document.get("desks"):
        faults.append(Fault(pointer="", message="it has neither a service nor a desk"))
    if faults:
        raise DirectoryFaulty(faults)
    return directory


def _entries(
    document: Mapping[str, Any],
    kind: str,
    contract: type[Entry],
    id_of: Callable[[Entry], str],
    faults: list[Fault],
) -> tuple[Entry, ...]:
    """The entries of one kind that hold; what is wrong with the others is added to `faults`."""
    raws = document.get(kind, [])
    if not isinstance(raws, list):
        faults.append(Fault(pointer=f"/{kind}", message="it is not a list"))
        return ()
    entries: dict[str, Entry] = {}
    first: dict[str, int] = {}
    for number, raw in enumerate(raws):
        found: list[Fault] = []
        try:
            # Through JSON, so that TOML's dates and lists are read as the wire's are.
            entry = contract.model_validate_json(json.dumps(raw, default=str))
        except ValidationError as error:
            found = faults_of(error)
        else:
            found += _unknown(entry)
            if isinstance(entry, Service):
                found += _contradictions(entry)
            if id_of(entry) in entries:
                found.append(Fault(pointer="", message=f"it is there already, as /{kind}/{first[id_of(entry)]}"))
            entries.setdefault(id_of(entry), entry)
            first.setdefault(id_of(entry), number)
        name = _name(kind, raw)
        faults += [
            Fault(pointer=f"/{kind}/{number}{fault.pointer}", message=f"{name}: {fault.message}") for fault in found
        ]
    return tuple(entries.values())


def _name(kind: str, raw: Any) -> str:
    """What an entry is called by people, however faulty it is."""
    said = [raw.get(key) for key in ("service_id", "organisation", "name")] if isinstance(raw, dict) else []
    named = [one for one in said if isinstance(one, str) and one]
    return f"{kind.removesuffix('s')} {named[0][:50]}" if named else f"a {kind.removesuffix('s')} without an id"


def _unknown(value: Any, pointer: str = "") -> Iterator[Fault]:
    """Attributes that nobody reads: most often a limit that is spelt wrongly, and so does not limit."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield Fault(pointer=f"{pointer}/{name}", message="there is no attribute of this name")
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{pointer}/{name}")
    elif isinstance(value, tuple):
        for number, one in enumerate(value):
            yield from _unknown(one, f"{pointer}/{number}")


def _contradictions(service: Service) -> Iterator[Fault]:
    """What can be written down and cannot be meant."""
    youngest, oldest = service.age_from, service.age_until
    if youngest and oldest and youngest.in_days >= oldest.in_days + Age(value=1, unit=oldest.unit).in_days:
        yield Fault(pointer="/age_from", message="the youngest is older than the oldest, so nobody is taken")
    periods = [(f"/hours/periods/{n}", one.opens, one.closes) for n, one in enumerate(service.hours.periods)]
    for n, special in enumerate(service.hours.dates):
        periods += [(f"/hours/dates/{n}/periods/{m}", *period) for m, period in enumerate(special.periods)]
    for pointer, opens, closes in periods:
        if opens == closes:
            yield Fault(pointer=pointer, message="it closes as it opens: for a whole day write 00:00 to 24:00")
    dates = [special.on for special in service.hours.dates]
    for n, day in enumerate(dates):
        if day in dates[:n]:
            yield Fault(pointer=f"/hours/dates/{n}", message="this date has hours already: put its periods together")
