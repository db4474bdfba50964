"""The directory in columns: a number for each service and attribute, so that a search looks at many at once.

A service has one slot for ever, the same in every column. What is no number (hours, codes, areas) is kept once in a
register, and the column holds its number there.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Annotated, Any, Generic, NamedTuple, Self, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.integer[Any]]
Truths = NDArray[np.bool_]

Float = Annotated[Floats, np.float64]
Number = Annotated[Numbers, np.int32]
Small = Annotated[Numbers, np.int16]
Truth = Annotated[Truths, np.bool_]


class Columns(NamedTuple):
    """What a search looks at of each service, by slot. Never changed: a change makes new columns."""

    service_type: Number
    active: Truth
    latitude: Float
    longitude: Float
    x: Float
    y: Float
    z: Float
    """Where it is on a globe of radius 1."""
    youngest: Float
    """In days, included."""
    too_old: Float
    """In days: the first age past the oldest."""
    limits_age: Truth
    genders: Small
    """A bit for each that is taken; 0 means all."""
    organisation: Number
    clinical: Number
    """Symptom groups, dispositions and referral roles."""
    commissioning: Number
    """Surgeries that commission it, and whether it is restricted to them; 0 where none does."""
    territory: Number
    """Areas that it is limited to, and those that it is promoted to."""
    timetable: Number
    open_within: Small
    """Minutes within which it must open to be offered; -1 where that does not matter."""
    capacity: Small
    """As it was last reported: an index of CAPACITIES."""
    resets_at: Float
    """When that report runs out, in seconds of the epoch."""
    reported_at: Float
    """In seconds of the epoch."""
    place_of_id: Float
    """Grows with the service's id, so that equals keep one order."""

    @classmethod
    def empty(cls) -> Self:
        """Columns of no service."""
        return cls(*(np.zeros(0, dtype) for dtype in DTYPES))

    def with_rows(self, slots: Sequence[int], rows: Sequence[Mapping[str, float]], size: int) -> Self:
        """Columns of `size` slots in which these have these values; each row has the same names."""
        if not rows:
            return self
        at = np.asarray(slots)
        changed: dict[str, Any] = {}
        for name, old, dtype in zip(self._fields, self, DTYPES, strict=True):
            if name not in rows[0] and len(old) == size:
                continue
            new = np.zeros(size, dtype)
            new[: len(old)] = old
            if name in rows[0]:
                new[at] = [row[name] for row in rows]
            changed[name] = new
        return self._replace(**changed)

    @property
    def nbytes(self) -> int:
        """Memory of the columns."""
        return sum(column.nbytes for column in self)


DTYPES = [hint.__metadata__[0] for hint in get_type_hints(Columns, include_extras=True).values()]

Item = TypeVar("Item", bound=Hashable)
Question = TypeVar("Question", bound=Hashable)


class Register(Generic[Item]):
    """Each different item once, by its number. Numbers stay."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._numbers: dict[Item, int] = {}

    def number_of(self, item: Item) -> int:
        """The number of an item, a new one where it is new."""
        number = self._numbers.setdefault(item, len(self.items))
        if number == len(self.items):
            self.items.append(item)
        return number

    def known(self, item: Item) -> int:
        """The number of an item, -1 where it is not there."""
        return self._numbers.get(item, -1)


MOST_QUESTIONS = 1024


class Verdicts(Generic[Question, Item]):
    """What every item of a register says to a question, worked out once: a row for each question."""

    def __init__(self, register: Register[Item], judge: Callable[[Question, Item], int]) -> None:
        self._register = register
        self._judge = judge
        self._rows: dict[Question, int] = {}
        self._judged: list[int] = []
        self.verdicts: Numbers = np.zeros((8, 64), np.int16)

    def rows(self, questions: Sequence[Question]) -> list[int]:
        """The rows of these questions in `verdicts`, each complete. They hold until the next call."""
        if len(self._rows) > MOST_QUESTIONS:
            self._rows.clear()
            self._judged.clear()
        return [self._row(question) for question in questions]

    def _row(self, question: Question) -> int:
        items = self._register.items
        row = self._rows.setdefault(question, len(self._rows))
        if row == len(self._judged):
            self._judged.append(0)
        judged = self._judged[row]
        if judged < len(items) or not items:
            height, width = self.verdicts.shape
            if row >= height or len(items) > width:
                grown = np.zeros((max(height, 2 * row), max(width, 2 * len(items))), np.int16)
                grown[:height, :width] = self.verdicts
                self.verdicts = grown
            self.verdicts[row, judged : len(items)] = [self._judge(question, item) for item in items[judged:]]
            self._judged[row] = len(items)
        return row
