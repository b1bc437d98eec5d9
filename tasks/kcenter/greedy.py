"""Greedy k-center, exact, in few passes over the data."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.company import Company
from coreframe.tasks.kcenter.exchange import Exchanger, Near, Pairs, Taken
from coreframe.tasks.kcenter.goal import Goal, PickedRows
from coreframe.tasks.kcenter.partition import FAR, Farthest
from coreframe.tasks.kcenter.pool import Candidates, PoolPicks, pick
from coreframe.tasks.kcenter.progress import Progress, highest_curve
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning


class Partitions(Protocol):
    """The corpus, wherever its partitions live."""

    @property
    def dim(self) -> int:
        """Numbers a vector."""
        ...

    def central(self, closed: NDArray[np.int32] | None = None) -> int | None:
        """The row nearest to the mean of all rows; None when there is none.

        Args:
            closed: (c,) groups whose rows do not count.
        """
        ...

    def assign(
        self, rows: NDArray[np.int64], vectors: NDArray[np.int16], curve: bool = False
    ) -> None:
        """Let every partition take new centers into account.

        Args:
            rows: (m,) of any partitions, or of none.
            vectors: (m, dim) lattice.
            curve: let partitions note the largest distance after each of them.
        """
        ...

    def farthest(
        self, count: int, squared_threshold: int, closed: NDArray[np.int32] | None
    ) -> list[Farthest]:
        """Every partition's answer to :func:`coreframe.tasks.kcenter.partition.farthest`."""
        ...

    def collect(self, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        """(k, dim) lattice of k ascending rows of any partitions."""
        ...

    @property
    def between(self) -> Callable[[NDArray[np.int16]], NDArray[np.int32]] | None:
        """See :class:`coreframe.tasks.kcenter.pool.Candidates`."""
        ...

    def near(self, pairs: Pairs) -> Near:
        """Of pairs of rows and picks those that are near each other."""
        ...

    def weight(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """(k,) weights of k rows, None when all are alike."""
        ...


def greedy_k_center(
    corpus: Partitions,
    goal: Goal,
    advance: Callable[[int], None] = lambda _: None,
    tuning: Tuning = DEFAULT_TUNING,
) -> PickedRows:
    """Pick rows one by one, each the farthest from all picked before it.

    This is the 2-approximation of Gonzalez (1985), "Clustering to minimize the maximum
    intercluster distance"; Sener and Savarese (2018), "Active learning for convolutional neural
    networks: a core-set approach", choose training images by it. As textbooks write it, it reads
    every row once a pick. Here each pass pools the farthest rows of all partitions and picks inside
    the pool for as long as its best row is farther than every row left out of it: those can only
    come nearer, so each pick is the true farthest row, and the picks are those of the textbook, to
    the bit.

    Centers that exist before are in the corpus already, with a curve if one is wanted. Without
    any, the first pick is the row nearest to the mean of the corpus: the most typical frame. Ties
    go to the lower row everywhere. So the result depends on the rows alone, not on workers,
    partitions or devices.

    With weights, "farthest" means the largest squared distance times weight. With a quota, rows
    of videos and classes that have theirs are passed over; while any video lacks its least number,
    all others are.

    With substitutes a better row may be taken for a pick, see
    :class:`coreframe.tasks.kcenter.exchange.Exchanger`. What follows knows the row that was taken
    alone: the next pick is the farthest from those, and radius and bound are theirs.

    With groups, see :class:`coreframe.tasks.kcenter.company.Groups`, all rows of a pick's group
    become centers with it; ``n`` counts picks. Of so few picks more centers come than that, and no
    lower bound is known.

    The lower bound is half the smallest distance among k + 1 rows that lie apart, the centers and
    the farthest row: of any k centers one is the nearest to two of these (Gonzalez; Hochbaum and
    Shmoys 1985, "A best possible heuristic for the k-center problem"). Without weights,
    quotas and substitutes it is half the radius.

    Args:
        corpus: the rows, with any centers that exist before already assigned.
        goal: when to stop.
        advance: called after every pass, with the number of picks made in it.
        tuning: how large pools are. Partitions have theirs with their vectors.
    """
    weighted = corpus.weight(np.empty(0, np.int64)) is not None
    progress = Progress(goal, weighted, corpus.dim, tuning)
    exchange = _exchanger(corpus, goal)
    company = None if goal.groups is None else Company(corpus, goal.groups)
    reports = _farthest(corpus, progress)
    before = highest_curve(reports)
    if goal.n > 0 and any(report.largest >= FAR for report in reports):
        progress.pool_rows = tuning.pool_rows_of(corpus.dim)
        first = corpus.central(progress.closed())
        if first is None:  # no class may have any
            return progress.picks(reports, before)
        progress.passes += 2  # finding the mean and its nearest row read the corpus once each
        picks = _first_pick(corpus, first, exchange, company)
        progress.take_first(first, picks.taken[0].row)
        reports = _assign(corpus, progress, picks, advance)
    while len(progress.rows) < goal.n:
        if not any(report.pickable for report in reports):
            if not progress.stop_filling():
                break
            reports = _farthest(corpus, progress)
            continue
        picks = _picks(_pool(corpus, reports, progress), progress, exchange, company, tuning)
        assert picks.rows, "the best row of all is a candidate, and above the bar"
        progress.take(picks)
        reports = _assign(corpus, progress, picks, advance)
    return progress.picks(reports, before)


def _first_pick(
    corpus: Partitions, row: int, exchange: Exchanger | None, company: Company | None
) -> PoolPicks:
    """The very first pick, which is far from every center."""
    vector = corpus.collect(np.array([row]))[0]
    own = center = Taken(row, vector, FAR)
    ahead = np.array([row]), vector[None]
    if exchange is not None:
        center = exchange(center, lambda: ahead)
    picks = PoolPicks()
    picks.add(own, center, None if company is None else company(center, lambda: ahead))
    return picks


def _picks(
    pool: Candidates,
    progress: Progress,
    exchange: Exchanger | None,
    company: Company | None,
    tuning: Tuning,
) -> PoolPicks:
    """The picks of one pass."""
    left, threshold = progress.goal.n - len(progress.rows), progress.threshold
    left_of = progress.left
    if exchange is not None or company is not None:  # as they would be, of which most will be
        copy = None if left_of is None else tuple(map(dict, left_of))
        expected = pick(pool, left, threshold, copy, tuning)
        for one in (exchange, company):
            if one is not None:
                one.begin_pass(expected.taken)
    return pick(pool, left, threshold, left_of, tuning, exchange, company)


def _exchanger(corpus: Partitions, goal: Goal) -> Exchanger | None:
    """What exchanges picks, None when they stay."""
    if goal.substitutes is None:
        return None
    return Exchanger(corpus, goal.substitutes, goal.squared_min_distance, corpus.dim)


def _assign(
    corpus: Partitions,
    progress: Progress,
    picks: PoolPicks,
    advance: Callable[[int], None],
) -> list[Farthest]:
    """Make one pass: let all partitions take up new centers, and ask for the farthest rows."""
    corpus.assign(*picks.centers(), curve=progress.needs_curve)
    reports = _farthest(corpus, progress)
    progress.passes += 1
    progress.note(reports, picks.ends)
    advance(len(picks))
    return reports


def _farthest(corpus: Partitions, progress: Progress) -> list[Farthest]:
    """What all partitions answer, as things stand."""
    return corpus.farthest(progress.pool_rows, progress.threshold, progress.closed())


def _pool(corpus: Partitions, reports: Sequence[Farthest], progress: Progress) -> Candidates:
    """The best rows of all partitions together, and the bar: the best that may be left out."""
    rows = np.concatenate([report.rows for report in reports])
    keys = np.concatenate([report.keys for report in reports])
    order = np.lexsort((rows, -keys)) if len(reports) > 1 else np.arange(len(rows))
    size, quota = progress.pool_rows, progress.goal.quota
    bars = [(int(keys[place]), -int(rows[place])) for place in order[size : size + 1]]
    for report in reports:
        if report.pickable > len(report.rows):  # what it did not name is below what it named last
            bars.append((int(report.keys[-1]), -int(report.rows[-1])))
    best = order[:size][np.argsort(rows[order[:size]])]
    kept = rows[best]
    return Candidates(
        rows=kept,
        distance=np.concatenate([report.distance for report in reports])[best],
        vectors=corpus.collect(kept),
        weight=corpus.weight(kept),
        labels=() if quota is None else quota.labels_of(kept),
        bar=max(bars, default=None),
        between=corpus.between,
    )


def share_of(count: int, partitions: int) -> int:
    """Rows that each partition names so that the best ``count`` of all are probably among them."""
    return min(count + 1, max(256, 4 * count // max(1, partitions)))


def central_row(
    sums: Sequence[tuple[int, NDArray[np.int64]]],
    search: Callable[[int, NDArray[np.int64]], Sequence[tuple[int, int] | None]],
) -> int | None:
    """Combine the partitions' answers to the two questions that lead to the first pick.

    Args:
        sums: :func:`coreframe.tasks.kcenter.partition.vector_sum` of every partition.
        search: asks every partition :func:`coreframe.tasks.kcenter.partition.most_central`.
    """
    count = sum(number for number, _ in sums)
    if count == 0:
        return None
    total = np.stack([vector for _, vector in sums]).sum(axis=0, dtype=np.int64)
    found = [answer for answer in search(count, total) if answer is not None]
    return min(found)[1] if found else None
