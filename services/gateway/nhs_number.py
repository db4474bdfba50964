"""The NHS number's check digit."""


def check_digit_holds(nhs_number: str) -> bool:
    """Whether ten digits pass Modulus 11 (NHS Data Dictionary, NHS NUMBER).

    The first nine digits are weighted 10 to 2; the check digit is 11 less the sum modulo 11, where 11 is written 0 and
    10 makes the number invalid. Anything but ten digits fails.
    """
    if len(nhs_number) != 10 or not (nhs_number.isascii() and nhs_number.isdigit()):
        return False
    weighted = sum(weight * int(digit) for weight, digit in zip(range(10, 1, -1), nhs_number[:9], strict=True))
    check = 11 - weighted % 11
    return int(nhs_number[9]) == (0 if check == 11 else check)
