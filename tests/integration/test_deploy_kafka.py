"""What compose starts as Kafka, rehearsed without a container: its script and settings, with the same jars."""

import asyncio
import os
import shlex
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from services.backing import jars, kafka
from services.backing.child import Child, free_port
from services.backing.settings import Settings
from services.chassis.kafka import ADMINISTRATOR, Kafka
from services.chassis.passwords import make_password

pytestmark = pytest.mark.backing

DEPLOY = Path(__file__).parents[2] / "deploy"
SECONDS = 60.0


async def test_the_script_lays_out_data_with_an_administrator_and_starts_again(tmp_path: Path) -> None:
    """Who knows the password is let in, also after a second start; who says nothing is not."""
    port = free_port(kafka.PORTS.start, kafka.PORTS)
    controller = free_port(port + 1, kafka.PORTS)
    text = (DEPLOY / "kafka.properties").read_text()
    for inside, here in (
        ("0.0.0.0:9092", f"127.0.0.1:{port}"),
        ("kafka:9092", f"127.0.0.1:{port}"),
        ("127.0.0.1:9093", f"127.0.0.1:{controller}"),
        ("/var/lib/kafka/data", str(tmp_path / "data")),
    ):
        assert inside in text
        text = text.replace(inside, here)
    (tmp_path / "kafka.properties").write_text(text)
    class_path = os.pathsep.join(map(str, jars.materialise(Settings().cache, say=print)))
    for program, main in (("kafka-storage.sh", "kafka.tools.StorageTool"), ("kafka-server-start.sh", "kafka.Kafka")):
        command = shlex.join([*kafka._java_command(kafka._java(), class_path), main])
        (tmp_path / program).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tmp_path / program).chmod(0o700)
    make_password(tmp_path, ADMINISTRATOR)
    environ = {
        "CLUSTER": "Onward4referralsABCDEw",
        "KAFKA_PROGRAMS": str(tmp_path),
        "PASSWORD": str(tmp_path / ADMINISTRATOR),
        "SETTINGS": str(tmp_path / "kafka.properties"),
        "TMPDIR": str(tmp_path),
    }
    script = ["bash", str(DEPLOY / "kafka.sh")]
    for _ in range(2):
        log = tmp_path / "log"
        child = Child.spawn(script, log=log, user=None, folder=tmp_path, environ=os.environ | environ)
        try:
            deadline = time.monotonic() + SECONDS
            while not child.listens(port):
                assert child.alive(), log.read_text()[-2000:]
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            await _topics(Kafka(f"127.0.0.1:{port}", passwords=tmp_path, user=ADMINISTRATOR))
            with pytest.raises(KafkaConnectionError):
                await _topics(Kafka(f"127.0.0.1:{port}"))
        finally:
            child.stop(signal.SIGTERM, patience=30)


async def _topics(broker: Kafka) -> list[str]:
    admin = AIOKafkaAdminClient(**broker.client())
    try:
        await admin.start()
        return list(await admin.list_topics())
    finally:
        with suppress(Exception):
            await admin.close()
