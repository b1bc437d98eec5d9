"""What of a choice names columns, looked up among those of a store."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.balance import Balance
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.columns import OWN, Column, FrameColumns, KnownColumns
from coreframe.tasks.select.expression import FRAME, Condition
from coreframe.tasks.store.columns import Kind

COUNTED = (Kind.NUMBER, Kind.BOOLEAN)
"""What can be compared and preferred; of booleans true is 1 and false 0."""


@dataclass(frozen=True)
class Wishes:
    """Options of a choice with the columns that they name."""

    minimum: tuple[tuple[Column, float], ...]
    maximum: tuple[tuple[Column, float], ...]
    where: Condition | None
    prefer: tuple[tuple[Column, float], ...]
    """With the strength, from -1 to 1."""
    balance: tuple[tuple[Balance, Column, Column | None], ...]
    """With the column of the classes, and that by which one of several rows counts."""

    @classmethod
    def of(cls, choice: Choice, known: KnownColumns) -> "Wishes":
        """Look the columns up.

        Raises:
            UsageError: there is no such column, or it is of another kind; or the condition cannot
                be read.
        """
        return cls(
            minimum=tuple(
                (known.find(name, "min", *COUNTED), least) for name, least in choice.minimum.items()
            ),
            maximum=tuple(
                (known.find(name, "max", *COUNTED), most) for name, most in choice.maximum.items()
            ),
            where=None if choice.where is None else known.condition(choice.where),
            prefer=tuple(
                (known.find(name, "prefer", *COUNTED), strength)
                for name, strength in choice.preferences.items()
            ),
            balance=tuple(_balanced(balance, known) for balance in choice.balance),
        )

    @property
    def read(self) -> set[str]:
        """The columns of the frames table that all of it takes."""
        found = [column for column, _ in (*self.minimum, *self.maximum, *self.prefer)]
        for _, column, by in self.balance:
            found += [column] if by is None else [column, by]
        names = {name for column in found for name in column.read}
        if self.where is not None:
            own = self.where.reads.get(FRAME, [])
            names |= {one for name in own for one in Column(FRAME, name, Kind.NUMBER).read}
        return names

    def refuse_unknown(self, columns: FrameColumns) -> None:
        """Refuse to prefer or to balance what no frame has, as the hour of files without a date.

        Raises:
            UsageError: naming it.
        """
        wanted = [("prefer", column) for column, _ in self.prefer]
        wanted += [("balance", column) for _, column, _ in self.balance]
        for option, column in wanted:
            own = column.table == FRAME and column.kind is Kind.NUMBER
            if own and len(columns) and np.isnan(columns.largest(column)).all():
                raise UsageError(
                    f"{option} {column.name}: no frame has {column.name}"
                    + (": no video's file says when it was made." if column.name == "hour" else ".")
                )

    def met(self, columns: FrameColumns) -> NDArray[np.bool_]:
        """(n,) whether each frame is within all limits and meets the condition.

        Of frames with several rows any of them may be that is within a limit.
        """
        met = np.ones(len(columns), bool)
        for column, least in self.minimum:
            largest = columns.largest(column)
            met &= largest >= np.asarray(least, largest.dtype)
        for column, most in self.maximum:
            smallest = columns.smallest(column)
            met &= smallest <= np.asarray(most, smallest.dtype)
        return met if self.where is None else met & columns.holds(self.where)


def none_within(choice: Choice, wishes: Wishes, columns: FrameColumns) -> str:
    """What is to be said where no frame is within the limits of a choice: how far each is off.

    Args:
        choice: what was asked for.
        wishes: what of it names columns.
        columns: their values.
    """
    spans = []
    limited = {one for one, _ in (*wishes.minimum, *wishes.maximum)}
    for column in sorted(limited | set(_own_numbers(wishes.where)), key=str):
        low, high = columns.smallest(column), columns.largest(column)
        if np.isnan(high).all():
            spans.append(f"no frame has {column.name}")
        elif column in limited:
            spans.append(f"{column.name} is {np.nanmin(low):.4g} to {np.nanmax(high):.4g}")
    if wishes.where is not None:
        spans.append(f"{int(columns.holds(wishes.where).sum()):,} meet where {choice.where}")
    return (
        f"none of the {len(columns):,} frames is within the limits of min, max and where "
        f"({', '.join(spans)}): loosen them."
    )


def _own_numbers(where: Condition | None) -> list[Column]:
    """Numbers that every frame has, or might, and a condition reads."""
    read = [] if where is None else where.reads.get(FRAME, [])
    return [Column(FRAME, name, Kind.NUMBER) for name in read if OWN[name] is Kind.NUMBER]


def _balanced(balance: Balance, known: KnownColumns) -> tuple[Balance, Column, Column | None]:
    column = known.find(balance.column, "balance", *Kind)
    if balance.max_by is None:
        return balance, column, None
    name = balance.max_by
    if column.table != FRAME and name in known.kinds[column.table]:
        name = f"{column.table}.{name}"
    by = known.find(name, "balance max-by", *COUNTED)
    if by.table != column.table or by.table == FRAME:
        raise UsageError(
            f"balance {balance.column}: max-by says which of a frame's several rows counts, and "
            f"{balance.max_by} is not of the same file: name a column that is."
        )
    return balance, column, by
