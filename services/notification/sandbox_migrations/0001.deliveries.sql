-- The provider's side of the sandbox: each message once, and how often it was handed over. No addresses.
create table deliveries (
    reference uuid primary key,
    first_at timestamptz not null,
    raw_deliveries bigint not null check (raw_deliveries > 0),
    audience text not null,
    channel text not null,
    organisation text,
    template text not null,
    text text not null
);
