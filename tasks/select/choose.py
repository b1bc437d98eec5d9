"""Choose frames from what a store holds, wherever the partitions of its corpus are."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.facility.greedy import facility_location
from coreframe.tasks.kcenter.apportion import apportion
from coreframe.tasks.kcenter.goal import Classes, Goal, PickedRows, Quota, StoppedBy
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.job import Before, StoredUnits
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.select.baselines import (
    baseline_rows,
    distances_in_order,
    keep_apart,
)
from coreframe.tasks.select.choice import GREEDY, Choice, Method
from coreframe.tasks.select.kept import CENTER_COLUMNS, KeptCenters
from coreframe.tasks.select.result import ClassCount, Selection
from coreframe.tasks.select.units import Derive, Formed, Units, unit_reader, units_of
from coreframe.tasks.store.corpus import FRAME_COLUMNS
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
    ) -> AbstractContextManager[BasePartitions]:
        """Split units; see :class:`coreframe.tasks.kcenter.on_dask.DaskPartitions`."""
        ...


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


def choose(
    plan: Plan,
    partitions_of: PartitionsOf,
    advance: Callable[[int], None] = lambda _: None,
    tuning: Tuning = DEFAULT_TUNING,
) -> Selection:
    """Choose frames by the method asked for.

    Args:
        plan: what may be chosen.
        partitions_of: splits the units that may be; asked for by the greedy methods only.
        advance: called with every number of frames just chosen.
        tuning: how the coreset is found; it changes nothing of what is chosen.

    Raises:
        UsageError: this corpus cannot give what is asked for.
    """
    units, kept = plan.units, plan.kept
    assert isinstance(kept, KeptCenters)
    if plan.choice.method in GREEDY:
        picks, centers, frames = _greedy(plan, partitions_of, advance, tuning)
    else:
        picks = _baseline_picks(plan)
        centers = kept.followed_by(picks)
        frames = _frames_of(centers, units, plan.store)
        advance(plan.frames)
    stopped_by = picks.stopped_by
    if stopped_by is StoppedBy.N and (plan.asked is None or plan.wanted > plan.available):
        stopped_by = StoppedBy.EXHAUSTED
    return Selection(
        frames=frames,
        chosen=centers["row"].to_numpy(),
        units=units,
        decodable=len(plan.formed.frames),
        derived=plan.formed.derived,
        asked=plan.asked,
        kept=len(kept.rows) * units.length,
        gone=len(kept.gone) * units.length,
        absent=int((~np.isin(kept.rows, units.rows)).sum()) * units.length,
        stopped_by=stopped_by,
        passes=picks.passes,
        distances_formed=picks.distances_formed,
        rough_distances_formed=picks.rough_distances_formed,
        classes=_class_counts(units, centers["row"].to_numpy(), kept.counted + plan.n),
    )


@dataclass(frozen=True)
class HeldCenters:
    """Centers that exist before a selection which is not kept."""

    rows: NDArray[np.int64]

    @property
    def before(self) -> Before | None:
        """See :class:`coreframe.tasks.select.kept.KeptCenters`."""
        none = np.empty(0, np.int64)
        return Before(saved=None, gone=none, added=self.rows) if len(self.rows) else None


def chosen_instead(
    store: Store,
    choice: Choice,
    held: NDArray[np.int64],
    n: int,
    partitions_of: PartitionsOf,
    derive: Derive,
    tuning: Tuning = DEFAULT_TUNING,
) -> NDArray[np.int64]:
    """The units that another choice would give, without keeping anything.

    Args:
        store: to choose from.
        choice: by a greedy method; what of it names earlier frames does not count.
        held: (h,) units that are chosen already.
        n: units to be added at most.
        partitions_of: splits units.
        derive: computes of vectors what the choice needs.
        tuning: how they are found.

    Raises:
        UsageError: the corpus cannot give what is asked for.
    """
    formed = units_of(store, choice, derive=derive)
    units = formed.units
    free = int((units.eligible & ~np.isin(units.rows, held)).sum())
    plan = Plan(store, choice, formed, HeldCenters(held), None, free, n)
    with _partitions(plan, goal := _goal(plan), partitions_of, tuning) as parts:
        return np.concatenate([held, _picks(plan, goal, parts, lambda _: None, tuning).rows])


def _class_counts(units: Units, chosen: NDArray[np.int64], wanted: int) -> list[ClassCount]:
    """How many of each class were chosen, and were to be, of so many in all."""
    if units.classes is None:
        return []
    names, of, shares = units.classes.names, units.classes.of, units.classes.shares
    none, any_number = [0] * len(names), [wanted] * len(names)
    asked = apportion(wanted, shares, none, any_number)
    eligible = np.bincount(of[units.eligible], minlength=len(names)).tolist()
    own = of[np.isin(units.rows, chosen) & units.eligible]
    got = np.bincount(own, minlength=len(names)).tolist()
    return [ClassCount(*one) for one in zip(names, eligible, asked, got, strict=True)]


def _greedy(
    plan: Plan, partitions_of: PartitionsOf, advance: Callable[[int], None], tuning: Tuning
) -> tuple[PickedRows, pd.DataFrame, pd.DataFrame]:
    """The picks; all centers with those from before; and the frames of these."""
    units, kept = plan.units, plan.kept
    assert isinstance(kept, KeptCenters)
    goal = _goal(plan)
    with _partitions(plan, goal, partitions_of, tuning) as parts:
        picks = _picks(plan, goal, parts, lambda count: advance(count * units.length), tuning)
        centers = kept.followed_by(picks)
        with ThreadPoolExecutor(1) as meanwhile:  # while the partitions write
            frames = meanwhile.submit(_frames_of, centers, units, plan.store)
            if kept.place is not None and len(centers):
                kept.save(parts, centers)
    return picks, centers, frames.result()


def _picks(
    plan: Plan,
    goal: Goal,
    parts: BasePartitions,
    advance: Callable[[int], None],
    tuning: Tuning,
) -> PickedRows:
    """Pick units by the greedy method asked for, telling how many at a time."""
    if plan.choice.method is Method.FACILITY_LOCATION:
        units = plan.units
        source = StoredUnits(plan.store.path, units.choosable, units.length)
        return facility_location(parts, source, goal, advance)
    return greedy_k_center(parts, goal, advance, tuning)


def _partitions(
    plan: Plan, goal: Goal, partitions_of: PartitionsOf, tuning: Tuning
) -> AbstractContextManager[BasePartitions]:
    """Those of what may be chosen, with the centers that exist before."""
    units = plan.units
    return partitions_of(
        plan.store,
        units.choosable,
        length=units.length,
        weight=None if units.weight is None else units.weight[units.eligible],
        group=None if goal.quota is None else goal.quota.group,
        before=plan.kept.before,
        tuning=tuning,
    )


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
    spans = []
    for column in sorted({one for one, _ in (*wishes.minimum, *wishes.maximum)}, key=str):
        low, high = columns.smallest(column), columns.largest(column)
        if np.isnan(high).all():
            spans.append(f"no frame has {column.name}")
        else:
            spans.append(f"{column.name} is {np.nanmin(low):.4g} to {np.nanmax(high):.4g}")
    if wishes.where is not None:
        spans.append(f"{int(columns.holds(wishes.where).sum()):,} meet where {choice.where}")
    return (
        f"none of the {len(columns):,} frames is within the limits of min, max and where "
        f"({', '.join(spans)}): loosen them."
    )


def _goal(plan: Plan) -> Goal:
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
        classes = None if units.classes is None else _classes(units, held)
        quota = Quota(most, least, units.choosable, video, taken, classes)
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
    return Goal(n, *thresholds, quota, units.substitutes)


def _classes(units: Units, held: NDArray[np.bool_]) -> Classes:
    """The classes of what may be chosen, and how much of each is there.

    Args:
        units: with classes.
        held: (u,) which of them were chosen before.
    """
    assert units.classes is not None
    of, count = units.classes.of, len(units.classes.names)
    taken = np.bincount(of[held & units.eligible], minlength=count).tolist()
    free = np.bincount(of[~held & units.eligible], minlength=count).tolist()
    return Classes(of[units.eligible], units.classes.shares, tuple(taken), tuple(free))


def _baseline_picks(plan: Plan) -> PickedRows:
    """Choose at random or at a fixed rate, and apart if that is asked.

    At random, units too near to a drawn one are passed over and drawing goes on; a fixed rate
    has no others to go on with, so its units are thinned.
    """
    choice, n = plan.choice, plan.n
    eligible, read = plan.units.choosable, unit_reader(plan.store, plan.units)
    if choice.budget.min_distance == 0:
        rows, stopped_by = baseline_rows(choice.method, eligible, n, choice.seed), StoppedBy.N
    else:
        random = choice.method is Method.RANDOM
        order = baseline_rows(choice.method, eligible, len(eligible) if random else n, choice.seed)
        rows = keep_apart(order, read, choice.budget.squared_min_distance, n)
        stopped_by = StoppedBy.N
        if len(rows) < n:
            stopped_by = StoppedBy.MIN_DISTANCE if random else StoppedBy.THINNED
    unknown = np.full(len(rows), np.nan)
    distance = distances_in_order(read(rows))
    return PickedRows(rows, rows, distance, unknown, unknown, unknown[:0], stopped_by)


def _frames_of(centers: pd.DataFrame, units: Units, store: Store) -> pd.DataFrame:
    """The frames of all centers; see :attr:`Selection.frames`."""
    center = np.repeat(np.arange(len(centers)), units.length)
    frames = store.frames_at(units.frames_of(centers["row"].to_numpy()), FRAME_COLUMNS)
    for name in CENTER_COLUMNS[1:]:
        frames[name] = centers[name].to_numpy()[center]
    frames["center_row"] = units.frames_of(centers["center_row"].to_numpy())
    frames["preselected"] = frames["preselected"].astype(bool)
    frames["sequence"] = center
    frames.insert(0, "rank", np.arange(len(frames)))
    return frames
