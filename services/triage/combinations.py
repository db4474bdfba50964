"""Every combination of words that facts can have, exactly and without listing each: by boxes.

A box holds, for each fact that it names, some of its words; a fact that it does not name has any. So a rule's condition
is a box, and the combinations that a rule leaves for the next are a few boxes again.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import prod

Box = Mapping[str, frozenset[str]]
Facts = Mapping[str, frozenset[str]]
"""Each fact with all of its words."""

EVERYTHING: Box = {}


def meet(one: Box, other: Box) -> Box | None:
    """The combinations that are in both; none when there is no such combination."""
    both = dict(one)
    for fact, words in other.items():
        both[fact] = both[fact] & words if fact in both else words
        if not both[fact]:
            return None
    return both


def without(box: Box, other: Box, facts: Facts) -> list[Box]:
    """The combinations of a box that are not in another, as boxes that share none."""
    if meet(box, other) is None:
        return [box]
    rest: list[Box] = []
    within = dict(box)
    for fact, words in other.items():
        had = within.get(fact, facts[fact])
        if had - words:
            rest.append(within | {fact: had - words})
        within[fact] = had & words
    return rest


def all_without(boxes: Iterable[Box], other: Box, facts: Facts) -> list[Box]:
    """The combinations of several boxes that are not in another."""
    return [rest for box in boxes for rest in without(box, other, facts)]


def decided(conditions: Sequence[Box], facts: Facts, within: Iterable[Box]) -> tuple[list[list[Box]], list[Box]]:
    """For conditions of which the first that holds decides: the combinations that each decides, and those that none."""
    left = list(within)
    each = []
    for condition in conditions:
        each.append([both for box in left if (both := meet(box, condition)) is not None])
        left = all_without(left, condition, facts)
    return each, left


def size(box: Box, facts: Facts) -> int:
    """How many combinations of these facts a box holds."""
    return prod(len(box.get(fact, words)) for fact, words in facts.items())
