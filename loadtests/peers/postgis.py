"""The peer of the search: PostgreSQL with PostGIS, in a cluster of its own, indexed and asked as an expert would.

It filters and orders as the search does, and answers the same candidates. It does not look for near misses, nor for
what to propose, nor say why: the time of a search that is compared is without them.

Debian and Ubuntu: `apt-get install postgresql-15-postgis-3`, which is done here where it may be. Elsewhere, put the
programs of a PostgreSQL 14 or newer with PostGIS 3 into the PATH.
"""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from contracts.directory import CapacityReportedData, Service
from contracts.opening_hours import Timetable
from contracts.people import Age, Gender
from loadtests.searches import DAYS, MONDAY
from services.chassis.public_holidays import public_holidays
from services.pathways.asked import session_minutes
from services.pathways.globe import Square
from services.pathways.ranking import MOST_CANDIDATES
from services.pathways.request import SearchRequest
from services.pathways.search_rules import LOWEST_RANK, SearchRules

HOLIDAYS = public_holidays({})
PACKAGE = "postgresql-15-postgis-3"
DEBIAN = Path("/usr/lib/postgresql/15/bin")
UNPRIVILEGED = "postgres"

GENDER_BITS: dict[Gender, int] = {"female": 1, "male": 2, "indeterminate": 4, "unknown": 8}

SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "512MB",
    "work_mem": "64MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # one core against one core
    "fsync": "off",
}

TABLES = """
create extension postgis;
create table services (
    service_id text collate "C" not null, version integer, name text, service_type integer not null,
    organisation text, telephone text, instructions text, booking text, accept_within_minutes integer,
    latitude double precision, longitude double precision, active boolean,
    youngest double precision, too_old double precision, genders integer,
    groups text[], met text[], dispositions text[], roles text[],
    commissioned_by text[], restricted boolean, limited_to text[], promoted_to text[],
    open_within interval, red_until timestamptz,
    -- When it is open, written out: one look at a range type answers for any session.
    open tstzmultirange,
    place geometry(Point, 4326) generated always as (st_setsrid(st_makepoint(longitude, latitude), 4326)) stored
);
create table ranks (strategy text, service_type integer, rank integer, primary key (strategy, service_type));
"""

INDEXES = """
create index services_place on services using gist (place);
alter table services add primary key (service_id);
cluster services using services_place;
vacuum (analyze) services;
vacuum (analyze) ranks;
"""

SEARCH = f"""
select service_id, metres
from (
  select *, row_number() over (
    partition by service_type order by elsewhere, rank, tie, metres, service_id
  ) as of_its_type
  from (
    select services.service_id, services.service_type, coalesce(ranks.rank, {LOWEST_RANK}) as rank,
      round(st_distancesphere(place, st_point({{longitude}}, {{latitude}}, 4326))) as metres,
      promoted_to <> '{{{{}}}}' and not promoted_to && {{areas}} as elsewhere,
      case when organisation = {{surgery}} then 0
           when {{surgery}} = any(commissioned_by) then case when restricted then 1 else 2 end
           else 3 end as tie
    from services left join ranks on ranks.strategy = {{strategy}} and ranks.service_type = services.service_type
    where active
      and place && st_makeenvelope({{west}}, {{south}}, {{east}}, {{north}}, 4326)
      and services.latitude between {{south}} and {{north}} and services.longitude between {{west}} and {{east}}
      and (genders = 0 or genders & {{gender}} <> 0)
      and youngest <= {{oldest}} and {{youngest}} < too_old
      and (red_until is null or red_until <= {{at}})
      and (groups = '{{{{}}}}' or {{symptom_group}} = any(groups))
      and (groups = '{{{{}}}}' or met @> array[{{all_of_group}}] or met @> {{discriminators}})
      and (dispositions = '{{{{}}}}' or {{disposition}} = any(dispositions))
      and (roles = '{{{{}}}}' or {{role}} = any(roles))
      and (not restricted or commissioned_by = '{{{{}}}}' or {{surgery}} = any(commissioned_by))
      and (limited_to = '{{{{}}}}' or limited_to && {{areas}})
      and case when open @> {{at}} then open @> tstzrange({{at}}, {{at}} + interval '30 minutes')
               else open && tstzrange({{at}}, {{at}} + {{session}}, '[]') end
      and (open_within is null or open && tstzrange({{at}}, {{at}} + open_within, '[]'))
  ) as suitable
) as ranked
where of_its_type <= case when service_type = any({{one_of_a_type}}) then 1 else 2 end
order by elsewhere, rank, tie, metres, service_id limit {MOST_CANDIDATES}
"""

PLANS = ("force_generic_plan", "force_custom_plan")
"""A statement is planned once, or anew for each search: which costs less depends on how much there is to find."""

PARAMETERS = {
    "at": "timestamptz",
    "latitude": "float8",
    "longitude": "float8",
    "south": "float8",
    "north": "float8",
    "west": "float8",
    "east": "float8",
    "gender": "int4",
    "youngest": "float8",
    "oldest": "float8",
    "symptom_group": "text",
    "all_of_group": "text",
    "discriminators": "text[]",
    "disposition": "text",
    "role": "text",
    "surgery": "text",
    "areas": "text[]",
    "strategy": "text",
    "session": "interval",
    "one_of_a_type": "int4[]",
}

ONE = SEARCH.format(**{name: f"${n}::{kind}" for n, (name, kind) in enumerate(PARAMETERS.items(), 1)})

# Arrays of arrays cannot be taken apart by rows, so lists travel as text.
_LISTS = [name for name, kind in PARAMETERS.items() if kind.endswith("[]")]
_TAKEN_APART = {
    name: f"string_to_array(asked.{name}, ' ')::{kind}" if name in _LISTS else f"asked.{name}"
    for name, kind in PARAMETERS.items()
}
_COLUMN_TYPES = [f"{'text' if kind.endswith('[]') else kind}[]" for kind in PARAMETERS.values()]
MANY = f"""
select asked.number, found.*
from unnest({", ".join(f"${n}::{kind}" for n, kind in enumerate(_COLUMN_TYPES, 1))})
  with ordinality as asked({", ".join(PARAMETERS)}, number)
cross join lateral ({SEARCH.format(**_TAKEN_APART)}) as found
order by asked.number
"""


class PostGis:
    """A connection to a directory in PostGIS, with its statements prepared."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", rules: SearchRules) -> None:
        self._connection = connection
        self._server = psutil.Process(connection.get_server_pid())
        self._rules = rules

    def cpu_seconds(self) -> float:
        """The CPU time that the server process of this connection has taken so far."""
        times = self._server.cpu_times()
        return float(times.user + times.system)

    async def prepare(self) -> None:
        """Prepare both statements."""
        self._one = await self._connection.prepare(ONE)
        self._many = await self._connection.prepare(MANY)

    async def best_plan(self, ask: Callable[[], Awaitable[None]]) -> str:
        """The way to plan with which what is asked costs less. It is asked twice in each, for the first time warms."""
        costs = {}
        for plan in PLANS:
            await self.plan_by(plan)
            await ask()
            began = self.cpu_seconds()
            await ask()
            costs[plan] = self.cpu_seconds() - began
        return min(costs, key=costs.__getitem__)

    async def plan_by(self, plan: str) -> None:
        """Plan in this way from now on."""
        await self._connection.execute(f"set plan_cache_mode = {plan}")

    def parameters(self, request: SearchRequest) -> tuple[Any, ...]:
        """What a search is to the statements. It has codes, an age and an area."""
        assert request.needs is not None
        assert request.age is not None
        square = Square.around(request.position, self._rules.distance_of(request).km)
        group = request.needs.symptom_group
        return (
            request.at,
            request.position.latitude,
            request.position.longitude,
            *square,
            GENDER_BITS[request.gender],
            request.age.youngest,
            request.age.oldest,
            group,
            f"{group}/*",
            [f"{group}/{code}" for code in request.needs.discriminators],
            request.needs.disposition,
            request.referral_role,
            request.surgery,
            sorted(request.area.codes),
            self._rules.ranks.of(request.area)[0],
            timedelta(minutes=session_minutes(request.minutes)),
            list(self._rules.one_of_a_type),
        )

    async def search(self, parameters: tuple[Any, ...]) -> list[str]:
        """The ids of the candidates, in order."""
        return [row["service_id"] for row in await self._one.fetch(*parameters)]

    async def search_many(self, parameters: Sequence[tuple[Any, ...]]) -> list[list[str]]:
        """The same for many searches in one statement."""
        names = list(PARAMETERS)
        columns = [
            [" ".join(map(str, one)) for one in column] if names[n] in _LISTS else list(column)
            for n, column in enumerate(zip(*parameters, strict=True))
        ]
        found: list[list[str]] = [[] for _ in parameters]
        for row in await self._many.fetch(*columns):
            found[row["number"] - 1].append(row["service_id"])
        return found

    async def fill(self, services: Sequence[Service], reports: Mapping[str, CapacityReportedData]) -> None:
        """Put a directory in the place of the one before, and index it."""
        await self._connection.execute("drop table if exists services, ranks; drop extension if exists postgis")
        await self._connection.execute(TABLES)
        rows = [_row(service, reports.get(service.service_id)) for service in services]
        await self._connection.copy_records_to_table("services", records=rows, columns=_COLUMNS)
        await self._connection.copy_records_to_table("ranks", records=_ranks(self._rules))
        for statement in filter(str.strip, INDEXES.split(";")):
            await self._connection.execute(statement)


_COLUMNS = [
    *("service_id", "version", "name", "service_type", "organisation", "telephone", "instructions", "booking"),
    *("accept_within_minutes", "latitude", "longitude", "active", "youngest", "too_old", "genders", "groups", "met"),
    *("dispositions", "roles", "commissioned_by", "restricted", "limited_to", "promoted_to", "open_within"),
    *("red_until", "open"),
]


def _row(service: Service, report: CapacityReportedData | None) -> tuple[Any, ...]:
    infinity = float("inf")
    youngest, oldest = service.age_from, service.age_until
    met = [f"{group.code}/{code}" for group in service.symptom_groups for code in group.discriminators or ("*",)]
    red_until = None
    if report is not None and report.capacity == "red":
        red_until = report.resets_at or datetime.max.replace(tzinfo=MONDAY.tzinfo)
    timetable = Timetable(service.hours, HOLIDAYS)
    return (
        *(service.service_id, 1, service.name, service.service_type, service.organisation, service.telephone),
        *(service.instructions, service.booking, service.accept_within_minutes),
        *(service.position.latitude, service.position.longitude, service.active),
        -infinity if youngest is None else youngest.in_days,
        infinity if oldest is None else oldest.in_days + Age(value=1, unit=oldest.unit).in_days,
        sum(GENDER_BITS[gender] for gender in service.genders),
        [group.code for group in service.symptom_groups],
        met,
        *(list(service.dispositions), list(service.referral_roles), list(service.commissioned_by)),
        *(service.restricted, list(service.limited_to), list(service.promoted_to)),
        None if service.only_if_open_within_minutes is None else timedelta(minutes=service.only_if_open_within_minutes),
        red_until,
        [asyncpg.Range(*spell) for spell in timetable.open_from(MONDAY.date(), DAYS)],
    )


def _ranks(rules: SearchRules) -> Iterator[tuple[str, int, int]]:
    for strategy, ranks in {"national": rules.ranks.national, **rules.ranks.local_authorities}.items():
        for service_type, rank in ranks.items():
            yield strategy, service_type, rank


@asynccontextmanager
async def postgis(rules: SearchRules) -> AsyncIterator[PostGis]:
    """A cluster of its own, on a socket in a temporary folder, gone afterwards."""
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="onward-postgis-") as name:
        folder = Path(name)
        user = _unprivileged(folder)
        _run(programs / "initdb", "-D", folder / "data", "-U", UNPRIVILEGED, "-A", "trust", "-E", "UTF8", user=user)
        options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        start = ("-D", folder / "data", "-w", "-l", folder / "log", "-o", f"-k {folder} {options}")
        _run(programs / "pg_ctl", "start", *start, user=user)
        try:
            connection = await asyncpg.connect(host=str(folder), user=UNPRIVILEGED, database="postgres")
            try:
                yield PostGis(connection, rules)
            finally:
                await connection.close()
        finally:
            _run(programs / "pg_ctl", "stop", "-D", folder / "data", "-m", "immediate", user=user)


def _programs() -> Path:
    """Where the programs of a PostgreSQL with PostGIS are; installs them where that may be done."""
    found = shutil.which("postgres")
    if found and _has_postgis(Path(found).parent):
        return Path(found).parent
    if not _has_postgis(DEBIAN) and shutil.which("apt-get") and os.geteuid() == 0:
        print(f"Installing {PACKAGE}")
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", PACKAGE]
        subprocess.run(install, check=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    if not _has_postgis(DEBIAN):
        sys.exit(
            f"PostGIS is needed to compare with. On Debian and Ubuntu: apt-get install {PACKAGE}. "
            "Elsewhere: put the programs of a PostgreSQL 14 or newer with PostGIS 3 into the PATH."
        )
    return DEBIAN


def _has_postgis(programs: Path) -> bool:
    if not (programs / "pg_config").exists():
        return False
    asked = subprocess.run([programs / "pg_config", "--sharedir"], capture_output=True, text=True, check=True)
    return (Path(asked.stdout.strip()) / "extension" / "postgis.control").exists()


def _unprivileged(folder: Path) -> str | None:
    """PostgreSQL does not run as root: whom to run it as, who is then given the folder."""
    folder.chmod(0o755)
    if os.geteuid() != 0:
        return None
    owner = pwd.getpwnam(UNPRIVILEGED)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return UNPRIVILEGED


def _run(*command: str | Path, user: str | None) -> None:
    done = subprocess.run(command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.decode()}")
