"""By when each side does its part."""

from datetime import timedelta
from uuid import UUID

from contracts.bookings import HeldHour
from services.referrals.cases import place_of
from tests.referrals_examples import BEGAN, CLOCKS, confirmed, requested, submitted, triaged


def test_what_came_of_it_is_due_after_the_time_at_which_a_team_should_have_come() -> None:
    """As late again as after a place at once: an hour that begins later gives the team no less time."""
    placed = confirmed(requested(triaged(submitted(UUID(int=7)))), outcome="place_held")
    hour = HeldHour(begins=BEGAN + timedelta(hours=2), come_by=BEGAN + timedelta(hours=3), taken=1, patients=3)
    later = placed.model_copy(update={"data": placed.data.model_copy(update={"hour": hour})})
    at_once, in_its_hour = (CLOCKS.of(place_of(one), BEGAN) for one in (placed, later))
    assert at_once.outcome_by is not None
    assert at_once.outcome_by + timedelta(hours=3) == in_its_hour.outcome_by
    assert hour == place_of(later).hour
    assert at_once.answer_by == in_its_hour.answer_by
