"""The frozen schemas: every contract has them, they are what the models say, and the generator never rewrites one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from contracts.compatibility import in_words
from contracts.envelope import Data, Event
from contracts.generate import RELEASED, SCHEMAS, altered, declared, faults, main, schema_of, version_of, written
from contracts.topics import Topic
from tests.contracts.golden_examples import CONTRACTS, FROZEN

Freeze = Callable[..., int]


@pytest.mark.parametrize("type_", CONTRACTS)
def test_a_contract_is_as_it_is_frozen(type_: str) -> None:
    """A change of a model that old records or old readers would not survive stops here, and says what to do."""
    assert ([], True) == (faults(CONTRACTS[type_], FROZEN[type_]), version_of(CONTRACTS[type_]) in FROZEN[type_])


def test_all_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m contracts.generate --check` has nothing to say."""
    assert (0, "") == (main(["--check"]), capsys.readouterr().err)


def test_what_is_released_is_as_it_was() -> None:
    """The sums of released files hold."""
    assert [] == altered(SCHEMAS)


@pytest.mark.parametrize("type_", CONTRACTS)
def test_a_frozen_schema_names_itself(type_: str) -> None:
    """Its address is made of the type and version of its file; it binds the type and names the topic."""
    contract = CONTRACTS[type_]
    for version, schema in FROZEN[type_].items():
        Draft202012Validator.check_schema(schema)
        assert (
            f"urn:onward:contracts:{type_}:{in_words(version)}",
            {"const": contract.TYPE, "type": "string"},
            contract.TOPIC,
        ) == (schema["$id"], schema["properties"]["type"], schema["x-topic"])


@pytest.mark.parametrize("type_", CONTRACTS)
def test_a_schema_has_what_cloudevents_requires(type_: str) -> None:
    """CloudEvents 1.0: id, source, specversion and type are there."""
    assert {"id", "source", "specversion", "type"} <= set(schema_of(CONTRACTS[type_])["required"])


@pytest.mark.parametrize("type_", CONTRACTS)
def test_a_schema_is_written_the_same_every_time(type_: str) -> None:
    """Its file depends on the contract alone."""
    assert written(schema_of(CONTRACTS[type_])) == written(schema_of(CONTRACTS[type_]))


def titles_in(part: object, *, names: bool = False) -> set[str]:
    """The titles in a schema."""
    if not isinstance(part, dict):
        return set()
    own = {part["title"]} if isinstance(part.get("title"), str) and not names else set()
    return own.union(*(titles_in(value, names=name in ("properties", "$defs")) for name, value in part.items()))


@pytest.mark.parametrize("type_", CONTRACTS)
def test_only_models_have_titles(type_: str) -> None:
    """A title of each attribute would only repeat its name."""
    schema = schema_of(CONTRACTS[type_])
    assert {schema["title"], *schema["$defs"]} == titles_in(schema)


def test_only_this_packages_contracts_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others declare, as this test does, is theirs to freeze."""
    monkeypatch.setattr(Event, "KNOWN", dict(Event.KNOWN))
    planted = seen(SeenData)
    assert (True, CONTRACTS) == (planted.TYPE in Event.KNOWN, declared())


class SeenData(Data):
    """What the planted contract says."""

    ward: str


class SeenLaterData(SeenData):
    """The same, and one thing that may be left out."""

    bed: str | None = None


class SeenAnywhereData(Data):
    """The same, which may be left out."""

    ward: str = ""


class SeenInAnotherWayData(Data):
    """Another thing in the place of it."""

    ward: int


def seen(data: type[Data], version: str = "1.0") -> type[Event]:
    """A planted contract."""
    namespace = {"__annotations__": {"data": data}, "__module__": __name__, "__doc__": "Someone was seen."}
    return type(
        "Seen", (Event,), namespace, type="patient.seen", topic=Topic.TRIAGE, classification="clinical", version=version
    )


@pytest.fixture
def freeze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Freeze:
    """Run the generator on the planted contract, with this data and version, in an empty folder."""

    def run(data: type[Data], version: str = "1.0", *arguments: str) -> int:
        monkeypatch.setattr(Event, "KNOWN", {})
        return main(arguments, folder=tmp_path, family={"patient.seen": seen(data, version)})

    return run


def file(folder: Path, version: str = "1.0") -> Path:
    """The planted contract's frozen schema."""
    return folder / "patient.seen" / f"{version}.json"


def test_a_new_version_is_frozen(freeze: Freeze, tmp_path: Path) -> None:
    """The first run writes the schema."""
    assert (0, "Seen") == (freeze(SeenData), json.loads(file(tmp_path).read_bytes())["title"])


def test_checking_writes_nothing(freeze: Freeze, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not frozen yet is named, with what to run."""
    assert (1, False) == (freeze(SeenData, "1.0", "--check"), file(tmp_path).exists())
    assert capsys.readouterr().err == "patient.seen 1.0: not frozen yet: run python -m contracts.generate\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (SeenLaterData, "declare 1.1\n"),
        (SeenAnywhereData, "declare 2.0, and upgrade every reader before the first writer. /data/ward may be missing"),
        (SeenInAnotherWayData, "make a new type, or undo it. /data/ward may be string, where integer is read"),
    ],
)
def test_a_changed_model_is_refused(
    freeze: Freeze, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: type[Data], said: str
) -> None:
    """The frozen version stays as it was, and the developer is told what the change asks for."""
    freeze(SeenData)
    before = file(tmp_path).read_bytes()
    assert (1, before) == (freeze(data), file(tmp_path).read_bytes())
    assert said in capsys.readouterr().err


def test_a_raised_version_is_frozen_beside_the_last(freeze: Freeze, tmp_path: Path) -> None:
    """The old schema stays for old records."""
    freeze(SeenData)
    before = file(tmp_path).read_bytes()
    assert (0, before, True) == (
        freeze(SeenLaterData, "1.1"),
        file(tmp_path).read_bytes(),
        file(tmp_path, "1.1").exists(),
    )


def test_a_raised_version_does_not_excuse_a_breaking_change(freeze: Freeze, tmp_path: Path) -> None:
    """What old records would not survive is not frozen under any version."""
    freeze(SeenData)
    assert (1, False) == (freeze(SeenInAnotherWayData, "2.0"), file(tmp_path, "2.0").exists())


def test_a_version_is_not_lowered(freeze: Freeze, capsys: pytest.CaptureFixture[str]) -> None:
    """A contract declares the newest of its versions."""
    freeze(SeenData)
    freeze(SeenLaterData, "1.1")
    assert (1, "patient.seen: declares 1.0, and 1.1 is frozen: declare the newest\n") == (
        freeze(SeenData),
        capsys.readouterr().err,
    )


def test_a_contract_does_not_vanish(freeze: Freeze, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records of a frozen type are on the log, whether a model is left to read them or not."""
    freeze(SeenData)
    assert 1 == main([], folder=tmp_path, family={})
    assert capsys.readouterr().err.startswith("patient.seen: frozen, and no contract declares it")


def test_reworded_is_not_changed(freeze: Freeze, tmp_path: Path) -> None:
    """Docstrings may be mended: the frozen words stay until the next version."""
    freeze(SeenData)
    schema = json.loads(file(tmp_path).read_bytes())
    schema["description"] = "Somebody was seen."
    file(tmp_path).write_bytes(written(schema))
    assert (0, schema) == (freeze(SeenData), json.loads(file(tmp_path).read_bytes()))


def test_an_unreleased_version_may_be_frozen_anew(freeze: Freeze, tmp_path: Path) -> None:
    """While no log holds it, a version may still be put right: on request alone."""
    freeze(SeenData)
    assert (0, "integer") == (
        freeze(SeenInAnotherWayData, "1.0", "--refreeze"),
        json.loads(file(tmp_path).read_bytes())["$defs"]["SeenInAnotherWayData"]["properties"]["ward"]["type"],
    )


def test_a_released_version_is_not_frozen_anew(freeze: Freeze, tmp_path: Path) -> None:
    """Once released, it stays for good."""
    freeze(SeenData)
    freeze(SeenData, "1.0", "--release")
    before = file(tmp_path).read_bytes()
    assert (1, before) == (freeze(SeenInAnotherWayData, "1.0", "--refreeze"), file(tmp_path).read_bytes())


def test_a_released_file_is_not_altered(freeze: Freeze, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even its words: others have it."""
    freeze(SeenData)
    freeze(SeenData, "1.0", "--release")
    file(tmp_path).write_bytes(file(tmp_path).read_bytes().replace(b"Someone", b"Somebody"))
    assert 1 == freeze(SeenData, "1.0", "--check")
    assert capsys.readouterr().err == "patient.seen/1.0.json was released and is not as it was: restore it\n"


def test_only_what_is_frozen_is_released(freeze: Freeze, tmp_path: Path) -> None:
    """A release waits until all is current."""
    assert (1, False) == (freeze(SeenData, "1.0", "--release"), (tmp_path / RELEASED).exists())
