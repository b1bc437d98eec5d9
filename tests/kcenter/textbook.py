"""Greedy k-center as textbooks write it, with all options, in int64: the engine must equal it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.apportion import apportion
from coreframe.tasks.kcenter.exchange import Substitutes
from coreframe.tasks.kcenter.goal import Classes, Goal, Quota
from coreframe.tasks.kcenter.partition import FAR


@dataclass
class Asked:
    """A selection, in plain terms."""

    n: int
    threshold: int = 0
    radius: int | None = None
    weight: NDArray[np.int64] | None = None
    video: NDArray[np.int64] | None = None
    most: int | None = None
    least: int = 0
    before: Sequence[int] = ()
    substitutes: Substitutes | None = None
    classes: NDArray[np.int64] | None = None
    shares: tuple[Fraction, ...] = ()

    @property
    def goal(self) -> Goal:
        quota = classes = None
        if self.classes is not None:
            every = np.bincount(self.classes, minlength=len(self.shares))
            held = np.bincount(self.classes[list(self.before)], minlength=len(self.shares))
            counts = tuple(held.tolist()), tuple((every - held).tolist())
            classes = Classes(self.classes, self.shares, *counts)
        if self.video is not None and (self.most is not None or self.least or classes):
            taken = Counter(self.video[list(self.before)].tolist())
            rows = np.arange(len(self.video))
            quota = Quota(self.most, self.least, rows, self.video, taken, classes)
        return Goal(self.n, self.threshold, self.radius, quota, self.substitutes)


def textbook(lattice: NDArray[np.int16], asked: Asked) -> dict[str, list[int]]:
    """Greedy k-center, one pass over all rows for each pick, in int64."""
    wide = lattice.astype(np.int64)
    distance = np.full(len(wide), FAR, np.int64)
    weight = np.ones(len(wide), np.int64) if asked.weight is None else asked.weight
    video = np.zeros(len(wide), np.int64) if asked.video is None else asked.video
    can = np.ones(len(wide), bool)
    taken: Counter[int] = Counter()
    got = [0] * len(asked.shares)
    of = np.zeros(len(wide), np.int64) if asked.classes is None else asked.classes
    apart, found = FAR, {"rows": [], "picked": [], "distance": [], "radius": [], "bound": []}

    def take(row: int) -> None:
        nonlocal distance
        can[row] = False
        taken[int(video[row])] += 1
        if got:
            got[of[row]] += 1
        distance = np.minimum(distance, ((wide - wide[row]) ** 2).sum(axis=1))

    def better(row: int) -> int:
        """The best row that may be taken for one."""
        how = asked.substitutes
        if how is None:
            return row
        apart = ((wide - wide[row]) ** 2).sum(axis=1)
        fits = (how.video == how.video[row]) & (np.abs(how.time_s - how.time_s[row]) <= 1)
        fits &= (apart <= how.squared_within) & (16 * apart <= distance[row])
        fits &= (distance > 0) & (distance >= asked.threshold)
        fits &= how.quality > how.quality[row]
        fits &= True if how.label is None else how.label == how.label[row]
        return int(np.argmax(np.where(fits, how.quality, -np.inf))) if fits.any() else row

    for row in asked.before:
        take(row)
    filling = asked.least > 0
    targets = None
    while len(found["rows"]) < asked.n:
        if got and not filling and targets is None:
            every = [int((of == one).sum()) for one in range(len(got))]
            seats = asked.n - len(found["rows"]) + sum(got)
            targets = apportion(seats, asked.shares, list(got), every)
        in_class = np.ones(len(wide), bool)
        if targets is not None:
            in_class = np.array([got[one] < targets[one] for one in of.tolist()], bool)
        if not found["rows"] and not asked.before:
            score = len(wide) * (wide**2).sum(axis=1) - 2 * wide @ wide.sum(axis=0)
            if not in_class.any():
                break
            best = int(np.flatnonzero(in_class)[np.argmin(score[in_class])])
        else:
            threshold = asked.threshold
            if not filling and asked.radius is not None:
                threshold = max(threshold, asked.radius + 1)
            ok = can & (distance >= threshold) & in_class
            if filling:
                ok &= np.array([taken[v] < asked.least for v in video.tolist()])
            elif asked.most is not None:
                ok &= np.array([taken[v] < asked.most for v in video.tolist()])
            if not ok.any():
                if not filling:
                    break
                filling = False
                continue
            best = int(np.argmax(np.where(ok, distance * weight, -1)))
        found["picked"].append(best)
        best = better(best)
        apart = min(apart, int(distance[best]))
        found["distance"].append(int(distance[best]))
        take(best)
        found["rows"].append(best)
        found["radius"].append(int(distance.max()))
        found["bound"].append(min(apart, int(distance.max())))
    return found
