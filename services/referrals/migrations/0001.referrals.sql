-- Where each referral stands: what is needed to find it and to decide. What is read of it is derived from its facts.
-- Rank 0 is a referral that is known by receipts alone. `waiting` says that receipts of it wait for its outcome.
create table referrals (
  id         uuid     primary key,
  version    integer  not null default 0,
  rank       smallint not null default 0, -- how far along its state is
  state      text,
  owner      text,        -- organisation of the desk
  due        timestamptz, -- when the owner must look again
  referrer   text,        -- organisation
  receiver   text,        -- organisation of the service that will see the patient
  service_id text,
  waiting    boolean  not null default false,
  check ((version = 0) = (rank = 0)),
  check ((state is null) = (rank = 0))
) with (fillfactor = 70); -- room to change a row on its own page: no index entry is written

-- Every fact once, exactly as it was told. The rows with a position are the feed: gapless, in commit order.
-- Without a position: a receipt that came before its outcome, when nobody knows yet who may see it.
create table facts (
  referral_id uuid not null,
  event_id    uuid not null,
  position    bigint,
  at          timestamptz not null, -- when it was stored
  type        text not null,
  referrer    text, -- the organisations that may see it,
  receiver    text,
  service_id  text, -- and the service that it concerns
  version     integer, -- which version of the referral it made, if it made one
  body        text not null,
  primary key (referral_id, event_id),
  check ((position is null) = (referrer is null))
) with (toast_tuple_target = 8160); -- compressing a body costs more than all the rest of its insert

-- Readers of the feed see one organisation's facts, so they find them by it. Where one organisation refers to itself
-- the fact stands in both.
create unique index facts_of_referrer on facts (referrer, position);
create unique index facts_of_receiver on facts (receiver, position) where receiver is not null;

-- The last position given, and the epoch that positions count from. Its row is the lock under which they are given.
create table feed (
  one   boolean primary key default true check (one),
  epoch integer not null,
  last  bigint  not null
) with (fillfactor = 10);

insert into feed (epoch, last) values (1, 0);

-- The functions below work on a whole batch in one round trip. Each has planner settings of its own, since a plan made
-- while the tables are small would be kept when they no longer are.

-- Receipts that waited for the outcome of these referrals, whose rows are locked: to those on the referral.
create function release_receipts(p_referral uuid[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  update referrals set waiting = false where id = any(p_referral);
  with waited as (
    select f.referral_id, f.event_id, row_number() over (order by f.at, f.event_id) as n
    from facts f where f.referral_id = any(p_referral) and f.position is null
  ), counted as (
    select count(*) as n from waited
  ), moved as (
    update feed set last = last + counted.n from counted returning last - counted.n as before
  )
  update facts f
  set position = moved.before + waited.n, referrer = r.referrer, receiver = r.receiver, service_id = r.service_id
  from moved, waited join referrals r on r.id = waited.referral_id
  where f.referral_id = waited.referral_id and f.event_id = waited.event_id;
end $$;

-- Store facts that say where their referral stands, and move the referral on to the furthest. The rank is null where
-- the batch itself holds a fact of the referral that is further.
-- Rows are locked in one order, so that no two writers wait for each other, and the feed last: until the commit nobody
-- else is given a position, so positions have no gap and appear in order.
-- A fact that is stored already fails the whole batch with 40001: it must not take a position.
create function store_facts(
  p_at timestamptz, p_outcome smallint, p_referral uuid[], p_event uuid[], p_type text[], p_body text[],
  p_referrer text[], p_receiver text[], p_service text[], p_rank smallint[], p_state text[], p_owner text[],
  p_due timestamptz[]
) returns void language plpgsql set plan_cache_mode = force_generic_plan set enable_nestloop = off as $$
declare
  v_moved   uuid[];
  v_version integer[];
  v_waited  uuid[];
  v_before  bigint;
  v_stored  integer;
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
    returning r.id, r.version, r.waiting and r.rank = p_outcome as waited
  )
  select array_agg(id), array_agg(version), array_agg(id) filter (where waited)
  into v_moved, v_version, v_waited from moved;

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

-- Store receipts: to those on the referral, or to wait where it has no outcome yet. As above, a receipt that is stored
-- already fails the batch.
create function store_receipts(
  p_at timestamptz, p_outcome smallint, p_referral uuid[], p_event uuid[], p_type text[], p_body text[]
) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_early  uuid[];
  v_stored integer;
begin
  select array_agg(distinct f.id order by f.id) into v_early
  from unnest(p_referral) f (id) left join referrals r on r.id = f.id
  where r.rank is distinct from p_outcome;

  if v_early is not null then
    -- Locked until the commit, so that an outcome which comes now finds what waits for it.
    insert into referrals as r (id, waiting) select e.id, true from unnest(v_early) e (id)
    on conflict (id) do update set waiting = r.rank < p_outcome;
  end if;

  with known as materialized (
    select f.*, r.referrer, r.receiver, r.service_id, r.rank = p_outcome as told,
           count(*) filter (where r.rank = p_outcome) over (order by f.n) as place
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

-- What an organisation may see of the feed after one position and up to another, in order: as the referrer, and as the
-- receiver of somebody else's referral. Read along both indexes until the limit, never sorted: the settings, since the
-- planner takes the range for a handful of rows.
create function told_to(
  p_organisation text, p_after bigint, p_until bigint, p_types text[], p_service text, p_limit integer
) returns table (feed_position bigint, feed_referral uuid, feed_type text, feed_body text)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off as $$
begin
  return query
    (select f.position, f.referral_id, f.type, f.body from facts f
     where f.referrer = p_organisation and f.position > p_after and f.position <= p_until
       and (p_types is null or f.type = any(p_types)) and (p_service is null or f.service_id = p_service)
     order by f.position limit p_limit)
    union all
    (select f.position, f.referral_id, f.type, f.body from facts f
     where f.receiver = p_organisation and f.referrer <> p_organisation
       and f.position > p_after and f.position <= p_until
       and (p_types is null or f.type = any(p_types)) and (p_service is null or f.service_id = p_service)
     order by f.position limit p_limit)
    order by 1 limit p_limit;
end $$;
