-- What an organisation asked for under a key, stored before it is told, so that the same key is answered the same from
-- any replica and after any restart.
create table attempts (
  organisation text        not null,
  key          uuid        not null,
  digest       bytea       not null check (length(digest) = 32), -- SHA-256 of the body in RFC 8785 form
  referral_id  uuid        not null,
  event_id     uuid        not null,
  event        text        not null, -- referral.submitted, exactly as it is told
  received_at  timestamptz not null,
  answer       text,                 -- the body of the answer, once there is an outcome
  answered_at  timestamptz,
  primary key (organisation, key),
  check ((answer is null) = (answered_at is null))
);

-- An outcome finds its attempt by the transaction that it belongs to.
create unique index attempts_by_event on attempts (event_id);
