-- Who read what of which patients' data: one row a response, written before it is sent.
create table audit (
    position bigint generated always as identity primary key,
    at timestamptz not null default now(),
    organisation text not null,
    practitioner text not null,
    role text not null,
    action text not null,
    ids text[] not null
);
