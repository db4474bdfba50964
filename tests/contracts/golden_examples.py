"""The golden examples and the frozen schemas, as the tests of the contracts read them."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from contracts.envelope import Event
from contracts.generate import SCHEMAS, declared, frozen

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"
CONTRACTS = declared()
FROZEN = {type_: frozen(SCHEMAS, type_) for type_ in CONTRACTS}

_FORMATS = FormatChecker(formats=["date", "uuid"])


@_FORMATS.checks("date-time", raises=ValueError)
def _is_an_instant(value: object) -> bool:
    """RFC 3339, which the library leaves to others to check: date, T, time with seconds, offset."""
    if not isinstance(value, str):
        return True
    datetime.fromisoformat(value)
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value) is not None


@dataclass(frozen=True)
class Example:
    """One golden example."""

    type: str
    name: str
    value: bytes

    @property
    def document(self) -> Any:
        """What it says."""
        return json.loads(self.value)

    @property
    def contract(self) -> type[Event]:
        """The model of the folder that it lies in."""
        return CONTRACTS[self.type]

    def read(self) -> Event:
        """The event, as today's model reads it."""
        return self.contract.read(self.value)

    def __str__(self) -> str:
        return f"{self.type}/{self.name}"


def _examples(kind: str) -> list[Example]:
    files = sorted((EXAMPLES / kind).glob("*/*.json"))
    return [Example(file.parent.name, file.stem, file.read_bytes()) for file in files]


VALID = _examples("valid")
INVALID = _examples("invalid")
VALID_BY_NAME = {str(example): example for example in VALID}


@cache
def _checked(schema: str) -> Draft202012Validator:
    Draft202012Validator.check_schema(json.loads(schema))
    return Draft202012Validator(json.loads(schema), format_checker=_FORMATS)


def faults_by_schema(schema: Any, document: Any) -> set[str]:
    """The JSON pointers of what a schema refuses in a document; of alternatives, those that come furthest."""
    return set().union(*map(_pointers, _checked(json.dumps(schema)).iter_errors(document)))


def _pointers(error: ValidationError) -> set[str]:
    if error.context:
        if "discriminator" in error.schema:
            return _of_the_form_that_is_named(error)
        found = set().union(*map(_pointers, error.context))
        return {pointer for pointer in found if pointer.count("/") == max(one.count("/") for one in found)}
    at = "".join(f"/{part}" for part in error.absolute_path)
    if error.validator == "required":
        return {f"{at}/{name}" for name in _needed(error)}
    return {at}


def _of_the_form_that_is_named(error: ValidationError) -> set[str]:
    """What is wrong by the one alternative that the document names in a member; or that member, if it names none."""
    name = error.schema["discriminator"]["propertyName"]
    by_form: dict[Any, list[ValidationError]] = {}
    for one in error.context:
        by_form.setdefault(one.schema_path[0], []).append(one)
    for faults in by_form.values():
        if not any(name in (*one.path, *_needed(one)) for one in faults):
            return set().union(*map(_pointers, faults))
    at = "".join(f"/{part}" for part in error.absolute_path)
    return {f"{at}/{name}" if isinstance(error.instance, dict) else at}


def _needed(error: ValidationError) -> list[str]:
    if error.validator != "required":
        return []
    return [name for name in error.validator_value if name not in error.instance]
