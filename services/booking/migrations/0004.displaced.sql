-- When it was told that a booking's slot no longer fits its diary.
alter table bookings add column displaced_at timestamptz;

-- Who holds a slot, asked when a template changes.
create index bookings_of_slots on bookings (service_id, starts_at) where released_at is null;
