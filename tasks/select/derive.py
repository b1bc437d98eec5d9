"""What a choice needs of frames that is computed of their vectors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.query.scores import ScoresOf, scores_here
from coreframe.tasks.query.vectors import resolve
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.units import LIKE, Derive, Derived
from coreframe.tasks.store.store import Store


def deriving(scores_of: ScoresOf = scores_here) -> Derive:
    """Compute it by given means; see :class:`coreframe.tasks.select.units.Derive`.

    Args:
        scores_of: tells how much frames are like the choice's queries.
    """

    def derive(store: Store, choice: Choice, rows: NDArray[np.int64]) -> Derived:
        found: dict[str, NDArray[Any]] = {}
        if choice.by_query:
            wish = resolve(store, choice.like, choice.unlike)
            found[LIKE] = scores_of(store, rows, wish)
        return found

    return derive
