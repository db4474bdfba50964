"""A system on one machine: which process is told what."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from services.backing.child import Child
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.cli import local

Spawned = dict[str, tuple[Sequence[str], Mapping[str, str]]]


@pytest.fixture
def nicer(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of processes that were made nicer."""
    found: list[int] = []
    monkeypatch.setattr(Child, "give_way", lambda child: found.append(child.pid))
    return found


@pytest.fixture
def spawned(monkeypatch: pytest.MonkeyPatch, nicer: list[int], tmp_path: Path) -> Spawned:
    """Commands and environments of the workers, by name; none is started. Their process numbers count from 1."""
    found: Spawned = {}

    def spawn(command: Sequence[str], *, log: Path, environ: Mapping[str, str], **_named: object) -> Child:
        found[log.stem] = command, environ
        return Child(pid=len(found), created=0.0)

    monkeypatch.setattr(Child, "spawn", spawn)
    settings = Settings(
        kafka=Kafka("127.0.0.1:9"),
        database_url="postgresql://127.0.0.1:9/none",
        database_passwords=None,
        keys_file=tmp_path,
    )
    local._start_workers(tmp_path, settings, 8080)
    return found


def test_history_alone_gives_way(spawned: Spawned, nicer: list[int]) -> None:
    """The process of referrals is nicer than the others, and its readers are told that they may stand back."""
    assert {"edge": "False", "settle": "False", "record": "True"} == {
        name: environ["ONWARD_GIVES_WAY"] for name, (_, environ) in spawned.items()
    }
    assert [list(spawned).index("record") + 1] == nicer
    assert Settings.read(os.environ | dict(spawned["record"][1])).gives_way


def test_each_service_runs_in_one_process_and_the_first_answers_for_all(spawned: Spawned) -> None:
    """A service that ran in two processes would share its partitions with itself."""
    hosted = {name: " ".join(command).partition(" serve ")[2] for name, (command, _) in spawned.items()}
    running = [one for said in hosted.values() for one in said.partition(" --answering")[0].split()]
    assert sorted(running) == ["booking", "gateway", "notification", "pathways", "referrals", "triage"]
    assert set(running) == set(hosted["edge"].replace("--answering ", "").split())
