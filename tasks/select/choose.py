"""Choose frames from what a store holds, wherever the partitions of its corpus are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.facility.greedy import facility_location
from coreframe.tasks.kcenter.apportion import apportion
from coreframe.tasks.kcenter.goal import Goal, PickedRows, StoppedBy
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.job import StoredUnits
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.select.baselines import (
    baseline_rows,
    distances_in_order,
    keep_apart,
)
from coreframe.tasks.select.choice import GREEDY, Choice, Method
from coreframe.tasks.select.kept import CENTER_COLUMNS, KeptCenters
from coreframe.tasks.select.plan import HeldCenters, PartitionsOf, Plan, goal_of
from coreframe.tasks.select.result import ClassCount, Selection
from coreframe.tasks.select.units import Derive, Units, unit_reader, units_of
from coreframe.tasks.store.corpus import FRAME_COLUMNS
from coreframe.tasks.store.settings import FRAMES, OBJECTS
from coreframe.tasks.store.store import Store


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
    units, kept, crops = plan.units, plan.kept, plan.formed.crops
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
        crops=None if crops is None else crops.within(units.measured),
        classes=_class_counts(units, centers["row"].to_numpy(), kept.counted + plan.n),
    )


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
    with _partitions(plan, goal := goal_of(plan), partitions_of, tuning) as parts:
        picks, _ = _picks(plan, goal, parts, lambda _: None, tuning)
        return np.concatenate([held, picks.rows])


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
    goal = goal_of(plan)
    with _partitions(plan, goal, partitions_of, tuning) as parts:
        picks, objects = _picks(
            plan, goal, parts, lambda count: advance(count * units.length), tuning
        )
        centers = kept.followed_by(picks)
        with ThreadPoolExecutor(1) as meanwhile:  # while the partitions write
            frames = meanwhile.submit(_frames_of, centers, units, plan.store)
            if kept.place is not None and len(centers):
                kept.save(parts, centers)
    chosen = frames.result()
    return picks, centers, chosen if objects is None else chosen.assign(object=objects)


def _picks(
    plan: Plan,
    goal: Goal,
    parts: BasePartitions,
    advance: Callable[[int], None],
    tuning: Tuning,
) -> tuple[PickedRows, NDArray[np.int64] | None]:
    """Pick units by the greedy method asked for; by which objects, where it is by objects."""
    units, crops = plan.units, plan.choosable_crops
    if plan.choice.method is Method.FACILITY_LOCATION:
        source = StoredUnits(plan.store.path, units.choosable, units.length)
        return facility_location(parts, source, goal, advance), None
    picks = greedy_k_center(parts, goal, advance, tuning)
    if crops is None:
        return picks, None
    rows = crops.rows_of(picks.rows)
    return replace(picks, rows=rows, center_rows=rows), picks.rows


def _partitions(
    plan: Plan, goal: Goal, partitions_of: PartitionsOf, tuning: Tuning
) -> AbstractContextManager[BasePartitions]:
    """Those of what may be picked, with the centers that exist before."""
    units, crops = plan.units, plan.choosable_crops
    return partitions_of(
        plan.store,
        units.choosable if crops is None else crops.objects,
        length=units.length,
        weight=None if units.weight is None else plan.of_each(units.weight),
        group=None if goal.quota is None else goal.quota.group,
        before=plan.kept.before,
        tuning=tuning,
        place=FRAMES if crops is None else OBJECTS,
    )


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
