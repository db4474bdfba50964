"""Asks the plain search what the index is asked: for tests and benchmarks that hold one against the other."""

from collections.abc import Mapping, Sequence
from datetime import date

from contracts.directory import CapacityReportedData, Service
from services.pathways.request import SearchRequest
from services.pathways.search_rules import SearchRules
from tests import plain_search
from tests.plain_search import Query, Site


def site_of(rules: SearchRules, public_holidays: frozenset[date] = frozenset()) -> Site:
    """Search rules as the plain search takes them; capacity does not count in the order."""
    return Site(
        holidays=public_holidays,
        distances=rules.distances,
        national_ranks=rules.ranks.national,
        local_authority_ranks=rules.ranks.local_authorities,
        commissioner_ranks=rules.ranks.commissioners,
    )


def query_of(request: SearchRequest) -> Query:
    """A search as the plain search takes it. It has no postcode."""
    assert request.postcode is None
    needs = request.needs
    return Query(
        position=request.position,
        at=request.at,
        ages=None if request.age is None else (request.age.youngest, request.age.oldest),
        gender=request.gender,
        asks_codes=needs is not None,
        symptom_group=None if needs is None else needs.symptom_group,
        discriminators=() if needs is None else needs.discriminators,
        disposition=None if needs is None else needs.disposition,
        minutes=request.minutes,
        surgery=request.surgery,
        role=request.referral_role,
        postcode=None,
        local_authority=request.area.local_authority,
        commissioner=request.area.commissioner,
        km=request.km,
        forced=request.km_is_forced,
        wanted=request.wanted,
        in_order=request.in_order,
        without=request.without,
        full_too=request.full_too,
    )


def asked(
    services: Sequence[Service],
    reports: Mapping[str, CapacityReportedData],
    request: SearchRequest,
    site: Site,
) -> plain_search.Answer:
    """What the plain search answers."""
    return plain_search.search(services, reports, query_of(request), site)


def ids(
    services: Sequence[Service],
    reports: Mapping[str, CapacityReportedData],
    request: SearchRequest,
    site: Site,
) -> list[str]:
    """The candidates' ids, in order."""
    return [service_id for service_id, _ in asked(services, reports, request, site).candidates]
