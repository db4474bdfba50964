"""Worklists and the search: what an organisation must do, and what it may look up."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from contracts.envelope import Instant
from contracts.referrals import State
from services.chassis.audit import audit
from services.chassis.database import Database
from services.chassis.identity import CallerOf
from services.referrals.cursor import Cursor, start_of
from services.referrals.state import Referral
from services.referrals.store import Referrals
from services.referrals.worklists import WorkItems, WorklistCount, WorklistName
from services.referrals.worklists_store import MOST, Worklists


class FoundReferrals(BaseModel):
    """Referrals as they stand now, in the order in which they came to stand so."""

    referrals: list[Referral]
    cursor: Annotated[str, Field(description="ask again with it for what comes next; nothing is skipped")]
    more: Annotated[bool, Field(description="there is more now")]


class WorklistCounts(BaseModel):
    """Every worklist of an organisation."""

    worklists: list[WorklistCount]


def worklist_routes(
    worklists: Worklists, referrals: Referrals, database: Database, clock: Callable[[], datetime]
) -> APIRouter:
    """The routes of worklists and the search."""
    router = APIRouter()

    @router.get("/worklists", summary="How much is on each worklist", tags=["worklists"], responses=_REFUSED)
    async def counts(caller: CallerOf) -> WorklistCounts:
        """Of your organisation, as referrer and as receiver: numbers alone, so nothing is audited."""
        return WorklistCounts(worklists=await worklists.counts(caller.organisation, clock()))

    @router.get("/worklists/{name}", summary="What somebody must do now", tags=["worklists"], responses=_REFUSED)
    async def worklist(name: WorklistName, caller: CallerOf) -> WorkItems:
        """Referrals of your organisation, the most urgent first: who owns each, by when, and what takes it off.

        Every unfinished referral is on exactly one list of one organisation, and beside that on possible-duplicates of
        the one that refers, once for each other referral that may be of the same patient.
        """
        found = await worklists.items(caller.organisation, name)
        await audit(database.pool, caller, "read worklist", [str(item.referral_id) for item in found.items])
        return found

    @router.get(
        "/referrals", summary="Referrals as they stand, by when they moved", tags=["referrals"], responses=_PAGE
    )
    async def search(
        caller: CallerOf,
        states: Annotated[
            list[State] | None, Query(alias="state", description="in these states; may be repeated")
        ] = None,
        since: Annotated[Instant | None, Query(description="that have moved since a time")] = None,
        cursor: Annotated[str | None, Query(description="of the answer before: what comes after it")] = None,
        limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    ) -> FoundReferrals:
        """Of your organisation, as referrer and as receiver. Keep the cursor, and ask with it again: whatever moved
        meanwhile comes, in the version that stands then."""
        end = Cursor(*await referrals.end())
        start = start_of(cursor, end)
        found = await worklists.changed(
            caller.organisation, start.position, end.position, states=states, since=since, limit=limit
        )
        more = len(found) == limit
        await audit(database.pool, caller, "search referrals", [str(one.referral.id) for one in found])
        return FoundReferrals(
            referrals=[one.referral for one in found],
            cursor=str(end._replace(position=found[-1].position) if more else end),
            more=more,
        )

    return router


_REFUSED: dict[int | str, dict[str, Any]] = {401: {"description": "No valid token"}}
_PAGE = _REFUSED | {
    400: {"description": "Not a cursor of this feed"},
    410: {"description": "A cursor from before a restore; `resume` says where to begin again"},
}
