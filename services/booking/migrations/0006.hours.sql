-- A service without slots may take so many patients an hour: each hour in which it is open is then a slot of its diary.
alter table diaries add column patients_an_hour integer;
-- Its opening hours; none of a service whose diary is not made of them.
alter table diaries add column hours text;
alter table diaries add column has_slots boolean not null
    generated always as (booking = 'slots' or patients_an_hour is not null) stored;

-- The free slots of a diary that a patient can still be given, who is not to be there before `p_from`: those that begin
-- no earlier, and of a team that comes to the patient the hour that is not over by then.
create function free_slots(p_service text, p_patients_an_hour integer, p_from timestamptz)
returns table (starts_at timestamptz, minutes integer, free integer) language sql stable as $$
    select s.starts_at, s.minutes, s.capacity - s.held from slots s
    where s.service_id = p_service
        and s.starts_at >= case when p_patients_an_hour is null then p_from else p_from - interval '1 hour' end
        and (p_patients_an_hour is null or s.starts_at + s.minutes * interval '1 minute' > p_from)
        and s.held < s.capacity and not s.withdrawn
$$;

drop function lock_diaries;

-- Lock the diaries that have slots, then, in a second statement with a snapshot from after the lock, read as many free
-- slots of each as the batch could want. One statement would read from before the lock, and find slots that are gone.
-- A diary that began to have slots between the two is not locked, and counts as one that is not there yet.
create function lock_diaries(
    p_service text[], p_wanted integer[], p_from timestamptz, p_until timestamptz
) returns table (
    service_id text, booking text, active boolean, accept_within_minutes integer, patients_an_hour integer,
    starts_at timestamptz, minutes integer, free integer
) language plpgsql volatile as $$
declare
    locked text[] := array(
        select d.service_id from diaries d
        where d.service_id = any(p_service) and d.has_slots
        order by d.service_id for no key update
    );
begin
    return query
        select d.service_id, d.booking, d.active, d.accept_within_minutes, d.patients_an_hour,
            f.starts_at, f.minutes, f.free
        from unnest(p_service, p_wanted) w(service, n)
        join diaries d on d.service_id = w.service
        left join lateral (
            select s.starts_at, s.minutes, s.free
            from free_slots(w.service, d.patients_an_hour, p_from) s
            where s.starts_at <= p_until
            order by s.starts_at
            limit w.n
        ) f on d.has_slots and d.active
        where not d.has_slots or d.service_id = any(locked);
end
$$;
