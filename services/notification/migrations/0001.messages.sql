-- What was told to whom, and how far it got. The id is made of the outcome, the recipient and the reason, so that an
-- outcome that comes again finds its messages there.
create table messages (
    id uuid primary key,
    cause uuid not null,
    correlation uuid not null,
    placement uuid not null,
    made_at timestamptz not null,
    settled_at timestamptz,
    referral text not null,
    traceparent text,
    reason text not null,
    referrer text not null,
    audience text not null check (audience in ('service', 'referrer', 'patient')),
    channel text not null check (channel in ('system', 'sms', 'email')),
    organisation text,
    address text,
    template text not null,
    text text not null,
    state text not null default 'due' check (state in ('due', 'accepted', 'refused')),
    why text,
    check ((state = 'due') = (settled_at is null)),
    check ((state = 'refused') = (why is not null)),
    check ((channel = 'system') = (organisation is not null)),
    check ((channel = 'system') = (address is null))
);

create index messages_due on messages (made_at) where state = 'due';
