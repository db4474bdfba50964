-- Who is due is looked for every second, and hardly anybody is: without an index of its own the question read every
-- referral that was ever stored.
create index referrals_due on referrals (due) where not finished;

-- Unfinished referrals that were due by a moment, the longest ago first. With settings of its own: a plan that is made
-- once for every moment expects a third of them to be due, and would rather read all.
create function due_by(p_until timestamptz, p_limit integer) returns table (id uuid, owner text)
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
begin
  return query
  select r.id, r.owner from referrals r where r.due <= p_until and not r.finished order by r.due limit p_limit;
end $$;
