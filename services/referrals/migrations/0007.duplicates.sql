-- Whether somebody else has referred the same patient.

-- With it whoever is referred is told apart without the number: see docs/decisions/referrals-duplicates.md.
create table patient_key (
  one boolean primary key default true check (one),
  key bytea   not null
);
insert into patient_key (key) select decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex');

-- Who was referred lately, by keyed hashes, in the order of the feed. Nobody else is known here, and nobody for longer
-- than two referrals may be taken for one.
create table patients (
  referral_id  uuid        primary key,
  position     bigint      not null, -- of the submission in the feed: each is compared with those before it
  submitted_at timestamptz not null,
  sender       bytea       not null, -- organisation and person
  by_number    bytea,
  by_name      bytea,
  desk         text        not null  -- of the organisation that refers, as it was told
);

create index patients_by_number on patients (by_number) where by_number is not null;
create index patients_by_name on patients (by_name) where by_name is not null;
create index patients_submitted on patients (submitted_at);

-- Up to which position of the feed submissions were compared.
create table compared (
  one      boolean primary key default true check (one),
  position bigint  not null
);
insert into compared (position) values (0);

create index facts_submissions on facts (position) where type = 'referral.submitted';

-- Two referrals that may be of one patient: a row for each of the two, so that each desk says what it found.
create table suspicions (
  referral_id uuid        not null,
  other_id    uuid        not null,
  match       text        not null,
  told        uuid        not null, -- the fact that says so
  due         timestamptz not null,
  ruled_out   boolean     not null default false,
  primary key (referral_id, other_id),
  check (referral_id <> other_id)
);
