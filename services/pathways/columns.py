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
Number = Annotated[Numbers, np.int64]
"""As wide as a place in an array: a narrower one would be widened in each search, which takes longer than the look."""
Small = Annotated[Numbers, np.int16]
Place = Annotated[Floats, np.dtype((np.float64, 3))]
Bounded = Annotated[Floats, np.dtype((np.float64, 4))]
Codes = Annotated[Numbers, np.dtype((np.int64, 4))]
Truth = Annotated[Truths, np.bool_]


class Columns(NamedTuple):
    """What a search looks at of each service, by slot. Never changed: a change makes new columns."""

    service_type: Number
    active: Truth
    position: Bounded
    """Latitude and longitude, and both with their signs turned: inside a square none is below `Square.bounds`."""
    on_the_globe: Place
    """Of diameter 1: three numbers each."""
    organisation: Number
    clinical: Number
    """Symptom groups, dispositions and referral roles."""
    codes: Codes
    """Four numbers each: whom it takes, its areas, who commissions it, and its hours (`entries.Registers`)."""
    red_until: Float
    """When its report that it is full runs out, in seconds of the epoch; before all time where there is none."""
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

    def with_rows(self, slots: Sequence[int], rows: Sequence[Mapping[str, Any]], size: int) -> Self:
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

NEVER = np.iinfo(np.int32).max
"""Minutes. Longer than any search looks ahead."""

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
    """What the items of a register say to a question, by their numbers; worked out once for each question and item."""

    def __init__(self, register: Register[Item], judge: Callable[[Question, Item], int]) -> None:
        self._register = register
        self._judge = judge
        self._verdicts: dict[Question, Numbers] = {}

    def of(self, question: Question) -> Numbers:
        """The verdicts on a question. They are the caller's to read, not to change."""
        items, judged = self._register.items, self._verdicts.get(question, NO_VERDICT)
        if len(judged) < len(items):
            if len(self._verdicts) >= MOST_QUESTIONS:
                self._verdicts.clear()
            new = [self._judge(question, item) for item in items[len(judged) :]]
            judged = self._verdicts[question] = np.concatenate((judged, np.array(new, np.int32)))
        return judged


NO_VERDICT: Numbers = np.zeros(0, np.int32)


class Tables:
    """What the codes of columns mean to questions: tables of bits end to end, each made once while there is room."""

    def __init__(self) -> None:
        self.flat: Numbers = np.zeros(LEAST_ROOM, np.int32)
        self._used = 0
        self._columns: list[TablesOfColumn[Any]] = []

    def of(self, register: Register[Any], table_of: Callable[[Question], Numbers]) -> "TablesOfColumn[Question]":
        """The tables of one more column, whose codes are those of a register."""
        column = TablesOfColumn(self, register, table_of)
        self._columns.append(column)
        return column

    def make_room(self) -> None:
        """Forget all tables where they are too many. Where they begin counts from one such call to the next."""
        if self._used > MOST_ROOM:
            self._used = 0
            for column in self._columns:
                column.forget()

    def put(self, table: Numbers) -> int:
        """Where a table begins that is kept from now on."""
        begin, self._used = self._used, self._used + len(table)
        if self._used > len(self.flat):
            larger: Numbers = np.zeros(2 * self._used, np.int32)
            larger[:begin] = self.flat[:begin]
            self.flat = larger
        self.flat[begin : self._used] = table
        return begin

    def at(self, places: Numbers) -> Numbers:
        """The bits that stand at the places of each row, together."""
        first, second, third, fourth = self.flat.take(places).T  # quicker than to go along rows
        bits: Numbers = first | second | third | fourth
        return bits


LEAST_ROOM, MOST_ROOM = 1 << 16, 1 << 22


class TablesOfColumn(Generic[Question]):
    """What the codes of one column mean to questions."""

    def __init__(self, tables: Tables, register: Register[Any], table_of: Callable[[Question], Numbers]) -> None:
        self._tables = tables
        self._items = register.items
        self._table_of = table_of
        self._begins: dict[Question, tuple[int, int]] = {}
        """And how many codes there were."""

    def begin(self, question: Question) -> int:
        """Where the table of a question begins."""
        begin, length = self._begins.get(question, NOWHERE)
        if length < len(self._items):
            begin = self._tables.put(self._table_of(question))
            self._begins[question] = begin, len(self._items)
        return begin

    def renew(self, question: Question) -> None:
        """Make the table of a question anew, in its place."""
        begin, length = self._begins[question]
        self._tables.flat[begin : begin + length] = self._table_of(question)[:length]

    def forget(self) -> None:
        """Forget all of them."""
        self._begins.clear()


NOWHERE = 0, -1


Column = TypeVar("Column", Floats, Numbers)


def joined(columns: Sequence[Column]) -> Column:
    """Columns one after the other; one alone as it is."""
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def beside(column: Column, search: Numbers) -> Column:
    """Of a column by search the value beside each; of one search alone its one value, which goes with all."""
    return column if len(column) == 1 else column.take(search, axis=0)
