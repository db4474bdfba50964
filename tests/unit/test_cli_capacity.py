"""What `onward capacity` shows."""

from services.cli.capacity import in_words, lines_of

REPORT = {
    "version": 7,
    "capacity": "red",
    "reported_at": "2026-07-14T12:00:00Z",
    "resets_at": "2026-07-14T16:00:00Z",
    "reported_by": "ONW02",
    "practitioner": "P1",
    "role": "site manager",
    "notes": "No beds.",
}


def test_history_is_shown_in_londons_time() -> None:
    """Status with its age, who said so, and how to see more."""
    of_others = REPORT | {"version": 6, "capacity": "green", "practitioner": None, "role": None, "notes": None}
    history = {
        "service_id": "S1",
        "status": "red",
        "since": REPORT["reported_at"],
        "until": REPORT["resets_at"],
        "reports": [REPORT, of_others],
        "before": 6,
    }
    assert [
        "S1: red since 13:00 on 14 July, until 17:00 on 14 July",
        "     7  13:00 on 14 July  red    by ONW02, P1, site manager: No beds.",
        "     6  13:00 on 14 July  green  by ONW02",
        "  older ones: --before 6",
    ] == lines_of(history)


def test_what_is_not_known_is_said() -> None:
    """Never reported, and run out."""
    assert ("unknown, it never reported", "unknown since 17:00 on 14 July") == (
        in_words("unknown", None, None),
        in_words("unknown", "2026-07-14T16:00:00Z", None),
    )
