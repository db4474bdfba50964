-- Events that a transaction decided without a cause on the log, until they are told. A row that was told is deleted.
create table outbox (
    position bigint generated always as identity primary key,
    event_id uuid not null unique,
    type text not null,
    key text not null,
    body text not null
);
