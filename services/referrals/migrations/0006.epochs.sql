-- After these tables were put back from an older copy: positions are given again that readers have seen with other
-- facts, so they count from a new epoch. It is one that no copy has known, however often the same one is put back:
-- seconds since 2020.
create function begin_epoch() returns integer language sql as $$
  update feed set epoch = greatest(epoch + 1, extract(epoch from clock_timestamp() - timestamptz '2020-01-01 00:00Z')::integer)
  returning epoch
$$;
