"""Who may ask for what, wherever a referral stands; and why not, in a sentence. Pure, over the lifecycle's table."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from contracts.actions import ActionName
from contracts.referrals import Refusal, Standing
from services.referrals.lifecycle import ACTIONS, TABLE, Need, Side, Transition, in_words, transition_of

_OF_ACTION: Mapping[str, tuple[Transition, ...]] = {
    action: tuple(row for row in TABLE if row.trigger == action) for action in ACTIONS
}


class Why(NamedTuple):
    """Why an action is not done: the kind of refusal, and a sentence with what to do instead."""

    refusal: Refusal
    sentence: str


def moves(action: ActionName) -> bool:
    """Whether the action changes where a referral stands: then a version that was seen must be the one that stands."""
    return any(row.to is not None or row.asks is not None for row in _OF_ACTION[action])


def refused(
    action: ActionName, standing: Standing, *, sides: frozenset[Side], seen_version: int | None, now: datetime
) -> Why | None:
    """Why somebody on these sides may not ask for the action now; none where they may.

    What the action itself carries, such as a time, is not looked at.
    """
    who = _OF_ACTION[action][0].who
    if who != "either" and who not in sides:
        return Why("not-yours", f"Only the {who}'s organisation may {in_words(action)} here. {standing.next_step}")
    if seen_version is not None and seen_version < standing.version and moves(action):
        return Why(
            "moved-on",
            f"Version {seen_version} is not the latest, version {standing.version} is: the referral is "
            f"{in_words(standing.state)} now. Look again, then ask again.",
        )
    row = transition_of(action, standing.state)
    if row is None:
        return _wrong_state(action, standing)
    return next((why for need in row.needs if (why := _lacks(need, standing, now)) is not None), None)


def _wrong_state(action: ActionName, standing: Standing) -> Why:
    if any(standing.state == row.to for row in _OF_ACTION[action]):
        return Why("wrong-state", f"The referral is {in_words(standing.state)} already. {standing.next_step}")
    at = ", ".join(in_words(state) for row in _OF_ACTION[action] for state in row.states)
    return Why(
        "wrong-state",
        f"The referral is {in_words(standing.state)}; {in_words(action)} is for one that is {at}. {standing.next_step}",
    )


def _lacks(need: Need, standing: Standing, now: datetime) -> Why | None:
    place = standing.place
    match need:
        case "no search under way" if standing.asked is not None:
            return Why(
                "not-possible", "Another place is being looked for already. Wait for what comes of it, or cancel."
            )
        case "a slot" if place is None or place.starts_at is None:
            return Why("not-possible", "No slot is held: accept the referral first.")
        case "a slot that has begun" if place is None or place.starts_at is None:
            return Why("not-possible", "No slot is held: begin care first, or reject the referral.")
        case "a slot that has begun" if place is not None and place.starts_at is not None and place.starts_at > now:
            return Why("not-possible", "The slot has not begun: nobody can have missed it yet.")
    return None


def open_to(standing: Standing, *, sides: frozenset[Side], now: datetime, suspected: bool) -> list[ActionName]:
    """Which actions somebody on these sides may ask for now. `suspected`: it may be of a patient who was referred."""
    return [
        one
        for one in ACTIONS
        if (suspected or one != "not_duplicate")
        and refused(one, standing, sides=sides, seen_version=None, now=now) is None
    ]
