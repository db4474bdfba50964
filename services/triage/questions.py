"""What a presentation asks, and how an answer becomes one of the few words that rules look at."""

from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from contracts.envelope import Data
from contracts.submissions import WORD, Answer

UNKNOWN = "unknown"
"""What was not said, or cannot be used."""

Word = Annotated[str, Field(pattern=WORD)]
Sentence = Annotated[str, Field(min_length=1)]

CLOCKS_DIFFER_HOURS = 5 / 60
"""A time this far ahead is now by another clock."""


class Read(NamedTuple):
    """The word that an answer stands for, and what is odd about it, if anything."""

    word: str
    oddity: tuple[str, str] | None = None
    """A mark's code and text. The text never repeats the answer."""


def _unusable(expected: str) -> Read:
    return Read(UNKNOWN, ("answer-unusable", f"The answer is not {expected}: it counts as not given."))


class Band(Data):
    """Answers up to a limit, included, have this word. The last band of a question has no limit."""

    word: Word
    up_to: float | None = None


def _in_order(bands: tuple[Band, ...]) -> None:
    limits = [band.up_to for band in bands]
    if limits[-1] is not None or None in limits[:-1]:
        raise ValueError("every band but the last has up_to, and the last has none")
    if any(one >= other for one, other in pairwise(limit for limit in limits if limit is not None)):
        raise ValueError("the limits of the bands must rise")
    words = {band.word for band in bands}
    if len(words) < len(bands) or UNKNOWN in words:
        raise ValueError(f"each band has a word of its own, other than {UNKNOWN}")


class _Asked(Data):
    """What every question has."""

    asks: Sentence
    source: Sentence


class YesNo(_Asked):
    """Answered yes, no or unknown."""

    kind: Literal["yes-no"]

    @property
    def words(self) -> tuple[str, ...]:
        """What rules can look for."""
        return ("yes", "no", UNKNOWN)

    def read(self, answer: Answer, _at: datetime) -> Read:
        """The answer as a word."""
        return Read(answer) if answer in ("yes", "no", UNKNOWN) else _unusable("yes, no or unknown")


class Choice(_Asked):
    """Answered with one of the options, or unknown."""

    kind: Literal["choice"]
    options: dict[Word, Sentence] = Field(min_length=2)

    @property
    def words(self) -> tuple[str, ...]:
        """What rules can look for."""
        return (*self.options, UNKNOWN)

    def read(self, answer: Answer, _at: datetime) -> Read:
        """The answer as a word."""
        known = answer in self.options or answer == UNKNOWN
        return Read(answer) if known else _unusable("one of the options")  # type: ignore[arg-type]


class Number(_Asked):
    """Answered with a number in the question's unit, or unknown."""

    kind: Literal["number"]
    unit: Sentence
    least: float
    most: float
    bands: tuple[Band, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _bands_in_order(self) -> Self:
        _in_order(self.bands)
        if self.least >= self.most:
            raise ValueError("least must be below most")
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """What rules can look for."""
        return (*(band.word for band in self.bands), UNKNOWN)

    @cached_property
    def limits(self) -> tuple[tuple[float, str], ...]:
        """The most that has each word."""
        return _limits(self.bands)

    def read(self, answer: Answer, _at: datetime) -> Read:
        """The band that the number is in. One that cannot be counts as not given, and is marked."""
        if answer == UNKNOWN:
            return Read(UNKNOWN)
        if isinstance(answer, str):
            return _unusable(f"a number of {self.unit}")
        if not self.least <= answer <= self.most:
            return Read(UNKNOWN, ("implausible-answer", "The number cannot be: it counts as not given; ask again."))
        return Read(_word_for(answer, self.limits))


class Time(_Asked):
    """Answered with a time, or unknown; the bands are hours from then until the submission was received."""

    kind: Literal["time"]
    bands: tuple[Band, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _bands_in_order(self) -> Self:
        _in_order(self.bands)
        return self

    @property
    def words(self) -> tuple[str, ...]:
        """What rules can look for."""
        return (*(band.word for band in self.bands), UNKNOWN)

    @cached_property
    def limits(self) -> tuple[tuple[float, str], ...]:
        """The most hours that have each word."""
        return _limits(self.bands)

    def read(self, answer: Answer, at: datetime) -> Read:
        """The band that the hours since then are in. One in the future counts as not given, and is marked."""
        if answer == UNKNOWN:
            return Read(UNKNOWN)
        try:
            hours = (at - datetime.fromisoformat(answer)).total_seconds() / 3600  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return _unusable("a time")
        if hours < -CLOCKS_DIFFER_HOURS:
            return Read(
                UNKNOWN, ("time-in-the-future", "The time is in the future: it counts as not given; ask again.")
            )
        return Read(_word_for(hours, self.limits))


Question = Annotated[YesNo | Choice | Number | Time, Field(discriminator="kind")]


def _limits(bands: tuple[Band, ...]) -> tuple[tuple[float, str], ...]:
    return tuple((float("inf") if band.up_to is None else band.up_to, band.word) for band in bands)


def _word_for(value: float, limits: tuple[tuple[float, str], ...]) -> str:
    return next(word for limit, word in limits if value <= limit)
