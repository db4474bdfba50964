"""Directory documents: what they may hold, and every fault by its entry and pointer."""

from pathlib import Path

import pytest

from contracts.directory import OpeningHours, SpecifiedDate
from services.pathways.directory_file import DirectoryFaulty, parse, read_file

DESK = """
[[desks]]
organisation = "ONW01"
name = "Clinical hub"
telephone = "01632 960000"
"""

SERVICE = """
[[services]]
service_id = "S1"
name = "A stroke unit"
service_type = 122
organisation = "ONW01"
position = { latitude = 53, longitude = -1.2 }
telephone = "01632 960100"
"""


def faults(folder: Path, text: str) -> dict[str, str]:
    """What is wrong with a TOML file: pointer and message."""
    file = folder / "directory.toml"
    file.write_text(text)
    with pytest.raises(DirectoryFaulty) as refused:
        read_file(file)
    return {fault.pointer: fault.message for fault in refused.value.faults}


def test_a_toml_file_is_read(tmp_path: Path) -> None:
    """Services and desks, with dates as TOML writes them."""
    file = tmp_path / "directory.toml"
    file.write_text(
        DESK
        + SERVICE
        + """
[services.hours]
always = true
dates = [{ on = 2026-12-25, periods = [["10:00", "16:00"]] }]
"""
    )
    directory = read_file(file)
    special = SpecifiedDate.model_validate_json('{"on": "2026-12-25", "periods": [["10:00", "16:00"]]}')
    assert ["ONW01"] == [desk.organisation for desk in directory.desks]
    assert [OpeningHours(always=True, dates=(special,))] == [service.hours for service in directory.services]


def test_a_json_file_is_read(tmp_path: Path) -> None:
    """A file whose name ends in .json is the same document that the directory's route takes."""
    (tmp_path / "one.toml").write_text(DESK + SERVICE)
    directory = read_file(tmp_path / "one.toml")
    (tmp_path / "one.json").write_text(directory.model_dump_json())
    assert directory == read_file(tmp_path / "one.json") == parse(directory.model_dump_json().encode())


def test_every_faulty_entry_is_named(tmp_path: Path) -> None:
    """All faults come at once, each with its pointer and with what people call the entry."""
    text = (
        DESK.replace("01632 960000", "ring the hub")
        + SERVICE.replace("122", '"122"').replace("53", "153")
        + SERVICE.replace("S1", "S2")
        + SERVICE.replace('service_id = "S1"', "")
        + '[[services]]\nbooking = "slots"\n'
    )
    found = faults(tmp_path, text)
    assert {
        "/desks/0/telephone",
        "/services/0/position/latitude",
        "/services/0/service_type",
        "/services/2/service_id",
        *(f"/services/3/{name}" for name in ("service_id", "name", "service_type", "organisation", "position")),
        "/services/3/telephone",
    } == set(found)
    assert found["/desks/0/telephone"].startswith("desk ONW01: ")
    assert found["/services/0/service_type"].startswith("service S1: ")
    assert found["/services/2/service_id"].startswith("service ONW01: ")
    assert found["/services/3/name"].startswith("a service without an id: ")


@pytest.mark.parametrize(
    ("added", "pointer", "message"),
    [
        ('age_form = { value = 18, unit = "years" }', "/services/0/age_form", "there is no attribute of this name"),
        ("age_from = { value = 18, years = true }", "/services/0/age_from/years", "there is no attribute of this name"),
        (
            'age_from = { value = 18 }\nage_until = { value = 24, unit = "months" }',
            "/services/0/age_from",
            "the youngest is older than the oldest, so nobody is taken",
        ),
        (
            'hours = { periods = [{ days = ["mon"], opens = "00:00", closes = "00:00" }] }',
            "/services/0/hours/periods/0",
            "it closes as it opens: for a whole day write 00:00 to 24:00",
        ),
        (
            'hours = { dates = [{ on = 2026-12-25, periods = [["09:00", "09:00"]] }] }',
            "/services/0/hours/dates/0/periods/0",
            "it closes as it opens: for a whole day write 00:00 to 24:00",
        ),
        (
            "hours = { dates = [{ on = 2026-12-25 }, { on = 2026-12-25 }] }",
            "/services/0/hours/dates/1",
            "this date has hours already: put its periods together",
        ),
        (
            'booking = "slots"',
            "/services/0",
            "Value error, a service that books by slots needs at least one session, or a diary kept elsewhere",
        ),
        (
            "position = { latitude = nan, longitude = 0 }",
            "/services/0/position/latitude",
            "Input should be a finite number",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_fault(tmp_path: Path, added: str, pointer: str, message: str) -> None:
    """An unknown attribute, a contradiction or half a description refuses the file."""
    without = "position" if "position" in added else "nothing"
    text = "\n".join(line for line in SERVICE.splitlines() if without not in line)
    assert {pointer: f"service S1: {message}"} == faults(tmp_path, f"{text}\n{added}")


def test_an_entry_stands_once(tmp_path: Path) -> None:
    """A second entry of one id is a fault that names the first."""
    found = faults(tmp_path, DESK + DESK + SERVICE + SERVICE.replace("A stroke unit", "Another"))
    assert {
        "/services/1": "service S1: it is there already, in line 12",
        "/desks/1": "desk ONW01: it is there already, in line 2",
    } == found


@pytest.mark.parametrize(
    ("text", "pointer", "message"),
    [
        ("", "", "it has neither a service nor a desk"),
        ("services = 3", "/services", "it is not a list"),
        ("surgeries = []" + DESK, "/surgeries", "a directory has services and desks, and nothing of this name"),
        ("[[desks", "", "it cannot be read as TOML: "),
    ],
)
def test_what_is_no_directory_is_refused(tmp_path: Path, text: str, pointer: str, message: str) -> None:
    """A file that is something else says what it is not."""
    assert faults(tmp_path, text)[pointer].startswith(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "it is not JSON"),
        (b"[]", "it is not an object with services and desks"),
        (b'{"desks": [{"name": "\\ud800"}]}', "half a character is escaped"),
        (b'{"desks": [], "desks": []}', "desks is given more than once in one object"),
        (b'{"desks": [{"name": {"a": 1, "a": 2}}]}', "a is given more than once in one object"),
        (b'{"desks": [{"name": "\\u0000"}]}', "a text holds the NUL character"),
        (b'{"desks": [{"name": "' + b"x" * 1_200_000, "a value is longer than 1048576 bytes"),
    ],
)
def test_what_is_no_document_is_refused(body: bytes, message: str) -> None:
    """A body that is something else says what it is not."""
    with pytest.raises(DirectoryFaulty, match=message):
        parse(body)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """The message names the file and why it cannot be read."""
    with pytest.raises(DirectoryFaulty, match=r"nowhere\.toml is refused.*\n.*No such file"):
        read_file(tmp_path / "nowhere.toml")


def test_the_message_names_file_entry_and_fault(tmp_path: Path) -> None:
    """One line a fault, for people."""
    file = tmp_path / "region.toml"
    file.write_text(SERVICE + "age_form = 18\n")
    with pytest.raises(DirectoryFaulty) as refused:
        read_file(file)
    assert [
        f"{file} is refused whole; mend each fault and load it again:",
        "  line 2 /services/0/age_form: service S1: there is no attribute of this name",
    ] == str(refused.value).splitlines()
