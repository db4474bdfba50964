"""The open postcode table as pathways remembers it: loaded whole or not at all, and asked for positions."""

import asyncio
import csv
import io
import tempfile
from collections.abc import Iterable
from typing import BinaryIO

import asyncpg
from pydantic import BaseModel

from services.chassis.audit import audit
from services.chassis.database import Database
from services.chassis.identity import Caller
from services.pathways.faults import MOST_FAULTS, FileFault, FileFaulty
from services.pathways.places import (
    HOW_TO_LOAD,
    Coded,
    NoTable,
    Place,
    PlaceUnknown,
    code_of,
    kind_of,
    outcode_of,
    read_postcodes,
    town_named,
    written,
)

LOAD_SECONDS = 900
"""The whole ONS Postcode Directory has 2.7 million rows."""

ONE_AT_A_TIME = """
-- One load of a table at a time; lookups are not held up.
select pg_advisory_xact_lock(hashtextextended(current_schema || '/places', 0))
"""

NEXT = """
-- The new table fills up beside the old one, without an index: COPY is twice as fast so.
create table places_next (like places including defaults)
"""

OUTCODES = """
-- Where the table has whole postcodes, an outcode is the middle of its postcodes; those that it names itself stand.
insert into places_next (code, latitude, longitude)
select outcode, latitude, longitude from (
  select left(code, -3) as outcode, avg(latitude) as latitude, avg(longitude) as longitude
  from places_next where length(code) > 4 group by 1
) made
where not exists (select from places_next where code = outcode)
"""

SWAP = """
-- Lookups see all of the old table or all of the new one, and wait for neither.
alter table places_next add primary key (code);
drop table places;
alter table places_next rename to places;
"""

ANALYSE = "analyze places"

COUNT = """
select count(*) filter (where length(code) > 4) as postcodes, count(*) filter (where length(code) <= 4) as outcodes
from places
"""

POSITION = """
-- A position of one code.
select latitude, longitude from places where code = $1
"""

ANY = "select exists (select from places)"


class Counted(BaseModel):
    """What a table has now."""

    postcodes: int
    outcodes: int


class PostcodesFaulty(FileFaulty):
    """A postcode table does not hold, and the one before stands."""

    def __init__(self, faults: Iterable[FileFault]) -> None:
        super().__init__(list(faults), "the postcode table")


class Postcodes:
    """Positions of towns, of the built-in table, and of postcodes and outcodes, of the table that a site loaded."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, asked: str) -> Place:
        """The place that was named. Raises PlaceUnknown."""
        kind = kind_of(asked)
        if kind == "town":
            return town_named(asked)
        code = code_of(asked)
        row = await self._database.pool.fetchrow(POSITION, code)
        if row is not None:
            return Place(name=written(code), kind=kind, latitude=row["latitude"], longitude=row["longitude"])
        if not await self._database.pool.fetchval(ANY):
            raise NoTable(HOW_TO_LOAD)
        if kind == "postcode" and await self._database.pool.fetchrow(POSITION, outcode_of(code)) is not None:
            raise PlaceUnknown(
                f"The loaded table does not have this postcode. It has its outcode, {outcode_of(code)}: "
                "ask with that where a few kilometres do not matter."
            )
        raise PlaceUnknown(
            f"The loaded table does not have this {kind}. Load a newer one with onward places load FILE."
        )

    async def load(self, table: BinaryIO, *, by: Caller) -> Counted:
        """Put this table in the place of the one before. Raises PostcodesFaulty, and then keeps the one before."""
        with tempfile.TemporaryFile() as rows:
            await asyncio.to_thread(write_rows, table, rows)
            async with self._database.pool.acquire() as connection, connection.transaction():
                await connection.execute(ONE_AT_A_TIME)
                await connection.execute(NEXT)
                await connection.copy_to_table("places_next", source=rows, format="csv", timeout=LOAD_SECONDS)
                await connection.execute(OUTCODES, timeout=LOAD_SECONDS)
                try:
                    await connection.execute(SWAP, timeout=LOAD_SECONDS)
                except asyncpg.UniqueViolationError as error:
                    message = f"a code stands in it more than once: {error.detail}"
                    raise PostcodesFaulty([FileFault(pointer="", message=message)]) from None
                await connection.execute(ANALYSE, timeout=LOAD_SECONDS)
                await audit(connection, by, "postcode table loaded", [])
                row = await connection.fetchrow(COUNT, timeout=LOAD_SECONDS)
        assert row is not None
        return Counted(**row)


def write_rows(table: BinaryIO, rows: BinaryIO) -> int:
    """Check a table and write its rows for COPY, rewound; returns how many. Raises PostcodesFaulty."""
    faults: list[FileFault] = []
    count = 0
    text = io.TextIOWrapper(rows, encoding="ascii", newline="")
    writer = csv.writer(text)
    for one in read_postcodes(table):
        if isinstance(one, Coded):
            count += 1
            writer.writerow(one)
        else:
            faults.append(one)
            if len(faults) >= MOST_FAULTS:
                break
    text.detach()
    rows.seek(0)
    if not count and not faults:
        faults.append(FileFault(pointer="", message="it has no row with a position"))
    if faults:
        raise PostcodesFaulty(faults)
    return count
