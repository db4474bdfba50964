"""Directory files: services and desks, in several forms, read one entry at a time and refused whole.

A fault is named with its line, its JSON pointer or column, and what the entry is called.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ValidationError

from contracts.directory import DAYS, Service, SlotSession
from contracts.envelope import Data
from contracts.people import Age, Desk
from services.chassis.problems import Fault, faults_of
from services.pathways.directory_csv import read_csv
from services.pathways.directory_forms import FORMS, Form, Raw, Reader, read_json, read_json_lines, read_toml
from services.pathways.faults import MOST_FAULTS, FileFault, FileFaulty

Entry = Service | Desk

READERS: dict[Form, Reader] = {"toml": read_toml, "json": read_json, "jsonl": read_json_lines, "csv": read_csv}

LONGEST_NIGHT = 16 * 60
"""Minutes. What runs past midnight for so long was most likely written the wrong way round."""
MINUTES_A_DAY = 24 * 60
OLDEST = Age(value=130).in_days


class Directory(Data):
    """A directory document: services, and desks of organisations."""

    services: tuple[Service, ...] = ()
    desks: tuple[Desk, ...] = ()


class DirectoryFaulty(FileFaulty):
    """A directory file does not hold, and nothing of it was kept."""

    def __init__(self, faults: Iterable[FileFault], file: Path | None = None) -> None:
        super().__init__(list(faults), "the document" if file is None else str(file))


def form_of(path: Path) -> Form:
    """The form of a file, by its ending. Raises DirectoryFaulty."""
    form = FORMS.get(path.suffix.lower())
    if form is None:
        message = f"its form is not known: its name must end in {', '.join(FORMS)}"
        raise DirectoryFaulty([FileFault(pointer="", message=message)], path)
    return form


def entries(file: BinaryIO, form: Form) -> Iterator[Entry | FileFault]:
    """The entries of a file in its order, and what is wrong with those that do not hold.

    One entry at a time is in memory, and the ids of all. TOML, written by hand, is read at once.
    """
    first: dict[tuple[str, str], str] = {}
    nothing = True
    for one in READERS[form](file):
        nothing = False
        if isinstance(one, FileFault):
            yield one
            continue
        entry, faults = _checked(one)
        if entry is not None:
            place = (one.kind, entry.service_id if isinstance(entry, Service) else entry.organisation)
            if place in first:
                faults.append(Fault(pointer="", message=f"it is there already, {first[place]}"))
            where = f"in line {one.line}" if one.line is not None else f"as {one.pointer}"
            first.setdefault(place, where)
        name = _name(one)
        for fault in faults:
            yield FileFault(pointer=one.pointer + fault.pointer, line=one.line, message=f"{name}: {fault.message}")
        if entry is not None and not faults:
            yield entry
    if nothing:
        yield FileFault(pointer="", message="it has neither a service nor a desk")


def sound(found: Iterable[Entry | FileFault], file: Path | None = None) -> Iterator[Entry]:
    """The entries of a file without a fault. Raises DirectoryFaulty at its end, or after many faults."""
    faults: list[FileFault] = []
    for one in found:
        if not isinstance(one, FileFault):
            if not faults:
                yield one
            continue
        faults.append(one)
        if len(faults) >= MOST_FAULTS:
            break
    if faults:
        raise DirectoryFaulty(faults, file)


def read(path: Path) -> Iterator[Entry]:
    """The entries of a file, one at a time. Raises DirectoryFaulty, which names the file."""
    form = form_of(path)
    try:
        with path.open("rb") as file:
            yield from sound(entries(file, form), path)
    except OSError as error:
        raise DirectoryFaulty([FileFault(pointer="", message=f"it cannot be read: {error}")], path) from None


def read_file(path: Path) -> Directory:
    """The whole directory of a file. Raises DirectoryFaulty, which names the file."""
    return _together(read(path))


def parse(text: bytes) -> Directory:
    """The whole directory of a JSON document. Raises DirectoryFaulty."""
    return _together(sound(entries(io.BytesIO(text), "json")))


def _together(found: Iterable[Entry]) -> Directory:
    services: list[Service] = []
    desks: list[Desk] = []
    for entry in found:
        if isinstance(entry, Service):
            services.append(entry)
        else:
            desks.append(entry)
    return Directory(services=tuple(services), desks=tuple(desks))


def write_rows(found: Iterable[Entry], rows: BinaryIO) -> None:
    """Write entries as rows for COPY: kind, id, active, body. Rewinds them. Raises what `found` raises."""
    text = io.TextIOWrapper(rows, encoding="utf-8", newline="")
    writer = csv.writer(text)
    try:
        for entry in found:
            if isinstance(entry, Service):
                writer.writerow(("service", entry.service_id, entry.active, entry.model_dump_json()))
            else:
                writer.writerow(("desk", entry.organisation, True, entry.model_dump_json()))
    finally:
        text.detach()
    rows.seek(0)


def _checked(one: Raw) -> tuple[Entry | None, list[Fault]]:
    """The entry as its contract reads it, none where it does not; and what is wrong with it."""
    contract: type[Entry] = Service if one.kind == "services" else Desk
    try:
        entry = contract.model_validate_json(json.dumps(one.value))
    except ValidationError as error:
        return None, faults_of(error)
    except RecursionError:
        return None, [Fault(pointer="", message="it is nested too deeply")]
    faults = list(_unknown(entry))
    if isinstance(entry, Service):
        faults += _contradictions(entry)
    return entry, faults


def _name(one: Raw) -> str:
    """What an entry is called by people, however faulty it is."""
    kind = one.kind.removesuffix("s")
    said = [one.value.get(key) for key in ("service_id", "organisation", "name")] if isinstance(one.value, dict) else []
    named = [one for one in said if isinstance(one, str) and one]
    return f"{kind} {named[0][:50]}" if named else f"a {kind} without an id"


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
    yield from _ages_at_fault(service)
    periods = [(f"/hours/periods/{n}", one.opens, one.closes) for n, one in enumerate(service.hours.periods)]
    periods += [(f"/hours/public_holidays/{n}", *one) for n, one in enumerate(service.hours.public_holidays or ())]
    for n, special in enumerate(service.hours.dates):
        periods += [(f"/hours/dates/{n}/periods/{m}", *period) for m, period in enumerate(special.periods)]
    periods += [(f"/sessions/{n}", one.begins, one.ends) for n, one in enumerate(service.sessions)]
    for pointer, opens, closes in periods:
        yield from _hours_at_fault(pointer, opens, closes)
    dates = [special.on for special in service.hours.dates]
    for n, day in enumerate(dates):
        if day in dates[:n]:
            yield Fault(pointer=f"/hours/dates/{n}", message="this date has hours already: put its periods together")
    yield from _sessions_at_fault(service.sessions)


def _ages_at_fault(service: Service) -> Iterator[Fault]:
    youngest, oldest = service.age_from, service.age_until
    for name, age in (("age_from", youngest), ("age_until", oldest)):
        if age is not None and age.in_days >= OLDEST:
            years = f"{age.value} {age.unit} is {age.in_years:.0f} years"
            yield Fault(pointer=f"/{name}", message=f"{years}, which nobody reaches: is the unit right?")
    if youngest and oldest and youngest.in_days >= oldest.in_days + Age(value=1, unit=oldest.unit).in_days:
        yield Fault(pointer="/age_from", message="the youngest is older than the oldest, so nobody is taken")


def _hours_at_fault(pointer: str, opens: str, closes: str) -> Iterator[Fault]:
    if opens == closes:
        yield Fault(pointer=pointer, message="it closes as it opens: for a whole day write 00:00 to 24:00")
    elif opens > closes and (length := _minutes(closes) - _minutes(opens) + MINUTES_A_DAY) >= LONGEST_NIGHT:
        message = (
            f"{opens} to {closes} runs past midnight for {length // 60} hours: are they the wrong way round? "
            f"If it is meant, write {opens} to 24:00, and 00:00 to {closes} on the days after"
        )
        yield Fault(pointer=pointer, message=message)


def _sessions_at_fault(sessions: tuple[SlotSession, ...]) -> Iterator[Fault]:
    """A session without a slot, and two at one time: a patient would be told of a slot that another session has too."""
    for n, session in enumerate(sessions):
        length = _minutes(session.ends) - _minutes(session.begins)
        if (length if length > 0 else length + MINUTES_A_DAY) < session.slot_minutes:
            message = f"it is shorter than its slots of {session.slot_minutes} minutes"
            yield Fault(pointer=f"/sessions/{n}", message=message)
    week = MINUTES_A_DAY * len(DAYS)
    spans = sorted(span for n, session in enumerate(sessions) for span in _spans(session, n))
    spans += [(begins + week, ends + week, n) for begins, ends, n in spans[:1]]  # Sunday's night meets Monday
    told = set()
    for (_, ends, n), (begins, _, m) in pairwise(spans):
        if begins < ends and (n, m) not in told:
            told.add((n, m))
            pointer, other = f"/sessions/{max(n, m)}", f"/sessions/{min(n, m)}"
            day = DAYS[begins % week // MINUTES_A_DAY]
            yield Fault(pointer=pointer, message=f"it overlaps {other} on {day}: a slot would be given twice")


def _spans(session: SlotSession, number: int) -> Iterator[tuple[int, int, int]]:
    """In minutes of the week: when a session begins and ends on each of its days."""
    begins, ends = _minutes(session.begins), _minutes(session.ends)
    for day in dict.fromkeys(session.days):
        start = DAYS.index(day) * MINUTES_A_DAY
        yield start + begins, start + ends + (MINUTES_A_DAY if ends <= begins else 0), number


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
