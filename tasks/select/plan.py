"""What may be chosen of a store and how much of it, settled before any method chooses."""

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.kcenter.goal import Classes, Goal, Quota
from coreframe.tasks.kcenter.job import Before
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.tuning import Tuning
from coreframe.tasks.select.balance import ClassTable
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.crops import Crops
from coreframe.tasks.select.kept import KeptCenters
from coreframe.tasks.select.units import Derive, Formed, Units, units_of
from coreframe.tasks.select.wishes import none_within
from coreframe.tasks.store.settings import Place
from coreframe.tasks.store.store import Store


class PartitionsOf(Protocol):
    """Gives the partitions of units of a store, for as long as a context lasts."""

    def __call__(
        self,
        store: Store,
        rows: NDArray[np.int64],
        *,
        length: int,
        weight: NDArray[np.int64] | None,
        group: NDArray[np.int32] | None,
        before: Before | None,
        tuning: Tuning,
        place: Place,
    ) -> AbstractContextManager[BasePartitions]:
        """Split units; see :class:`coreframe.tasks.kcenter.on_dask.DaskPartitions`."""
        ...


@dataclass(frozen=True)
class HeldCenters:
    """Centers that exist before a selection which is not kept."""

    rows: NDArray[np.int64]

    @property
    def before(self) -> Before | None:
        """See :class:`coreframe.tasks.select.kept.KeptCenters`."""
        none = np.empty(0, np.int64)
        return Before(saved=None, gone=none, added=self.rows) if len(self.rows) else None


@dataclass(frozen=True)
class Plan:
    """What may be chosen and how much of it, settled before any method chooses.

    So methods differ in nothing else; see `coreframe.tasks.select.units` for the order in which
    options take effect.
    """

    store: Store
    choice: Choice
    formed: Formed
    kept: "KeptCenters | HeldCenters"
    asked: int | None
    """Frames that the budget asks for; None when it sets no number."""
    available: int
    """Units that may be chosen and are not."""
    wanted: int
    """Units to be chosen, perhaps more than there are."""

    @property
    def units(self) -> Units:
        """What can be chosen."""
        return self.formed.units

    @property
    def n(self) -> int:
        """Units to be chosen at most."""
        return min(self.wanted, self.available)

    @property
    def frames(self) -> int:
        """Frames to be chosen at most."""
        return self.n * self.units.length

    @cached_property
    def choosable_crops(self) -> Crops | None:
        """The objects that may be picked, where frames are chosen by them."""
        crops = self.formed.crops
        return None if crops is None else crops.within(self.units.choosable)

    def of_each(self, values: NDArray[Any]) -> NDArray[Any]:
        """What is said of each unit, (u,), of each that may be picked, or of each such object."""
        crops, units = self.choosable_crops, self.units
        return values[units.eligible] if crops is None else crops.like(units.rows, values)


def plan_selection(store: Store, choice: Choice, derive: Derive) -> Plan:
    """Look up what of a store may be chosen.

    Args:
        store: to choose from.
        choice: what is asked for.
        derive: computes of vectors what the choice needs.

    Raises:
        UsageError: nothing may be, or an option names what the corpus does not hold.
    """
    formed = units_of(store, choice, derive=derive)
    units, decodable = formed.units, len(formed.frames)
    asked = choice.budget.asked(decodable)
    kept = KeptCenters(store, choice, units)
    available = int((units.eligible & ~np.isin(units.rows, kept.rows)).sum())
    nothing_shown = len(units) > 0 and not (units.shown | units.odd).any()
    if nothing_shown or (available == 0 and len(kept.rows) == 0):
        raise UsageError(_why_nothing(choice, formed))
    wanted = available
    if asked is not None:
        wanted = max(0, max(1, asked // units.length) - kept.counted)
    return Plan(store, choice, formed, kept, asked, available, wanted)


def _why_nothing(choice: Choice, formed: Formed) -> str:
    units, wishes, columns = formed.units, formed.wishes, formed.columns
    if len(units) == 0:
        return (
            f"no video has {choice.sequence_length} consecutive sampled frames that can all be "
            "decoded: ask for a smaller sequence-length."
        )
    if not (units.shown | units.odd).any():
        return (
            f"none of the {len(columns):,} frames shows anything (each is black, or of one "
            "colour): --keep-flat chooses from them all the same."
        )
    if choice.objects and not choice.limits:
        return (
            f"none of the {len(columns):,} frames may be chosen and has an object: give the store "
            "boxes in others with `coreframe objects`."
        )
    return none_within(choice, wishes, columns)


def goal_of(plan: Plan) -> Goal:
    """When the selection is done, in units.

    Raises:
        UsageError: the budget is less than the least number of every video.
    """
    choice, units, n = plan.choice, plan.units, plan.n
    quota = None
    least, most = -(-choice.min_per_video // units.length), None
    if choice.max_per_video is not None:
        most = choice.max_per_video // units.length
    if least or most is not None or units.classes is not None:
        video = units.video[units.eligible].astype(np.int64)
        held = np.isin(units.rows, plan.kept.rows)
        taken = Counter(units.video[held].tolist())
        classes = None if units.classes is None else _classes(plan, units.classes, held)
        rows = units.choosable if plan.choosable_crops is None else plan.choosable_crops.objects
        own = plan.of_each(units.video).astype(np.int64)
        quota = Quota(most, least, rows, own, taken, classes)
        eligible = Counter(video.tolist())
        needed = sum(max(0, min(least, eligible[v]) - taken[v]) for v in eligible)
        if n < needed:
            raise UsageError(
                f"min-per-video {choice.min_per_video} needs {needed * units.length:,} frames of "
                f"the {len(eligible):,} videos, and the budget allows {n * units.length:,}: ask "
                "for fewer of each, or for more in all."
            )
    budget = choice.budget
    thresholds = budget.squared_min_distance, budget.squared_radius
    crops = plan.choosable_crops
    groups = None if crops is None else crops.groups
    return Goal(n, *thresholds, quota, units.substitutes, groups)


def _classes(plan: Plan, table: ClassTable, held: NDArray[np.bool_]) -> Classes:
    """The classes of what may be picked, and how many units of each there are.

    Args:
        plan: what may be chosen.
        table: the classes of its units.
        held: (u,) which of these were chosen before.
    """
    eligible, count = plan.units.eligible, len(table.names)
    taken = np.bincount(table.of[held & eligible], minlength=count).tolist()
    free = np.bincount(table.of[~held & eligible], minlength=count).tolist()
    return Classes(plan.of_each(table.of), table.shares, tuple(taken), tuple(free))
