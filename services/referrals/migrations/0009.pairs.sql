-- Who was referred again and again by one sender is no pair with themselves, however often: found by number or name and
-- sender, they are not even looked at.
drop index patients_by_number;
drop index patients_by_name;
create index patients_by_number on patients (by_number, sender) where by_number is not null;
create index patients_by_name on patients (by_name, sender) where by_name is not null;

-- Each of these with every one before it that somebody else sent within so long, by number; or by name, age and gender
-- where one of the two has no number. Different numbers are different patients.
-- Found by the indexes, one at a time: with settings of its own, since over a table that grows and shrinks the planner
-- would rather read all of it, each time.
create function pairs_with(p_referral uuid[], p_within interval) returns table (
  referral_id uuid, other_id uuid, match text, desk text, other_desk text, submitted_at timestamptz,
  other_submitted_at timestamptz
) language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set max_parallel_workers_per_gather = 0 as $$
begin
  return query
    select n.referral_id, e.referral_id, e.match, n.desk, e.desk, n.submitted_at, e.submitted_at
    from patients n cross join lateral (
      select o.*, 'nhs-number' as match from patients o where o.by_number = n.by_number and o.sender < n.sender
      union all
      select o.*, 'nhs-number' from patients o where o.by_number = n.by_number and o.sender > n.sender
      union all
      select o.*, 'name-and-age' from patients o
      where o.by_name = n.by_name and o.sender < n.sender and (o.by_number is null or n.by_number is null)
      union all
      select o.*, 'name-and-age' from patients o
      where o.by_name = n.by_name and o.sender > n.sender and (o.by_number is null or n.by_number is null)
    ) e
    where n.referral_id = any(p_referral) and e.position < n.position
      and e.submitted_at between n.submitted_at - p_within and n.submitted_at + p_within
    order by n.position, e.position;
end $$;
