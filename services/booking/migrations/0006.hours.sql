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
