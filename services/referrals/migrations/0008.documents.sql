-- What one desk attached for the other. A document is one that was told of; until then it is an upload, which nobody
-- reads and which is cleared away when nobody goes on with it.

-- What the object store holds, or may hold: a row before the first piece is written, and until the last one is gone, so
-- that nothing lies there that nobody knows of.
create table uploads (
  id         uuid        primary key,
  touched_at timestamptz not null, -- when the last piece came
  state      text        not null default 'open' check (state in ('open', 'attached', 'dropping'))
);

create index uploads_left on uploads (touched_at) where state <> 'attached';

create table documents (
  id           uuid  primary key references uploads (id),
  referral_id  uuid  not null,
  organisation text  not null, -- who attached it, under which key of theirs
  key          uuid  not null,
  digest       bytea not null, -- of all that was said and sent under it
  told         uuid  not null, -- the fact, whose body says what it is
  unique (organisation, key)
);

create index documents_of_referral on documents (referral_id);

-- The object store, where PostgreSQL is it: pieces of at most 256 KiB, so that none is ever in memory as a whole.
create table pieces (
  object_id uuid    not null,
  number    integer not null,
  content   bytea   not null,
  primary key (object_id, number)
);
alter table pieces alter column content set storage external; -- a picture is compressed already
