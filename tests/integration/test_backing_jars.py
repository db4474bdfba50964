"""The jars of Kafka: fetched once, kept, and never used unless they are what the lock names."""

import hashlib
from pathlib import Path

import pytest

from services.backing import jars
from services.backing.failures import JarRefused, JarUnavailable, LockUnreadable


def jar(name: str, content: bytes) -> jars.Jar:
    """A locked jar with this content."""
    return jars.Jar(f"org.example:{name}:1.0", hashlib.sha256(content).hexdigest())


class Repository:
    """A repository in memory: hands out what it was given, and notes what it was asked for."""

    def __init__(self, **contents: bytes) -> None:
        self.contents = contents
        self.asked: list[str] = []

    def fetch(self, coordinate: str, landing: Path) -> Path:
        """Bring one jar into a folder."""
        name = coordinate.split(":")[1]
        self.asked.append(name)
        if name not in self.contents:
            raise OSError("Network is unreachable")
        file = landing / f"fetched-{name}"
        file.write_bytes(self.contents[name])
        return file


def test_jars_are_fetched_once(tmp_path: Path, said: list[str]) -> None:
    """A second use takes the kept jars, in the order of the lock, and asks for nothing."""
    repository = Repository(one=b"1", two=b"2")
    locked = [jar("two", b"2"), jar("one", b"1")]
    expected = [tmp_path / "jars" / "two-1.0.jar", tmp_path / "jars" / "one-1.0.jar"]
    assert expected == jars.materialise(tmp_path, say=said.append, jars=locked, fetch=repository.fetch)
    assert expected == jars.materialise(tmp_path, say=said.append, jars=locked, fetch=repository.fetch)
    assert ["one", "two"] == sorted(repository.asked)
    assert [b"2", b"1"] == [path.read_bytes() for path in expected]


def test_a_jar_that_differs_from_the_lock_is_refused(tmp_path: Path, said: list[str]) -> None:
    """What comes with another checksum is named, refused, and not kept."""
    repository = Repository(one=b"something else")
    with pytest.raises(JarRefused, match=r"one-1\.0\.jar was downloaded with SHA-256"):
        jars.materialise(tmp_path, say=said.append, jars=[jar("one", b"1")], fetch=repository.fetch)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_kept_jar_that_changed_is_fetched_again(tmp_path: Path, said: list[str]) -> None:
    """A kept jar is checked each time; one that is no longer what the lock names is replaced, and that is said."""
    repository = Repository(one=b"1")
    [kept] = jars.materialise(tmp_path, say=said.append, jars=[jar("one", b"1")], fetch=repository.fetch)
    kept.write_bytes(b"changed")
    jars.materialise(tmp_path, say=said.append, jars=[jar("one", b"1")], fetch=repository.fetch)
    assert b"1" == kept.read_bytes()
    assert f"{kept} is not what the lock names; downloading it again" in said


def test_without_internet_the_missing_jar_and_the_other_way_are_named(tmp_path: Path, said: list[str]) -> None:
    """If a jar cannot be had, the message names it, why, and how to do without; the others are kept for next time."""
    repository = Repository(one=b"1")
    locked = [jar("one", b"1"), jar("two", b"2")]
    with pytest.raises(JarUnavailable, match=r"org\.example:two:1\.0") as unavailable:
        jars.materialise(tmp_path, say=said.append, jars=locked, fetch=repository.fetch)
    assert "Network is unreachable" in str(unavailable.value)
    assert "KAFKA_BOOTSTRAP_SERVERS" in str(unavailable.value)
    assert ["one-1.0.jar"] == [path.name for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("line", ["org.example:one:1.0", "org.example:one:1.0 sha256:abc", "one sha256:" + 64 * "0"])
def test_a_lock_line_without_a_checksum_is_refused(tmp_path: Path, line: str) -> None:
    """A line that does not pin its bytes is named by file and number."""
    lock = tmp_path / "some.lock"
    lock.write_text(f"# a heading\n{line}\n")
    with pytest.raises(LockUnreadable, match=r"some\.lock, line 2"):
        jars.read_lock(lock)


def test_the_lock_holds_kafka_and_no_addresses() -> None:
    """The committed lock pins the Kafka that the code is written for, and says nowhere where it comes from."""
    coordinates = {locked.coordinate for locked in jars.read_lock()}
    assert set(jars.ROOTS) <= coordinates
    assert "://" not in jars.LOCK.read_text()
