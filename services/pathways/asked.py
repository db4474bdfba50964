"""What is asked, in columns: one number of each search, so that many are compared with services together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.pathways.columns import ByCode, Floats, Numbers
from services.pathways.criteria import ClinicalQuestion, PatientQuestion
from services.pathways.globe import on_the_globe
from services.pathways.index import Snapshot
from services.pathways.opening_board import Moment, Session
from services.pathways.request import SearchRequest
from services.pathways.search_rules import Distance


class Asked(NamedTuple):
    """What searches compare services with, by search."""

    distances: list[Distance]
    sessions: list[Session]
    second: Floats
    """Of the epoch."""
    red_from: Floats
    """A report that a service is full counts if it holds then: at the search, or never where the patient waits."""
    on_the_globe: Floats
    own_surgery: Numbers
    clinical: ByCode
    codes: ByCode
    left_out: Numbers
    """Pairs of a search and a service that is not asked again: the search times how many services there are, plus the
    slot."""


def asked_of(snapshot: Snapshot, requests: Sequence[SearchRequest]) -> Asked:
    """The searches in columns."""
    registers = snapshot.registers
    second = np.array([one.at.timestamp() for one in requests])
    left_out = [
        number * len(snapshot.entries) + slot
        for number, request in enumerate(requests)
        for one in request.without
        if (slot := snapshot.slot(one)) is not None
    ]
    sessions = [Session(Moment.of(one.at.timestamp()), session_minutes(one.minutes)) for one in requests]
    waiting = [one.full_too for one in requests]
    return Asked(
        distances=[snapshot.rules.distance_of(one) for one in requests],
        sessions=sessions,
        second=second,
        red_from=np.where(waiting, np.inf, second) if any(waiting) else second,
        on_the_globe=np.array([on_the_globe(one.position) for one in requests]),
        own_surgery=np.array([registers.organisations.known(one.surgery or "") for one in requests]),
        clinical=ByCode.of(
            ([ClinicalQuestion(one.needs, one.referral_role) for one in requests], registers.clinical_verdicts.of)
        ),
        codes=ByCode.of(
            ([PatientQuestion(one.age, one.gender) for one in requests], registers.patient_verdicts.of),
            ([one.area for one in requests], registers.territorial_verdicts.of),
            ([one.surgery for one in requests], registers.commissionings.ties_to),
            (sessions, registers.boards.table_of),
        ),
        left_out=np.array(left_out, np.int64),
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
