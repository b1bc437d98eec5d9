"""What a choice needs of frames that is computed of their vectors."""

from typing import Any

import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.kcenter.local import local_partitions
from coreframe.tasks.neighbours.find import PartitionsOf
from coreframe.tasks.neighbours.typical import Bar, density, no_bar
from coreframe.tasks.query.scores import ScoresOf, scores_here
from coreframe.tasks.query.vectors import resolve
from coreframe.tasks.select.choice import NEIGHBOURS, TYPICAL, Choice
from coreframe.tasks.select.units import LIKE, Derive, Derived
from coreframe.tasks.store.store import Store


def deriving(
    scores_of: ScoresOf = scores_here,
    partitions_of: PartitionsOf = local_partitions,
    bar: Bar = no_bar,
) -> Derive:
    """Compute it by given means; see :class:`coreframe.tasks.select.units.Derive`.

    Args:
        scores_of: tells how much frames are like the choice's queries.
        partitions_of: splits the corpus where it must be found how typical frames are.
        bar: shows how far that is.
    """

    def derive(store: Store, choice: Choice, frames: pd.DataFrame) -> Derived:
        found: dict[str, NDArray[Any]] = {}
        rows = frames["row"].to_numpy()
        if choice.by_query:
            wish = resolve(store, choice.like, choice.unlike)
            found[LIKE] = scores_of(store, rows, wish)
        if choice.needs_typical:
            digests, k = frames["digest"].to_numpy(), choice.neighbours or NEIGHBOURS
            found[TYPICAL] = density(store, rows, digests, k, partitions_of, bar).typical
        return found

    return derive
