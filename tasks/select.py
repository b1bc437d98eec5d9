"""Stage 3, select: choose frames, with the corpus spread over the workers."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
from dask.distributed import Client

from tasks.errors import CoreframeError, UsageError
from tasks.jobs.select import Before
from tasks.partitions import DaskPartitions
from tasks.preselected import preselected_rows
from tasks.progress import stage_bar
from tasks.selection.baselines import distances_in_order, fixed_rate_rows, keep_apart, random_rows
from tasks.selection.choice import Choice
from tasks.selection.greedy import Goal, Picks, Quota, greedy_k_center
from tasks.selection.units import Units, form_units
from tasks.selection.vectors import mean_vectors
from tasks.stage import stage
from tasks.store.selections import NamedSelection, SavedSelection
from tasks.store.store import RowReader, Store

FRAME_COLUMNS = ["row", "video", "frame_index", "pts", "time_s", "digest"]
CENTER_COLUMNS = ["row", "preselected", "distance", "radius", "lower_bound"]


@dataclass(frozen=True)
class Selection:
    """What was chosen, and from what."""

    frames: pd.DataFrame
    """One row a frame in pick order: rank, row, video (its catalogue number), frame_index, pts,
    time_s, distance, radius, lower_bound, preselected, sequence, digest."""
    chosen: np.ndarray
    """(k,) int64 units in pick order, those from before first; a unit is named by its first row."""
    units: Units
    decodable: int
    """Frames of the corpus."""
    asked: int | None
    """Frames the budget asked for, perhaps more than there are; None when it set no number."""
    kept: int
    """Frames that were selected before: by an earlier run under this name, or preselected."""
    gone: int
    """Frames that an earlier run under this name selected and that are now dropped."""
    absent: int
    """Of those kept, frames whose videos are gone or changed."""
    stopped_by: str
    """``n``, ``min_distance``, ``radius``, ``max_per_video``, ``exhausted`` or, at a fixed rate,
    ``thinned``."""
    passes: int
    pairs: int
    """Distances formed."""
    screened: int
    """Distances between sketches, or in bfloat16, formed to save others."""


def read_corpus(store: Store, columns: Sequence[str]) -> pd.DataFrame:
    """The decodable frames of all videos that are not retired, in row order.

    Raises:
        CoreframeError: there are none.
    """
    active = [video.video for video in store.read_catalogue().videos if video.active]
    frames = store.corpus(active, columns)
    if frames.empty:
        raise CoreframeError(
            f"the store {store.path} holds no decodable frame: ingest at least one sound video."
        )
    return frames


def choose_frames(store: Store, choice: Choice, device: str, cluster: str) -> Selection:
    """Choose frames by the method asked for.

    What may be chosen is settled before any method chooses, so that methods differ in nothing
    else; see `tasks.selection.units` for the order in which wishes take effect.

    Raises:
        UsageError: the wishes cannot be met by this corpus, or name what it does not hold.
    """
    corpus = read_corpus(store, choice.columns)
    first_row = {video.video: video.first_row for video in store.read_catalogue().videos}
    units = form_units(corpus, first_row, choice)
    decodable, asked = len(corpus), choice.budget.asked(len(corpus))
    kept = _Kept(store, choice, units)
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
    if stopped_by == "n" and (asked is None or wanted > available):
        stopped_by = "exhausted"
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
        pairs=picks.pairs,
        screened=picks.screened,
    )


select_frames = stage("select")(choose_frames)


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


def unit_reader(store: Store, units: Units):  # type: ignore[no-untyped-def]
    """Give what reads the (k, dim) int16 lattice vectors of k units."""
    return mean_vectors(RowReader(store), units.length)


def baseline_rows(method: str, eligible: np.ndarray, n: int, seed: int) -> np.ndarray:
    """The units that ``random`` or ``fixed-rate`` chooses, in its order."""
    if method == "random":
        return random_rows(eligible, n, seed)
    return fixed_rate_rows(eligible, n)


class _Kept:
    """The centers that exist before the selection starts."""

    def __init__(self, store: Store, choice: Choice, units: Units) -> None:
        self._units = units
        self.place = None if choice.name is None else NamedSelection(store.path, choice.name)
        saved = None if self.place is None else self.place.open(units.length)
        self._saved, self.gone = saved, np.empty(0, np.int64)
        if choice.drop_gone:
            self._saved, self.gone = _still_there(saved, units)
        added = np.empty(0, np.int64)
        if choice.preselected is not None:
            listed = read_corpus(store, ["row", "video", "frame_index"])
            added = preselected_rows(choice.preselected, listed, store.read_catalogue())
            added = added[
                ~np.isin(added, [] if self._saved is None else self._saved.centers["row"])
            ]
        self._vectors = unit_reader(store, units)(added)
        centers = pd.DataFrame({"row": added, "preselected": True})
        if self._saved is not None:
            self._vectors = np.concatenate([self._saved.vectors, self._vectors])
            centers = pd.concat([self._saved.centers, centers], ignore_index=True)
        self._old = len(centers) - len(added)
        self._centers = centers.reindex(columns=CENTER_COLUMNS)
        if len(added) or len(self.gone):
            self._centers["distance"] = distances_in_order(self._vectors)
        self.rows = centers["row"].to_numpy()
        own = ~centers["preselected"].to_numpy().astype(bool)
        self.counted = len(centers) if choice.count_preselected else int(own.sum())

    @property
    def before(self) -> Before | None:
        """What partitions must know of them, None when there are none."""
        if len(self.rows) == 0:
            return None
        return Before(
            saved=None if self._saved is None else self._saved.folder,
            gone=self.gone,
            added=self.rows[self._old :],
        )

    def followed_by(self, picks: Picks) -> pd.DataFrame:
        """All centers in order: CENTER_COLUMNS."""
        kept = self._centers.copy()
        if len(picks.radius_before) == len(kept):
            radius = picks.radius_before.copy()  # for saved ones over the new units alone
            saved = kept["radius"].to_numpy(float)[: self._old]
            radius[: self._old] = np.maximum(saved, radius[: self._old])
            kept["radius"] = radius
        if len(self.gone):  # what the remaining ones cover without the others was never computed
            kept.loc[: self._old - 1, ["radius", "lower_bound"]] = np.nan
        new = pd.DataFrame(
            {
                "row": picks.rows,
                "preselected": False,
                "distance": picks.distance,
                "radius": picks.radius,
                "lower_bound": picks.lower_bound,
            }
        )
        return pd.concat([kept, new], ignore_index=True) if len(kept) else new

    def save(self, parts: DaskPartitions, centers: pd.DataFrame) -> None:
        """Keep the selection in the store under its name."""
        assert self.place is not None
        folder = self.place.begin()
        parts.save(folder, centers["row"].to_numpy())
        picked = centers["row"].to_numpy()[len(self.rows) :]
        order = np.argsort(picked)
        vectors = np.empty((len(picked), self._vectors.shape[1]), np.int16)
        if len(picked):
            vectors[order] = parts.collect(picked[order])
        every = np.concatenate([self._vectors, vectors])
        self.place.commit(folder, centers, every, self._units.length)


def _still_there(
    saved: SavedSelection | None, units: Units
) -> tuple[SavedSelection | None, np.ndarray]:
    """The saved selection without the centers that left the corpus, and these centers' rows."""
    if saved is None:
        return None, np.empty(0, np.int64)
    rows = saved.centers["row"].to_numpy()
    there = np.isin(rows, units.rows)
    if not there.any():
        return None, rows
    centers = saved.centers[there].reset_index(drop=True)
    return SavedSelection(saved.folder, centers, saved.vectors[there]), rows[~there]


def _goal(choice: Choice, units: Units, kept: _Kept, n: int) -> Goal:
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


def _baseline_picks(store: Store, choice: Choice, units: Units, n: int) -> Picks:
    """Choose at random or at a fixed rate, and apart if that is asked.

    At random, units too near to a drawn one are passed over and drawing goes on; a fixed rate
    has no others to go on with, so its units are thinned.
    """
    eligible, read = units.choosable, unit_reader(store, units)
    if choice.budget.min_distance == 0:
        rows, stopped_by = baseline_rows(choice.method, eligible, n, choice.seed), "n"
    else:
        random = choice.method == "random"
        order = baseline_rows(choice.method, eligible, len(eligible) if random else n, choice.seed)
        rows = keep_apart(order, read, choice.budget.squared_min_distance, n)
        stopped_by = "n" if len(rows) == n else "min_distance" if random else "thinned"
    unknown = np.full(len(rows), np.nan)
    return Picks(rows, distances_in_order(read(rows)), unknown, unknown, unknown[:0], stopped_by)


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
