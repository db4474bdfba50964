"""What is accepted and marked."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.people import Position
from contracts.submissions import Submission
from services.gateway.marks import in_the_british_isles, marks_of
from tests.gateway_examples import NHS_NUMBER, submission

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def codes(**changes: Any) -> list[str]:
    """The codes of a submission's marks."""
    return [mark.code for mark in marks_of(Submission.model_validate_json(json.dumps(submission(**changes))), NOW)]


def test_an_ordinary_submission_has_no_marks() -> None:
    """Nothing unusual, nothing marked."""
    assert [] == codes()


def test_a_missing_nhs_number_is_marked() -> None:
    """A patient without a number is accepted, for a clinician to see."""
    assert ["nhs-number-missing"] == codes(patient={})


def test_a_wrong_check_digit_is_marked() -> None:
    """A number that fails its check digit is accepted, for a clinician to see."""
    assert ["nhs-number-check"] == codes(patient={"nhs_number": "9000000000"})


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        ({"value": 120}, []),
        ({"value": 121}, ["age-unusual"]),
        ({"value": 1440, "unit": "months"}, []),
        ({"value": 1453, "unit": "months"}, ["age-unusual"]),
        ({"value": 44195, "unit": "days"}, ["age-unusual"]),
    ],
)
def test_an_age_over_120_years_is_marked(age: dict[str, Any], expected: list[str]) -> None:
    """In whichever unit it is given."""
    assert expected == codes(patient={"nhs_number": NHS_NUMBER, "age": age})


def test_a_position_far_away_is_marked() -> None:
    """Latitude and longitude the wrong way round."""
    assert ["position-unusual"] == codes(position={"latitude": -1.61, "longitude": 54.97})


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [(49.18, -2.1), (60.8, -0.88), (52.07, -10.66), (52.48, 1.76), (49.9, -6.4), (54.0, -6.0)],
)
def test_the_edges_of_the_british_isles_are_inside(latitude: float, longitude: float) -> None:
    """Jersey, Unst, the Blaskets, Lowestoft, Scilly and Ulster."""
    assert True is in_the_british_isles(Position(latitude=latitude, longitude=longitude))


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(48.4, -4.5), (62.0, -6.8), (52.4, 4.9), (54.97, 161.0), (0.0, 0.0)]
)
def test_what_lies_around_them_is_outside(latitude: float, longitude: float) -> None:
    """Brest, the Faroes, Amsterdam, a longitude ten times too large, and nowhere."""
    assert False is in_the_british_isles(Position(latitude=latitude, longitude=longitude))


def test_marks_repeat_no_value() -> None:
    """A mark travels to screens and worklists: it points at the value and does not repeat it."""
    wrong = Submission.model_validate_json(
        json.dumps(submission(patient={"nhs_number": "9000000000", "age": {"value": 199}}))
    )
    said = " ".join(mark.text for mark in marks_of(wrong, NOW))
    assert ("/patient/nhs_number", "/patient/age") == tuple(mark.pointer for mark in marks_of(wrong, NOW))
    assert ("9000000000" in said, "199" in said) == (False, False)
