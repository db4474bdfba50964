"""`onward rules`: what a rule pack says, whether it is sound, and what another one would have decided."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError
from rich.table import Table

from contracts.submissions import ReferralSubmitted
from contracts.topics import PARTITIONS, Topic
from services.chassis.kafka import Kafka
from services.cli import local
from services.cli.connection import AsJson, Folder
from services.cli.speaking import Refused, out, print_json, say
from services.triage.asking import Asked, NamedType, listed
from services.triage.comparison import changes
from services.triage.explaining import ExplainedPresentation, ExplainedRule, ExplainedStep, explain
from services.triage.precedence import Rules
from services.triage.replay import Replay, Replayed
from services.triage.rule_pack import PackFault, UnsoundRulePack, load
from services.triage.settings import TriageSettings
from services.triage.soundness import doubts, everything_written, unverified

app = typer.Typer(help="Rule packs: everything that a clinician may change.", no_args_is_help=True)

READER = "triage"
"""As whom the topic is read, where Kafka asks: triage may read submissions."""

Pack = Annotated[Path | None, typer.Argument(help="A rule pack in TOML; the one that decides here if not given.")]
PackOption = Annotated[Path | None, typer.Option("--pack", help="A rule pack; the one that decides here otherwise.")]


def _deciding() -> Path:
    return TriageSettings.read(os.environ).rule_pack


@app.command("check")
def check(file: Pack = None, as_json: AsJson = False) -> None:
    """Find the faults of a rule pack: rules never reached, gaps, contradictions, missing sources, cycles.

    Every combination of bands is looked at. Exit code 1 when there is a fault.
    """
    path = file or _deciding()
    faults: list[PackFault]
    described: dict[str, Any] = {"file": str(path)}
    try:
        rules = Rules(load(path))
    except UnsoundRulePack as error:
        faults = list(error.faults)
    else:
        faults = doubts(rules, path.name)
        described |= {
            "rule_pack": rules.pack.full_name,
            "presentations": len(rules.pack.presentations),
            "questions": len(rules.pack.questions),
            "rules": len(list(everything_written(rules.pack))),
            "unverified": unverified(rules.pack),
        }
    if as_json:
        print_json(described | {"faults": [{"file": one.file, "rule": one.rule, "fault": one.fault} for one in faults]})
    else:
        for fault in faults:
            print(fault)
        if not faults:
            print(
                f"{described['rule_pack']} is sound: {described['presentations']} presentations, "
                f"{described['questions']} questions, {described['rules']} rules, every combination of bands ends.\n"
                f"{len(described['unverified'])} rules are unverified defaults: --json lists them."
            )
    if faults:
        raise typer.Exit(1)


@app.command("presentations")
def presentations(pack: PackOption = None, as_json: AsJson = False) -> None:
    """List the presentations of a rule pack, and what each asks."""
    all_listed = listed(Rules(load(pack or _deciding())))
    if as_json:
        print_json(all_listed.model_dump(mode="json"))
        return
    for one in all_listed.presentations:
        print(f"{one.presentation}: {one.name} -> {_types(one.service_types)}")
        for asked in one.asks:
            print(f"    asks  {asked_in_words(asked)}")
        for reason in one.excluded_by:
            print(f"    not   {reason.text} ({reason.source})")


@app.command("explain")
def explain_one(
    name: Annotated[str, typer.Argument(help="A presentation, a rule's id, or red-flags.")],
    pack: PackOption = None,
    as_json: AsJson = False,
) -> None:
    """Put a presentation or a rule in words: what it needs, what follows, and what would make it decide."""
    explained = explain(name, Rules(load(pack or _deciding())))
    if as_json:
        print_json(explained.model_dump(mode="json"))
        return
    print("\n".join(_of_a_rule(explained) if isinstance(explained, ExplainedRule) else _of_all(explained)))


@app.command("diff")
def diff(
    before: Annotated[Path, typer.Argument(help="A rule pack.")],
    after: Annotated[Path, typer.Argument(help="Another.")],
    as_json: AsJson = False,
) -> None:
    """Say what is written differently in another rule pack. Exit code 1 when something is."""
    one, other = load(before), load(after)
    found = changes(one, other)
    if as_json:
        print_json(
            {
                "before": one.full_name,
                "after": other.full_name,
                "changes": [change.model_dump(mode="json") for change in found],
            }
        )
    else:
        for change in found:
            print(change)
        print(f"{one.full_name} -> {other.full_name}: {len(found)} changes")
    if found:
        raise typer.Exit(1)


@app.command("replay")
def replay(
    after: Annotated[Path, typer.Argument(help="The rule pack to try.")],
    before: Annotated[Path | None, typer.Option(help="Compare with this one; with the one that decides here.")] = None,
    file: Annotated[Path | None, typer.Option(help="Submissions as JSON lines, in place of the topic.")] = None,
    most: Annotated[int, typer.Option(min=1, help="At most so many of the newest records of the topic.")] = 10_000,
    since: Annotated[str, typer.Option(help="Only records since this time, with its offset from UTC.")] = "",
    prefix: Annotated[str, typer.Option(envvar="ONWARD_TOPIC_PREFIX", help="Stands before every topic's name.")] = "",
    folder: Folder = local.DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Decide past submissions by another rule pack: what changes, and every case that became less urgent.

    Nothing is told or stored, and no patient data is shown. Exit code 1 when a case became less urgent.
    """
    both = Replay(Rules(load(before or _deciding())), Rules(load(after)))
    if file is not None:
        for line in lines_in(file):
            see(both, line)
    else:
        kafka = Kafka.read(os.environ) or local.find(folder).kafka
        asyncio.run(_replay_topic(both, kafka, f"{prefix}{Topic.SUBMISSIONS}", most=most, since=_instant(since)))
    result = both.result()
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        show(result)
    if result.less_urgent:
        raise typer.Exit(1)


def _instant(said: str) -> datetime | None:
    if not said:
        return None
    try:
        instant = datetime.fromisoformat(said)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Refused(f"{said} is not a time with its offset from UTC, such as 2026-03-02T16:40:00Z")
    return instant


def lines_in(file: Path) -> Iterator[bytes]:
    """The lines of a file that are not empty. Raises OSError."""
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield line


def see(both: Replay, value: bytes) -> None:
    """Decide one record, or count it as unreadable. Records of other types are passed over."""
    try:
        both.see(ReferralSubmitted.read(value))
    except ValidationError:
        both.unreadable()


async def _replay_topic(both: Replay, kafka: Kafka, topic: str, *, most: int, since: datetime | None) -> None:
    seen = 0
    async for value in past_submissions(kafka, topic, most=most, since=since):
        see(both, value)
        seen += 1
        if seen % 5_000 == 0:
            say(f"{seen} submissions")


async def past_submissions(
    kafka: Kafka, topic: str, *, most: int, since: datetime | None = None
) -> AsyncIterator[bytes]:
    """The newest submissions of a topic up to this moment, by partition and offset: no more than `most`.

    It belongs to no group and commits nothing. Raises KafkaError, or PasswordMissing.
    """
    consumer = AIOKafkaConsumer(**kafka.client(READER), enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        if since is not None:
            at = int(since.timestamp() * 1000)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, at))
            begins = {one: found[one].offset if found[one] is not None else ends[one] for one in partitions}
        starts = newest(begins, ends, most)
        left = {partition for partition in partitions if starts[partition] < ends[partition]}
        for partition, start in starts.items():
            consumer.seek(partition, start)
        while left:
            batches = await consumer.getmany(*left, timeout_ms=500, max_records=500)
            for partition, records in batches.items():
                for record in records:
                    if record.offset < ends[partition] and _is_submission(record.headers):
                        yield record.value
            left = {partition for partition in left if await consumer.position(partition) < ends[partition]}
    finally:
        await consumer.stop()


def newest(begins: dict[Any, int], ends: dict[Any, int], most: int) -> dict[Any, int]:
    """Where to begin in each partition so that no more than `most` are read: each gives as many, or all that it has."""
    left, starts = most, {}
    by_size = sorted(begins, key=lambda one: ends[one] - begins[one])
    for place, partition in enumerate(by_size):
        share = min(ends[partition] - begins[partition], left // (len(by_size) - place))
        starts[partition] = ends[partition] - share
        left -= share
    return starts


def _is_submission(headers: Any) -> bool:
    return any(name == "type" and value == ReferralSubmitted.TYPE.encode() for name, value in headers)


def show(result: Replayed) -> None:
    """The result for people."""
    print(f"{result.submissions} submissions, {result.before} -> {result.after}")
    if result.unreadable:
        print(f"{result.unreadable} records are no submissions and were passed over")
    print("  " + ", ".join(f"{kind} {count}" for kind, count in result.differences.items()))
    for title, moved in (("acuity", result.acuity), ("disposition", result.disposition)):
        table = Table(title=None, box=None, pad_edge=False)
        for column in (title, "", "count"):
            table.add_column(column, justify="right" if column == "count" else "left")
        for one in moved:
            table.add_row(one.before, "unchanged" if one.before == one.after else f"-> {one.after}", str(one.count))
        out.print(table)
    print(f"less urgent: {len(result.less_urgent)}")
    for case in result.less_urgent:
        print(
            f"  {case.referral}  {case.presentation}: {case.before} ({case.minutes_before} min, {case.rule_before}) -> "
            f"{case.after} ({case.minutes_after} min, {case.rule_after})"
        )


def asked_in_words(asked: Asked) -> str:
    """A question with what may answer it, and where the answer goes."""
    answers = " | ".join(option.word for option in asked.options) or asked.unit or asked.kind
    return f"{asked.asks} [{answers}] {asked.pointer}"


def _types(types: tuple[NamedType, ...]) -> str:
    return ", then ".join(one.name for one in types) or "a clinician"


def _of_all(explained: ExplainedPresentation) -> list[str]:
    lines = [f"{explained.presentation}: {explained.name} ({explained.rule_pack})"]
    lines += [f"  asks  {asked_in_words(asked)}" for asked in explained.asks]
    lines.append("  The first that holds decides:")
    for number, step in enumerate(explained.steps, start=1):
        lines += _of_a_step(f"{number:3}. ", step)
    return lines


def _of_a_step(before: str, step: ExplainedStep) -> list[str]:
    where = "a clinician decides" if step.to_clinician else _types(step.service_types)
    lines = [
        f"{before}{step.rule}: {_when(step.when)}",
        f"       -> {step.acuity.replace('_', ' ')}: {step.disposition}: {where}",
        f"       {step.text} ({step.source})",
    ]
    lines += [f"       by way of {reason.rule}: {reason.text}" for reason in step.led_by]
    lines.append(
        "       never decides: what comes before it always does"
        if step.fires_with is None
        else "       decides, for example, with "
        + (", ".join(f"{fact} {word}" for fact, word in step.fires_with.items()) or "anything else")
    )
    return lines


def _when(words: dict[str, tuple[str, ...]]) -> str:
    return " and ".join(f"{fact} is {' or '.join(said)}" for fact, said in words.items()) or "always"


def _of_a_rule(explained: ExplainedRule) -> list[str]:
    lines = [
        f"{explained.rule} ({explained.rule_pack})",
        f"  {explained.text}",
        f"  source  {explained.source}",
        f"  holds   {_when(explained.when)}",
    ]
    if explained.marks is not None:
        lines.append(f"  It marks {explained.marks} for a clinician, and changes nothing.")
    for standing in explained.stands:
        lines.append(f"  In {standing.presentation}:")
        for step in standing.steps:
            lines += _of_a_step("     ", step)
    return lines
