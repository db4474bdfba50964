"""What becomes of a referral when somebody asks for something, or a search has ended. Pure: values in, values out."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from contracts.actions import (
    Action,
    ArrangeElsewhere,
    Cancel,
    GiveOutcome,
    LeaveMessage,
    NotAttended,
    NotDuplicate,
    Rebook,
    RecordContact,
    Redirect,
    ReferralActionRequested,
    Reject,
    Wait,
)
from contracts.bookings import BookingConfirmed, BookingDisplaced, BookingExhausted
from contracts.envelope import Data, Event, effect_id
from contracts.people import Desk
from contracts.referrals import (
    ActionRefusedData,
    ArrangedElsewhereData,
    BookingWithdrawn,
    BookingWithdrawnData,
    CancelledData,
    Clocks,
    ContactRecordedData,
    DuplicateRuledOutData,
    EscalatedData,
    MessageLeftData,
    Moved,
    MovedToAnotherPlaceData,
    NotAttendedData,
    OutcomeGivenData,
    Place,
    PlacementRequested,
    PlacementRequestedData,
    ReferralActionRefused,
    ReferralContactRecorded,
    ReferralDuplicateRuledOut,
    ReferralEscalated,
    ReferralMessageLeft,
    ReferralRebooked,
    ReferralWithdrawn,
    Refusal,
    RejectedData,
    Standing,
    WithdrawnData,
)
from contracts.submissions import Accepted, AcceptedService, ServiceId
from services.referrals.asking import refused
from services.referrals.cases import Case, Search, place_of
from services.referrals.clocks import ClockTable, slot_end
from services.referrals.lifecycle import (
    EXPECTED,
    Due,
    PlacementWhy,
    Transition,
    WithdrawnWhy,
    by_itself,
    transition_of,
)
from services.referrals.next_steps import next_step_of

SOURCE = "onward/referrals"

UNWILLING: tuple[WithdrawnWhy, ...] = ("rejected", "service withdrew")
"""Why a place was given back whose service is not asked again by itself."""

Request = ReferralActionRequested
Ended = BookingConfirmed | BookingExhausted
Cause = Request | Ended | BookingDisplaced
"""What is decided about."""

Decision = tuple[Case | None, list[Event]]
"""The referral as it stands then, and what is told, in order."""


class Decider:
    """Decides, by the table of the lifecycle and the clocks of the site, as of a moment."""

    def __init__(self, clocks: ClockTable, now: datetime) -> None:
        self._clocks = clocks
        self._now = now

    def decide(self, case: Case | None, cause: Cause) -> Decision:
        """What becomes of a referral; none is one that is not known here."""
        match cause:
            case ReferralActionRequested():
                return self._asked(case, cause)
            case BookingConfirmed() | BookingExhausted():
                return (case, []) if case is None else self._ended(case, cause)
            case BookingDisplaced():
                return (case, []) if case is None else self._displaced(case, cause)

    # Actions

    def _asked(self, case: Case | None, request: Request) -> Decision:
        by, asked = request.data.by, request.data.action
        if case is None or not case.concerns(by.organisation):
            why = "There is no referral of this id for your organisation."
            return case, [self._refusal(request, request, "unknown", why, None)]
        sides = case.sides_of(by.organisation)
        standing = case.standing
        found = refused(
            asked.action, standing, sides=sides, seen_version=request.data.seen_version, now=self._now
        ) or self._cannot(case, asked)
        if found is not None:
            return case, [self._refusal(request, request, found[0], found[1], standing)]
        row = transition_of(asked.action, standing.state)
        assert row is not None
        if isinstance(asked, LeaveMessage):
            said = MessageLeftData(standing=standing, by=by, words=asked.words)
            return case, [self._effect(ReferralMessageLeft, request, said)]
        if isinstance(asked, RecordContact):
            contact = ContactRecordedData(standing=standing, by=by, words=asked.words, reached=asked.reached)
            return case, [self._effect(ReferralContactRecorded, request, contact)]
        if isinstance(asked, NotDuplicate):
            ruled_out = DuplicateRuledOutData(standing=standing, by=by, other_referral=asked.other, words=asked.words)
            case = replace(case, suspected=case.suspected - {asked.other})
            return case, [self._effect(ReferralDuplicateRuledOut, request, ruled_out)]
        if row.to is None:
            return self._search(case, request, row)
        return self._moved(case, request, row)

    def _cannot(self, case: Case, asked: Action) -> tuple[Refusal, str] | None:
        """What the action carries that cannot be done."""
        if isinstance(asked, Wait):
            if asked.until <= self._now:
                return "not-possible", "The time until which the patient would wait has passed: say a later one."
            if asked.until > self._now + timedelta(days=self._clocks.wait_days):
                return "not-possible", f"Nobody waits longer than {self._clocks.wait_days} days: say an earlier time."
        if isinstance(asked, GiveOutcome) and set(asked.documents) - case.documents:
            return "not-possible", "It names a document that is not attached to the referral: attach it first."
        if isinstance(asked, NotDuplicate) and asked.other not in case.suspected:
            return "not-possible", "That referral is not suspected to be of the same patient, or was ruled out already."
        return None

    def _moved(self, case: Case, request: Request, row: Transition) -> Decision:
        before, by, asked = case.standing, request.data.by, request.data.action
        told: list[Event] = []
        if row.asks is not None:
            case, told = self._search(case, request, row)
        place, unwanted = self._place_after(case, row)
        if row.closes and (search := case.under_way) is not None:
            case = case.having(replace(search, state="closed"))
        if unwanted is not None and row.gives_back is not None:
            case, given_back = self._give_back(case, request, unwanted, row.gives_back)
            told.append(given_back)
        owner = before.owner
        if row.owner == "referrer's desk":
            owner = before.desk
        elif row.owner == "receiver's desk":
            owner = request.data.desk or before.desk
        until = asked.until if isinstance(asked, Wait) else None
        case = self._standing(case, row, place=place, owner=owner, due=self._due(row.due, before, until))
        moved: dict[str, Any] = {
            "standing": case.standing,
            "was": before.state,
            "by": by,
            "words": getattr(asked, "words", None),
        }
        contract = row.tells[-1]
        match asked:
            case Reject(reason=reason):
                assert before.place is not None
                data: Moved = RejectedData(**moved, reason=reason, place=before.place)
            case GiveOutcome(kind=kind, documents=documents):
                assert before.place is not None
                data = OutcomeGivenData(**moved, kind=kind, documents=documents, place=before.place)
            case NotAttended():
                assert before.place is not None
                data = NotAttendedData(**moved, place=before.place)
            case Cancel(reason=reason):
                data = CancelledData(**moved, reason=reason, place=before.place)
            case ArrangeElsewhere():
                data = ArrangedElsewhereData(**moved)
            case _:
                data = Moved(**moved)
        return case, [*told, self._effect(contract, request, data)]

    def _place_after(self, case: Case, row: Transition) -> tuple[Place | None, Place | None]:
        """The place that counts afterwards, and the one that is given back."""
        place = case.standing.place
        if row.gives_back == "outcome given":  # where the slot is over or has begun, it was used
            unused = place is not None and place.starts_at is not None and place.starts_at > self._now
            return place, place if unused else None
        return (None, place) if row.gives_back is not None else (place, None)

    # Searches

    def _search(self, case: Case, cause: Request | BookingDisplaced, row: Transition) -> tuple[Case, list[Event]]:
        """Ask for another place. The one that is held is kept until there is another."""
        brief = case.brief
        assert brief is not None
        assert row.asks is not None
        asked = cause.data.action if isinstance(cause, ReferralActionRequested) else None
        answer_by = self._now + timedelta(minutes=self._clocks.placement_minutes)
        accept: Accepted = brief.accept
        wait_until = None
        named: frozenset[ServiceId] = frozenset()
        if isinstance(asked, Rebook | Redirect):
            accept = asked.accept
        if isinstance(asked, Wait):
            accept = (AcceptedService(service=asked.service),)
            answer_by = wait_until = asked.until
        if isinstance(asked, Rebook | Wait) and accept != "any":
            # Whom the desk names it has spoken with: it may ask there again.
            named = frozenset(one.service for one in accept if isinstance(one, AcceptedService))
        left = set(case.unwilling)
        if case.standing.place is not None and row.asks != "session withdrawn":
            left.add(case.standing.place.service.service_id)
        id = effect_id(cause.id, PlacementRequested.TYPE)
        request = cause if isinstance(cause, ReferralActionRequested) else None
        case = case.having(Search(id=id, why=row.asks, cause=cause.id, request=request))
        data = PlacementRequestedData(
            brief=brief.model_copy(update={"placement_id": id, "answer_by": answer_by, "accept": accept}),
            standing=case.standing,
            why=row.asks,
            without=tuple(sorted(left - named)),
            wait_until=wait_until,
        )
        return case, [self._effect(PlacementRequested, cause, data)]

    def _displaced(self, case: Case, event: BookingDisplaced) -> Decision:
        place, search = case.standing.place, case.under_way
        if place is None or place.placement_id != event.data.placement_id or case.standing.state not in EXPECTED:
            return case, []
        if search is not None:  # whatever it was for, it is for a patient without a place now
            return case.having(replace(search, place_lost=True)), []
        return self._search(case, event, by_itself("the session is withdrawn"))

    def _ended(self, case: Case, ended: Ended) -> Decision:
        search = case.searches.get(ended.data.brief.placement_id)
        if search is not None and search.state == "open":
            case = case.having(replace(search, state="settled"))
            if isinstance(ended, BookingConfirmed):
                return self._placed_again(case, ended, search)
            return self._not_placed(case, ended, search)
        told: list[Event] = []
        held = place_of(ended) if isinstance(ended, BookingConfirmed) else None
        if held is not None and (case.standing.place is None or held.reference != case.standing.place.reference):
            case, given_back = self._give_back(case, ended, held, "placement closed")
            told.append(given_back)
            if case.receiver is None:  # they were told of it, and may see what became of it
                case = replace(case, receiver=held.service.organisation, service_id=held.service.service_id)
        if search is not None and search.state == "closed":
            case = case.having(replace(search, state="settled"))
            if search.request is not None and search.why != "waiting":
                why = f"The referral went on meanwhile, so no other place is wanted. {case.standing.next_step}"
                told.append(self._refusal(ended, search.request, "not-possible", why, case.standing))
        return case, told

    def _placed_again(self, case: Case, confirmed: BookingConfirmed, search: Search) -> Decision:
        """The new place is held: now the old one is given back."""
        before, new, row = case.standing, place_of(confirmed), by_itself("another place is held")
        clocks = self._clocks.of(new, confirmed.time)
        told: list[Event] = []
        if before.place is not None:
            case, given_back = self._give_back(case, confirmed, before.place, search.gives_back)
            told.append(given_back)
        case = replace(
            case,
            receiver=new.service.organisation,
            service_id=new.service.service_id,
            brief=confirmed.data.brief,
        )
        due = min(confirmed.data.due, clocks.acknowledge_by or confirmed.data.due)
        case = self._standing(
            case,
            row,
            place=new,
            owner=before.desk,
            due=self._later_than_now(due),
            clocks=clocks,
            acuity=confirmed.data.brief.acuity,
            next_step=confirmed.data.next_step,
        )
        data = MovedToAnotherPlaceData(
            standing=case.standing,
            was=before.state,
            by=search.by,
            words=search.words,
            old=before.place,
            why=_MOVED_WHY[search.why],
        )
        return case, [*told, self._of_search(ReferralRebooked, confirmed, data, search)]

    def _not_placed(self, case: Case, exhausted: BookingExhausted, search: Search) -> Decision:
        """Nobody else can take the patient: what is held is kept, unless it is the service that cannot."""
        before = case.standing
        why_withdrawn = search.gives_back
        if why_withdrawn != "rebooked" and before.place is not None and before.state in EXPECTED:
            row = by_itself("no other place for one that was withdrawn")
            case, given_back = self._give_back(case, exhausted, before.place, why_withdrawn)
            case = self._standing(case, row, place=None, owner=before.desk, due=self._due(row.due, before, None))
            data = WithdrawnData(
                standing=case.standing,
                was=before.state,
                by=search.by,
                words=search.words,
                place=before.place,
                why=why_withdrawn,
            )
            return case, [given_back, self._of_search(ReferralWithdrawn, exhausted, data, search)]
        if search.why == "waiting":
            row = by_itself("the wait was in vain")
            due = self._later_than_now(exhausted.data.due)
            case = self._standing(case, row, place=None, owner=before.desk, due=due)
            escalated = EscalatedData(standing=case.standing, was=before.state, missed="placement", was_due=before.due)
            return case, [self._of_search(ReferralEscalated, exhausted, escalated, search)]
        if search.request is None:  # the place that was lost has been left meanwhile
            return case, []
        why = f"Nobody else can take the patient ({exhausted.data.why}). {before.next_step}"
        return case, [self._refusal(exhausted, search.request, "no-place", why, case.standing)]

    # What is told

    def _standing(
        self, case: Case, row: Transition, *, place: Place | None, owner: Desk, due: datetime, **told: Any
    ) -> Case:
        """The referral as it stands after a move."""
        assert row.to is not None
        before = case.standing
        known: dict[str, Any] = {
            "version": before.version + 1,
            "state": row.to,
            "owner": owner,
            "due": due,
            "place": place,
            "clocks": before.clocks if place is not None else Clocks(),
            **told,
        }
        if "next_step" not in known:
            known["next_step"] = next_step_of(row.to, desk=before.desk, owner=owner, place=place)
        return replace(case, standing=before.model_copy(update=known), escalated=False)

    def _due(self, due: Due, standing: Standing, until: datetime | None) -> datetime:
        """When the owner must look again: never before now."""
        clocks = standing.clocks
        ends_at = None if standing.place is None else slot_end(standing.place)
        match due:
            case "at once":
                return self._now
            case "answer":
                return self._later_than_now(clocks.answer_by, ends_at)
            case "information":
                return self._in(self._clocks.inform_minutes)
            case "outcome":
                return self._later_than_now(ends_at, clocks.outcome_by)
            case "decision":
                return self._in(self._clocks.decide_minutes)
            case "end of the wait" if until is not None:
                return until
        return self._later_than_now(standing.due)

    def _later_than_now(self, *by: datetime | None) -> datetime:
        """The first of these times that is still to come; soon, where none is."""
        return next(
            (one for one in by if one is not None and one > self._now), self._in(self._clocks.look_again_minutes)
        )

    def _in(self, minutes: int) -> datetime:
        return self._now + timedelta(minutes=minutes)

    def _give_back(self, case: Case, cause: Event, place: Place, why: WithdrawnWhy) -> tuple[Case, Event]:
        """What is held goes back, to whom it was booked with."""
        data = BookingWithdrawnData(
            placement_id=place.placement_id,
            reference=place.reference,
            service_id=place.service.service_id,
            organisation=place.service.organisation,
            why=why,
        )
        given_back = self._effect(BookingWithdrawn, cause, data, str(place.placement_id))
        return case.without(place) if why in UNWILLING else case, given_back

    def _refusal(self, cause: Event, request: Request, refusal: Refusal, why: str, standing: Standing | None) -> Event:
        data = ActionRefusedData(
            action=request.data.action.action, by=request.data.by, refusal=refusal, why=why, standing=standing
        )
        return self._effect(ReferralActionRefused, cause, data)

    def _of_search(self, contract: type[Event], cause: Ended, data: Data, search: Search) -> Event:
        """What came of a search. Of a wait it begins its own transaction: the action that asked for it was answered."""
        event = self._effect(contract, cause, data)
        return event.model_copy(update={"correlationid": search.id}) if search.why == "waiting" else event

    def _effect(self, contract: type[Event], cause: Event, data: Data, effect_key: str = "") -> Event:
        return contract.effect_of(cause, data, source=SOURCE, time=self._now, effect_key=effect_key)


_MOVED_WHY: Mapping[
    PlacementWhy, Literal["rebooked", "redirected", "service withdrew", "session withdrawn", "place freed"]
] = {
    "rebooking": "rebooked",
    "redirection": "redirected",
    "service withdrew": "service withdrew",
    "session withdrawn": "session withdrawn",
    "waiting": "place freed",
}
