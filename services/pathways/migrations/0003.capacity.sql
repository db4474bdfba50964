-- Every capacity report, who made it and what they noted. The topic is told the newest of each service, without the
-- person and the notes.
create table capacity_reports (
    service_id text not null references services,
    version integer not null check (version > 0),
    capacity text not null check (capacity in ('red', 'amber', 'green')),
    reported_at timestamptz not null,
    resets_at timestamptz not null check (resets_at > reported_at),
    reported_by text not null,
    practitioner text not null,
    role text not null,
    notes text not null,
    primary key (service_id, version)
);
