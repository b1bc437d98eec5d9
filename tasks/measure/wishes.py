"""What each wish cost: the selection that there would have been without it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.metrics import WishCost
from coreframe.tasks.select.choice import GREEDY, Choice
from coreframe.tasks.select.choose import chosen_instead
from coreframe.tasks.select.plan import PartitionsOf
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.without import without_each
from coreframe.tasks.store.store import Store

MOST_PAIRS = 2 * 10**9
"""Pairs of units and picks, of one selection, up to which it is made again for each wish."""


def wish_costs(
    store: Store,
    choice: Choice,
    selection: Selection,
    radius_of: Callable[[NDArray[np.int64]], float],
    partitions_of: PartitionsOf,
) -> list[WishCost]:
    """Of each wish the largest gap with and without it, at the same number of units.

    Args:
        store: that was chosen from.
        choice: with the wishes.
        selection: what it came to.
        radius_of: gives the covering radius, L2, of some units.
        partitions_of: splits units.
    """
    others = without_each(choice)
    if choice.method not in GREEDY or not others or not len(selection.chosen):
        return []
    radius, added = radius_of(selection.chosen), selection.added
    held = selection.chosen[: len(selection.chosen) - len(added)]
    costs = []
    for wish, other in others.items():
        without = None
        if len(selection.units) * len(added) <= MOST_PAIRS:
            try:
                instead = chosen_instead(
                    store, other, held, len(added), partitions_of, lambda *_: selection.derived
                )
                without = radius_of(instead)
            except UsageError:  # without it, another one asks for too much
                pass
        costs.append(WishCost(wish=wish, radius=radius, radius_without=without))
    return costs
