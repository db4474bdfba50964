"""The jars of Apache Kafka: downloaded once by jgo, and never used unless they match the committed lock."""

import hashlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import stamina

from services.backing.failures import JarRefused, JarUnavailable, LockUnreadable

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK = Path(__file__).with_name("kafka-jars.lock")

ROOTS = (
    "org.apache.kafka:kafka_2.13:4.3.1",
    # Kafka logs through slf4j and says nothing, not even why it stops, without a back end for it.
    "org.slf4j:slf4j-simple:1.7.36",
)

ALONE = ("org.apache.kafka:kafka-tools:4.3.1",)
"""Kafka's console consumer, for docs/examples: all that it needs comes with the roots. What else is in its jar needs
46 jars more, which stay away."""

_LINE = re.compile(r"(?P<coordinate>[^\s:]+:[^\s:]+:[^\s:]+) sha256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class Jar:
    """One jar: its Maven coordinate (group:artifact:version) and the SHA-256 of its bytes in hexadecimal."""

    coordinate: str
    sha256: str

    @property
    def filename(self) -> str:
        """The jar's own name in a Maven repository."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(lock: Path = LOCK) -> list[Jar]:
    """Read the lock: one jar a line, in the order of the class path. LockUnreadable names the first bad line."""
    jars = []
    for number, line in enumerate(lock.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise LockUnreadable(lock=lock, number=number, line=line)
        jars.append(Jar(**match.groupdict()))
    return jars


def materialise(
    cache: Path,
    *,
    say: Callable[[str], None],
    jars: Sequence[Jar] | None = None,
    fetch: Callable[[str, Path], Path] | None = None,
) -> list[Path]:
    """Give the paths of all jars, each with the bytes that the lock names; download the missing ones.

    `fetch` brings one coordinate into a folder and returns its path (jgo unless told otherwise).
    JarUnavailable if one cannot be had, JarRefused if what came is not what the lock names.
    """
    jars = read_lock() if jars is None else jars
    shelf = cache / "jars"
    shelf.mkdir(parents=True, exist_ok=True)
    missing = []
    for jar in jars:
        kept = shelf / jar.filename
        if not kept.exists():
            missing.append(jar)
        elif jar.sha256 != sha256_of(kept):
            say(f"{kept} is not what the lock names; downloading it again")
            missing.append(jar)
    if missing:
        say(f"Downloading {len(missing)} of the {len(jars)} jars of Apache Kafka; they are kept in {shelf}")
        # A folder of its own for each download: two starts at once do not meet, and none leaves a half-written jar.
        with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as landing, ThreadPoolExecutor(8) as pool:
            bring = fetch or _download
            list(pool.map(lambda jar: _keep(jar, shelf, Path(landing), bring), missing))
    return [shelf / jar.filename for jar in jars]


def sha256_of(file: Path) -> str:
    """Give the SHA-256 of a file's bytes in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _keep(jar: Jar, shelf: Path, landing: Path, fetch: Callable[[str, Path], Path]) -> None:
    try:
        file = fetch(jar.coordinate, landing)
    except Exception as cause:  # jgo and what is under it raise many kinds; all mean that the jar did not come
        raise JarUnavailable(coordinate=jar.coordinate, cause=cause, cache=shelf) from cause
    found = sha256_of(file)
    if jar.sha256 != found:
        raise JarRefused(file=jar.filename, found=found, expected=jar.sha256)
    file.replace(shelf / jar.filename)


@stamina.retry(on=(OSError, RuntimeError), attempts=3)
def _download(coordinate: str, landing: Path) -> Path:
    # A fresh folder for each attempt: jgo takes whatever file an attempt that broke off has left for the whole jar.
    attempt = Path(tempfile.mkdtemp(dir=landing))
    path: Path = _maven(attempt).create_dependency(coordinate).artifact.resolve()
    return path


def _maven(landing: Path) -> "MavenContext":
    # Only who downloads loads it: it would take a tenth of a second of each start of a service.
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext

    # Repositories that the user set up for jgo (a mirror, say) are used; without any, jgo uses its own default.
    return MavenContext(repo_cache=landing, remote_repos=GlobalSettings.load().repositories or None)


def resolve(roots: Iterable[str], landing: Path, alone: Iterable[str] = ()) -> list[Jar]:
    """Find everything that the roots need to run, and what its bytes are now: the content of a new lock.

    What is `alone` comes without what it would need.
    """
    maven = _maven(landing)
    direct, transitive = maven.resolver.resolve([maven.create_dependency(root) for root in roots])
    single = [maven.create_dependency(one) for one in alone]
    artifacts = [dependency.artifact for dependency in (*direct, *transitive, *single)]
    return [
        Jar(f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}", sha256_of(artifact.resolve()))
        for artifact in artifacts
    ]


def write_lock() -> None:
    """Resolve the roots anew and write the lock (`make lock`)."""
    with tempfile.TemporaryDirectory() as landing:
        jars = resolve(ROOTS, Path(landing), ALONE)
    lines = [f"{jar.coordinate} sha256:{jar.sha256}" for jar in sorted(jars, key=lambda jar: jar.coordinate)]
    heading = "# The jars of Apache Kafka, written by `make lock`. Each is refused if its bytes differ.\n"
    LOCK.write_text(heading + "\n".join(lines) + "\n")
    sys.stdout.write(f"{LOCK.name}: {len(lines)} jars\n")


if __name__ == "__main__":
    write_lock()
