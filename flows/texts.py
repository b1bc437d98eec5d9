"""Texts that options take, and what is read of them."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from pydantic import AfterValidator

from coreframe.tasks.query.asked import parse_prefixed
from coreframe.tasks.select.balance import Balance


def fps(value: str) -> str:
    """Frames per second, as they are written."""
    try:
        above_zero = Fraction(value) > 0
    except (ValueError, ZeroDivisionError):
        above_zero = False
    if not above_zero:
        raise ValueError("must be a number above 0, such as 2, 0.5, 29.97 or 30000/1001")
    return value


def readable(read: Callable[[Any], object]) -> AfterValidator:
    """Keep the value as it is given, once it has been read."""

    def check(value: Any) -> Any:
        read(value)
        return value

    return AfterValidator(check)


def limits(given: list[str]) -> dict[str, float]:
    """Read ``COLUMN=VALUE`` texts."""
    return _numbers(given, "=", "must be a column, =, and a number: sharpness=0.02")


def strengths(given: list[str]) -> dict[str, float]:
    """Read ``COLUMN:STRENGTH`` texts."""
    return _numbers(given, ":", "must be a column, :, and a strength from -1 to 1: sharpness:0.3")


def _numbers(given: list[str], sign: str, refusal: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in given:
        column, _, value = text.rpartition(sign)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not column or not math.isfinite(number):
            raise ValueError(refusal)
        if column in found:
            raise ValueError(f"{column} is given twice: give one of them")
        found[column] = number
    return found


def balances(given: list[str]) -> tuple[Balance, ...]:
    """Read what is to be balanced; see :meth:`Balance.parse`."""
    return tuple(map(Balance.parse, given))


def each_query(given: list[str]) -> None:
    """Look at what can be said of queries without their files, which may be elsewhere, or gone."""
    for text in given:
        parse_prefixed(text)
