"""What is asked, in columns: one number of each search, so that many are compared with services together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.pathways.columns import ByCode, Floats, Numbers
from services.pathways.criteria import ClinicalQuestion
from services.pathways.globe import on_the_globe
from services.pathways.index import GENDER_BITS, Snapshot
from services.pathways.opening_board import Moment
from services.pathways.request import AgeSpan, SearchRequest
from services.pathways.search_rules import Distance

UNKNOWN_AGE = AgeSpan(youngest=1e9, oldest=-1e9)
"""Too old for every limit and too young for every limit."""


class Asked(NamedTuple):
    """What searches compare services with, by search."""

    distances: list[Distance]
    moments: list[Moment]
    latitude: Floats
    x: Floats
    y: Floats
    z: Floats
    youngest: Floats
    oldest: Floats
    second: Floats
    """Of the epoch."""
    red_from: Floats
    """A report that a service is full counts if it holds then: at the search, or never where the patient waits."""
    gender: Numbers
    own_surgery: Numbers
    session: Numbers
    """Minutes."""
    most_near_misses: Numbers
    named: Numbers
    """How many services are wanted by name."""
    left_out: Numbers
    """Pairs of a search and a service that is not asked again: the search times how many services there are, plus the
    slot."""
    clinical: ByCode
    territory: ByCode
    ties: ByCode


def asked_of(snapshot: Snapshot, requests: Sequence[SearchRequest]) -> Asked:
    """The searches in columns."""
    registers = snapshot.registers
    organisation = registers.organisations.known
    latitude, x, y, z, youngest, oldest, second = np.array(
        [
            (one.position.latitude, *on_the_globe(one.position), *(one.age or UNKNOWN_AGE), one.at.timestamp())
            for one in requests
        ]
    ).T
    gender, own_surgery, session, most_near_misses, named = np.array(
        [
            (
                GENDER_BITS[one.gender],
                organisation(one.surgery or ""),
                session_minutes(one.minutes),
                one.most_near_misses,
                sum(isinstance(wish, str) for wish in one.wanted or ()),
            )
            for one in requests
        ]
    ).T
    return Asked(
        distances=[snapshot.rules.distance_of(one) for one in requests],
        moments=[Moment.of(one.at) for one in requests],
        latitude=latitude,
        x=x,
        y=y,
        z=z,
        youngest=youngest,
        oldest=oldest,
        second=second,
        red_from=np.where([one.full_too for one in requests], np.inf, second),
        gender=gender,
        own_surgery=own_surgery,
        session=session,
        most_near_misses=most_near_misses,
        named=named,
        left_out=np.array(
            [
                number * len(snapshot.entries) + slot
                for number, request in enumerate(requests)
                for one in request.without
                if (slot := snapshot.slot(one)) is not None
            ],
            np.int64,
        ),
        clinical=ByCode.of(
            [ClinicalQuestion(one.needs, one.referral_role) for one in requests], registers.clinical_verdicts.of
        ),
        territory=ByCode.of([one.area for one in requests], registers.territorial_verdicts.of),
        ties=ByCode.of([one.surgery for one in requests], registers.commissionings.ties_to),
    )


def session_minutes(disposition_minutes: int | None) -> int:
    """How long after the search a service must be open for some time (Directory of Services).

    No minutes: 60. Up to 30: 30. Up to 60: as they are. More: an hour less, so that the patient is seen in time.
    """
    if not disposition_minutes:
        return 60
    if disposition_minutes <= 60:
        return max(disposition_minutes, 30)
    return disposition_minutes - 60
