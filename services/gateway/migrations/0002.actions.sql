-- An action on a referral is an attempt too. What stands here already was a submission, and each answer of those was 201.
alter table attempts
  add column kind   text     not null default 'submission' check (kind in ('submission', 'action')),
  add column status smallint not null default 201; -- of the answer over HTTP, once there is one
