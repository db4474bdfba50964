-- Every dead letter once, byte for byte, until somebody has sent it again. Nothing of it is trusted to be text.
create table dead_letters (
  number        bigint generated always as identity primary key, -- what people call it by
  digest        bytea       not null unique, -- of where it was read and what it holds
  reader        text        not null, -- the service that could not use it
  at            timestamptz not null, -- when it was buried, by the broker's clock
  topic         text        not null, -- that it first came on
  key           bytea,
  value         bytea,
  header_names  bytea[]     not null,
  header_values bytea[]     not null,
  whys          text[]      not null, -- a why and an origin for each time that it died, the first one first
  origins       text[]      not null,
  referral_id   uuid,                 -- the record's key, where it is one
  replayed_at   timestamptz,
  replayed_by   text
);

create index dead_letters_waiting on dead_letters (referral_id, number) where replayed_at is null;
