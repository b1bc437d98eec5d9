"""Stage 3, select: choose frames, with the corpus spread over the workers."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from dask.distributed import Client

from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.errors import UsageError
from coreframe.tasks.kcenter.goal import Goal, PickedRows, Quota, StoppedBy
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.on_dask import DaskPartitions
from coreframe.tasks.select.baselines import (
    baseline_rows,
    distances_in_order,
    keep_apart,
)
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.kept import CENTER_COLUMNS, KeptCenters
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.units import Units, form_units, unit_reader
from coreframe.tasks.store.corpus import FRAME_COLUMNS, read_corpus
from coreframe.tasks.store.store import Store


def choose_frames(store: Store, choice: Choice, device: str, cluster: str) -> Selection:
    """Choose frames by the method asked for.

    What may be chosen is settled before any method chooses, so that methods differ in nothing
    else; see `coreframe.tasks.select.units` for the order in which wishes take effect.

    Raises:
        UsageError: the wishes cannot be met by this corpus, or name what it does not hold.
    """
    corpus = read_corpus(store, choice.columns)
    first_row = {video.video: video.first_row for video in store.read_catalogue().videos}
    units = form_units(corpus, first_row, choice)
    decodable, asked = len(corpus), choice.budget.asked(len(corpus))
    kept = KeptCenters(store, choice, units)
    available = int((units.eligible & ~np.isin(units.rows, kept.rows)).sum())
    wanted = available
    if available == 0 and len(kept.rows) == 0:
        raise UsageError(_why_nothing(choice, units, corpus))
    del corpus  # as large as the state of the whole selection
    if asked is not None:
        wanted = max(0, max(1, asked // units.length) - kept.counted)
    n = min(wanted, available)

    with stage_bar("select", n * units.length, "frames") as advance:
        if choice.method == "coreset":
            goal = _goal(choice, units, kept, n)
            with Client(cluster) as client:
                corpus_parts = DaskPartitions(
                    client,
                    store,
                    units.choosable,
                    length=units.length,
                    weight=None if units.weight is None else units.weight[units.eligible],
                    video=units.video[units.eligible] if goal.quota else None,
                    device=device,
                    before=kept.before,
                )
                picks = greedy_k_center(
                    corpus_parts, goal, lambda count: advance(count * units.length)
                )
                centers = kept.followed_by(picks)
                with ThreadPoolExecutor(1) as beside:  # workers write meanwhile
                    reading = beside.submit(_frames_of, centers, units, store)
                    if kept.place is not None and len(centers):
                        kept.save(corpus_parts, centers)
                frames = reading.result()
        else:
            picks = _baseline_picks(store, choice, units, n)
            centers = kept.followed_by(picks)
            frames = _frames_of(centers, units, store)
            advance(n * units.length)

    stopped_by = picks.stopped_by
    if stopped_by == StoppedBy.N and (asked is None or wanted > available):
        stopped_by = StoppedBy.EXHAUSTED
    return Selection(
        frames=frames,
        chosen=centers["row"].to_numpy(),
        units=units,
        decodable=decodable,
        asked=asked,
        kept=len(kept.rows) * units.length,
        gone=len(kept.gone) * units.length,
        absent=int((~np.isin(kept.rows, units.rows)).sum()) * units.length,
        stopped_by=stopped_by,
        passes=picks.passes,
        pairs=picks.distances_formed,
        screened=picks.rough_distances_formed,
    )


select_stage = stage("select")(choose_frames)


def _why_nothing(choice: Choice, units: Units, corpus: pd.DataFrame) -> str:
    if len(units) == 0:
        return (
            f"no video has {choice.sequence_length} consecutive sampled frames that can all be "
            "decoded: ask for a smaller sequence-length."
        )
    spans = ", ".join(
        f"{measure} is {corpus[measure].min():.4g} to {corpus[measure].max():.4g}"
        for measure in sorted({*choice.minimum, *choice.maximum})
    )
    return (
        f"none of the {len(corpus):,} frames is within the limits of min and max ({spans}): "
        "loosen them."
    )


def _goal(choice: Choice, units: Units, kept: KeptCenters, n: int) -> Goal:
    """When the selection is done, in units.

    Raises:
        UsageError: there is no room for the least number of every video.
    """
    quota = None
    least, most = -(-choice.min_per_video // units.length), None
    if choice.max_per_video is not None:
        most = choice.max_per_video // units.length
    if least or most is not None:
        video = units.video[units.eligible].astype(np.int64)
        held = units.video[np.isin(units.rows, kept.rows)]
        taken = Counter(held.tolist())
        quota = Quota(most, least, units.choosable, video, taken)
        room = Counter(video.tolist())
        needed = sum(max(0, min(least, room[v]) - taken[v]) for v in room)
        if n < needed:
            raise UsageError(
                f"min-per-video {choice.min_per_video} needs {needed * units.length:,} frames of "
                f"the {len(room):,} videos, and the budget allows {n * units.length:,}: ask for "
                "fewer of each, or for more in all."
            )
    budget = choice.budget
    return Goal(n, budget.squared_min_distance, budget.squared_radius, quota)


def _baseline_picks(store: Store, choice: Choice, units: Units, n: int) -> PickedRows:
    """Choose at random or at a fixed rate, and apart if that is asked.

    At random, units too near to a drawn one are passed over and drawing goes on; a fixed rate
    has no others to go on with, so its units are thinned.
    """
    eligible, read = units.choosable, unit_reader(store, units)
    if choice.budget.min_distance == 0:
        rows, stopped_by = baseline_rows(choice.method, eligible, n, choice.seed), StoppedBy.N
    else:
        random = choice.method == "random"
        order = baseline_rows(choice.method, eligible, len(eligible) if random else n, choice.seed)
        rows = keep_apart(order, read, choice.budget.squared_min_distance, n)
        stopped_by = StoppedBy.N
        if len(rows) < n:
            stopped_by = StoppedBy.MIN_DISTANCE if random else StoppedBy.THINNED
    unknown = np.full(len(rows), np.nan)
    return PickedRows(
        rows, distances_in_order(read(rows)), unknown, unknown, unknown[:0], stopped_by
    )


def _frames_of(centers: pd.DataFrame, units: Units, store: Store) -> pd.DataFrame:
    """The frames of all centers; see :attr:`Selection.frames`."""
    of = np.repeat(np.arange(len(centers)), units.length)
    frames = store.frames_at(units.frames_of(centers["row"].to_numpy()), FRAME_COLUMNS)
    for name in CENTER_COLUMNS[1:]:
        frames[name] = centers[name].to_numpy()[of]
    frames["preselected"] = frames["preselected"].astype(bool)
    frames["sequence"] = of
    frames.insert(0, "rank", np.arange(len(frames)))
    return frames
