"""Views: what one reader needs of a fact, under the contract's own names. What is not named is skipped, not parsed into
objects, which takes a third of the time of the whole contract, and keeps a reader from failing on what it never looks
at. Only for readers that pass nothing on."""

from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic._internal._model_construction import ModelMetaclass


class _Seen(ModelMetaclass):
    """A stand-in (`lean.py`) that was made for a view is an instance of it."""

    def __instancecheck__(cls, instance: Any) -> bool:
        stands_for = getattr(type(instance), "STANDS_FOR", None)
        return super().__instancecheck__(instance) if stands_for is None else cls in stands_for


class Part(BaseModel, metaclass=_Seen):
    """A part of an event's data, as far as it is read."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class View(Part):
    """A fact in its envelope, as far as it is read, with the exact bytes that it was read from.

    A subclass says the `TYPE` of the contract that it stands for.
    """

    __slots__ = ("_value",)
    if TYPE_CHECKING:
        _value: bytes

    TYPE: ClassVar[str]

    id: UUID
    type: str

    @classmethod
    def read(cls, value: bytes) -> Self:
        """The fact in a Kafka value. Raises pydantic's ValidationError."""
        fact = cls.model_validate_json(value)
        object.__setattr__(fact, "_value", value)
        return fact

    def to_json(self) -> bytes:
        """The Kafka value, as it was read."""
        return self._value
