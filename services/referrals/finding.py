"""The referral that a request is about: for those on it alone, and waited for while it may be on its way."""

import time
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from fastapi import Request

from contracts.topics import Topic
from services.chassis.audit import audit
from services.chassis.database import Database
from services.chassis.identity import Caller
from services.chassis.problems import Problem
from services.referrals.history import History
from services.referrals.news import News, heard
from services.referrals.settings import ReferralsSettings
from services.referrals.store import Referrals

LOOK_SECONDS = 0.1
"""How often a read looks again for a referral that may be on its way."""


class Progress(Protocol):
    """How far this service's group has read: its host knows."""

    async def end_offset(self, topic: Topic, key: str) -> int:
        """End of the partition that holds this key, now."""

    async def has_passed(self, topic: Topic, key: str, end: int) -> bool:
        """Whether the group has processed that partition up to an end offset."""


class Finding:
    """Finds referrals for callers, and writes down who read what."""

    def __init__(
        self, referrals: Referrals, database: Database, progress: Progress, news: News, settings: ReferralsSettings
    ) -> None:
        self._referrals = referrals
        self._database = database
        self._progress = progress
        self._news = news
        self._settings = settings

    async def find(
        self, referral_id: UUID, caller: Caller, request: Request, action: str, ids: Sequence[UUID] = ()
    ) -> History:
        """The referral, once a row says who read it (and these ids) for what.

        Raises a problem: 404 for one that is not there or not the caller's, 503 while it may be on its way.
        """
        speaks_for_itself(request, caller)
        history = await self._referrals.history(referral_id)
        if history is None:
            history = await self._arrival(Topic.SUBMISSIONS, referral_id, caller)
        if history is not None and not _concerns(history, caller):
            history = await self._arrival(Topic.BOOKINGS, referral_id, caller)  # it may have been placed with them
        if history is None or not _concerns(history, caller):
            raise unknown("No such referral", "There is no referral of this id for your organisation.")
        await audit(self._database.pool, caller, action, [str(one) for one in (referral_id, *ids)])
        return history

    async def _arrival(self, topic: Topic, referral_id: UUID, caller: Caller) -> History | None:
        """A referral that may still be on the log, or its outcome; as it is once all is stored that was there at the
        request."""
        key = str(referral_id)
        end = await self._progress.end_offset(topic, key)
        deadline = time.monotonic() + self._settings.arrival_seconds
        while True:
            bell = self._news.bell
            passed = await self._progress.has_passed(topic, key, end)
            # After the question: what the group had passed by then is in the tables now.
            history = await self._referrals.history(referral_id)
            if passed or _concerns(history, caller):
                return history
            if time.monotonic() >= deadline:
                raise not_known_yet()
            await heard(bell, within=LOOK_SECONDS)


def _concerns(history: History | None, caller: Caller) -> bool:
    return history is not None and history.concerns(caller.organisation)


def speaks_for_itself(request: Request, caller: Caller) -> None:
    """Raises a problem, 403, where the query names another organisation than the token's."""
    if any(said != caller.organisation for said in request.query_params.getlist("organisation")):
        raise Problem(
            403,
            "Another organisation's name",
            "The query names an organisation that the token does not act for. Leave it out.",
        )


def unknown(title: str, detail: str) -> Problem:
    """404."""
    return Problem(404, title, detail)


def not_known_yet() -> Problem:
    """503: it may still come."""
    return Problem(
        503,
        "Not known yet",
        "What was sent lately is still being read, and what you ask for may be among it. Ask again in a moment.",
        headers={"Retry-After": "1"},
    )
