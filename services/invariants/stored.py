"""What must be true of what the services store, whatever is under way."""

from typing import NamedTuple


class Stored(NamedTuple):
    """An invariant over tables alone."""

    sentence: str
    broken: str
    """A query that gives the ids of what breaks it: no row when it holds."""


STORED = (
    Stored(
        "A slot holds as many patients as it has active bookings, and never more than its capacity",
        """
        select s.service_id || ' ' || s.starts_at from booking.slots s
        left join (
            select service_id, starts_at, count(*) as patients from booking.bookings
            where released_at is null and starts_at is not null and elsewhere is null group by 1, 2
        ) b using (service_id, starts_at)
        where s.held <> coalesce(b.patients, 0) or s.held > s.capacity
        """,
    ),
    Stored(
        "A booking's slot exists, where we keep the diary",
        """
        select b.reference from booking.bookings b
        where b.released_at is null and b.starts_at is not null and b.elsewhere is null and not exists (
            select from booking.slots s where s.service_id = b.service_id and s.starts_at = b.starts_at
        )
        """,
    ),
    Stored(
        "A placement that is confirmed has exactly one booking, released or not; one that is exhausted has none",
        """
        select p.placement_id::text from booking.placements p
        left join (select placement_id, count(*) as made from booking.bookings group by 1) b using (placement_id)
        where coalesce(b.made, 0) <> case p.told_type when 'booking.confirmed' then 1 else 0 end
        """,
    ),
    Stored(
        "What is given back is told once, with what was held",
        """
        select reference from booking.bookings
        where (released_at is null) <> (released is null)
            or (released::json #>> '{data,reference}', released::json #>> '{data,placement_id}')
                <> (reference, placement_id::text)
        """,
    ),
    Stored(
        "A placement of which nothing is told waits for a place or asks a receiver, and no other does",
        """
        select coalesce(p.placement_id, u.placement_id)::text from booking.placements p
        full join (
            select placement_id, count(*) as places from (
                select placement_id from booking.waiting union all select placement_id from booking.asking
            ) unsettled group by 1
        ) u using (placement_id)
        where p.placement_id is null or u.places > 1 or (p.told is null) <> (u.placement_id is not null)
        """,
    ),
    Stored(
        "A placement that asks a receiver is due, or somebody asks for it now; none asks long past its time",
        """
        -- A lease lasts minutes at the most, and what is due is taken at once.
        select placement_id::text from booking.asking
        where due_at not between now() - interval '1 minute' and now() + interval '5 minutes'
            or last_at < now() - interval '3 minutes' or (lease is null) and key is not null
        """,
    ),
    Stored(
        "What a receiver may have booked is asked for now, is held by a booking, or is given back until it is gone",
        """
        select e.key::text from booking.elsewhere e
        left join booking.asking a on a.key = e.key and a.placement_id = e.placement_id
        left join booking.bookings b on b.elsewhere = e.key and b.released_at is null
        where (e.state = 'asked') <> (a.key is not null) or (e.state = 'held') <> (b.reference is not null)
            or e.state = 'undoing' and e.due_at > now() + interval '2 hours'
        union all
        select b.reference from booking.bookings b
        where b.elsewhere is not null and b.released_at is null and not exists (
            select from booking.elsewhere e where e.key = b.elsewhere and e.placement_id = b.placement_id
        )
        """,
    ),
    Stored(
        "Nobody waits while a slot that they could use is free, nor long past the time until when they may wait",
        """
        -- Nobody is sent to a slot that begins within the lead, which is 4 hours at most.
        select w.placement_id::text from booking.waiting w
        where w.wait_until < now() - interval '1 minute' or w.wait_until > now() and exists (
            select from booking.slots s join booking.diaries d using (service_id)
            where s.service_id = any(w.services) and d.active and d.has_slots and not s.withdrawn
                and s.held < s.capacity and s.starts_at > now() + interval '4 hours' and s.starts_at <= w.latest_start
        )
        """,
    ),
    Stored(
        "The service that is told is the one that is booked, under the reference that the patient is told",
        """
        select p.placement_id::text from booking.placements p join booking.bookings b using (placement_id)
        where b.service_id <> (p.told::json #>> '{data,service,service_id}')
            or b.reference <> (p.told::json #>> '{data,reference}')
        """,
    ),
    Stored(
        "Nobody is sent where they did not agree to go, nor to a kind of service that triage did not find fit",
        """
        select told.placement_id::text from (
            select placement_id, told::jsonb #> '{data,brief}' as brief, told::jsonb #> '{data,service}' as service
            from booking.placements where told_type = 'booking.confirmed'
        ) told
        where not (brief -> 'service_types') @> (service -> 'service_type')
            or brief -> 'accept' <> '"any"' and not exists (
                select from jsonb_array_elements(brief -> 'accept') choice
                where choice -> 'service' = service -> 'service_id'
                    or choice -> 'service_type' = service -> 'service_type'
            )
        """,
    ),
    Stored(
        "Nobody is booked past the time until when their submission may be acted on, or until when they may wait",
        """
        select placement_id::text from booking.placements
        where told_type = 'booking.confirmed'
            and settled_at > coalesce(wait_until, (told::json #>> '{data,brief,answer_by}')::timestamptz)
        """,
    ),
    Stored(
        "The feed has every position once, from the first to the last",
        """
        select 'up to ' || feed.last from referrals.feed,
            (select count(position) as given, coalesce(max(position), 0) as highest from referrals.facts) f
        where f.given <> feed.last or f.highest <> feed.last
        """,
    ),
    Stored(
        "Every referral has an owner and a time at which the owner must look again",
        "select id::text from referrals.referrals where version > 0 and (owner is null or due is null)",
    ),
    Stored(
        "A referral's versions are numbered without a gap, up to the one that stands now",
        """
        select r.id::text from referrals.referrals r
        left join (
            select referral_id, count(*) as made, max(version) as highest from referrals.facts
            where version is not null group by 1
        ) f on f.referral_id = r.id
        where r.version <> coalesce(f.made, 0) or r.version <> coalesce(f.highest, 0)
        """,
    ),
    Stored(
        "What the feed says of a referral is what its row says, and its versions stand in the feed in their order",
        """
        select r.id::text from referrals.referrals r
        left join referrals.facts f on f.referral_id = r.id and f.version = r.version
        cross join lateral (select f.body::jsonb -> 'data' as data offset 0) said
        cross join lateral (select coalesce(data -> 'standing', data) as standing offset 0) stands
        where r.version > 0 and (
            f.body is null
            or r.state <> case f.type
                when 'referral.submitted' then 'submitted'
                when 'referral.triaged' then 'triaged'
                when 'booking.requested' then 'placement_asked'
                when 'booking.confirmed' then 'placed'
                when 'booking.exhausted' then 'unplaced'
                else standing ->> 'state'
            end
            or r.owner <> coalesce(
                standing #>> '{owner,organisation}', data #>> '{brief,desk,organisation}',
                data #>> '{desk,organisation}'
            )
            or data ? 'standing' and r.due <> (standing ->> 'due')::timestamptz
            or exists (
                select from referrals.facts earlier
                where earlier.referral_id = r.id and earlier.version < r.version and earlier.position > f.position
            )
        )
        """,
    ),
    Stored(
        "What was held for a referral that is finished is given back, but the place where the patient was seen",
        """
        select r.id::text from referrals.referrals r
        join referrals.facts held on held.referral_id = r.id and held.type = 'booking.confirmed'
        left join referrals.facts f on f.referral_id = r.id and f.version = r.version
        where r.state in ('outcome_given', 'cancelled', 'arranged_elsewhere')
            and not exists (
                select from referrals.facts back where back.referral_id = r.id and back.type = 'booking.withdrawn'
                    and back.body::json #>> '{data,reference}' = held.body::json #>> '{data,reference}'
            )
            and not (
                r.state = 'outcome_given'
                and held.body::json #>> '{data,reference}' = f.body::json #>> '{data,standing,place,reference}'
                and coalesce((held.body::json #>> '{data,starts_at}')::timestamptz <= r.due, true)
            )
        """,
    ),
    Stored(
        "For a referral at most one further place is looked for, and none for one that is finished",
        """
        select s.referral_id::text from referrals.searches s
        left join referrals.referrals r on r.id = s.referral_id
        where s.state = 'open' group by s.referral_id
        having count(*) > 1 or bool_or(
            coalesce(r.state in ('outcome_given', 'cancelled', 'arranged_elsewhere'), true)
        )
        """,
    ),
    Stored(
        "Of two referrals that may be of one patient each has been told of the other, once",
        """
        select s.referral_id::text from referrals.suspicions s
        left join referrals.suspicions o on o.referral_id = s.other_id and o.other_id = s.referral_id
        left join referrals.facts f on f.referral_id = s.referral_id and f.event_id = s.told and f.position > 0
        where o.referral_id is null or f.event_id is null
        """,
    ),
    Stored(
        "A document is kept whole, and the desks were told of it",
        """
        select d.id::text from referrals.documents d
        left join referrals.uploads u on u.id = d.id and u.state = 'attached'
        left join referrals.facts f on f.referral_id = d.referral_id and f.event_id = d.told and f.position > 0
        left join lateral (
            select sum(octet_length(p.content)) as bytes from referrals.pieces p where p.object_id = d.id
        ) kept on true
        where u.id is null or f.event_id is null
            or coalesce(kept.bytes, 0) <> (f.body::json #>> '{data,document,bytes}')::bigint
        """,
    ),
    Stored(
        "A submission under one key has one referral, and an answer of its own only",
        """
        select a.referral_id::text from gateway.attempts a
        left join booking.placements p on p.placement_id = a.event_id
        where a.kind = 'submission' and a.answer is not null
            and (p.referral_id is null or p.referral_id <> a.referral_id::text)
        """,
    ),
    Stored(
        "An outcome is told at most once to each audience, and to no one who is not to hear of it",
        """
        select cause::text from notification.messages
        group by cause, audience, reason
        having count(*) > 1 or bool_or(reason = 'booking.exhausted' and audience <> 'referrer')
        """,
    ),
    Stored(
        "A message counts as accepted only when the provider has it",
        """
        select m.id::text from notification.messages_as_they_stand m
        where m.state = 'accepted' and not exists (select from sandbox.deliveries d where d.reference = m.id)
        """,
    ),
    Stored(
        "The provider has no message that nobody decided",
        """
        select d.reference::text from sandbox.deliveries d
        where not exists (select from notification.messages m where m.id = d.reference)
        """,
    ),
)
