"""Accounting: the sender's journal held against what the system stored and told. It closes every run.

Nothing that was taken in may be lost or doubled, nothing that was refused may be kept, everyone who is to be told was
told once; and then every invariant of `onward check` must hold.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from contracts.bookings import BookingExhausted
from loadtests.journal import Entry
from loadtests.target import Target
from loadtests.witness import OUTCOMES, Seen, Witness
from services.invariants.check import Checked, check

CHUNK = 50_000
"""Referrals looked at together."""

BEFORE = timedelta(minutes=1)
"""Clocks differ: facts from so long before the run are looked at too."""

ATTEMPTS = """
-- What stands under these keys.
select key::text, referral_id::text, event_id from gateway.attempts
where organisation = $1 and key = any($2::uuid[])
"""

ENDED = """
-- How these placements ended, how many places are held, and how many messages of the outcome were decided and reached
-- the provider. Of a receiver who does not acknowledge others are decided later.
with told as (
    select placement, count(*) as decided, count(*) filter (where state = 'accepted') as accepted
    from notification.messages_as_they_stand where placement = any($1::uuid[]) and reason = any($2::text[])
    group by placement
)
select p.placement_id, p.told_type,
    (p.told::json #>> '{data,brief,patient,contact,mobile}') is not null as reachable,
    (select count(*) from booking.bookings b where b.placement_id = p.placement_id and b.released_at is null) as held,
    coalesce(told.decided, 0) as decided, coalesce(told.accepted, 0) as accepted
from booking.placements p left join told on told.placement = p.placement_id
where p.placement_id = any($1::uuid[])
"""


@dataclass
class Account:
    """What was found. Every number is of referrals, but for the messages."""

    sent: int = 0
    answered: int = 0
    taken: int = 0
    refused: int = 0
    failed: int = 0
    outcomes: int = 0
    placed: int = 0
    messages: int = 0
    lost: int = 0
    doubled: int = 0
    faults: list[str] = field(default_factory=list)
    """Sentences with ids; none where it adds up."""
    checked: Checked | None = None

    @property
    def adds_up(self) -> bool:
        """Whether nothing was lost or doubled, and every invariant was checked and holds."""
        return not self.faults and self.checked is not None and self.checked.holds

    @property
    def verdict(self) -> str:
        """The first line of a report."""
        if self.adds_up:
            followed = f"{self.outcomes:,} outcomes, {self.messages:,} messages, none lost, none doubled"
            return f"ADDS UP: {self.sent:,} sent, {followed}"
        if self.faults:
            more = f", and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
            return f"DOES NOT ADD UP: {self.faults[0]}{more}"
        broken = [] if self.checked is None else [one.sentence for one in self.checked.findings if one.broken]
        return f"DOES NOT ADD UP: {'; '.join(broken) or 'the invariants were not checked'}"

    def described(self) -> dict[str, Any]:
        """For programs."""
        numbers = (
            "sent",
            "answered",
            "taken",
            "refused",
            "failed",
            "outcomes",
            "placed",
            "messages",
            "lost",
            "doubled",
        )
        return {
            "adds_up": self.adds_up,
            "verdict": self.verdict,
            **{name: getattr(self, name) for name in numbers},
            "faults": self.faults,
            "invariants": []
            if self.checked is None
            else [
                {"sentence": one.sentence, "looked_at": one.looked_at, "broken": one.broken, "unchecked": one.unchecked}
                for one in self.checked.findings
            ],
        }


async def close(target: Target, entries: Sequence[Entry], witness: Witness, began: datetime) -> Account:
    """Hold the journal against the tables, then check every invariant of facts since the run began."""
    account = await held(target, entries, witness)
    account.checked = await check(target.kafka, target.database_url, prefix=target.prefix, since=began - BEFORE)
    return account


async def held(target: Target, entries: Sequence[Entry], witness: Witness | None) -> Account:
    """Hold the journal against the tables and what was told; without a witness, where nothing is told on topics."""
    account = Account(sent=len(entries))
    fates = Counter(one.fate for one in entries)
    account.answered, account.taken = fates["answered"], fates["taken"]
    account.refused, account.failed = fates["refused"], fates["failed"] + fates["under_way"]
    connection = await asyncpg.connect(target.database_url, server_settings={"jit": "off"})
    try:
        placements = await _placements(connection, target.organisation, entries, account)
        await _hold(connection, placements, witness, account)
    finally:
        await connection.close()
    return account


async def _placements(
    connection: Any, organisation: str, entries: Sequence[Entry], account: Account
) -> dict[UUID, Entry]:
    """The first placement of each referral that there must be: it has the id of the submission's event."""
    told = [one for one in entries if one.kind == "event"]
    placements = {UUID(one.id): one for one in told if one.fate == "taken"}
    posted = [one for one in entries if one.kind == "transaction"]
    for chunk in _chunks(posted):
        found = {
            row["key"]: row for row in await connection.fetch(ATTEMPTS, organisation, [UUID(one.id) for one in chunk])
        }
        for one in chunk:
            row = found.get(one.id)
            if row is None:
                if one.fate in ("answered", "taken"):
                    account.lost += 1
                    account.faults.append(f"the key {one.id} was answered {one.status}, and no attempt stands under it")
                continue
            if one.fate == "refused":
                account.faults.append(f"the key {one.id} was refused with {one.status}, and an attempt stands under it")
            one.referral = one.referral or row["referral_id"]
            placements[row["event_id"]] = one
    return placements


async def _hold(connection: Any, placements: dict[UUID, Entry], witness: Witness | None, account: Account) -> None:
    for chunk in _chunks(list(placements)):
        rows = {row["placement_id"]: row for row in await connection.fetch(ENDED, chunk, list(OUTCOMES))}
        for placement in chunk:
            entry, row = placements[placement], rows.get(placement)
            of = f"of the referral {entry.referral}"
            if row is None:
                account.lost += 1
                account.faults.append(f"{of}, which was taken in, there is no outcome")
                continue
            outcomes, messages = 1, row["accepted"]
            if witness is not None:
                seen = witness.seen.get(entry.referral, Seen())
                outcomes, messages = len(seen.outcomes), len(seen.messages)
            placed = row["told_type"] != BookingExhausted.TYPE
            wanted = 1 + (1 + row["reachable"] if placed else 0)
            account.outcomes += 1
            account.placed += placed
            account.messages += row["accepted"]
            if outcomes == 0 or min(row["accepted"], messages) < wanted:
                account.lost += 1
                account.faults.append(
                    f"{of} {outcomes} outcomes were told and {messages} messages, of {wanted} that are wanted; the "
                    f"provider took {row['accepted']}"
                )
            if row["held"] != placed or outcomes > 1 or max(row["decided"], messages) > wanted:
                account.doubled += 1
                account.faults.append(
                    f"{of} {row['held']} places are held and {outcomes} outcomes were told; {wanted} messages are "
                    f"wanted, {row['decided']} were decided and {messages} told"
                )
            if entry.outcome and (entry.outcome != "unplaced") != placed:
                account.faults.append(f"{of} its sender was told {entry.outcome}, and {row['told_type']} is stored")


def _chunks(whole: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (whole[begin : begin + CHUNK] for begin in range(0, len(whole), CHUNK))
