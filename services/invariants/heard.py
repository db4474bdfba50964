"""Who must have heard of what became of a referral, said once more and apart from the service that tells them."""

from contracts.referrals import (
    ReferralAccepted,
    ReferralArrangedElsewhere,
    ReferralCancelled,
    ReferralDocumentAttached,
    ReferralDuplicateSuspected,
    ReferralEscalated,
    ReferralInformationGiven,
    ReferralInformationWanted,
    ReferralMessageLeft,
    ReferralNotAttended,
    ReferralOutcomeGiven,
    ReferralRebooked,
    ReferralRejected,
    ReferralWaitListed,
    ReferralWithdrawn,
)

TOLD_TO_PEOPLE = tuple(
    fact.TYPE
    for fact in (
        ReferralAccepted,
        ReferralRejected,
        ReferralInformationWanted,
        ReferralInformationGiven,
        ReferralOutcomeGiven,
        ReferralNotAttended,
        ReferralWithdrawn,
        ReferralRebooked,
        ReferralWaitListed,
        ReferralCancelled,
        ReferralArrangedElsewhere,
        ReferralEscalated,
        ReferralMessageLeft,
        ReferralDocumentAttached,
        ReferralDuplicateSuspected,
    )
)

NOT_HEARD = """
, said as (
    select fact.id, f.type, f.body::jsonb -> 'data' as data
    from fact left join referrals.facts f on f.referral_id = fact.referral and f.event_id = fact.id
), looked_at as (
    select id, type, data,
        data #>> '{standing,place}' is not null as is_expected,
        coalesce(data ->> 'place', data ->> 'old') is not null as left_a_place,
        data #>> '{by,organisation}' = data #>> '{standing,desk,organisation}' as by_the_referrer,
        data #>> '{standing,owner,organisation}' <> data #>> '{standing,desk,organisation}' as owned_there,
        coalesce(data #>> '{standing,patient,contact,prefers}', '') <> 'none' and coalesce(
            data #>> '{standing,patient,contact,mobile}', data #>> '{standing,patient,contact,email}'
        ) is not null and coalesce(data ->> 'reason', '') <> 'patient-died' as is_reachable
    from said
), must as (
    select *, type in ('referral.message-left', 'referral.document-attached') as is_for_the_other_desk from looked_at
), hears (id, audience, does) as (
    select id, 'referrer', type in (
        'referral.accepted', 'referral.rejected', 'referral.information-wanted', 'referral.outcome-given',
        'referral.not-attended', 'referral.withdrawn', 'referral.rebooked', 'referral.escalated',
        'referral.duplicate-suspected'
    ) or is_for_the_other_desk and not by_the_referrer from must
    union all
    select id, 'service', type in ('referral.information-given', 'referral.rebooked')
        or type = 'referral.escalated' and is_expected and owned_there
        or is_for_the_other_desk and is_expected and by_the_referrer from must
    union all
    select id, 'former_service', left_a_place and type in (
        'referral.withdrawn', 'referral.rebooked', 'referral.cancelled', 'referral.arranged-elsewhere'
    ) from must
    union all
    select id, 'patient', is_reachable and (
        type in (
            'referral.accepted', 'referral.rejected', 'referral.rebooked', 'referral.withdrawn', 'referral.wait-listed'
        ) or type = 'referral.cancelled' and (left_a_place or data ->> 'was' = 'waiting')
    ) from must
), messages as (
    select m.cause, m.audience, count(*) as made from fact join notification.messages m on m.cause = fact.id
    group by 1, 2
)
select distinct hears.id from hears left join messages on cause = id and messages.audience = hears.audience
where does is null or coalesce(made, 0) <> does::int
"""
"""The facts of which not each who must hear has one message, or somebody has one who must not. Stands after `fact`.

What is not known of a fact breaks it: referrals stores each before it is told.
"""
