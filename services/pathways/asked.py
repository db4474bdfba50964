"""What is asked, in columns: one number of each search, so that many are compared with services together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from services.pathways.columns import Floats, Numbers
from services.pathways.criteria import ClinicalQuestion, PatientQuestion
from services.pathways.globe import on_the_globe
from services.pathways.index import Snapshot
from services.pathways.opening_board import Session
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
    own_surgery: Numbers | None
    """None where no surgery of theirs is in the directory."""
    clinical: Numbers
    """Where the table of clinical profiles begins."""
    codes: Numbers
    """Where the tables of the columns `codes` begin, one each."""
    left_out: Numbers
    """Pairs of a search and a service that is not asked again: the search times how many services there are, plus the
    slot."""


def asked_of(snapshot: Snapshot, requests: Sequence[SearchRequest]) -> Asked:
    """The searches in columns."""
    registers = snapshot.registers
    registers.tables.make_room()
    seconds = [one.at.timestamp() for one in requests]
    sessions = [Session.of(second, session_minutes(one.minutes)) for second, one in zip(seconds, requests, strict=True)]
    patient, territory = registers.patient_tables.begin, registers.territorial_tables.begin
    tie, session, clinical = registers.tie_tables.begin, registers.session_tables.begin, registers.clinical_tables.begin
    own = [registers.organisations.known(one.surgery or "") for one in requests]
    left_out = [
        number * len(snapshot.entries) + slot
        for number, request in enumerate(requests)
        for one in request.without
        if (slot := snapshot.slot(one)) is not None
    ]
    second = np.array(seconds)
    waiting = [one.full_too for one in requests]
    return Asked(
        distances=[snapshot.rules.distance_of(one) for one in requests],
        sessions=sessions,
        second=second,
        red_from=np.where(waiting, np.inf, second) if any(waiting) else second,
        on_the_globe=np.array([on_the_globe(one.position) for one in requests]),
        own_surgery=np.array(own) if max(own) >= 0 else None,
        clinical=np.array([clinical(ClinicalQuestion(one.needs, one.referral_role)) for one in requests]),
        codes=np.array(
            [
                (patient(PatientQuestion(one.age, one.gender)), territory(one.area), tie(one.surgery), session(when))
                for one, when in zip(requests, sessions, strict=True)
            ]
        ),
        left_out=np.array(left_out, np.int64) if left_out else NOTHING,
    )


NOTHING = np.zeros(0, np.int64)


def session_minutes(disposition_minutes: int | None) -> int:
    """How long after the search a service must be open for some time (Directory of Services).

    No minutes: 60. Up to 30: 30. Up to 60: as they are. More: an hour less, so that the patient is seen in time.
    """
    if not disposition_minutes:
        return 60
    if disposition_minutes <= 60:
        return max(disposition_minutes, 30)
    return disposition_minutes - 60
