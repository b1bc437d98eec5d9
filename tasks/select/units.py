"""What can be chosen: frames, or sequences of consecutive sampled frames.

Options take effect in one order. Sequences are formed; those with damaged pictures are left out,
then those that show nothing, then exact duplicates, then a share that nothing resembles; limits and
conditions close what is outside them, and with objects frames without any are left out; of what is
left, all but a share that is most like what was asked for may be; what remains is *eligible*. Then
come preselected centers, the least number of every video, and last the greedy choice under weights,
the largest number of a video, and the shares of classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.kcenter.exchange import Substitutes
from coreframe.tasks.kcenter.vectors import mean_vectors
from coreframe.tasks.scale import squared_reach
from coreframe.tasks.select.balance import ClassTable, form_classes
from coreframe.tasks.select.choice import TYPICAL, Choice, exact
from coreframe.tasks.select.columns import FrameColumns, KnownColumns
from coreframe.tasks.select.crops import Crops
from coreframe.tasks.select.preferences import Preference, best_share, mean_quality, weights
from coreframe.tasks.select.wishes import Wishes
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.store import Store

LIKE = "like"
"""The column of how much frames are like what was asked for: int64, see `tasks.query.scores`."""


@dataclass(frozen=True)
class Units:
    """Everything that could be chosen or not, in row order.

    Attributes:
        rows: (u,) each unit's first row in the store: its name.
        length: rows a unit; they follow one another.
        video: (u,) the number of its video.
        shown: (u,) whether it shows something, and is not skipped: gaps are measured over these.
        odd: (u,) whether it is skipped, or repeats one that is.
        skips: (u,) whether it is skipped because nothing resembles it.
        eligible: (u,) whether it may be chosen.
        weight: (u,) by which squared distances are multiplied, None when all are alike.
        substitutes: which eligible ones may be taken for one another, None for none.
        classes: in which shares they are to be chosen, None for any.
        suspects: frames left out because their pictures are damaged.
        flats: frames left out because they show nothing.
        outliers: frames skipped because nothing resembles them.
        duplicates: frames left out because earlier ones have the same pixels.
        rejected: frames left out by limits and conditions.
        loose: frames that are in no whole sequence.
        empty: frames left out because no object is in them, though that is what is asked for.
    """

    rows: NDArray[np.int64]
    length: int
    video: NDArray[np.int32]
    shown: NDArray[np.bool_]
    odd: NDArray[np.bool_]
    skips: NDArray[np.bool_]
    eligible: NDArray[np.bool_]
    weight: NDArray[np.int64] | None
    substitutes: Substitutes | None
    classes: ClassTable | None
    suspects: int
    flats: int
    outliers: int
    duplicates: int
    rejected: int
    less_like: int
    loose: int
    empty: int = 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def measured(self) -> NDArray[np.int64]:
        """(m,) first rows of those to which gaps are measured."""
        return self.rows[self.shown]

    @property
    def unmeasured(self) -> NDArray[np.int64]:
        """(u - m,) first rows of the others."""
        return self.rows[~self.shown]

    @property
    def flat(self) -> NDArray[np.int64]:
        """(f,) first rows of those that show nothing, unless they may be chosen."""
        return self.rows[~self.shown & ~self.odd]

    @property
    def skipped(self) -> NDArray[np.int64]:
        """(s,) first rows of those that are skipped because nothing resembles them."""
        return self.rows[self.skips]

    @property
    def choosable(self) -> NDArray[np.int64]:
        """(e,) first rows of the eligible ones."""
        return self.rows[self.eligible]

    def frames_of(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """(k * length,) rows of k units, in their order."""
        return (units[:, None] + np.arange(self.length)[None, :]).ravel()


def unit_reader(store: Store, units: Units) -> Callable[[NDArray[np.int64]], NDArray[np.int16]]:
    """Give what reads the (k, dim) lattice vectors of k units."""
    return mean_vectors(store.row_reader(), units.length)


Derived = Mapping[str, NDArray[Any]]
"""Columns of all frames of a corpus, in row order."""


class Derive(Protocol):
    """Computes of vectors what a choice needs of each frame, wherever the vectors are."""

    def __call__(self, store: Store, choice: Choice, frames: pd.DataFrame) -> Derived:
        """Give LIKE, where the choice has queries, and TYPICAL, where it needs that.

        Args:
            store: that has the frames.
            choice: the options.
            frames: the corpus in row order, with ``choice.columns``.
        """
        ...


def nothing_derived(store: Store, choice: Choice, frames: pd.DataFrame) -> Derived:
    """For choices that need nothing of the kind."""
    return {}


@dataclass(frozen=True)
class Formed:
    """What of a store can be chosen, and what of that is known.

    Attributes:
        frames: the corpus's decodable frames in row order.
        units: made of them.
        wishes: what of the choice names columns.
        columns: their values.
        derived: columns of the frames that were computed of vectors.
        crops: the objects of the corpus, where frames are chosen by them.
    """

    frames: pd.DataFrame
    units: Units
    wishes: Wishes
    columns: FrameColumns
    derived: Derived
    crops: Crops | None


def units_of(
    store: Store,
    choice: Choice,
    more: Sequence[str] = (),
    derive: Derive = nothing_derived,
) -> Formed:
    """Read a store's corpus, and apply the options that say what may be chosen at all.

    Args:
        store: the store.
        choice: the options.
        more: columns of the frames table that are wanted, too.
        derive: gives what is computed of vectors.

    Raises:
        UsageError: an option names a column that there is not, or that cannot be used so.
    """
    known = KnownColumns.of(store)
    wishes = Wishes.of(choice, known)
    read = dict.fromkeys([*choice.columns, *sorted(wishes.read), *more])
    frames, catalogue = read_corpus(store, list(read)), store.read_catalogue()
    derived = derive(store, choice, frames)
    frames = frames.assign(**derived)
    columns = FrameColumns(frames, known, store, catalogue)
    wishes.refuse_unknown(columns)
    first_row = {video.video: video.first_row for video in catalogue.videos}
    crops = Crops.read(store) if choice.objects else None
    holding = None if crops is None else crops.row
    units = form_units(frames, first_row, choice, wishes, columns, holding)
    return Formed(frames, units, wishes, columns, derived, crops)


def form_units(
    frames: pd.DataFrame,
    first_row: Mapping[int, int],
    choice: Choice,
    wishes: Wishes | None = None,
    columns: FrameColumns | None = None,
    holding: NDArray[np.int64] | None = None,
) -> Units:
    """Apply the options that say what may be chosen at all.

    Args:
        frames: the corpus's decodable frames in row order, with ``choice.columns``; and, if it
            has queries, with LIKE.
        first_row: where the rows of each video begin.
        choice: the options.
        wishes: what of it names columns, looked up; by default among those that every frame has.
        columns: their values; by default those in ``frames``.
        holding: rows of frames that objects are in; None where none need be.
    """
    columns = columns or FrameColumns(frames)
    wishes = wishes or Wishes.of(choice, columns.known)
    length = choice.sequence_length
    rows, video = frames["row"].to_numpy(), frames["video"].to_numpy().astype(np.int32)
    starts = np.arange(len(rows))
    if length > 1:
        starts = _whole_sequences(rows, video, first_row, length)
    members = starts[:, None] + np.arange(length)[None, :]
    sound = np.ones(len(frames), bool)
    if not choice.keep_suspect:
        sound = ~frames["suspect"].to_numpy()
    whole = sound[members].all(axis=1)
    shown = np.ones(len(starts), bool)
    if not choice.keep_flat:
        shown = ~frames["flat"].to_numpy()[members].all(axis=1)
    seen = whole & shown
    distinct = ~_repeated(frames["digest"].to_numpy()[members], seen)
    kept = seen if choice.keep_exact_duplicates else seen & distinct
    skipped, odd = _outliers(frames, members, choice.skip_outliers, seen, kept)
    usual = kept & ~skipped
    within = usual & wishes.met(columns)[members].all(axis=1)
    full = eligible = within if holding is None else within & np.isin(rows[starts], holding)
    score = None
    if choice.by_query:
        score = frames[LIKE].to_numpy()[members].sum(axis=1)  # which orders as the mean does
        if choice.like_share is not None:
            eligible = best_share(score, full, choice.like_share)
    classes = _classes(wishes, columns, members, eligible)
    substitutes = None
    if choice.sharpest_within:
        substitutes = _substitutes(frames, members, eligible, classes, choice.sharpest_within)
    return Units(
        rows=rows[starts],
        length=length,
        video=video[starts],
        shown=shown & ~odd,
        odd=odd,
        skips=skipped,
        eligible=eligible,
        weight=_weight(choice, wishes, columns, members, score, eligible),
        substitutes=substitutes,
        classes=classes,
        suspects=length * int((~whole).sum()),
        flats=length * int((whole & ~shown).sum()),
        outliers=length * int(skipped.sum()),
        duplicates=length * int((seen & ~kept).sum()),
        rejected=length * int((usual & ~within).sum()),
        less_like=length * int((full & ~eligible).sum()),
        loose=len(rows) - length * len(starts),
        empty=int((within & ~full).sum()),
    )


def _weight(
    choice: Choice,
    wishes: Wishes,
    columns: FrameColumns,
    members: NDArray[np.int64],
    score: NDArray[np.int64] | None,
    eligible: NDArray[np.bool_],
) -> NDArray[np.int64] | None:
    """(u,) by all that is preferred; ``score`` is how much units are like what was asked for."""
    preferences: list[Preference] = []
    if score is not None and choice.like_strength:
        preferences.append((score, choice.like_strength))
    for column, strength in wishes.prefer:
        of_frames = columns.largest(column) if strength > 0 else -columns.smallest(column)
        preferences.append((mean_quality(of_frames, members), abs(strength)))
    return weights(preferences, eligible)


def _outliers(
    frames: pd.DataFrame,
    members: NDArray[np.int64],
    share: float,
    seen: NDArray[np.bool_],
    kept: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(u,) the least typical of those kept, and (u,) with copies of them that are seen."""
    if not share:
        none = np.zeros(len(members), bool)
        return none, none
    typical = frames[TYPICAL].to_numpy()[members].mean(axis=1)
    skipped = least_typical(typical, kept, share)
    again = _repeating(frames["digest"].to_numpy()[members], skipped)
    return skipped, skipped | (~kept & seen & again)


def _classes(
    wishes: Wishes,
    columns: FrameColumns,
    members: NDArray[np.int64],
    eligible: NDArray[np.bool_],
) -> ClassTable | None:
    """What is to be balanced, None for nothing."""
    if not wishes.balance or not eligible.any():
        return None
    values = [columns.values(column, by) for _, column, by in wishes.balance]
    return form_classes([one for one, _, _ in wishes.balance], values, members, eligible)


def _substitutes(
    frames: pd.DataFrame,
    members: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    classes: ClassTable | None,
    within: float,
) -> Substitutes:
    """Which of the eligible (u, length) units may be taken for one another, so near (L2)."""
    sharpness = frames["sharpness"].to_numpy().astype(np.float64)[members].mean(axis=1)
    own = members[eligible, 0]
    return Substitutes(
        rows=frames["row"].to_numpy()[own],
        video=frames["video"].to_numpy().astype(np.int64)[own],
        time_s=frames["time_s"].to_numpy(np.float64)[own],
        quality=sharpness[eligible],
        squared_within=squared_reach(within),
        label=None if classes is None else classes.of[eligible],
    )


def least_typical(
    typical: NDArray[np.float64], among: NDArray[np.bool_], share: float
) -> NDArray[np.bool_]:
    """(u,) which are skipped: of some the least typical, of equally typical ones the later.

    Args:
        typical: (u,) in row order.
        among: (u,) of which.
        share: of these; as many as that is, rounded down.
    """
    places = np.flatnonzero(among)
    order = np.lexsort((-places, typical[places]))
    skipped = np.zeros(len(typical), bool)
    skipped[places[order[: int(exact(share) * len(places))]]] = True
    return skipped


def _whole_sequences(
    rows: NDArray[np.int64], video: NDArray[np.int32], first_row: Mapping[int, int], length: int
) -> NDArray[np.int64]:
    """Places at which the sequences begin whose frames are all decodable.

    A video's sampled frames are cut into sequences from its first one on.
    """
    numbers, inverse = np.unique(video, return_inverse=True)
    begin = np.array([first_row[number] for number in numbers.tolist()], np.int64)[inverse]
    places = np.flatnonzero((rows - begin) % length == 0)
    last = places + length - 1
    fits = last < len(rows)
    places, last = places[fits], last[fits]
    whole = (rows[last] - rows[places] == length - 1) & (video[last] == video[places])
    return places[whole]


def _repeating(digests: NDArray[np.uint64], some: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(u,) whether all digests of a (u, length) row are those of one of some."""
    group = pd.DataFrame(digests).groupby(list(range(digests.shape[1]))).ngroup().to_numpy()
    return np.isin(group, group[some])


def _repeated(digests: NDArray[np.uint64], among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(u,) whether all digests of a (u, length) row are those of an earlier one among some."""
    asked = digests[among]
    found = np.zeros(len(digests), bool)
    column = pd.Series(asked[:, 0]) if digests.shape[1] == 1 else pd.DataFrame(asked)
    found[among] = column.duplicated().to_numpy()
    return found
