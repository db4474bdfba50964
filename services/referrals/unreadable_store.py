"""Dead letters of every reader in SQL, and the referrals that they hold up."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.chassis.database import Database
from services.chassis.dead_letters import DeadLetter, Death
from services.referrals.clocks import ClockTable
from services.referrals.facts import fact_in
from services.referrals.state import ReferralState, state_said_by
from services.referrals.unreadable import NOT_DONE, Kept, UnreadableReferral, due_of, referral_of

KEEP = """
-- Keep a dead letter. One that is kept already came again.
insert into dead_letters
    (digest, reader, at, topic, key, value, header_names, header_values, whys, origins, referral_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (digest) do nothing
"""

WAITING = """
-- Dead letters after one of them, in the order in which they came: of one reader or of all, those that wait or all.
select * from dead_letters
where number > $1 and ($2::text is null or reader = $2) and ($3 or replayed_at is null)
order by number limit $4
"""

ONE = """
select * from dead_letters where number = $1
"""

REPLAYED = """
-- After the acknowledgement. A crash before this leaves it waiting: sent twice, it is done once.
update dead_letters set replayed_at = $2, replayed_by = $3 where number = $1
"""

OF_DESK = """
-- What could not be read of the referrals that this organisation's desk owns, and the fact that says where each stands.
select d.reader, d.topic, d.at, d.referral_id, f.type, f.body
from referrals r
join dead_letters d on d.referral_id = r.id and d.replayed_at is null
join facts f on f.referral_id = r.id and f.version = r.version
where r.owner = $1
order by d.at limit $2
"""

MOST = 500
"""Most items of a worklist that are told at once."""


class DeadLetterBox:
    """The dead letters that this service keeps."""

    def __init__(self, database: Database, prefix: str, clocks: ClockTable) -> None:
        """`prefix` stands before the names of topics."""
        self._database = database
        self.prefix = prefix
        self._clocks = clocks

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Keep each dead letter once."""
        await self._database.pool.executemany(KEEP, [_row(letter) for letter in letters])

    async def after(self, number: int, reader: str | None, limit: int, *, replayed: bool) -> list[Kept]:
        """At most so many after a number, without those that were sent again unless they are asked for."""
        return [_kept(row) for row in await self._database.pool.fetch(WAITING, number, reader, replayed, limit)]

    async def one(self, number: int) -> Kept | None:
        """A dead letter by its number."""
        row = await self._database.pool.fetchrow(ONE, number)
        return None if row is None else _kept(row)

    async def was_replayed(self, number: int, at: datetime, by: str) -> None:
        """It was sent again."""
        await self._database.pool.execute(REPLAYED, number, at, by)

    async def of_desk(self, organisation: str) -> list[UnreadableReferral]:
        """Referrals that this organisation's desk owns and of which something could not be read, the oldest first."""
        rows = await self._database.pool.fetch(OF_DESK, organisation, MOST)
        said = (state_said_by(fact_in(row["body"].encode(), row["type"]), self._clocks) for row in rows)
        return [_item(row, one) for row, one in zip(rows, said, strict=True) if one is not None]


def _item(row: asyncpg.Record, said: ReferralState) -> UnreadableReferral:
    return UnreadableReferral(
        referral_id=row["referral_id"],
        reader=row["reader"],
        topic=row["topic"],
        at=row["at"],
        owner=said.owner,
        due=due_of(row["at"], said.due),
        next_step=NOT_DONE[row["reader"]],
    )


def _row(letter: DeadLetter) -> tuple[object, ...]:
    return (
        _digest(letter),
        letter.reader,
        letter.at,
        letter.topic,
        letter.key,
        letter.value,
        [name.encode() for name, _ in letter.headers],
        [value for _, value in letter.headers],
        [death.why for death in letter.deaths],
        [death.origin for death in letter.deaths],
        referral_of(letter.key),
    )


def _digest(letter: DeadLetter) -> bytes:
    """What makes a dead letter itself. A batch that fails after its dead were buried buries them again, so it is known
    by where it was read; and by its content, for a system that was restored, whose topics count from 0 again."""
    where = f"{letter.reader} {letter.deaths[-1].origin if letter.deaths else ''} "
    return hashlib.sha256(where.encode() + (letter.value or b"")).digest()


def _kept(row: asyncpg.Record) -> Kept:
    letter = DeadLetter(
        reader=row["reader"],
        at=row["at"],
        key=row["key"],
        value=row["value"],
        headers=tuple(
            (name.decode(), value) for name, value in zip(row["header_names"], row["header_values"], strict=True)
        ),
        deaths=tuple(Death(*death) for death in zip(row["whys"], row["origins"], strict=True)),
    )
    return Kept(row["number"], letter, row["referral_id"], row["replayed_at"])
