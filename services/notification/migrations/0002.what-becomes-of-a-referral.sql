-- What becomes of a referral after its first placement is told as well: also where no place is told of, and to the
-- service where the patient is expected no more.
alter table messages alter column placement drop not null;
alter table messages drop constraint messages_audience_check;
alter table messages add check (audience in ('service', 'former_service', 'referrer', 'patient'));
