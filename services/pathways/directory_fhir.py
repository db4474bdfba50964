"""FHIR R4 bundles of HealthcareService and Location, read as services and written from them.

FHIR says where, when and whom to telephone. It has no place for the limits of a referral (ages in days, symptom groups,
slots, ...), so those travel as JSON in one extension, and a file that was written here reads as it was. Validation of a
resource by `fhir.resources` costs about 0.1 ms.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any, BinaryIO, NamedTuple, TextIO

from fhir.resources.R4B.healthcareservice import HealthcareService
from fhir.resources.R4B.location import Location
from pydantic import ValidationError

from contracts.directory import DAYS
from services.chassis.problems import faults_of
from services.pathways.directory_forms import Raw, Value, json_values
from services.pathways.faults import FileFault

SERVICE_TYPE = "urn:onward:service-type"
"""The code system of types of service, by their number in the Directory of Services."""
SERVICE_ID = "urn:onward:service-id"
ODS_CODE = "https://fhir.nhs.uk/Id/ods-organization-code"
REST = "urn:onward:service"
"""The extension that has, as JSON, the attributes for which FHIR has no place."""

LONGEST_ABSENCE = timedelta(days=366)
SAID_BY_FHIR = {"service_id", "name", "service_type", "organisation", "position", "telephone", "instructions", "active"}
"""What is never in the extension. Hours are in both: FHIR has no public holidays, and no hours of a date."""


class _Fault(ValueError):
    """What is missing in a resource, or cannot be understood: where, and what to write."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class _Resource(NamedTuple):
    number: int
    line: int
    addresses: tuple[str, ...]
    value: Mapping[str, Any]


def read_bundle(file: BinaryIO) -> Iterator[Raw | FileFault]:
    """The services of a bundle. Reads it twice: positions first, for a location may stand after its service."""
    positions: dict[str, Mapping[str, Any] | None] = {}
    for one in _resources(file):
        if isinstance(one, _Resource) and one.value["resourceType"] == "Location":
            position = _position(one.value)
            positions |= dict.fromkeys(one.addresses, position)
    for one in _resources(file):
        if isinstance(one, FileFault):
            yield one
            continue
        pointer, resource_type = f"/entry/{one.number}/resource", one.value["resourceType"]
        try:
            if resource_type == "Location":
                Location.model_validate(one.value)
            elif resource_type == "HealthcareService":
                HealthcareService.model_validate(one.value)
                yield Raw("services", _service(one.value, positions), one.line, pointer)
        except ValidationError as error:
            for fault in faults_of(error):
                yield FileFault(pointer=pointer + fault.pointer, line=one.line, message=fault.message)
        except _Fault as error:
            called = f"service {str(one.value.get('id', 'without an id'))[:50]}"
            yield FileFault(pointer=pointer + error.pointer, line=one.line, message=f"{called}: {error}")


def _resources(file: BinaryIO) -> Iterator[_Resource | FileFault]:
    """Each resource with the addresses by which others refer to it."""
    for one in json_values(file):
        if isinstance(one, FileFault):
            yield one
        elif one.name == "resourceType" and one.value != "Bundle":
            yield FileFault(pointer="/resourceType", line=one.line, message="it is not a Bundle")
        elif one.name == "entry" and one.number is not None:
            yield _resource(one, one.number)


def _resource(one: Value, number: int) -> _Resource | FileFault:
    resource = one.value.get("resource") if isinstance(one.value, dict) else None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        message = "it has no resource with a resourceType"
        return FileFault(pointer=f"/entry/{number}", line=one.line, message=message)
    addresses = [one.value["fullUrl"]] if isinstance(one.value.get("fullUrl"), str) else []
    if isinstance(resource.get("id"), str):
        addresses.append(f"{resource['resourceType']}/{resource['id']}")
    return _Resource(number, one.line, tuple(addresses), resource)


def _position(location: Mapping[str, Any]) -> Mapping[str, Any] | None:
    position = location.get("position")
    if isinstance(position, dict) and {"latitude", "longitude"} <= position.keys():
        return {name: _number(position[name]) for name in ("latitude", "longitude")}
    return None


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) else value


def _service(resource: Mapping[str, Any], positions: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """A valid HealthcareService as a service of the directory. Raises _Fault."""
    if "modifierExtension" in resource:
        raise _Fault("/modifierExtension", "it changes what the service means in a way that is not known here")
    rest = _rest(resource)
    service = {
        "service_id": _service_id(resource),
        "name": resource.get("name"),
        "service_type": _service_type(resource),
        "organisation": _organisation(resource),
        "position": _place(resource, positions),
        "telephone": _telephone(resource),
        "instructions": _instructions(resource),
        "active": resource.get("active", True),
    }
    return {"hours": _hours(resource) if "hours" not in rest else None, **service} | rest


def _rest(resource: Mapping[str, Any]) -> dict[str, Any]:
    for number, extension in enumerate(resource.get("extension", [])):
        if extension.get("url") == REST:
            try:
                rest = json.loads(extension["valueString"])
                return {name: rest[name] for name in rest if name not in SAID_BY_FHIR}
            except (ValueError, KeyError, TypeError, RecursionError):
                raise _Fault(f"/extension/{number}", "its valueString is not a JSON object") from None
    return {}


def _service_id(resource: Mapping[str, Any]) -> Any:
    for identifier in resource.get("identifier", []):
        if identifier.get("system") == SERVICE_ID:
            return identifier.get("value")
    return resource.get("id")


def _service_type(resource: Mapping[str, Any]) -> int:
    for concept in resource.get("type", []):
        for coding in concept.get("coding", []):
            if re.fullmatch(r"\d{1,4}", str(coding.get("code"))):
                return int(coding["code"])
    raise _Fault("/type", f"no code is a type of the Directory of Services, such as 135 of the system {SERVICE_TYPE}")


def _organisation(resource: Mapping[str, Any]) -> str:
    owner = resource.get("providedBy", {})
    code = owner.get("identifier", {}).get("value") or str(owner.get("reference", "")).rpartition("/")[2]
    if not code:
        raise _Fault("/providedBy", "its identifier must have the ODS code of the organisation")
    return str(code)


def _place(resource: Mapping[str, Any], positions: Mapping[str, Mapping[str, Any] | None]) -> Mapping[str, Any]:
    references = [location.get("reference") for location in resource.get("location", [])]
    if len(references) != 1:
        raise _Fault("/location", f"it has {len(references)} locations: write one service for each place")
    contained = {f"#{one.get('id')}": one for one in resource.get("contained", [])}
    found = _position(contained[references[0]]) if references[0] in contained else positions.get(references[0])
    if found is None:
        raise _Fault("/location/0", "the bundle has no Location of this reference that has a position")
    return found


def _telephone(resource: Mapping[str, Any]) -> Any:
    for point in resource.get("telecom", []):
        if point.get("system") == "phone":
            return point.get("value")
    raise _Fault("/telecom", "it needs a telephone for professionals: a point of the system phone")


def _instructions(resource: Mapping[str, Any]) -> str:
    """What a referrer must read: also who is eligible, which FHIR says in words alone."""
    eligible = [one.get("comment") or one.get("code", {}).get("text") for one in resource.get("eligibility", [])]
    said = [resource.get("comment"), resource.get("extraDetails"), *eligible, resource.get("availabilityExceptions")]
    return " ".join(str(one).strip() for one in said if one)


def _hours(resource: Mapping[str, Any]) -> dict[str, Any]:
    if not resource.get("availableTime"):
        raise _Fault("/availableTime", "it does not say when it is open: for always, write allDay on every day")
    periods = []
    for number, time in enumerate(resource["availableTime"]):
        days = list(time.get("daysOfWeek", DAYS))
        if time.get("allDay"):
            opens, closes = "00:00", "24:00"
        elif {"availableStartTime", "availableEndTime"} <= time.keys():
            opens, closes = str(time["availableStartTime"])[:5], str(time["availableEndTime"])[:5]
            if closes in ("23:59", "00:00"):  # FHIR has no 24:00
                closes = "24:00"
        else:
            raise _Fault(f"/availableTime/{number}", "it has neither allDay nor both a start and an end")
        periods.append({"days": days, "opens": opens, "closes": closes})
    dates = [day for number, absence in enumerate(resource.get("notAvailable", [])) for day in _absent(absence, number)]
    if [{"days": list(DAYS), "opens": "00:00", "closes": "24:00"}] == periods:
        return {"always": True, "dates": dates}
    return {"periods": periods, "dates": dates}


def _absent(absence: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """The closed days of an absence, both its ends included."""
    during = absence.get("during", {})
    try:
        first, last = (date.fromisoformat(str(during[end])[:10]) for end in ("start", "end"))
    except (KeyError, ValueError):
        raise _Fault(f"/notAvailable/{number}/during", "it must have a start and an end, with their days") from None
    if not first <= last <= first + LONGEST_ABSENCE:
        raise _Fault(f"/notAvailable/{number}/during", "it ends before it begins, or lasts for more than a year")
    for days in range((last - first).days + 1):
        yield {"on": str(first + timedelta(days=days)), "periods": []}


def write_bundle(services: Iterable[Mapping[str, Any]], file: TextIO) -> None:
    """Services, given as JSON, as a bundle of a Location and a HealthcareService each."""
    file.write('{"resourceType": "Bundle", "type": "collection", "entry": [')
    separator = "\n"
    for service in services:
        for resource in _written(service):
            file.write(separator + json.dumps({"resource": resource}, ensure_ascii=False))
            separator = ",\n"
    file.write("\n]}\n")


def _written(service: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    service_id, hours = service["service_id"], service["hours"]
    yield {"resourceType": "Location", "id": f"at-{service_id}".replace("_", "."), "position": service["position"]}
    rest = {name: value for name, value in service.items() if name not in SAID_BY_FHIR and value not in (None, [])}
    resource = {
        "resourceType": "HealthcareService",
        "extension": [{"url": REST, "valueString": json.dumps(rest, ensure_ascii=False)}],
        "identifier": [{"system": SERVICE_ID, "value": service_id}],
        "active": service["active"],
        "providedBy": {"identifier": {"system": ODS_CODE, "value": service["organisation"]}},
        "type": [{"coding": [{"system": SERVICE_TYPE, "code": str(service["service_type"])}]}],
        "location": [{"reference": f"Location/at-{service_id}".replace("_", ".")}],
        "name": service["name"],
        "comment": service["instructions"],
        "telecom": [{"system": "phone", "value": service["telephone"]}],
        "availableTime": [_available(period) for period in hours["periods"]],
        "notAvailable": [
            {"description": "closed", "during": {"start": one["on"], "end": one["on"]}}
            for one in hours["dates"]
            if not one["periods"]
        ],
    }
    if hours["always"]:
        resource["availableTime"] = [{"daysOfWeek": list(DAYS), "allDay": True}]
    yield {name: value for name, value in resource.items() if value not in ("", [])}


def _available(period: Mapping[str, Any]) -> dict[str, Any]:
    if (period["opens"], period["closes"]) == ("00:00", "24:00"):
        return {"daysOfWeek": list(period["days"]), "allDay": True}
    closes = "23:59" if period["closes"] == "24:00" else period["closes"]
    return {
        "daysOfWeek": list(period["days"]),
        "availableStartTime": f"{period['opens']}:00",
        "availableEndTime": f"{closes}:00",
    }
