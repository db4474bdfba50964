"""A referral as it is decided about: where it stands, who is on it, and the further searches for a place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from contracts.actions import ReferralActionRequested
from contracts.bookings import BookingConfirmed
from contracts.brief import Brief
from contracts.people import OrganisationCode, Referrer
from contracts.referrals import Place, Standing
from contracts.submissions import ServiceId
from services.referrals.facts import Confirmed
from services.referrals.lifecycle import IN_FLOW, PlacementWhy, Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A further search for a place: open while it counts, closed when it no longer does, settled when it has ended."""

    id: UUID
    why: PlacementWhy
    cause: UUID
    request: ReferralActionRequested | None = None
    """The action that asked for it; none where a session was withdrawn."""
    state: Literal["open", "closed", "settled"] = "open"
    place_lost: bool = False
    """The session of the place that is kept meanwhile was withdrawn."""

    @property
    def by(self) -> Referrer | None:
        """Who asked for it."""
        return None if self.request is None else self.request.data.by

    @property
    def words(self) -> str | None:
        """What they said to it."""
        return None if self.request is None else getattr(self.request.data.action, "words", None)

    @property
    def gives_back(self) -> Literal["rebooked", "service withdrew", "session withdrawn"]:
        """Why the place that is kept meanwhile is given back in the end."""
        if self.why == "service withdrew":
            return "service withdrew"
        return "session withdrawn" if self.place_lost or self.why == "session withdrawn" else "rebooked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A referral as it is decided about."""

    referral: UUID
    standing: Standing
    receiver: OrganisationCode | None = None
    """Of the last place, which may see the referral until there is another."""
    service_id: ServiceId | None = None
    brief: Brief | None = None
    """Of the place that counts, or else the latest."""
    unwilling: frozenset[ServiceId] = frozenset()
    """Services that rejected the patient, or withdrew."""
    searches: Mapping[UUID, Search] = field(default_factory=dict)
    suspected: frozenset[UUID] = frozenset()
    """Referrals that may be of the same patient, where somebody asks to rule one out."""
    documents: frozenset[UUID] = frozenset()
    """What is attached, where somebody names something of it."""
    escalated: bool = False
    """Whether the latest move is that nobody did in time what was due: whoever is in its way must be looked for."""

    def concerns(self, organisation: OrganisationCode) -> bool:
        """Whether the organisation is on the referral."""
        return organisation in (self.standing.referrer.organisation, self.receiver)

    def sides_of(self, organisation: OrganisationCode) -> frozenset[Side]:
        """On which sides an organisation stands."""
        return sides_of(organisation, self.standing.referrer.organisation, self.receiver)

    @property
    def under_way(self) -> Search | None:
        """The open search."""
        return next((search for search in self.searches.values() if search.state == "open"), None)

    @property
    def may_have_another_receiver(self) -> bool:
        """Whether a place may have been told of that this service has not read of yet."""
        return self.standing.state in IN_FLOW or self.under_way is not None

    def having(self, search: Search) -> "Case":
        """The same with a search as it stands now."""
        standing = self.standing.model_copy(update={"asked": search.id if search.state == "open" else None})
        return replace(self, standing=standing, searches={**self.searches, search.id: search})

    def without(self, place: Place) -> "Case":
        """The same, where the service of a place is not asked again by itself."""
        return replace(self, unwilling=self.unwilling | {place.service.service_id})


def sides_of(
    organisation: OrganisationCode, referrer: OrganisationCode, receiver: OrganisationCode | None
) -> frozenset[Side]:
    """On which sides of a referral an organisation stands."""
    sides: list[Side] = []
    if organisation == referrer:
        sides.append("referrer")
    if organisation == receiver:
        sides.append("receiver")
    return frozenset(sides)


def place_of(confirmed: BookingConfirmed | Confirmed) -> Place:
    """The place that booking held."""
    told = confirmed.data
    return Place(
        placement_id=told.brief.placement_id,
        outcome=told.outcome,
        service=told.service,
        starts_at=told.starts_at,
        slot_minutes=told.slot_minutes,
        acceptance_due=told.acceptance_due,
        hour=told.hour,
        reference=told.reference,
    )
