"""The system under load: on this machine, with data of its own, and a directory that can take everyone."""

import shutil
from pathlib import Path

import httpx

from contracts.directory import Service
from services.cli import local
from services.cli.connection import TRUST, Connection, answered
from services.cli.directory import SHIPPED
from services.pathways.directory_file import Directory, read_file

FOLDER = Path(".onward") / "bench"
PORT = 8280
ROOM = 1000
"""Patients a slot: the benchmark measures the pipeline, not a shortage."""


def start() -> local.LocalSystem:
    """A new system, loaded and ready."""
    stop()
    shutil.rmtree(FOLDER, ignore_errors=True)
    system = local.start(FOLDER, say=print, port=PORT)
    editor = Connection(system.base_url, system.token(TRUST, "bench", "directory-editor"))
    response = httpx.post(
        f"{editor.url}/services/import",
        content=roomy(read_file(SHIPPED)).model_dump_json(exclude_unset=True),
        headers=editor.headers | {"Content-Type": "application/json"},
        timeout=120.0,
    )
    answered(response)
    local.wait_until_ready(system)
    return system


def roomy(directory: Directory) -> Directory:
    """The directory with room for everyone in every slot."""
    services: list[Service] = []
    for service in directory.services:
        sessions = tuple(session.model_copy(update={"capacity": ROOM}) for session in service.sessions)
        services.append(service.model_copy(update={"sessions": sessions}) if sessions else service)
    return directory.model_copy(update={"services": tuple(services)})


def stop() -> None:
    """Stop the system under load; its data stays until the next start."""
    local.stop(FOLDER, say=lambda _: None, purge=True)
