"""`onward restored`: the tables of referrals are an older copy. The feed begins a new epoch, and all is read again."""

import os
import time
from typing import Annotated

import psycopg
import typer
from confluent_kafka import KafkaError, KafkaException

from services.chassis.access import administering
from services.chassis.kafka import Kafka
from services.cli import local
from services.cli.connection import AsJson, Folder
from services.cli.speaking import Refused, print_json, say

PATIENCE_SECONDS = 20.0
"""For how long a group keeps the place of a process that was stopped a moment ago, and more."""

SERVICE = "referrals"


def restored(
    database: Annotated[
        str, typer.Option(envvar="DATABASE_URL", help="PostgreSQL; of the local system if not given.")
    ] = "",
    prefix: Annotated[str, typer.Option(envvar="ONWARD_TOPIC_PREFIX", help="Stands before every topic's name.")] = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """After the schema of referrals was put back from an older copy, and before referrals starts: begin a new epoch.

    Readers of the feed are told to begin again, and referrals reads all that the log still has; it keeps what it lacks.
    """
    kafka = Kafka.read(os.environ)
    if not (kafka and database):
        system = local.find(folder)
        kafka, database = system.kafka, system.database_url
    groups = forget_what_was_read(kafka, prefix)
    epoch = begin_epoch(database)
    if as_json:
        print_json({"epoch": epoch, "groups": groups})
    else:
        say(f"The feed counts from epoch {epoch}; {len(groups)} groups read the log from its beginning")


def begin_epoch(database: str) -> int:
    """Begin a new epoch of the feed; returns it. Raises psycopg's errors."""
    with psycopg.connect(database, options=f"-c search_path={SERVICE}") as connection:
        row = connection.execute("select begin_epoch()").fetchone()
    assert row is not None
    return int(row[0])


def forget_what_was_read(kafka: Kafka, prefix: str) -> list[str]:
    """Let every group of referrals begin at the beginning; returns them. Raises Refused while one of them has members.

    A fact that is stored is not stored again, so what is read twice is only looked up.
    """
    client = administering(kafka.administrator)
    known = client.list_consumer_groups().result().valid
    groups = sorted(one.group_id for one in known if one.group_id.startswith(f"{prefix}{SERVICE}."))
    deadline = time.monotonic() + PATIENCE_SECONDS
    left = list(groups)
    while left:
        refused = {}
        for group, deletion in client.delete_consumer_groups(left).items():
            try:
                deletion.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError.NON_EMPTY_GROUP:
                    refused[group] = error
                elif error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                    raise
        left = list(refused)
        if left and time.monotonic() > deadline:
            raise Refused(f"a process still reads as {left[0]}: stop every process of {SERVICE}, then ask again")
        if left:
            time.sleep(0.5)
    return groups
