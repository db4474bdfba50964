"""Places: the built-in towns, what has the form of a postcode, and the open tables that give postcodes a position."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.pathways.faults import FileFault
from services.pathways.places import Coded, PlaceUnknown, code_of, kind_of, read_postcodes, town_named, written
from services.pathways.postcodes import PostcodesFaulty, write_rows
from services.pathways.towns import town, towns

ONSPD = "pcd,pcd2,pcds,dointr,doterm,lat,long,imd\n"


def rows(text: str) -> list[Coded | FileFault]:
    """What is read of a table."""
    return list(read_postcodes(io.BytesIO(text.encode())))


def faults(text: str | bytes) -> list[tuple[int | None, str]]:
    """Line and message of each fault of a table."""
    with pytest.raises(PostcodesFaulty) as refused:
        write_rows(io.BytesIO(text if isinstance(text, bytes) else text.encode()), io.BytesIO())
    return [(fault.line, fault.message) for fault in refused.value.faults]


def test_many_towns_each_once() -> None:
    """At least 150 towns, all in England, no name twice, people in each, more in the capital than elsewhere."""
    assert 150 <= len(towns())
    assert len(towns()) == len({one.name for one in towns()})
    assert all(49.9 < one.position.latitude < 55.9 and -6 < one.position.longitude < 1.9 for one in towns())
    assert all(8000 <= one.population for one in towns())
    assert "London" == max(towns(), key=lambda one: one.population).name


@pytest.mark.parametrize("name", ["St Neots", "saint neots", "ST. NEOTS", "st-neots"])
def test_a_town_is_found_however_it_is_spelt(name: str) -> None:
    """Capitals, points, hyphens and the short form of saint do not matter."""
    found = town(name)
    assert found is not None
    assert ("St Neots", 52.2, -0.3) == (
        found.name,
        round(found.position.latitude, 1),
        round(found.position.longitude, 1),
    )


def test_an_unknown_town_is_refused_with_towns_like_it() -> None:
    """The message names towns of similar names and what else may be given."""
    with pytest.raises(PlaceUnknown, match=r"it has .*Nottingham.*latitude and longitude"):
        town_named("Notingham")
    with pytest.raises(PlaceUnknown, match=r"no town of this name\. Give"):
        town_named("Zzyzx")


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ("NG7 1AA", "postcode"),
        ("sw1a1aa", "postcode"),
        ("m1 1ae", "postcode"),
        ("NG7", "outcode"),
        ("ec1a", "outcode"),
        ("Bath", "town"),
        ("York", "town"),
    ],
)
def test_the_form_says_what_was_named(asked: str, kind: str) -> None:
    """A postcode or an outcode by its form, in any case and with any blanks; else a town."""
    assert kind == kind_of(asked)


@given(st.from_regex(r"\A[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][A-Z]{2}\Z"))
def test_a_postcode_is_written_as_it_came(postcode: str) -> None:
    """Without its blank in the table, with it when it is shown."""
    assert postcode == written(code_of(postcode))


def test_the_columns_of_the_ons_postcode_directory_are_read() -> None:
    """By their names; terminated postcodes too; those without a grid reference are left out."""
    text = (
        "\ufeff"
        + ONSPD
        + '"NG7 1AA","NG7  1AA","NG7 1AA","198001","",52.95,-1.17,1\n'
        + '"NG7 1AB","NG7  1AB","NG7 1AB","198001","201201",52.96,-1.18,1\n'
        + '"GY1 1AA","GY1  1AA","GY1 1AA","198001","",99.999999,0.0,\n'
        + '"NG7 1AD","NG7  1AD","NG7 1AD","198001","","","",\n'
    )
    assert [Coded("NG71AA", 52.95, -1.17), Coded("NG71AB", 52.96, -1.18)] == rows(text)


def test_a_table_of_outcodes_is_read() -> None:
    """With latitude and longitude by their full names, among other columns."""
    assert [Coded("NG7", 52.95, -1.17), Coded("EC1A", 51.52, -0.1)] == rows(
        "outcode,latitude,longitude,town\nNG7,52.95,-1.17,Nottingham\nec1a,51.52,-0.10,London\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("code;lat;long\nNG7;52;-1\n", 1, "the first line must name the columns"),
        ("", 1, "the first line must name the columns"),
        ("outcode,latitude,longitude\n", None, "it has no row with a position"),
        ("outcode,latitude,longitude\nNG7,52.9,-1\nNottingham,52.9,-1\n", 3, "it is not an outcode"),
        ("postcode,latitude,longitude\nNG7,52.9,-1\n", 2, "it is not a postcode"),
        ("outcode,latitude,longitude\nNG7,52.9,west\n", 2, "latitude and longitude must be numbers"),
        ("outcode,latitude,longitude\nNG7,-1.2,52.9\n", 2, "the position is not in the United Kingdom"),
        ("outcode,latitude,longitude\nNG7,nan,52.9\n", 2, "the position is not in the United Kingdom"),
        ("outcode,latitude,longitude\nNG7,52.9,-1.2\nNG8,52\n", 3, "it has 2 columns of 3: is it half a file?"),
        ('outcode,latitude,longitude\nNG7,52.9,"-1.2', 2, "it is not CSV, or half a file"),
        ("outcode,latitude,longitude\n" + '"x\n",' * 60_000, 52431, "a row is longer than 262144 bytes"),
        ("x," * 200_000, 1, "it is longer than 262144 bytes"),
    ],
)
def test_each_faulty_line_of_a_table_is_named(text: str, line: int | None, message: str) -> None:
    """A file that is something else, or half a file, or one bad line refuses the table."""
    [(found_at, found)] = faults(text)
    assert (line, message) == (found_at, found[: len(message)])


def test_a_table_of_mixed_encodings_is_refused() -> None:
    """A line that is not UTF-8 is named."""
    text = "outcode,latitude,longitude,town\nNG7,52.9,-1.2,Nottingham\nLD1,52.9,-1.2,Llŷn\n".encode()
    assert [(3, "byte 17 is not UTF-8: save the file as UTF-8, all of it")] == faults(
        text.replace("ŷ".encode(), b"\xfd")
    )
