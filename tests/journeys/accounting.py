"""The accounting that closes every journey: the device's file against what the services remember."""

from dataclasses import dataclass

import psycopg

from services.device.queue import Queue


@dataclass(frozen=True)
class Account:
    """What was found. Every list must be empty."""

    sent: int
    answered: int
    raw_deliveries: int
    messages: int
    faults: tuple[str, ...]


CHECKS = {
    "a key has not exactly one attempt": """
        select count(*) from gateway.attempts group by organisation, key having count(*) <> 1""",
    "a referral was submitted and has no outcome": """
        select a.referral_id from gateway.attempts a
        where not exists (select from booking.placements p where p.referral_id = a.referral_id::text)""",
    "a referral has more than one placement": """
        select referral_id from booking.placements group by referral_id having count(*) > 1""",
    "a placement has more than one active booking": """
        select placement_id from booking.bookings where released_at is null
        group by placement_id having count(*) > 1""",
    "a slot holds another number of patients than it has bookings, or more than its capacity": """
        select s.service_id, s.starts_at from booking.slots s
        left join booking.bookings b
            on b.service_id = s.service_id and b.starts_at = s.starts_at and b.released_at is null
        group by s.service_id, s.starts_at, s.held, s.capacity
        having count(b.reference) <> s.held or s.held > s.capacity""",
    "a confirmed placement has no booking, or an exhausted one has": """
        select p.placement_id from booking.placements p
        left join booking.bookings b on b.placement_id = p.placement_id and b.released_at is null
        where (p.told_type = 'booking.confirmed') <> (b.reference is not null)""",
    "a message that was decided did not reach the provider": """
        select m.id from notification.messages m
        where not exists (select from sandbox.deliveries d where d.reference = m.id)""",
    "the provider has a message that nobody decided": """
        select d.reference from sandbox.deliveries d
        where not exists (select from notification.messages m where m.id = d.reference)""",
    "an outcome has not exactly one message for each who is to be told": """
        select p.placement_id from booking.placements p
        left join notification.messages m on m.placement = p.placement_id
        group by p.placement_id, p.told, p.told_type
        having count(m.id) <> case when p.told_type = 'booking.exhausted' then 1 else
            2 + (p.told::json #>> '{data,brief,patient,contact,mobile}' is not null)::int end""",
}
"""Each a sentence, and a query that finds what breaks it."""


def close(database: str, *queues: Queue) -> Account:
    """Compare what devices hold with the database."""
    faults: list[str] = []
    with psycopg.connect(database) as connection:
        for sentence, query in CHECKS.items():
            found = connection.execute(query).fetchall()
            if found:
                faults.append(f"{sentence}: {len(found)}, such as {found[0]}")
        told = dict(connection.execute("select referral_id, told_type from booking.placements").fetchall())
        deliveries = connection.execute("select count(*), coalesce(sum(raw_deliveries), 0) from sandbox.deliveries")
        messages, raw = deliveries.fetchone() or (0, 0)
    entries = [entry for queue in queues for entry in queue.entries.values()]
    for entry in entries:
        if entry.outcome is None:
            faults.append(f"{entry.key} ({entry.scenario}) is {entry.state}, and was answered {entry.status}")
        elif entry.referral not in told:
            faults.append(f"{entry.key} was answered, and its referral has no outcome")
        elif (entry.outcome == "unplaced") != (told[entry.referral] == "booking.exhausted"):
            faults.append(f"{entry.key} was answered {entry.outcome}, and {told[entry.referral]} was told")
    answered = sum(entry.status is not None for entry in entries)
    return Account(len(entries), answered, int(raw), int(messages), tuple(faults))
