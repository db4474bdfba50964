-- Who must look at what, and when.

-- The version that was made because nobody did what was due. While it is the one that stands, the desk of whoever
-- referred sees to the patient.
alter table referrals add column escalated_in integer;

-- Worklists of either side, the most urgent first; and, by the first one's skip scan, what is due of anybody.
create index referrals_of_referrer on referrals (referrer, due)
  where state not in ('outcome_given', 'cancelled', 'arranged_elsewhere');
create index referrals_of_receiver on referrals (receiver, due)
  where receiver is not null and state not in ('outcome_given', 'cancelled', 'arranged_elsewhere');

-- Store what was decided about referrals whose rows are locked: where they stand, their searches, and the facts, in
-- order. A fact that is stored already fails the batch: another has decided it meanwhile.
create function store_decided(
  p_at timestamptz, p_decided smallint,
  p_moved uuid[], p_version integer[], p_state text[], p_owner text[], p_due timestamptz[], p_receiver text[],
  p_service text[], p_rank smallint[], p_escalated boolean[],
  p_search uuid[], p_search_referral uuid[], p_why text[], p_search_cause uuid[], p_search_state text[],
  p_place_lost boolean[],
  p_referral uuid[], p_event uuid[], p_type text[], p_fact_version integer[], p_cause uuid[], p_fact_referrer text[],
  p_fact_receiver text[], p_fact_service text[], p_body text[]
) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_waited uuid[];
  v_before bigint;
  v_stored integer;
begin
  with moved as (
    update referrals r set
      version = m.version, rank = case when m.version > r.version then m.rank else r.rank end, state = m.state,
      owner = m.owner, due = m.due, receiver = m.receiver, service_id = m.service_id,
      escalated_in = case when m.escalated then m.version else r.escalated_in end
    from unnest(p_moved, p_version, p_state, p_owner, p_due, p_receiver, p_service, p_rank, p_escalated)
         m (id, version, state, owner, due, receiver, service_id, rank, escalated)
    where r.id = m.id
    returning r.id, r.waiting and r.rank = p_decided as waited
  )
  select array_agg(id) filter (where waited) into v_waited from moved;

  insert into searches (id, referral_id, why, cause, state, place_lost)
  select * from unnest(p_search, p_search_referral, p_why, p_search_cause, p_search_state, p_place_lost)
  on conflict (id) do update set state = excluded.state, place_lost = excluded.place_lost;

  update feed set last = last + cardinality(p_event) returning last - cardinality(p_event) into v_before;

  insert into facts
    (referral_id, event_id, position, at, type, referrer, receiver, service_id, version, body, cause)
  select f.referral_id, f.event_id, v_before + f.n, p_at, f.type, f.referrer, f.receiver, f.service_id, f.version,
         f.body, f.cause
  from unnest(p_referral, p_event, p_type, p_fact_version, p_cause, p_fact_referrer, p_fact_receiver, p_fact_service,
              p_body) with ordinality
       f (referral_id, event_id, type, version, cause, referrer, receiver, service_id, body, n)
  on conflict (referral_id, event_id) do nothing;
  get diagnostics v_stored = row_count;
  if v_stored < cardinality(p_event) then
    raise exception 'some of this is decided already' using errcode = '40001';
  end if;

  if v_waited is not null then
    perform release_receipts(v_waited);
  end if;
end $$;
