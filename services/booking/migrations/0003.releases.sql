-- What was told when a booking was given back. It is told once: a further withdrawal of it tells the same again.
alter table bookings add column released text;
alter table bookings add constraint released_is_told check ((released_at is null) = (released is null));
