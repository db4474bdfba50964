"""The whole system as a journey needs it: each service in a process of its own, with its own passwords and rights."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from services.backing.child import free_port
from services.chassis.identity import make_keys, sign
from services.chassis.kafka import Kafka
from services.chassis.settings import Settings
from services.composition import SERVICES, make_passwords, migrate

READY_SECONDS = 120.0
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PORTS = range(29000 + 100 * (WORKER % 10), 29100 + 100 * (WORKER % 10))
"""Of this worker alone: one that runs beside it must not be given a port between its choice and its use."""


class System:
    """Processes of one system. Each has its own port; each service knows only Kafka and its database."""

    def __init__(self, settings: Settings, signing_key: Path, logs: Path) -> None:
        self._settings = settings
        self.signing_key = signing_key
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}
        self._services: dict[str, Sequence[str]] = {}

    @classmethod
    def prepare(cls, kafka: Kafka, database: str, prefix: str, folder: Path) -> "System":
        """Keys, passwords, schemas and settings; topics are the caller's to make. Nothing runs yet."""
        private, public = make_keys(folder / "keys")
        settings = Settings(
            kafka=kafka,
            database_url=database,
            database_passwords=folder / "passwords",
            keys_file=public,
            topic_prefix=prefix,
        )
        make_passwords(settings, os.environ)
        migrate(settings, os.environ)
        return cls(settings, private, folder)

    def start(self, name: str, *services: str) -> None:
        """Start a process that hosts these services (the one of its name if none), on the port it had before."""
        if name not in self._ports:
            first = max(self._ports.values(), default=PORTS.start) + 1
            self._ports[name] = free_port(first, range(first, PORTS.stop))
            self._services[name] = services or (name,)
        log = (self._logs / f"{name}.log").open("ab")
        environ = {
            **self._settings.environ,
            "ONWARD_HTTP_PORT": str(self._ports[name]),
            "ONWARD_REPLICA": name,
        }
        command = [sys.executable, "-m", "services.cli", "serve", *self._services[name]]
        self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | environ)
        log.close()

    def start_each(self) -> None:
        """Start every service in a process of its own."""
        for name in SERVICES:
            self.start(name)

    def kill(self, name: str) -> None:
        """Signal 9: nothing is finished, nothing is said."""
        process = self._processes.pop(name)
        process.kill()
        process.wait(10)

    def freeze(self, name: str) -> None:
        """Let it do nothing, and know of nothing, until it is thawed."""
        self._processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let it go on as if no time had passed."""
        self._processes[name].send_signal(signal.SIGCONT)

    def terminate(self, name: str) -> int:
        """SIGTERM, and wait; returns the exit code."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(30)

    def url(self, name: str) -> str:
        """Where a process answers."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def pid(self, name: str) -> int:
        """The process that answers there."""
        return self._processes[name].pid

    def token(self, organisation: str, role: str) -> str:
        """A token that the system accepts."""
        return sign(
            self.signing_key, organisation=organisation, practitioner="journey", role=role, now=datetime.now(UTC)
        )

    def wait_until_ready(self, *, except_for: str = "\0") -> None:
        """Return once every process is ready; `except_for` begins a reason that does not count."""
        deadline = time.monotonic() + READY_SECONDS
        for name, process in self._processes.items():
            while reasons := [one for one in self._reasons(name) if not one.startswith(except_for)]:
                if process.poll() is not None or time.monotonic() > deadline:
                    log = (self._logs / f"{name}.log").read_text()[-3000:]
                    raise AssertionError(f"{name} is not ready: {reasons}\n{log}")
                time.sleep(0.05)

    def _reasons(self, name: str) -> list[str]:
        try:
            answer: dict[str, Any] = httpx.get(f"{self.url(name)}/health/ready", timeout=2.0).json()
        except (httpx.HTTPError, ValueError):
            return ["it does not answer"]
        return [reason for reasons in answer["services"].values() for reason in reasons]

    def stop(self) -> None:
        """End every process."""
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self._processes.clear()
