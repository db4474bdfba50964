"""Answers become words: each band to its limit, included; what cannot be counts as not given, with a mark."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.triage.questions import UNKNOWN
from services.triage.rule_pack import load
from services.triage.settings import SHIPPED

QUESTIONS = load(SHIPPED).questions
NOW = datetime(2026, 3, 2, 16, 40, tzinfo=UTC)


def ago(**time: float) -> str:
    """A time so long before the submission was received."""
    return (NOW - timedelta(**time)).isoformat()


@pytest.mark.parametrize(
    ("word", "question", "answer"),
    [
        ("in-60", "transfer_minutes", 0),
        ("in-60", "transfer_minutes", 60),
        ("in-120", "transfer_minutes", 60.5),
        ("in-120", "transfer_minutes", 120),
        ("longer", "transfer_minutes", 121),
        ("longer", "transfer_minutes", 600),
        (UNKNOWN, "transfer_minutes", "unknown"),
        ("in-4h30", "onset", ago(minutes=0)),
        ("in-4h30", "onset", ago(minutes=270)),
        ("in-12h", "onset", ago(minutes=271)),
        ("in-12h", "onset", ago(hours=12)),
        ("in-24h", "onset", ago(hours=24)),
        ("later", "onset", ago(hours=24, seconds=1)),
        ("later", "onset", "0001-01-01T00:00:00+14:00"),
        ("in-4h30", "onset", "2026-03-02T17:30:00+01:00"),
        ("in-4h30", "onset", ago(minutes=-5)),
        (UNKNOWN, "onset", "unknown"),
        ("yes", "struck_head", "yes"),
        (UNKNOWN, "struck_head", "unknown"),
        ("st-elevation", "ecg", "st-elevation"),
        (UNKNOWN, "ecg", "unknown"),
        ("high", "ketones_mmol_per_l", 3),
        ("raised", "ketones_mmol_per_l", 2.9),
        ("very-high", "glucose_mmol_per_l", 30),
    ],
)
def test_an_answer_is_a_word(word: str, question: str, answer: Any) -> None:
    """And nothing is odd about it."""
    assert (word, None) == QUESTIONS[question].read(answer, NOW)


@pytest.mark.parametrize(
    ("code", "question", "answer"),
    [
        ("implausible-answer", "transfer_minutes", -1),
        ("implausible-answer", "transfer_minutes", 601),
        ("time-in-the-future", "onset", ago(minutes=-6)),
        ("answer-unusable", "transfer_minutes", "yes"),
        ("answer-unusable", "onset", "yes"),
        ("answer-unusable", "onset", 7),
        ("answer-unusable", "struck_head", 1),
        ("answer-unusable", "struck_head", "perhaps"),
        ("answer-unusable", "ecg", "yes"),
    ],
)
def test_what_cannot_be_is_not_believed(code: str, question: str, answer: Any) -> None:
    """It counts as not given; the mark does not repeat it."""
    word, oddity = QUESTIONS[question].read(answer, NOW)
    assert (UNKNOWN, code) == (word, oddity and oddity[0])
    assert oddity is not None
    assert str(answer) not in oddity[1].split()
