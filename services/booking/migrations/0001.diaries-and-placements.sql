-- A service as booking knows it. Its row is the lock of its diary; "C", so that Python sorts ids as the locks are taken.
create table diaries (
    service_id text collate "C" primary key,
    version bigint not null,
    active boolean not null,
    booking text not null check (booking in ('slots', 'acceptance', 'delivery')),
    accept_within_minutes integer,
    sessions text not null,
    slots_until timestamptz
);

-- Room for patients. What is held can never pass the capacity, whatever the code does.
create table slots (
    service_id text collate "C" not null references diaries,
    starts_at timestamptz not null,
    minutes integer not null,
    capacity integer not null,
    held integer not null default 0,
    withdrawn boolean not null default false,
    primary key (service_id, starts_at),
    check (held between 0 and capacity)
) with (fillfactor = 70);

-- One search for somewhere to go, and exactly what was told of it. Packing each event as it is stored would cost more
-- than storing it: only what does not fit into a page is packed.
create table placements (
    placement_id uuid primary key,
    referral_id text not null,
    told_type text not null,
    told text not null,
    settled_at timestamptz not null
) with (toast_tuple_target = 8160);

-- Who holds what. Released ones stay, so that a reference can always be found. No foreign keys: one statement stores a
-- booking with its placement, under the lock of its diary, and checking each row again costs as much as storing it.
create table bookings (
    reference text primary key,
    placement_id uuid not null,
    service_id text collate "C" not null,
    starts_at timestamptz,
    released_at timestamptz
);

create unique index one_active_booking_a_placement on bookings (placement_id) where released_at is null;

-- References that patients are told: 12 digits, taken in blocks of 1,000 by each process.
create sequence reference_blocks start 100000000 maxvalue 999999999;
