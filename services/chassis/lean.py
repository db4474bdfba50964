"""Lean stand-ins for contracts: classes made from them that read and write the same JSON several times faster.

A stand-in has the contract's attributes, properties and methods, and no more: it is no instance of the contract, checks
of what code makes only what the contract says of attributes together, and has no room for attributes that the contract
does not name. What is read and is not plainly right, or has such attributes, is read by the contract instead, which
refuses it or keeps all of it. So a handler may be given either, and looks at attributes alone. Of a second, what is
beyond a millionth is rounded here and cut there. What may be absent is written only where there is some.

A view (`views.py`) has a stand-in too, which skips what the view does not name and counts as an instance of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache, lru_cache, partial, reduce
from itertools import chain
from operator import or_
from types import FunctionType, NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AwareDatetime, BaseModel, StringConstraints, TypeAdapter, WithJsonSchema
from pydantic.fields import FieldInfo

from contracts.envelope import Event, Text
from services.chassis.views import Part, View

Model = TypeVar("Model", bound=BaseModel)

_NOT_PLAIN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of JSON that it does not take."""

_WITHOUT_NUL = get_args(Text)[1]
_SIMPLE = (bool, int, float, str, NoneType)
_UNIONS = (Union, UnionType)


class _Judged(type):
    """A type that msgspec cannot express: the contract's own rules read what is there."""

    judge: Callable[[Any], Any]

    def __instancecheck__(cls, _: Any) -> bool:
        return True  # whatever they make of it


class _Inexpressible(Exception):
    """msgspec has no such rule."""


def lean(model: type[Model]) -> type[Model]:
    """The stand-in for a contract, a view or a part of one; the same for the same."""
    return cast("type[Model]", _stand_in(model, skips=issubclass(model, Part)))


def leaned(value: Model) -> Model:
    """The stand-in that says what a contract's instance says; the instance itself where there is no room for all, or
    where it is a stand-in."""
    if not isinstance(value, BaseModel):
        return value
    try:
        made = msgspec.json.decode(value.model_dump_json(), type=lean(type(value)), dec_hook=_judge)
    except _NOT_PLAIN:
        return value
    return made


@cache
def _stand_in(model: type[BaseModel], *, skips: bool) -> type[msgspec.Struct]:
    """One that skips what is not named, or one that has no room for it."""
    methods: dict[str, Any] = {
        name: value
        for base in reversed(model.__mro__)
        if issubclass(base, BaseModel) and base is not BaseModel
        for name, value in vars(base).items()
        if isinstance(value, FunctionType | property | classmethod) and not name.startswith("__")
    }
    together = _rules_of_attributes_together(model)
    if together:
        methods["__post_init__"] = lambda made: _hold(together, made)
    is_fact = issubclass(model, Event | View)
    if is_fact:
        said = ("TYPE", "TOPIC", "CLASSIFICATION", "SCHEMA_VERSION")
        methods |= {name: getattr(model, name) for name in said if hasattr(model, name)}
        methods["to_json"] = _to_json
    if skips:
        methods["STANDS_FOR"] = model.__mro__
    made = msgspec.defstruct(
        f"Lean{model.__name__}",
        [_field(name, info, skips=skips) for name, info in model.model_fields.items()],
        namespace=methods | {"model_fields": model.model_fields, "model_copy": _model_copy},
        module=__name__,
        kw_only=True,
        frozen=not is_fact,
        dict=is_fact,  # where it keeps its JSON
        gc=is_fact,
        omit_defaults=True,
        forbid_unknown_fields=not skips,
    )
    if is_fact:
        decode = msgspec.json.Decoder(made, dec_hook=_judge).decode
        read = partial(_read, cast("type[Event | View]", model), decode, skips=skips)
        made.read = staticmethod(read)  # type: ignore[attr-defined]
    return made


def _rules_of_attributes_together(model: type[BaseModel]) -> list[Callable[[Any], Any]]:
    """What the contract checks once all attributes are read. They are taken to change nothing, as in a frozen model."""
    decorators = model.__pydantic_decorators__
    rules = list(decorators.model_validators.values())
    if decorators.field_validators or any(rule.info.mode != "after" for rule in rules):
        raise _Inexpressible
    return [cast("Callable[[Any], Any]", rule.func) for rule in rules]


def _hold(rules: Iterable[Callable[[Any], Any]], made: Any) -> None:
    for rule in rules:
        rule(made)


def _read(model: type[Event | View], decode: Any, value: bytes, *, skips: bool) -> Any:
    """The fact in a Kafka value, which is kept as it came. Raises pydantic's ValidationError."""
    # Hardly a record has a backslash, and one byte is found ten times faster than six.
    if (b"\\" in value and b"\\u00" in value) or b'"0001-' in value or b'"9999-' in value:
        return model.read(value)  # perhaps a text that no database can store, or a time that is no `Instant`
    try:
        if skips and not value.isascii():
            value.decode()  # what is skipped is not looked at, and must be text all the same
        event = decode(value)
    except _NOT_PLAIN:
        return model.read(value)
    event._kept = value
    return event


def _to_json(self: Any) -> bytes:
    """The Kafka value, UTF-8 JSON: as it was read, or made anew for a new event."""
    kept: bytes | None = self.__dict__.get("_kept")
    if kept is None:
        kept = self._kept = written(self)
    return kept


def _model_copy(self: Any, *, update: Mapping[str, Any]) -> Any:
    """The same but for this, as pydantic's models have it."""
    return msgspec.structs.replace(self, **update)


def _plainly(value: object) -> msgspec.Raw:
    """Parts that are the contract's own instances stand among lean ones, as what it read or what a setting holds."""
    if not isinstance(value, BaseModel):
        raise TypeError(f"{type(value).__name__} has no place in a contract")
    return msgspec.Raw(value.__pydantic_serializer__.to_json(value))


written = msgspec.json.Encoder(enc_hook=_plainly).encode
"""JSON of a stand-in, or of whatever has some in it."""


def _judge(kind: Any, value: Any) -> Any:
    return kind.judge(value)


def _field(name: str, info: FieldInfo, *, skips: bool) -> tuple[str, Any] | tuple[str, Any, Any]:
    kind = _kind(Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation, skips=skips)
    if info.is_required():
        return name, kind
    if info.default_factory is not None:
        return name, kind, msgspec.field(default_factory=info.default_factory)  # type: ignore[arg-type]
    default = info.default
    if default is None:
        return name, kind, None
    if isinstance(default, BaseModel):
        default = leaned(default)
    # msgspec leaves out what is as by default, but not what a function made: only what is absent is not written.
    return name, kind, msgspec.field(default_factory=lambda: default)


def _kind(annotation: Any, *, skips: bool) -> Any:
    """What msgspec is to read in the place of a type."""
    try:
        return _expressed(annotation, skips)
    except _Inexpressible:
        adapter = TypeAdapter(annotation)
        return _judged(lambda value: adapter.validate_json(msgspec.json.encode(value)))


def _judged(judge: Callable[[Any], Any]) -> _Judged:
    return _Judged("Judged", (), {"judge": staticmethod(judge)})


def _expressed(annotation: Any, skips: bool) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is AwareDatetime:
        return Annotated[datetime, msgspec.Meta(tz=True)]
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1:], skips)
    if origin in _UNIONS:
        if sum(one not in _SIMPLE and get_origin(one) is not Literal for one in arguments) > 1:
            raise _Inexpressible  # msgspec cannot tell them apart
        return reduce(or_, (one if one is NoneType else _expressed(one, skips) for one in arguments))
    if origin in (tuple, dict):
        return origin[tuple(one if one is Ellipsis else _kind(one, skips=skips) for one in arguments)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _stand_in(annotation, skips=skips)
    return annotation


def _bounded(annotation: Any, rules: Iterable[Any], skips: bool) -> Any:
    bounds: dict[str, Any] = {}
    for rule in chain.from_iterable(one.metadata if isinstance(one, FieldInfo) else [one] for one in rules):
        match rule:
            case Ge() | Le() if annotation is AwareDatetime:
                pass  # looked for in all of the record at once
            case Ge() | Gt() | Le() | Lt() | MinLen() | MaxLen():  # msgspec calls them by the same names
                bounds |= asdict(rule)
            case StringConstraints():
                said = {name: value for name, value in vars(rule).items() if value is not None}
                if annotation is str and said.keys() == {"pattern"}:
                    return _matching(said["pattern"])
                if said.keys() - {"min_length", "max_length"}:
                    raise _Inexpressible
                bounds |= said
            case WithJsonSchema():
                pass
            case _ if rule is _WITHOUT_NUL:
                pass  # looked for in all of the record at once
            case _:
                raise _Inexpressible
    if not bounds:
        return _expressed(annotation, skips)
    choices = get_args(annotation) if get_origin(annotation) in _UNIONS else (annotation,)
    bounded = (one if one is NoneType else Annotated[_expressed(one, skips), msgspec.Meta(**bounds)] for one in choices)
    return reduce(or_, bounded)


def _matching(pattern: str) -> Any:
    """A text that matches. Many are names that come again and again, so the latest verdicts are remembered."""
    matches = re.compile(re.sub(r"\$$", r"\\Z", pattern)).search  # in Python `$` would let a line's end pass

    @lru_cache(1024)
    def judge(text: Any) -> str:
        if isinstance(text, str) and matches(text):
            return text
        raise ValueError("another pattern")

    return _judged(judge)
