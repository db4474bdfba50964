-- The indexes of worklists named the state, so each new state wrote an entry into every index of its referral. By a column
-- that hardly ever changes, a change of state stays on its page.
alter table referrals add column finished boolean
  generated always as (state in ('outcome_given', 'cancelled', 'arranged_elsewhere')) stored;

drop index referrals_of_referrer;
drop index referrals_of_receiver;
create index referrals_of_referrer on referrals (referrer, due) where not finished;
create index referrals_of_receiver on referrals (receiver, due) where receiver is not null and not finished;
