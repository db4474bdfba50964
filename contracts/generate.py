"""Freeze the contracts: `python -m contracts.generate` writes the JSON Schema of each version that is not yet frozen.

A frozen schema is never rewritten in passing. Where a contract has changed, it says which version to declare, or that
the change needs a new type. See contracts/README.md.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from contracts.compatibility import (
    Schema,
    Version,
    advice,
    differences,
    faults_of,
    in_words,
    meaning,
    next_version,
)
from contracts.envelope import Event

SCHEMAS = Path(__file__).parent / "schemas"
RELEASED = "released.sha256"
"""Names the versions that are released, with the sums of their files; `sha256sum --check` reads it too."""


class _Untitled(GenerateJsonSchema):
    """A title of each attribute would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def declared() -> dict[str, type[Event]]:
    """Every contract of this package, by its type, in the order of the alphabet."""
    for module in iter_modules([str(Path(__file__).parent)]):
        import_module(f"contracts.{module.name}")
    ours = {type_: one for type_, one in Event.KNOWN.items() if one.__module__.startswith("contracts.")}
    return dict(sorted(ours.items()))


def schema_of(contract: type[Event]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a whole event: envelope and data.

    It is a little stricter than the model: it binds the type, for it describes no other, and `specversion` is needed,
    as CloudEvents 1.0 requires.
    """
    schema = contract.model_json_schema(schema_generator=_Untitled)
    schema["properties"]["type"] = {"const": contract.TYPE, "type": "string"}
    schema["required"] = [name for name in schema["properties"] if name in {*schema["required"], "specversion"}]
    first = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": contract.schema_address(),
        "title": schema.pop("title"),
        "description": schema.pop("description"),
        "x-topic": contract.TOPIC.value,
    }
    definitions = schema.pop("$defs")
    return {**first, **schema, "$defs": definitions}


def written(schema: Schema) -> bytes:
    """The file of a schema: the same bytes for the same schema."""
    return f"{json.dumps(schema, indent=2, ensure_ascii=False)}\n".encode()


def version_of(contract: type[Event]) -> Version:
    """The version that a contract declares. Raises ValueError when it is not like 1.0."""
    return _numbered(contract.SCHEMA_VERSION)


def _numbered(version: str) -> Version:
    parts = re.fullmatch(r"([1-9][0-9]*)\.(0|[1-9][0-9]*)", version)
    if parts is None:
        raise ValueError(f"{version} is not a version: write it like 1.0")
    return int(parts[1]), int(parts[2])


def frozen(folder: Path, type_: str) -> dict[Version, Schema]:
    """The frozen schemas of a type, by version."""
    return {_numbered(file.stem): json.loads(file.read_bytes()) for file in (folder / type_).glob("*.json")}


def file_of(folder: Path, contract: type[Event]) -> Path:
    """Where the schema of the version that a contract declares is, or will be."""
    return folder / contract.TYPE / f"{contract.SCHEMA_VERSION}.json"


def faults(contract: type[Event], history: Mapping[Version, Schema]) -> list[str]:
    """Why a contract cannot stand beside its frozen versions, in words that say what to do. None: it can."""
    version, schema = version_of(contract), schema_of(contract)
    if version in history and meaning(history[version]) != meaning(schema):
        found = differences(history[version], schema)
        todo = advice(next_version(version, found), found)
        return [f"{contract.SCHEMA_VERSION} is frozen, and the contract has changed: {todo}"]
    newest = max(history, default=version)
    if newest > version:
        return [f"declares {contract.SCHEMA_VERSION}, and {in_words(newest)} is frozen: declare the newest"]
    return faults_of({**history, version: schema})


def sums_of_released(folder: Path) -> dict[str, str]:
    """The SHA-256 sum of each released file, by its path in the folder."""
    file = folder / RELEASED
    lines = file.read_text().splitlines() if file.exists() else []
    return {path: said for said, path in (line.split("  ", 1) for line in lines)}


def altered(folder: Path) -> list[str]:
    """What was released and is not as it was."""
    return [
        f"{path} was released and is not as it was: restore it"
        for path, said in sums_of_released(folder).items()
        if not (folder / path).exists() or _sum(folder / path) != said
    ]


def _sum(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def main(
    arguments: Sequence[str] | None = None, *, folder: Path = SCHEMAS, family: Mapping[str, type[Event]] | None = None
) -> int:
    """Freeze what is not frozen yet, or do what the arguments ask. Returns the exit code: 1 when something is amiss."""
    asked = _arguments(arguments)
    family = declared() if family is None else family
    amiss, due = altered(folder), []
    released = sums_of_released(folder)
    for type_, contract in family.items():
        history, file = frozen(folder, type_), file_of(folder, contract)
        if asked.refreeze and file.relative_to(folder).as_posix() not in released:
            history.pop(version_of(contract), None)
        found = faults(contract, history)
        amiss += [f"{type_}: {fault}" for fault in found]
        if not found and version_of(contract) not in history:
            due.append((file, written(schema_of(contract))))
    for one in sorted({file.parent.name for file in folder.glob("*/*.json")} - set(family)):
        amiss.append(
            f"{one}: frozen, and no contract declares it: restore it, or delete its folder once no log holds it"
        )
    if asked.check or asked.release:
        amiss += [f"{_name(file)}: not frozen yet: run python -m contracts.generate" for file, _ in due]
    else:
        for file, content in due:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            print(f"froze {_name(file)}")
    if asked.release and not amiss:
        _release(folder)
    for one in amiss:
        print(one, file=sys.stderr)
    if not amiss and not due:
        print(f"{len(family)} contracts are frozen as they are")
    return 1 if amiss else 0


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m contracts.generate", description="Freeze the schema of each contract's version."
    )
    one_of = parser.add_mutually_exclusive_group()
    one_of.add_argument("--check", action="store_true", help="write nothing; say what is not current")
    one_of.add_argument("--refreeze", action="store_true", help="freeze anew what was not released: no log may hold it")
    one_of.add_argument("--release", action="store_true", help="keep all that is frozen as it is, for good")
    return parser.parse_args(arguments)


def _name(file: Path) -> str:
    return f"{file.parent.name} {file.stem}"


def _release(folder: Path) -> None:
    files = sorted(folder.glob("*/*.json"))
    lines = [f"{_sum(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    (folder / RELEASED).write_text("".join(lines))
    print(f"released {len(files)} versions")


if __name__ == "__main__":
    sys.exit(main())
