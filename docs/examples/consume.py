"""Read a topic of Onward from its beginning, with nothing of Onward: aiokafka and json.

    pip install aiokafka
    python consume.py --bootstrap 127.0.0.1:9092 bookings

Prints one event a line. It joins no group and commits nothing, so it disturbs no reader. Contracts of all events:
/docs/events of any process of Onward, and contracts/asyncapi.json.
"""

import argparse
import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer


async def consume(topic: str, client: dict[str, Any], *, follow: bool) -> None:
    """Print each event, oldest first in its partition: up to the present end, or for ever."""
    consumer = AIOKafkaConsumer(topic, group_id=None, auto_offset_reset="earliest", **client)
    await consumer.start()
    try:
        partitions = consumer.assignment()  # without a group: all of them
        if not partitions:
            sys.exit(f"there is no topic {topic}, or this user may not see it")
        ends = await consumer.end_offsets(partitions)
        while follow or any([await consumer.position(one) < end for one, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    if record.value is None:  # a compacted topic takes a key back so
                        continue
                    event = json.loads(record.value)
                    print(json.dumps({"type": event["type"], "subject": event["subject"], "data": event["data"]}))
    finally:
        await consumer.stop()


def client_of(asked: argparse.Namespace) -> dict[str, Any]:
    """Where Kafka is, and as whom to speak to it."""
    tls = ssl.create_default_context(cafile=asked.ca_file) if asked.ca_file else None
    client = {"bootstrap_servers": asked.bootstrap, "ssl_context": tls}
    if not asked.user:
        return client | {"security_protocol": "SSL" if tls else "PLAINTEXT"}
    return client | {
        "security_protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": asked.user,
        "sasl_plain_password": Path(asked.password_file).read_text().strip(),
    }


async def main() -> None:
    """Read the command line, then the topic."""
    parser = argparse.ArgumentParser(description="Print the events of a topic, one JSON document a line.")
    parser.add_argument("topic")
    parser.add_argument("--bootstrap", default="127.0.0.1:9092", help="host:port of a broker")
    parser.add_argument("--user", help="a user that deploy/topics.yaml lets read the topic")
    parser.add_argument("--password-file", help="a file that holds the user's password")
    parser.add_argument("--ca-file", help="who vouches for the brokers, where they speak TLS")
    parser.add_argument("--follow", action="store_true", help="go on when the end is reached")
    asked = parser.parse_args()
    await consume(asked.topic, client_of(asked), follow=asked.follow)


if __name__ == "__main__":
    asyncio.run(main())
