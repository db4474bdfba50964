-- What is decided here: by actions, and by what comes of further searches for a place.

-- The fact that a fact of our own follows from: an action, an outcome. What was decided about it is found by it.
alter table facts add column cause uuid;

-- Further searches for a place, each under the id of the fact that asked for it. The first one is the flow's.
create table searches (
  id          uuid    primary key,
  referral_id uuid    not null,
  why         text    not null,
  cause       uuid    not null, -- the action, or the session that was withdrawn
  state       text    not null check (state in ('open', 'closed', 'settled')),
  place_lost  boolean not null default false
);

create index searches_of_referral on searches (referral_id);

-- One at a time: what comes of two could not be told apart by those who wait for it.
create unique index searches_one_open on searches (referral_id) where state = 'open';

-- As before, and: an outcome that does not move its referral fails the batch too. It is decided about, one at a time.
create or replace function store_facts(
  p_at timestamptz, p_outcome smallint, p_referral uuid[], p_event uuid[], p_type text[], p_body text[],
  p_referrer text[], p_receiver text[], p_service text[], p_rank smallint[], p_state text[], p_owner text[],
  p_due timestamptz[]
) returns void language plpgsql set plan_cache_mode = force_generic_plan set enable_nestloop = off as $$
declare
  v_moved    uuid[];
  v_version  integer[];
  v_waited   uuid[];
  v_outcomes bigint;
  v_before   bigint;
  v_stored   integer;
begin
  with moved as (
    insert into referrals as r (id, version, rank, state, owner, due, referrer, receiver, service_id)
    select f.id, 1, f.rank, f.state, f.owner, f.due, f.referrer, f.receiver, f.service_id
    from unnest(p_referral, p_rank, p_state, p_owner, p_due, p_referrer, p_receiver, p_service)
         f (id, rank, state, owner, due, referrer, receiver, service_id)
    where f.rank is not null
    order by f.id
    on conflict (id) do update set
      version = r.version + 1, rank = excluded.rank, state = excluded.state, owner = excluded.owner,
      due = excluded.due, referrer = excluded.referrer, receiver = excluded.receiver, service_id = excluded.service_id
    where excluded.rank > r.rank
    returning r.id, r.version, r.rank = p_outcome as ended, r.waiting
  )
  select array_agg(id), array_agg(version), array_agg(id) filter (where ended and waiting), count(*) filter (where ended)
  into v_moved, v_version, v_waited, v_outcomes from moved;

  if v_outcomes < cardinality(array_positions(p_rank, p_outcome)) then
    raise exception 'some of these outcomes do not move their referral' using errcode = '40001';
  end if;

  update feed set last = last + cardinality(p_event) returning last - cardinality(p_event) into v_before;

  insert into facts (referral_id, event_id, position, at, type, referrer, receiver, service_id, version, body)
  select f.referral_id, f.event_id, v_before + f.n, p_at, f.type, f.referrer, f.receiver, f.service_id, m.version, f.body
  from unnest(p_referral, p_event, p_type, p_body, p_referrer, p_receiver, p_service, p_rank) with ordinality
       f (referral_id, event_id, type, body, referrer, receiver, service_id, rank, n)
  left join unnest(v_moved, v_version) m (id, version) on m.id = f.referral_id and f.rank is not null
  on conflict (referral_id, event_id) do nothing;
  get diagnostics v_stored = row_count;
  if v_stored < cardinality(p_event) then
    raise exception 'some of these facts are stored already' using errcode = '40001';
  end if;

  if v_waited is not null then
    perform release_receipts(v_waited);
  end if;
end $$;

-- As before, for referrals whose outcome is known or that have gone on since.
create or replace function store_receipts(
  p_at timestamptz, p_outcome smallint, p_referral uuid[], p_event uuid[], p_type text[], p_body text[]
) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_early  uuid[];
  v_stored integer;
begin
  select array_agg(distinct f.id order by f.id) into v_early
  from unnest(p_referral) f (id) left join referrals r on r.id = f.id
  where coalesce(r.rank, 0) < p_outcome;

  if v_early is not null then
    -- Locked until the commit, so that an outcome which comes now finds what waits for it.
    insert into referrals as r (id, waiting) select e.id, true from unnest(v_early) e (id)
    on conflict (id) do update set waiting = r.rank < p_outcome;
  end if;

  with known as materialized (
    select f.*, r.referrer, r.receiver, r.service_id, r.rank >= p_outcome as told,
           count(*) filter (where r.rank >= p_outcome) over (order by f.n) as place
    from unnest(p_referral, p_event, p_type, p_body) with ordinality f (referral_id, event_id, type, body, n)
    join referrals r on r.id = f.referral_id
  ), counted as (
    select count(*) filter (where told) as n from known
  ), moved as (
    update feed set last = last + counted.n from counted returning last - counted.n as before
  )
  insert into facts (referral_id, event_id, position, at, type, referrer, receiver, service_id, body)
  select k.referral_id, k.event_id, case when k.told then moved.before + k.place end, p_at, k.type,
         case when k.told then k.referrer end, case when k.told then k.receiver end,
         case when k.told then k.service_id end, k.body
  from known k, moved
  on conflict (referral_id, event_id) do nothing;
  get diagnostics v_stored = row_count;
  if v_stored < cardinality(p_event) then
    raise exception 'some of these facts are stored already' using errcode = '40001';
  end if;
end $$;
