"""Classes of frames, and in which shares they are to be chosen."""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import isnan

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError

UNIFORM, INPUT = "uniform", "input"

NO_VALUE = "(no value)"
"""The class of frames of which nothing is said."""

MOST_NUMBERS = 24
"""Up to so many different numbers are classes of their own, such as hours of a day."""

BINS = 10
"""More than that are put into so many bins of equal width."""


@dataclass(frozen=True)
class Balance:
    """Which column's classes are to be chosen in which shares."""

    column: str
    max_by: str | None = None
    """Of several rows a frame that with the largest value of this column counts."""
    bins: int | None = None
    """Into which numbers are put; None for BINS where there are many."""
    shares: str = UNIFORM
    """``uniform``, all classes alike; ``input``, as among the frames that may be chosen; or a CSV
    file with a class and its share on each line."""

    @classmethod
    def parse(cls, text: str) -> "Balance":
        """Read ``COL[:max-by=COL2][:bins=N][=uniform|input|FILE]``.

        Raises:
            ValueError: it is not that.
        """
        found = re.fullmatch(
            r"(?P<column>[^:=]+)(:max-by=(?P<by>[^:=]+))?(:bins=(?P<bins>[0-9]+))?(=(?P<shares>.+))?",
            text,
            re.DOTALL,
        )
        if found is None or (found["bins"] and not 2 <= int(found["bins"]) <= 1000):
            raise ValueError(
                "must be a column and, where that is wanted, :max-by=COLUMN, :bins=N (2 to 1000), "
                "and =uniform, =input or =FILE of shares: weather=uniform"
            )
        bins = int(found["bins"]) if found["bins"] else None
        return cls(found["column"], found["by"], bins, found["shares"] or UNIFORM)

    def file_shares(self) -> dict[str, Fraction] | None:
        """The shares that its file gives, None where there is no file.

        Raises:
            UsageError: it cannot be read.
        """
        if self.shares in (UNIFORM, INPUT):
            return None
        return _read_shares(self.shares)


@dataclass(frozen=True)
class ClassTable:
    """The classes of what can be chosen.

    Attributes:
        names: of each class, in their order.
        of: (u,) int64, the class of each unit that may be chosen; -1 of others.
        shares: of each class; they need not add up to one.
    """

    names: tuple[str, ...]
    of: NDArray[np.int64]
    shares: tuple[Fraction, ...]


def form_classes(
    balances: Sequence[Balance],
    values: Sequence[NDArray[np.object_]],
    members: NDArray[np.int64],
    eligible: NDArray[np.bool_],
) -> ClassTable:
    """Find the classes of units; of several columns each combination is one.

    The share of a combination is the product of the shares of its parts.

    Args:
        balances: what is asked for.
        values: for each, the (n,) value of each frame: text, boolean, number, or None.
        members: (u, length) the frames of each unit. Its value is the most frequent of theirs, of
            equally frequent ones the first.
        eligible: (u,) whether each may be chosen.

    Raises:
        UsageError: a file of shares cannot be read, or gives nothing to any class there is.
    """
    parts = [
        _classes_of(balance, _of_units(one, members), eligible)
        for balance, one in zip(balances, values, strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    codes = np.stack([part.of for part in parts], axis=1)
    found, of = np.unique(codes[eligible], axis=0, return_inverse=True)
    every = np.full(len(eligible), -1, np.int64)
    every[eligible] = of.reshape(-1)
    names, shares = [], []
    for combination in found.tolist():
        names.append(" & ".join(p.names[c] for p, c in zip(parts, combination, strict=True)))
        share = Fraction(1)
        for part, code in zip(parts, combination, strict=True):
            share *= part.shares[code]
        shares.append(share)
    return ClassTable(tuple(names), every, tuple(shares))


def _of_units(values: NDArray[np.object_], members: NDArray[np.int64]) -> NDArray[np.object_]:
    if members.shape[1] == 1:
        return values[members[:, 0]]
    found: NDArray[np.object_] = np.full(len(members), None, object)
    for unit, own in enumerate(values[members].tolist()):
        counts = Counter(own)
        most = max(counts.values())
        found[unit] = min((one for one, n in counts.items() if n == most), key=_order)
    return found


def _order(value: object) -> tuple[bool, float, str]:
    """Nothing first, then numbers by size and text by letters."""
    number = float(value) if isinstance(value, bool | int | float) else 0.0
    return value is not None, number, "" if value is None else str(value)


def _classes_of(
    balance: Balance, values: NDArray[np.object_], eligible: NDArray[np.bool_]
) -> ClassTable:
    codes, distinct = pd.factorize(values)  # -1 for no value
    plain = [*map(_plain, distinct), None]
    there = np.unique(codes[eligible]).tolist()
    names = _named(balance, [plain[code] for code in there])
    own = [names[one] for one in sorted((plain[code] for code in there), key=_order)]
    given = _by_value(balance.file_shares(), [plain[code] for code in there])
    number = {name: place for place, name in enumerate(dict.fromkeys([*own, *(given or {})]))}
    of_code = np.full(len(plain), -1, np.int64)
    of_code[there] = [number[names[plain[code]]] for code in there]
    of = np.where(eligible, of_code[codes], -1)
    if given is not None:
        shares = [given.get(name, Fraction(0)) for name in number]
        if not any(given.get(name) for name in own):
            raise UsageError(
                f"balance {balance.column}: {balance.shares} gives no share to any class that may "
                f"be chosen: these are {', '.join(sorted(set(own))[:9])}."
            )
    elif balance.shares == INPUT:
        counts = np.bincount(of[eligible], minlength=len(number)).tolist()
        shares = [Fraction(count, sum(counts)) for count in counts]
    else:
        shares = [Fraction(1, len(number))] * len(number)
    return ClassTable(tuple(number), of, tuple(shares))


def _plain(value: object) -> object:
    """A value with numbers as floats, and what is none as None."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    return None if isinstance(value, float) and isnan(value) else value


def _named(balance: Balance, values: Sequence[object]) -> Mapping[object, str]:
    """The class of each value there is."""
    distinct = sorted(set(values), key=_order)
    numbers = [
        one for one in distinct if isinstance(one, int | float) and not isinstance(one, bool)
    ]
    names: dict[object, str] = {None: NO_VALUE}
    for one in distinct:
        if isinstance(one, bool):
            names[one] = "true" if one else "false"
        elif one is not None:
            names[one] = f"{one:.15g}" if isinstance(one, float) else str(one)
    bins = balance.bins or (BINS if len(numbers) > MOST_NUMBERS else None)
    if bins and numbers:
        edges = np.linspace(float(numbers[0]), float(numbers[-1]), bins + 1)
        found = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, bins - 1)
        shown = _told_apart(edges)
        for one, place in zip(numbers, found.tolist(), strict=True):
            names[one] = f"{shown[place]} to {shown[place + 1]}"
    return names


def _told_apart(edges: NDArray[np.float64]) -> list[str]:
    """Edges of bins, of six digits, or of as many as it takes for bins to have names of their own.

    Seconds since 1970 and degrees of latitude differ late.
    """
    for digits in range(6, 18):
        rounded = [float(f"{edge:.{digits}g}") + 0.0 for edge in edges.tolist()]  # -0 is 0
        shown = [f"{edge:.{max(15, digits)}g}" for edge in rounded]
        if len(set(shown)) == len(set(edges.tolist())):
            break
    return shown


def _by_value(
    given: dict[str, Fraction] | None, values: Sequence[object]
) -> dict[str, Fraction] | None:
    """Shares by the names of classes: ``True`` is true, ``07.0`` is 7, where values are such."""
    there = [one for one in values if one is not None]
    if given is None or not there or any(isinstance(one, str) for one in there):
        return given
    booleans = all(isinstance(one, bool) for one in there)
    found: dict[str, Fraction] = {}
    for name, share in given.items():
        same = name
        if booleans and name.lower() in ("true", "false"):
            same = name.lower()
        elif not booleans:
            with suppress(ValueError):
                same = f"{float(name):.15g}"
        found[same] = found.get(same, Fraction(0)) + share
    return found


def _read_shares(file: str) -> dict[str, Fraction]:
    try:
        with open(file, newline="", encoding="utf-8-sig") as opened:
            lines = [line for line in csv.reader(opened, skipinitialspace=True) if line]
    except (OSError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot read the shares in {file}: {reason}.") from error
    found: dict[str, Fraction] = {}
    titled = False
    for number, line in enumerate(lines):
        try:
            name, share = (cell.strip() for cell in line)
            found[name] = Fraction(share)
            sound = found[name] >= 0 and len(found) == number + 1 - titled
        except (ValueError, ZeroDivisionError):
            titled = sound = number == 0 and not re.search("[0-9]", line[-1])  # names of columns
        if not sound:
            raise UsageError(
                f"{file}: line {number + 1} is not a class and its share, once each, such as "
                "`rain,0.25`."
            )
    if not any(found.values()):
        raise UsageError(f"{file} gives no class a share above 0.")
    return found
