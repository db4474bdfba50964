-- Where a receiver keeps the diary itself. Services at one host are one receiver.
alter table diaries add column address text;
alter table diaries add column receiver text
    generated always as (lower(substring(address from '^https?://[^/]+'))) stored;

-- How often in a row a receiver failed, and until when it is left alone. Its row is the lock under which replicas count
-- what is asked of it.
create table receivers (
    receiver text primary key,
    failures integer not null default 0,
    left_alone_until timestamptz
);

-- A placement whose next candidate keeps its own diary. Who has its lease asks, until it is due again.
create table asking (
    placement_id uuid primary key,
    referral_id text not null,
    request text not null,
    tried text not null,
    place integer not null,
    service_id text collate "C" not null,
    receiver text not null,
    address text not null,
    since timestamptz not null,
    latest_start timestamptz not null,
    last_at timestamptz not null,
    wait_until timestamptz,
    give_up_at timestamptz not null,
    key uuid,
    over boolean not null default false,
    lease uuid,
    due_at timestamptz not null
);

create index asking_due on asking (due_at);
create index asking_of_receivers on asking (receiver, due_at);
create index asking_of_referrals on asking (referral_id);

-- What receivers were asked to book, under keys that were stored before they were. What is not held is given back, until
-- the receiver says so at a time when nothing that was sent before can take effect any more (`quiet_at`).
create table elsewhere (
    key uuid primary key,
    placement_id uuid not null,
    service_id text collate "C" not null,
    receiver text not null,
    address text not null,
    starts_at timestamptz not null,
    minutes integer not null,
    state text not null check (state in ('asked', 'held', 'undoing', 'undone')),
    quiet_at timestamptz not null,
    tries integer not null default 0,
    lease uuid,
    due_at timestamptz,
    given_up_at timestamptz,
    check ((state = 'undoing') = (due_at is not null))
);

create unique index one_booking_elsewhere_a_placement on elsewhere (placement_id) where state in ('asked', 'held');
create index elsewhere_of_slots on elsewhere (service_id, starts_at) where state in ('asked', 'held');
create index elsewhere_due on elsewhere (receiver, due_at) where state = 'undoing';

-- Under which key the receiver has it, where it keeps the diary.
alter table bookings add column elsewhere uuid;

-- Who waits for a service that keeps its own diary asks it again now and then: nobody tells when a place comes free there.
alter table waiting add column asked_at timestamptz;

drop function if exists lock_diaries;

-- Lock the diaries that have slots, then, in a second statement with a snapshot from after the lock, read as many free
-- slots of each as the batch could want. One statement would read from before the lock, and find slots that are gone.
-- A diary that began to have slots between the two is not locked, and counts as one that is not there yet.
-- Of a diary that is kept elsewhere: that it is, and until when its receiver is left alone.
create function lock_diaries(
    p_service text[], p_wanted integer[], p_from timestamptz, p_until timestamptz
) returns table (
    service_id text, booking text, active boolean, accept_within_minutes integer, patients_an_hour integer,
    elsewhere boolean, left_alone_until timestamptz, starts_at timestamptz, minutes integer, free integer
) language plpgsql volatile as $$
declare
    locked text[] := array(
        select d.service_id from diaries d
        where d.service_id = any(p_service) and d.has_slots
        order by d.service_id for no key update
    );
begin
    return query
        select d.service_id, d.booking, d.active, d.accept_within_minutes, d.patients_an_hour,
            d.receiver is not null, r.left_alone_until, f.starts_at, f.minutes, f.free
        from unnest(p_service, p_wanted) w(service, n)
        join diaries d on d.service_id = w.service
        left join receivers r on r.receiver = d.receiver
        left join lateral (
            select s.starts_at, s.minutes, s.free
            from free_slots(w.service, d.patients_an_hour, p_from) s
            where s.starts_at <= p_until
            order by s.starts_at
            limit w.n
        ) f on d.has_slots and d.active and d.receiver is null
        where not d.has_slots or d.service_id = any(locked);
end
$$;
