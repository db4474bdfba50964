"""What is asked of the directory: one search, as a value.

The published search (nhsd-a2si/docs-dos-api, Check Capacity Summary 1.5) asks for a place, a person, codes and a time.
A search here may also say which types or services are wanted, and whether they stand in an order of their own.
"""

from datetime import datetime
from typing import Literal, NamedTuple, Self

from contracts.people import Age, Gender, Position

AGE_IN = {"days": range(32), "months": range(1, 24), "years": range(2, 130)}
"""The numbers that an age may have in each unit (Check Capacity Summary 1.5, field definition)."""

PAST = {"days": Age(value=32, unit="days").in_days, "months": Age(value=24, unit="months").in_days}
"""From how many days on an age is given in the next unit."""

AgeGroup = Literal["adult", "child", "toddler", "infant"]

MOST_NEAR_MISSES = 5


class AgeInTheWrongUnit(ValueError):
    """An age is given in a unit that the published search does not take it in."""

    def __init__(self, age: Age) -> None:
        ages = AGE_IN[age.unit]
        unit = next((unit for unit, past in PAST.items() if age.in_days < past), "years")
        instead = f": give it in {unit}" if unit != age.unit else ""
        super().__init__(f"{age.value} {age.unit}: an age in {age.unit} is {ages[0]} to {ages[-1]}{instead}")


class AgeSpan(NamedTuple):
    """How old a patient is, in days: from, and until, both included. One number where the age is known."""

    youngest: float
    oldest: float

    @classmethod
    def of(cls, age: Age) -> Self:
        """A known age."""
        return cls(age.in_days, age.in_days)

    @classmethod
    def given(cls, age: Age) -> Self:
        """A known age, as the published search takes it. Raises AgeInTheWrongUnit."""
        if age.value not in AGE_IN[age.unit]:
            raise AgeInTheWrongUnit(age)
        return cls.of(age)

    @classmethod
    def of_group(cls, group: AgeGroup) -> Self:
        """An estimated age: adult from 16 years, child 5 to 15, toddler 1 to 4, infant below 1."""
        youngest, past = {"adult": (16, 130), "child": (5, 16), "toddler": (1, 5), "infant": (0, 1)}[group]
        return cls(Age(value=youngest).in_days, Age(value=past).in_days - 1)


class Area(NamedTuple):
    """Where a search is, in codes of areas. Nothing is known of most positions: then limits by area have no effect."""

    local_authority: str | None = None
    commissioner: str | None = None
    local_areas: tuple[str, ...] = ()
    """Areas that a site has defined for itself."""

    @property
    def codes(self) -> frozenset[str]:
        """All that is known."""
        return frozenset(code for code in (self.local_authority, self.commissioner, *self.local_areas) if code)


NOWHERE_KNOWN = Area()


class Needs(NamedTuple):
    """What the patient needs, in the codes of the directory.

    No symptom group matches no service. `discriminators` are those that belong to the group (`codes.CodeTable`).
    No disposition matches every service.
    """

    symptom_group: str | None
    discriminators: tuple[str, ...] = ()
    disposition: str | None = None


class SearchRequest(NamedTuple):
    """One search. Build it with keywords.

    Without `needs` it is a search by type: codes are not asked for. Without `wanted` all types are searched. What is
    wanted is types (numbers) and services (ids); where it is `in_order`, what is wanted first goes first and each
    named service has a place beside the best of its type, else all is one field in the published order.
    """

    position: Position
    at: datetime
    """The search time, an instant with its zone."""
    age: AgeSpan | None = None
    """None where it is not known: then every limit of age excludes."""
    gender: Gender = "unknown"
    needs: Needs | None = None
    minutes: int | None = None
    """Of the disposition: how soon the patient is to be seen."""
    surgery: str | None = None
    """Where the patient is registered (ODS code)."""
    referral_role: str | None = None
    """None is not asked for."""
    postcode: str | None = None
    """Of the position, whole or its first part, for the search distance that the directory holds for it."""
    area: Area = NOWHERE_KNOWN
    km: float | None = None
    """The search distance that is asked for: counts where the directory holds none, or where it is forced."""
    km_is_forced: bool = False
    wanted: tuple[int | str, ...] | None = None
    in_order: bool = False
    said_of: tuple[str, ...] = ()
    """For each of what is wanted, in order, words that end the reason of what is found for it."""
    without: tuple[str, ...] = ()
    """Services that are left out, for they are not asked again."""
    full_too: bool = False
    """One that reports that it is full is wanted too, for the patient waits."""
    most_near_misses: int = MOST_NEAR_MISSES
