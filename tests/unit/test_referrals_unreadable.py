"""What a dead letter means to people: whose it is, until when, and what to do."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.chassis.dead_letters import DeadLetter, Death
from services.chassis.topics import readers_with_dead_letters
from services.referrals.unreadable import NOT_DONE, Kept, due_of, fault_of, referral_of, shown
from tests.recording import record_of
from tests.referrals_examples import placed

AT = datetime(2031, 3, 4, 3, 0, tzinfo=UTC)
EVENT = placed(uuid4())[2]
RECORD = record_of(EVENT)


def letter(value: bytes | None = RECORD.value, *, why: str = "no such service", topic: str = "t-placements") -> Kept:
    """A dead letter of booking."""
    deaths = (Death(why, f"{topic}/0/5"),)
    return Kept(7, DeadLetter("booking", AT, RECORD.key, value, tuple(RECORD.headers), deaths), None, None)


def test_every_reader_has_words_for_what_it_has_not_done() -> None:
    """A desk is told what to do, whichever service failed."""
    assert set(readers_with_dead_letters()) == set(NOT_DONE)


def test_somebody_must_look_within_a_quarter_of_an_hour_or_sooner() -> None:
    """A referral that is due sooner is looked at sooner."""
    assert AT + timedelta(minutes=15) == due_of(AT)
    assert AT + timedelta(minutes=4) == due_of(AT, AT + timedelta(minutes=4))
    assert AT + timedelta(minutes=15) == due_of(AT, AT + timedelta(days=1))


@pytest.mark.parametrize("key", [None, b"", b"S-1", b"\xff", b"0"])
def test_a_key_that_is_no_referrals_names_none(key: bytes | None) -> None:
    """Then it is an unreadable record, and the operator's."""
    assert referral_of(key) is None


def test_a_record_that_holds_against_its_contract_now_may_be_sent_again() -> None:
    """It says so, and that the reader's reason must be gone first."""
    said = shown(letter(), "t-")
    assert (None, "It holds against its contract. Send it again when what booking said is no longer so.") == (
        said.fault,
        said.advice,
    )


def test_a_bug_is_to_be_mended_first() -> None:
    """The record is not to blame."""
    said = shown(letter(why="a bug, 3 times alone: KeyError at diary.py:7"), "t-")
    assert "It holds against its contract; booking failed on it. Send it again when that is mended." == said.advice


@pytest.mark.parametrize(
    ("value", "topic", "fault"),
    [
        (b"junk", "t-placements", "/: Invalid JSON: expected value at line 1 column 1"),
        (None, "t-placements", "a record without a value (a tombstone) on a topic of facts"),
        (RECORD.value, "t-bookings", "its type is none of booking.confirmed"),
        (RECORD.value, "t-nothing", "no contract is told on the topic nothing"),
        (RECORD.value, "", "nothing says which topic it came on"),
    ],
)
def test_what_is_wrong_is_said(value: bytes | None, topic: str, fault: str) -> None:
    """And that it would fail again."""
    kept = letter(value, topic=topic)
    found = fault_of(kept.letter, "t-")
    assert found is not None
    assert found.startswith(fault)
    assert shown(kept, "t-").advice.startswith("It breaks its contract, and would again")


def test_content_that_is_no_text_is_shown_in_base64() -> None:
    """And said to be; a tombstone has no value at all."""
    odd, none = shown(letter(b"\xff\x00"), "t-"), shown(letter(None), "t-")
    assert [("/wA=", True), (None, False)] == [(one.value, one.value_is_base64) for one in (odd, none)]
