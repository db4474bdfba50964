-- A placement that waits for a place has nothing told yet. `wait_until` stands on those that have waited.
alter table placements alter column told_type drop not null;
alter table placements alter column told drop not null;
alter table placements add column wait_until timestamptz;

-- Who waits for a place to come free, in which of these services, and what could be had when it began.
create table waiting (
    placement_id uuid primary key,
    referral_id text not null,
    request text not null,
    tried text not null,
    services text[] collate "C" not null,
    acuity smallint not null,
    since timestamptz not null,
    latest_start timestamptz not null,
    wait_until timestamptz not null
);

create index waiting_by_service on waiting using gin (services);
create index waiting_by_end on waiting (wait_until);
create index waiting_by_referral on waiting (referral_id);

-- Referrals that were over before the request of their wait was read.
create table unwanted (
    referral_id text primary key
);
