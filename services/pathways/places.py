"""What a crew may say instead of a position, and the open postcode tables that give positions to postcodes."""

import re
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple

from pydantic import BaseModel, Field

from contracts.people import Position
from services.pathways.csv_rows import rows_of
from services.pathways.faults import FileFault
from services.pathways.towns import town, towns_like

PlaceKind = Literal["town", "outcode", "postcode"]

OUTCODE = re.compile(r"[A-Z]{1,2}[0-9][A-Z0-9]?")
POSTCODE = re.compile(r"([A-Z]{1,2}[0-9][A-Z0-9]?)([0-9][A-Z]{2})")

HOW_TO_LOAD = (
    "No postcode table has been loaded. onward places load FILE takes the ONS Postcode Directory, or a file with the "
    "columns outcode,latitude,longitude. Until then, give latitude and longitude, or a town."
)

POSTCODE_COLUMNS = ("pcds", "pcd7", "pcd8", "pcd", "postcode")
"""What tables call the column of whole postcodes: the first four are the ONS Postcode Directory's."""
LATITUDE_COLUMNS = ("lat", "latitude")
LONGITUDE_COLUMNS = ("long", "longitude")
NO_GRID_REFERENCE = 99.0
"""The ONS Postcode Directory writes latitude 99.999999 for a postcode without a position."""


class Place(BaseModel):
    """A named place and its position, in degrees (WGS 84)."""

    name: str
    kind: PlaceKind
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)

    @property
    def position(self) -> Position:
        """Where it is."""
        return Position(latitude=self.latitude, longitude=self.longitude)


class Coded(NamedTuple):
    """A postcode or outcode of a table, without blanks, and its position."""

    code: str
    latitude: float
    longitude: float


class PlaceUnknown(Exception):
    """A place has no position here; the message says why and what to do."""


class NoTable(PlaceUnknown):
    """No postcode table has been loaded."""


def kind_of(asked: str) -> PlaceKind:
    """What was named: a postcode or an outcode by its form, else a town."""
    code = code_of(asked)
    if POSTCODE.fullmatch(code):
        return "postcode"
    return "outcode" if OUTCODE.fullmatch(code) else "town"


def town_named(asked: str) -> Place:
    """A town of the built-in table. Raises PlaceUnknown, with towns of similar names."""
    found = town(asked)
    if found is None:
        like = " or ".join(towns_like(asked))
        raise PlaceUnknown(
            f"The table has no town of this name{f'; it has {like}' if like else ''}. "
            "Give latitude and longitude, or the nearest larger town."
        )
    position = found.position
    return Place(name=found.name, kind="town", latitude=position.latitude, longitude=position.longitude)


def code_of(asked: str) -> str:
    """A postcode or outcode as tables keep it: capitals, no blanks."""
    return "".join(asked.split()).upper()


def written(code: str) -> str:
    """A postcode as it is written, with its blank; an outcode as it is."""
    whole = POSTCODE.fullmatch(code)
    return f"{whole[1]} {whole[2]}" if whole else code


def outcode_of(postcode: str) -> str:
    """The outcode of a whole postcode."""
    return postcode[:-3]


def read_postcodes(table: BinaryIO) -> Iterator[Coded | FileFault]:
    """The rows of an open postcode table: CSV in UTF-8 with a line of names. Rows without a position are left out.

    It has a column of whole postcodes (as the ONS Postcode Directory) or of outcodes, and latitude and longitude in
    degrees. Other columns are not read.
    """
    rows = rows_of(table)
    first = next(rows, (1, []))
    if isinstance(first, FileFault):
        yield first
        return
    names = [name.strip().lower() for name in first[1]]
    columns = [_column(names, wanted) for wanted in (POSTCODE_COLUMNS, LATITUDE_COLUMNS, LONGITUDE_COLUMNS)]
    code, latitude, longitude = columns
    form = POSTCODE
    if code is None and "outcode" in names:
        code, form = names.index("outcode"), OUTCODE
    if code is None or latitude is None or longitude is None:
        wanted = "pcds, lat and long (the ONS Postcode Directory), or outcode, latitude and longitude"
        yield FileFault(pointer="", line=1, message=f"the first line must name the columns {wanted}")
        return
    for one in rows:
        if isinstance(one, FileFault):
            yield one
        elif one[1]:
            read = _row(one[1], names, code, latitude, longitude, form, one[0])
            if read is not None:
                yield read


def _column(names: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _row(
    row: list[str], names: list[str], code: int, latitude: int, longitude: int, form: re.Pattern[str], line: int
) -> Coded | FileFault | None:
    if len(row) != len(names):
        message = f"it has {len(row)} columns of {len(names)}: is it half a file?"
        return FileFault(pointer="", line=line, message=message)
    compact = code_of(row[code])
    if not form.fullmatch(compact):
        kind = "a postcode" if form is POSTCODE else "an outcode"
        return FileFault(pointer=f"/{names[code]}", line=line, message=f"it is not {kind}")
    if not row[latitude].strip() or not row[longitude].strip():
        return None
    try:
        north, east = float(row[latitude]), float(row[longitude])
    except ValueError:
        return FileFault(pointer=f"/{names[latitude]}", line=line, message="latitude and longitude must be numbers")
    if north >= NO_GRID_REFERENCE:
        return None
    if not (49 <= north <= 61 and -9 <= east <= 2.5):
        message = "the position is not in the United Kingdom: are latitude and longitude the right way round?"
        return FileFault(pointer=f"/{names[latitude]}", line=line, message=message)
    return Coded(compact, north, east)
