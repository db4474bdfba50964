"""The NHS number's check digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.nhs_number import check_digit_holds

NINE_DIGITS = st.text(alphabet="0123456789", min_size=9, max_size=9)
WEIGHTS = (10, 9, 8, 7, 6, 5, 4, 3, 2)


@pytest.mark.parametrize("number", ["9434765919", "9000000009", "9999999999"])
def test_known_numbers_hold(number: str) -> None:
    """Test numbers whose check digit was worked out by hand hold; the first is the data dictionary's own example."""
    assert True is check_digit_holds(number)


@pytest.mark.parametrize("number", ["9434765918", "9000000000", "123", "94347659190", "943476591X", "943476591²", ""])
def test_what_is_not_a_number_of_ten_digits_with_its_check_fails(number: str) -> None:
    """A wrong check digit, another length or another character fails without raising."""
    assert False is check_digit_holds(number)


@given(NINE_DIGITS)
def test_at_most_one_check_digit_holds(first: str) -> None:
    """Of the ten check digits one holds, and none where eleven less the remainder would be ten."""
    expected = 0 if sum(w * int(d) for w, d in zip(WEIGHTS, first, strict=True)) % 11 == 1 else 1
    assert expected == sum(check_digit_holds(first + digit) for digit in "0123456789")


@given(NINE_DIGITS, st.sampled_from("0123456789"))
def test_a_number_that_holds_sums_to_a_multiple_of_eleven(first: str, check: str) -> None:
    """Weighted 10 to 1, the check digit included, the digits sum to a multiple of eleven exactly when it holds."""
    total = sum(w * int(d) for w, d in zip((*WEIGHTS, 1), first + check, strict=True))
    assert (total % 11 == 0) == check_digit_holds(first + check)


@given(NINE_DIGITS, st.integers(0, 9), st.integers(1, 9))
def test_one_digit_mistyped_is_found(first: str, place: int, shift: int) -> None:
    """No number that holds still holds with one digit replaced by another."""
    for check in "0123456789":
        number = first + check
        if check_digit_holds(number):
            wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
            assert False is check_digit_holds(wrong)
