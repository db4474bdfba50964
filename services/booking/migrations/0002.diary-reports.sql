-- What was last told of each diary's free slots. Its row is the lock of what is told next; nothing that settles placements
-- touches it.
create table diary_reports (
    service_id text collate "C" primary key,
    version bigint not null default 0,
    said text not null default '',
    stale_at timestamptz
);

-- When the first slot that was told of can no longer be held.
create index diary_reports_stale on diary_reports (stale_at) where stale_at is not null;
