"""The forms of directory files: each reads as it was written, streams, and names each fault with its line."""

import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.directory import DAYS, OpeningHours, OpeningPeriod, Service, SlotSession, SpecifiedDate, SymptomGroup
from contracts.people import Age, Desk, Position
from services.pathways import directory_file
from services.pathways.directory_export import FormUnknown, write
from services.pathways.directory_file import DirectoryFaulty, Entry, entries, form_of, sound
from services.pathways.directory_forms import Form
from services.pathways.faults import MOST_FAULTS
from services.pathways.invented import Codes, invented, region
from services.pathways.towns import town, towns

CODES = Codes(
    symptom_groups=(SymptomGroup(code="SG1", discriminators=("SD1", "SD2", "SD3")), SymptomGroup(code="SG2")),
    dispositions=("DX-SOON", "DX-TODAY"),
    referral_roles=("ambulance", "111"),
)

PLAIN = {
    "service_id": "S1",
    "name": "A stroke unit",
    "service_type": 122,
    "organisation": "ONW01",
    "position": {"latitude": 53.0, "longitude": -1.2},
    "telephone": "01632 960100",
}
CSV_NAMES = "service_id,name,service_type,organisation,latitude,longitude,telephone"
CSV_ROW = "S1,A stroke unit,122,ONW01,53.0,-1.2,01632 960100"

HEALTHCARE_SERVICE: dict[str, Any] = {
    "resourceType": "HealthcareService",
    "id": "S1",
    "active": True,
    "providedBy": {"identifier": {"value": "ONW01"}},
    "type": [{"coding": [{"system": "urn:onward:service-type", "code": "122"}]}],
    "location": [{"reference": "Location/L1"}],
    "name": "A stroke unit",
    "telecom": [{"system": "email", "value": "a@b.example"}, {"system": "phone", "value": "01632 960100"}],
    "availableTime": [{"daysOfWeek": list(DAYS), "allDay": True}],
}
LOCATION = {"resourceType": "Location", "id": "L1", "position": {"latitude": 53, "longitude": -1.2}}


def region_of(services: int) -> list[Entry]:
    """An invented region."""
    middle = town("Lincoln")
    assert middle is not None
    return list(invented(region(middle, towns()), services, 7, CODES))


def faults(text: str | bytes, form: Form) -> list[tuple[int | None, str, str]]:
    """Line, pointer and message of each fault."""
    with pytest.raises(DirectoryFaulty) as refused:
        list(sound(entries(io.BytesIO(text if isinstance(text, bytes) else text.encode()), form)))
    return [(fault.line, fault.pointer, fault.message) for fault in refused.value.faults]


def plain(**changes: Any) -> str:
    """A service as a line of JSON."""
    return json.dumps(PLAIN | changes) + "\n"


def bundle(*resources: dict[str, Any]) -> str:
    """A bundle, a resource a line."""
    lines = ",\n".join(json.dumps({"resource": resource}) for resource in resources)
    return f'{{"resourceType": "Bundle", "type": "collection", "entry": [\n{lines}\n]}}\n'


def read(text: str, form: Form) -> list[Entry]:
    """The entries of a sound file."""
    return list(sound(entries(io.BytesIO(text.encode()), form)))


@pytest.mark.parametrize("name", ["one.jsonl", "one.ndjson", "one.json", "one.csv", "one.fhir.json"])
def test_each_form_reads_as_it_was_written(tmp_path: Path, name: str) -> None:
    """Every attribute of 300 services of all types, exactly; desks too, where the form has them."""
    whole = [*region_of(300), *sound(entries(io.BytesIO(plain(patients_an_hour=3).encode()), "jsonl"))]
    files = write(whole, tmp_path / name)
    found = [entry for file in files for entry in directory_file.read(file)]
    services, desks = ([one for one in whole if isinstance(one, kind)] for kind in (Service, Desk))
    assert services == [one for one in found if isinstance(one, Service)]
    assert ([] if "fhir" in name else desks) == [one for one in found if isinstance(one, Desk)]
    assert sorted(files) == sorted(tmp_path.iterdir())


def test_a_directory_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """Where what is written ends in an error, the file of before stands and nothing is left beside it."""

    def cut_off() -> Iterator[Entry]:
        yield region_of(20)[-1]
        raise ConnectionError

    (tmp_path / "one.jsonl").write_text("before")
    with pytest.raises(ConnectionError):
        write(cut_off(), tmp_path / "one.jsonl")
    assert ["before"] == [file.read_text() for file in tmp_path.iterdir()]
    with pytest.raises(FormUnknown, match=r"one\.xlsx: a directory is written as \.jsonl"):
        write([], tmp_path / "one.xlsx")


@pytest.mark.parametrize("degrees", [8e-05, -8e-05, 1e-17, 0.0])
def test_a_position_beside_the_meridian_is_written_as_it_is_read(degrees: float, tmp_path: Path) -> None:
    """A number so small that Python writes it with an exponent stands in CSV without one."""
    position = Position(latitude=51.5, longitude=degrees)
    [plain_one] = read(f"{CSV_NAMES}\n{CSV_ROW}\n", "csv")
    moved = plain_one.model_copy(update={"position": position})
    [file, *_] = write([moved], tmp_path / "one.csv")
    assert [moved] == list(directory_file.read(file))


def test_the_short_forms_of_csv() -> None:
    """Hours, sessions, ages and lists as people write them in a table."""
    names = f"{CSV_NAMES},hours,age_from,age_until,genders,symptom_groups,active,booking,sessions"
    cells = (
        '"mon-fri 09:00-17:00; sat,sun 10:00-12:00; holidays closed; 2026-12-25 10:00-12:00 14:00-16:00",6 months,'
        "17 years,female; male,SG1: SD1 SD2; SG2,no,slots,fri-mon 09:00-12:00 every 20 for 2"
    )
    [service] = read(f"{names}\n{CSV_ROW},{cells}\n", "csv")
    expected = Service(
        **{**PLAIN, "position": Position(latitude=53.0, longitude=-1.2)},  # type: ignore[arg-type]
        hours=OpeningHours(
            periods=(
                OpeningPeriod(days=DAYS[:5], opens="09:00", closes="17:00"),
                OpeningPeriod(days=DAYS[5:], opens="10:00", closes="12:00"),
            ),
            public_holidays=(),
            dates=(
                SpecifiedDate.model_validate_json(
                    '{"on": "2026-12-25", "periods": [["10:00", "12:00"], ["14:00", "16:00"]]}'
                ),
            ),
        ),
        age_from=Age(value=6, unit="months"),
        age_until=Age(value=17),
        genders=("female", "male"),
        symptom_groups=(SymptomGroup(code="SG1", discriminators=("SD1", "SD2")), SymptomGroup(code="SG2")),
        active=False,
        booking="slots",
        sessions=(
            SlotSession(days=("fri", "sat", "sun", "mon"), begins="09:00", ends="12:00", slot_minutes=20, capacity=2),
        ),
    )
    assert expected == service


def test_a_bundle_of_other_makers_is_read() -> None:
    """A location after its service, hours that FHIR can say, closed days, and words that a referrer must read."""
    resource = HEALTHCARE_SERVICE | {
        "availableTime": [
            {"daysOfWeek": ["mon", "tue"], "availableStartTime": "09:00:00", "availableEndTime": "17:30:00"},
            {"daysOfWeek": ["sat"], "availableStartTime": "10:00:00", "availableEndTime": "23:59:00"},
        ],
        "notAvailable": [
            {"description": "Christmas", "during": {"start": "2026-12-25", "end": "2026-12-26T23:59:59Z"}}
        ],
        "comment": "Ring ahead.",
        "eligibility": [{"comment": "Adults only."}],
    }
    [service] = read(bundle(resource, {"resourceType": "Endpoint"}, LOCATION), "json")
    assert isinstance(service, Service)
    assert ("S1", 122, "ONW01", "01632 960100", "Ring ahead. Adults only.") == (
        service.service_id,
        service.service_type,
        service.organisation,
        service.telephone,
        service.instructions,
    )
    assert Position(latitude=53.0, longitude=-1.2) == service.position
    assert [("mon", "09:00", "17:30"), ("sat", "10:00", "24:00")] == [
        (period.days[0], period.opens, period.closes) for period in service.hours.periods
    ]
    assert ["2026-12-25", "2026-12-26"] == [str(day.on) for day in service.hours.dates]


@pytest.mark.parametrize(
    ("changes", "pointer", "message"),
    [
        ({"availableTime": []}, "/availableTime", "service S1: it does not say when it is open"),
        ({"telecom": []}, "/telecom", "service S1: it needs a telephone"),
        ({"type": [{"coding": [{"code": "stroke"}]}]}, "/type", "service S1: no code is a type of the Directory"),
        ({"providedBy": {"display": "A trust"}}, "/providedBy", "service S1: its identifier must have the ODS code"),
        ({"location": []}, "/location", "service S1: it has 0 locations"),
        ({"location": [{"reference": "Location/L2"}]}, "/location/0", "service S1: the bundle has no Location"),
        (
            {"modifierExtension": [{"url": "urn:unknown", "valueBoolean": True}]},
            "/modifierExtension",
            "service S1: it changes what the service means",
        ),
        (
            {"notAvailable": [{"description": "x", "during": {"start": "2026-12-26", "end": "2026-12-25"}}]},
            "/notAvailable/0/during",
            "service S1: it ends before it begins",
        ),
        ({"active": "perhaps"}, "/active", "Input should be a valid boolean"),
        ({"nmae": "x"}, "/nmae", "Extra inputs are not permitted"),
    ],
)
def test_what_a_resource_lacks_is_named(changes: dict[str, Any], pointer: str, message: str) -> None:
    """By line and pointer: a service of unknown hours, place or type is not guessed at."""
    [(line, found_at, found)] = faults(bundle(LOCATION, HEALTHCARE_SERVICE | changes), "json")
    assert (3, f"/entry/1/resource{pointer}", message) == (line, found_at, found[: len(message)])


@pytest.mark.parametrize(
    ("form", "text", "line", "pointer", "message"),
    [
        # Unknown codes.
        ("jsonl", plain() + plain(service_id="S2", genders=["F"]), 2, "/genders/0", "service S2: Input should be 'fem"),
        ("csv", f"{CSV_NAMES},genders\n{CSV_ROW},f\n", 2, "/genders/0", "service S1: Input should be 'female'"),
        ("csv", f"{CSV_NAMES},gender\n{CSV_ROW},f\n", 1, "/gender", "there is no attribute of this name"),
        ("csv", f"{CSV_NAMES},hours\n{CSV_ROW},monday 09:00-10:00\n", 2, "/hours", "service S1: write days as mon"),
        ("jsonl", plain(booking="walk-in"), 1, "/booking", "service S1: Input should be 'slots'"),
        ("jsonl", plain(patients_an_hour=0), 1, "/patients_an_hour", "service S1: Input should be greater than"),
        ("jsonl", plain(patients_an_hour=1001), 1, "/patients_an_hour", "service S1: Input should be less than"),
        ("csv", f"{CSV_NAMES},patients_an_hour\n{CSV_ROW},few\n", 2, "/patients_an_hour", "service S1: write a whole"),
        ("jsonl", plain(service_type=0), 1, "/service_type", "service S1: Input should be greater than"),
        # An age in the wrong unit.
        ("jsonl", plain(age_from={"value": 216}), 1, "/age_from", "service S1: 216 years is 216 years, which nobody"),
        ("jsonl", plain(age_from={"value": 5, "unit": "weeks"}), 1, "/age_from/unit", "service S1: Input should be 'd"),
        ("csv", f"{CSV_NAMES},age_from\n{CSV_ROW},18\n", 2, "/age_from", "service S1: write an age as 18 years"),
        # Reversed hours.
        (
            "csv",
            f"{CSV_NAMES},hours\n{CSV_ROW},mon-fri 17:00-09:00\n",
            2,
            "/hours/periods/0",
            "service S1: 17:00 to 09:00 runs past midnight for 16 hours: are they the wrong way round?",
        ),
        # Overlapping sessions.
        (
            "csv",
            f"{CSV_NAMES},booking,sessions\n{CSV_ROW},slots,"
            "sun 22:00-08:00 every 30 for 1; mon-fri 07:00-12:00 every 30 for 1\n",
            2,
            "/sessions/1",
            "service S1: it overlaps /sessions/0 on mon: a slot would be given twice",
        ),
        (
            "csv",
            f"{CSV_NAMES},booking,sessions\n{CSV_ROW},slots,mon 09:00-09:10 every 30 for 1\n",
            2,
            "/sessions/0",
            "service S1: it is shorter than its slots of 30 minutes",
        ),
        # A service listed twice.
        ("jsonl", plain() + "\n" + plain(), 3, "", "service S1: it is there already, in line 1"),
        ("csv", f"{CSV_NAMES}\n{CSV_ROW}\n{CSV_ROW}\n", 3, "", "service S1: it is there already, in line 2"),
        # Half a file.
        ("jsonl", plain() + plain(service_id="S2")[:50], 2, "", "it is not JSON, or half a file"),
        ("csv", f"{CSV_NAMES}\n{CSV_ROW}\nS2,Another\n", 3, "", "it has 2 columns of 7: is it half a file?"),
        ("csv", f'{CSV_NAMES}\n{CSV_ROW}\nS2,"Ano', 3, "", "it is not CSV, or half a file"),
        ("json", "[" * 100_000, 1, "", "it is nested more than 32 deep"),
        (
            "json",
            '{"services": ' + "[" * 100_000,
            1,
            "",
            "it is nested more than 32 deep",
        ),
        ("json", f'{{"services": [\n{plain()}', 2, "", "it is not JSON, or half a file: parse error: premature EOF"),
        ("json", bundle(LOCATION, HEALTHCARE_SERVICE)[:-4], 3, "", "it is not JSON, or half a file: parse error: prem"),
        ("toml", "[[desks]]\nname = ", None, "", "it cannot be read as TOML"),
        # Something else.
        ("csv", "id;name\n1;2\n", 1, "", "the first line must name the columns: service_id, name"),
        ("csv", "", 1, "", "the first line must name the columns: service_id, name"),
        ("csv", f"{CSV_NAMES}\n", None, "", "it has neither a service nor a desk"),
        ("jsonl", "\n", None, "", "it has neither a service nor a desk"),
        ("jsonl", "[1]\n", 1, "", "a service without an id: Input should be an object"),
        ("jsonl", plain(name="Twice")[:-2] + ', "name": "Thrice"}\n', 1, "/name", "given more than once"),
        ("jsonl", plain(name={"a": [[[[1]]]]}), 1, "/name", "service S1: Input should be a valid string"),
        ("json", '{"resourceType": "Patient"}', 1, "/resourceType", "it is not a Bundle"),
        ("json", '{"resourceType": "Bundle", "entry": [{}]}', 1, "/entry/0", "it has no resource with a resourceType"),
    ],
)
def test_each_fault_is_named_with_its_line(form: Form, text: str, line: int | None, pointer: str, message: str) -> None:
    """Whatever the form, and whatever is wrong; an entry without a fault beside it does not save the file."""
    [(found_in, found_at, found)] = faults(text, form)
    assert (line, pointer, message) == (found_in, found_at, found[: len(message)])


@pytest.mark.parametrize(
    ("form", "text", "line", "message"),
    [
        ("csv", f"{CSV_NAMES}\n{CSV_ROW}\n{CSV_ROW.replace('S1', 'S2')}\n", 3, "byte 9 is not UTF-8: save the file"),
        ("jsonl", plain() + plain(service_id="S2"), 2, "it is not JSON, or half a file"),
        ("json", f'{{"services": [\n{plain()},{plain(service_id="S2")}]}}', 3, "it is not JSON, or half a file"),
        ("toml", '[[desks]]\nname = "A stroke unit"', None, "it cannot be read as TOML"),
    ],
)
def test_mixed_encodings_are_refused(form: Form, text: str, line: int | None, message: str) -> None:
    """A file of UTF-8 in which a later line is not: its line is named, and nothing is guessed at."""
    begin, _, end = text.rpartition("stroke")
    mixed = begin.encode() + "strøke".encode("latin-1") + end.encode()
    [(found_in, _, found)] = faults(mixed, form)
    assert (line, message) == (found_in, found[: len(message)])


def test_a_line_without_an_end_ends_the_file() -> None:
    """So that it cannot fill the memory."""
    [(line, _, message)] = faults(plain() + plain(name="x" * 300_000), "jsonl")
    assert (2, "it is longer than 262144 bytes") == (line, message[:30])


def test_after_many_faults_a_file_is_read_no_further() -> None:
    """The first hundred are named, and that there may be more."""
    found = faults("".join(plain(service_id=f"S{n}", service_type=0) for n in range(300)), "jsonl")
    assert MOST_FAULTS == len(found)


def test_a_file_of_an_unknown_form_is_refused() -> None:
    """The message says which there are."""
    with pytest.raises(DirectoryFaulty, match=r"its name must end in \.toml, \.json"):
        form_of(Path("services.xlsx"))


@pytest.mark.parametrize("name", ["one.jsonl", "one.csv", "one.json", "one.fhir.json"])
def test_a_large_file_is_read_in_small_memory(tmp_path: Path, name: str) -> None:
    """Of 120 services less is in memory than half of what they take; what grows is a line for each id."""
    services = [one for one in region_of(120) if isinstance(one, Service)]
    write(services, tmp_path / name)
    path = write(services[:20], tmp_path / f"small-{name}")[0]
    list(directory_file.read(path))  # what is imported and compiled once does not count
    tracemalloc.start()
    try:
        kept = list(directory_file.read(tmp_path / name))
        whole, _ = tracemalloc.get_traced_memory()
        del kept
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        count = sum(1 for _ in directory_file.read(tmp_path / name))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 120 == count
    assert peak - before < whole / 2


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cs",)), min_size=1).map(
    lambda text: text.strip()[:100] or "x"
)


@settings(max_examples=25)
@given(name=TEXT, instructions=TEXT, latitude=st.floats(49, 61), restricted=st.booleans())
@pytest.mark.parametrize("form", ["csv", "fhir.json"])
def test_any_text_survives(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    name: str,
    instructions: str,
    latitude: float,
    restricted: bool,
) -> None:
    """Quotes, commas, line ends, braces and every script, in the forms that quote."""
    written = Service.model_validate_json(
        json.dumps(
            PLAIN
            | {"name": name, "instructions": instructions, "restricted": restricted}
            | {"position": {"latitude": latitude, "longitude": 0.5}}
        )
    )
    [file, *_] = write([written], tmp_path_factory.mktemp("any") / f"one.{form}")
    assert [written] == list(directory_file.read(file))
