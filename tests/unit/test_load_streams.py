"""Requests: what becomes of each in the journal."""

from pathlib import Path

from loadtests.client import Reply
from loadtests.journal import Entry, Journal, read
from loadtests.streams import Requests

PENDING = Reply(202, b'{"referral_id": "11111111-2222-4333-8444-555555555555"}')


async def test_what_nobody_knows_the_end_of_is_asked_again_under_its_key(tmp_path: Path) -> None:
    """It stays a failure in the figures, and its referral is known."""
    replies = [Reply(0, b"", "ServerDisconnectedError"), Reply(429, b"{}"), PENDING]
    asked: list[tuple[str, int]] = []

    async def ask(entry: Entry, number: int) -> Reply:
        asked.append((entry.id, number))
        return replies.pop(0)

    journal = Journal.begin(tmp_path / "journal.jsonl")
    requests = Requests(journal, "refer", "transaction", ask)
    entry = await requests.one(7, 0.0)
    await requests.ask_again()
    journal.close()
    assert [(entry.id, 7)] * 3 == asked
    assert ("failed", "11111111-2222-4333-8444-555555555555") == (entry.fate, entry.referral)
    assert ["failed"] == [one.fate for one in read(tmp_path / "journal.jsonl")]


async def test_what_was_answered_is_not_asked_again(tmp_path: Path) -> None:
    """Nor what was refused; the journal knows how many there are of each fate."""
    replies = [PENDING, Reply(429, b"{}")]

    async def ask(_entry: Entry, _number: int) -> Reply:
        return replies.pop(0)

    journal = Journal.begin(tmp_path / "journal.jsonl")
    requests = Requests(journal, "refer", "transaction", ask)
    fates = [(await requests.one(number, 0.0)).fate for number in range(2)]
    await requests.ask_again()
    assert ["taken", "refused"] == fates
    assert {"taken": 1, "refused": 1, "under_way": 0} == journal.fates["refer"]
