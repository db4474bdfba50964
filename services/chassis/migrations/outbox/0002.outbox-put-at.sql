-- When an event was put here: how long the oldest has waited says whether anybody drains the outbox.
alter table outbox add column put_at timestamptz not null default now();
