"""A plain model of the life of one referral, to compare with: made of what was agreed, not of the service's table."""

from dataclasses import dataclass, field
from uuid import UUID

from contracts.actions import ReferralActionRequested
from contracts.bookings import BookingConfirmed, BookingDisplaced, BookingExhausted
from contracts.envelope import Event

FLOW = {"referral.submitted": "submitted", "referral.triaged": "triaged", "booking.requested": "placement_asked"}
ORDER = ["submitted", "triaged", "placement_asked"]
FINISHED = {"outcome_given", "cancelled", "arranged_elsewhere"}
EXPECTED = {"placed", "received", "information_wanted", "accepted"}
TOLD = {
    "receive": "referral.received",
    "accept": "referral.accepted",
    "reject": "referral.rejected",
    "want_information": "referral.information-wanted",
    "give_information": "referral.information-given",
    "begin_care": "referral.taken-up",
    "see": "referral.seen",
    "give_outcome": "referral.outcome-given",
    "not_attended": "referral.not-attended",
    "cancel": "referral.cancelled",
    "arrange_elsewhere": "referral.arranged-elsewhere",
    "leave_message": "referral.message-left",
    "record_contact": "referral.contact-recorded",
}
RECEIVERS = {
    "receive": ({"placed"}, "received"),
    "accept": ({"placed", "received", "information_wanted"}, "accepted"),
    "reject": (EXPECTED, "rejected"),
    "want_information": ({"placed", "received"}, "information_wanted"),
    "begin_care": ({"placed", "received", "accepted"}, "in_progress"),
    "see": ({"placed", "received", "accepted", "in_progress"}, "seen"),
    "give_outcome": ({"accepted", "in_progress", "seen"}, "outcome_given"),
    "not_attended": ({"placed", "received", "accepted", "in_progress"}, "not_attended"),
    "withdraw": ({"placed", "received", "accepted"}, None),
    "redirect": (EXPECTED, None),
    "record_contact": ({*EXPECTED, "in_progress", "seen"}, None),
}
UNDECIDED = {"unplaced", "rejected", "withdrawn", "not_attended"}
REFERRERS = {
    "give_information": ({"information_wanted"}, "received"),
    "rebook": ({*EXPECTED, "in_progress", "seen", "waiting", *UNDECIDED}, None),
    "wait": (UNDECIDED, "waiting"),
    "cancel": ({*ORDER, *EXPECTED, "in_progress", "seen", "waiting", *UNDECIDED}, "cancelled"),
    "arrange_elsewhere": ({*UNDECIDED, "waiting"}, "arranged_elsewhere"),
}
SEARCHES = {"withdraw": "service withdrew", "redirect": "redirection", "rebook": "rebooking", "wait": "waiting"}


@dataclass
class Search:
    """A search that is not over."""

    id: UUID
    why: str
    request: ReferralActionRequested | None
    closed: bool = False
    lost: bool = False


@dataclass
class Model:
    """One referral: where it stands, what is held, and whom it has to answer."""

    referrer: str
    state: str = ""
    version: int = 0
    receiver: str | None = None
    place: BookingConfirmed | None = None
    searches: list[Search] = field(default_factory=list)
    given_back: list[str] = field(default_factory=list)
    """References, each once."""

    @property
    def open(self) -> Search | None:
        """The search that counts."""
        return next((search for search in self.searches if not search.closed), None)

    @property
    def likely(self) -> list[tuple[str, str]]:
        """What may be asked for as it stands, and by which organisation."""
        mine = [(name, self.referrer) for name, (states, _) in REFERRERS.items() if self.state in states]
        if self.receiver is not None:
            mine += [(name, self.receiver) for name, (states, _) in RECEIVERS.items() if self.state in states]
        return mine

    def flow(self, events: list[Event]) -> None:
        """Facts of the flow in one batch make at most one version, and none once it has gone on."""
        before = self.state
        for event in events:
            if isinstance(event, BookingConfirmed | BookingExhausted):
                if self.state in ("", *ORDER):
                    self._first_outcome(event)
            elif self.state in ("", *ORDER):
                state = FLOW[event.type]
                if not self.state or ORDER.index(state) > ORDER.index(self.state):
                    self.state = state
        if self.state != before:
            self.version += 1

    def _first_outcome(self, event: BookingConfirmed | BookingExhausted) -> None:
        if isinstance(event, BookingConfirmed):
            self.state, self.place, self.receiver = "placed", event, event.data.service.organisation
        else:
            self.state = "unplaced"

    def decide(self, event: Event, now: object) -> list[str]:
        """What is told of an action, of an outcome that is not the flow's, or of a session that is withdrawn."""
        match event:
            case ReferralActionRequested():
                return self._action(event, now)
            case BookingDisplaced():
                return self._displaced(event)
            case BookingConfirmed() | BookingExhausted():
                return self._ended(event)
        raise AssertionError(event.type)

    def _action(self, event: ReferralActionRequested, now: object) -> list[str]:
        name, by = event.data.action.action, event.data.by.organisation
        if not self.state or by not in (self.referrer, self.receiver):
            return ["refused unknown"]
        mine: dict[str, tuple[set[str], str | None]] = {"leave_message": ({self.state}, None)}
        if by == self.receiver:
            mine |= RECEIVERS
        if by == self.referrer:
            mine |= REFERRERS
        if name not in mine:
            return ["refused not-yours"]
        seen = event.data.seen_version
        if seen is not None and seen < self.version and name not in ("leave_message", "record_contact"):
            return ["refused moved-on"]
        states, to = mine[name]
        if self.state not in states:
            return ["refused wrong-state"]
        slot = self.place.data.starts_at if self.place else None
        if name == "begin_care" and self.state != "accepted" and slot is None:
            return ["refused not-possible"]
        if name == "not_attended" and self.state != "in_progress" and (slot is None or slot > now):  # type: ignore[operator]
            return ["refused not-possible"]
        if name in SEARCHES and self.open:
            return ["refused not-possible"]
        if to is None and name not in SEARCHES:
            return [TOLD[name]]
        told = []
        if name in SEARCHES:
            self.searches.append(Search(UUID(int=0), SEARCHES[name], event))
            told.append("placement.requested")
        if to is None:
            return told
        if name in ("begin_care", "see", "give_outcome", "cancel", "arrange_elsewhere"):
            for search in self.searches:
                search.closed = True
        unused = slot is not None and slot > now  # type: ignore[operator]
        if self.place and (name in ("reject", "not_attended", "cancel") or (name == "give_outcome" and unused)):
            told.append(self._give_back(self.place))
        if name in ("reject", "not_attended", "cancel"):
            self.place = None
        self._stand(to)
        return [*told, TOLD.get(name, "referral.wait-listed")]

    def _displaced(self, event: BookingDisplaced) -> list[str]:
        if self.place is None or self.state not in EXPECTED:
            return []
        if self.place.data.reference != event.data.reference:
            return []
        if self.open:
            self.open.lost = True
            return []
        self.searches.append(Search(UUID(int=0), "session withdrawn", None))
        return ["placement.requested"]

    def _ended(self, event: BookingConfirmed | BookingExhausted) -> list[str]:
        search = next((one for one in self.searches if one.id == event.data.brief.placement_id), None)
        if search is not None:
            self.searches.remove(search)
        if search is not None and not search.closed:
            return self._found(event, search) if isinstance(event, BookingConfirmed) else self._found_nobody(search)
        told = []
        if isinstance(event, BookingConfirmed):
            told.append(self._give_back(event))
            self.receiver = self.receiver or event.data.service.organisation
        if search is not None and search.request is not None and search.why != "waiting":
            told.append("refused not-possible")
        return told

    def _found(self, event: BookingConfirmed, search: Search) -> list[str]:
        told = [self._give_back(self.place)] if self.place else []
        self.place, self.receiver = event, event.data.service.organisation
        self._stand("placed")
        return [*told, "referral.rebooked"]

    def _found_nobody(self, search: Search) -> list[str]:
        lost = search.lost or search.why in ("service withdrew", "session withdrawn")
        if lost and self.place and self.state in EXPECTED:
            told = [self._give_back(self.place), "referral.withdrawn"]
            self.place = None
            self._stand("withdrawn")
            return told
        if search.why == "waiting":
            self._stand("unplaced")
            return ["referral.escalated"]
        return ["refused no-place"] if search.request is not None else []

    def _give_back(self, place: BookingConfirmed) -> str:
        self.given_back.append(place.data.reference)
        return "booking.withdrawn"

    def _stand(self, state: str) -> None:
        self.state = state
        self.version += 1
