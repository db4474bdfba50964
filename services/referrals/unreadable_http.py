"""What could not be read: the desks' worklist, and dead letters for the operator of the system."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from services.chassis.audit import audit
from services.chassis.database import Database
from services.chassis.dead_letters import DEATHS, DeadLetter
from services.chassis.identity import Caller, CallerOf
from services.chassis.problems import Problem
from services.referrals.settings import ReferralsSettings
from services.referrals.unreadable import DeadLetterList, Kept, Shown, UnreadableReferrals, listed, shown
from services.referrals.unreadable_store import DeadLetterBox

ROLE = "operator"
MOST = 200
HIGHEST = 2**63 - 1
"""What the table numbers its rows with."""

Number = Annotated[int, Path(ge=1, le=HIGHEST)]

SendAgain = Callable[[DeadLetter], Awaitable[None]]
"""Puts a dead letter before its reader again; returns once it is on the log."""


class Replay(BaseModel):
    """What sending a dead letter again did, or would do."""

    number: int
    to: Annotated[str, Field(description="the reader that tries it again, alone")]
    topic: Annotated[str, Field(description="as which it is read: the topic that it first came on")]
    sent: Annotated[bool, Field(description="false for a dry run")]
    fault: Annotated[str | None, Field(description="why it would fail again, as contracts stand now")]
    advice: str


def unreadable_routes(
    letters: DeadLetterBox,
    database: Database,
    send_again: SendAgain,
    settings: ReferralsSettings,
    clock: Callable[[], datetime],
) -> APIRouter:
    """The routes of what could not be read."""
    router = APIRouter(tags=["dead letters"])

    async def find(number: int, caller: Caller) -> Kept:
        must_operate(caller)
        kept = await letters.one(number)
        if kept is None:
            raise Problem(404, "No such dead letter", "There is none of this number. List them to find it.")
        return kept

    def must_operate(caller: Caller) -> None:
        if (caller.organisation, caller.role) != (settings.operator, ROLE):
            raise Problem(
                403,
                "Not an operator",
                "Nobody can say whose a record is that cannot be read, so dead letters are for the operator of the "
                f"system alone: the role {ROLE} of the organisation that ONWARD_REFERRALS_OPERATOR names.",
            )

    @router.get(
        "/worklists/unreadable",
        summary="Referrals of which something could not be read",
        tags=["worklists"],
        responses=_REFUSED,
    )
    async def worklist(caller: CallerOf) -> UnreadableReferrals:
        """Those that a desk of your organisation owns. A service has not done its part of them: a person must."""
        items = sorted(await letters.of_desk(caller.organisation), key=lambda item: item.due)
        await audit(database.pool, caller, "read worklist", [str(item.referral_id) for item in items])
        return UnreadableReferrals(items=items)

    @router.get("/dead-letters", summary="What could not be read, without content", responses=_OPERATOR)
    async def list_all(
        caller: CallerOf,
        reader: Annotated[str | None, Query(description="only this service's", pattern=r"^[a-z-]{1,40}$")] = None,
        replayed: Annotated[bool, Query(description="those that were sent again too")] = False,
        after: Annotated[int, Query(ge=0, le=HIGHEST, description="only those with higher numbers")] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
    ) -> DeadLetterList:
        """Every dead letter that waits, those without a referral included: unreadable records, which you own."""
        must_operate(caller)
        found = await letters.after(after, reader, limit, replayed=replayed)
        await audit(database.pool, caller, "list dead letters", [str(kept.number) for kept in found])
        return DeadLetterList(
            dead_letters=[listed(kept) for kept in found], more_after=found[-1].number if len(found) == limit else None
        )

    @router.get("/dead-letters/{number}", summary="A dead letter with its content, and what to do", responses=_ONE)
    async def read(number: Number, caller: CallerOf) -> Shown:
        kept = await find(number, caller)
        await audit(database.pool, caller, "read dead letter", _ids(kept))
        return shown(kept, letters.prefix)

    @router.post("/dead-letters/{number}/replay", summary="Send a dead letter again", responses=_ONE | _AGAIN)
    async def replay(
        number: Number,
        caller: CallerOf,
        dry_run: Annotated[bool, Query(description="say what would be done, and do nothing")] = False,
    ) -> Replay:
        """To the reader that could not use it, and to no other. If it fails again it is a new dead letter."""
        kept = await find(number, caller)
        if kept.replayed_at is not None:
            raise Problem(
                409,
                "Sent again already",
                f"It was sent again at {kept.replayed_at.isoformat()}. Had it failed again, it would be a new dead "
                "letter: list them.",
            )
        if not 1 <= len(kept.letter.deaths) < DEATHS:
            raise Problem(
                409,
                "It cannot be sent again",
                "Nothing says where it came from, or it has failed too often: have the fact told anew.",
            )
        if not dry_run:
            await audit(database.pool, caller, "replay dead letter", _ids(kept))
            await send_again(kept.letter)
            await letters.was_replayed(number, clock(), f"{caller.organisation}/{caller.practitioner}")
        said = shown(kept, letters.prefix)
        return Replay(
            number=number,
            to=said.reader,
            topic=said.topic,
            sent=not dry_run,
            fault=said.fault,
            advice=said.advice,
        )

    return router


def _ids(kept: Kept) -> list[str]:
    return [str(kept.number), *([str(kept.referral_id)] if kept.referral_id else [])]


_REFUSED: dict[int | str, dict[str, Any]] = {401: {"description": "No valid token"}}
_OPERATOR = _REFUSED | {403: {"description": "Not the operator of the system"}}
_ONE = _OPERATOR | {404: {"description": "No such dead letter"}}
_AGAIN: dict[int | str, dict[str, Any]] = {409: {"description": "Sent again already, or it cannot be"}}
