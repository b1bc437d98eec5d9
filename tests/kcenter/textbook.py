"""Greedy k-center as textbooks write it, with all options, in int64: the engine must equal it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.goal import Goal, Quota
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

    @property
    def goal(self) -> Goal:
        quota = None
        if self.video is not None and (self.most is not None or self.least):
            taken = Counter(self.video[list(self.before)].tolist())
            quota = Quota(self.most, self.least, np.arange(len(self.video)), self.video, taken)
        return Goal(self.n, self.threshold, self.radius, quota)


def textbook(lattice: NDArray[np.int16], asked: Asked) -> dict[str, list[int]]:
    """Greedy k-center, one pass over all rows for each pick, in int64."""
    wide = lattice.astype(np.int64)
    distance = np.full(len(wide), FAR, np.int64)
    weight = np.ones(len(wide), np.int64) if asked.weight is None else asked.weight
    video = np.zeros(len(wide), np.int64) if asked.video is None else asked.video
    can = np.ones(len(wide), bool)
    taken: Counter[int] = Counter()
    apart, found = FAR, {"rows": [], "distance": [], "radius": [], "bound": []}

    def take(row: int) -> None:
        nonlocal distance
        can[row] = False
        taken[int(video[row])] += 1
        distance = np.minimum(distance, ((wide - wide[row]) ** 2).sum(axis=1))

    for row in asked.before:
        take(row)
    filling = asked.least > 0
    while len(found["rows"]) < asked.n:
        if not found["rows"] and not asked.before:
            score = len(wide) * (wide**2).sum(axis=1) - 2 * wide @ wide.sum(axis=0)
            best = int(np.argmin(score))
            found["distance"].append(0)
        else:
            threshold = asked.threshold
            if not filling and asked.radius is not None:
                threshold = max(threshold, asked.radius + 1)
            ok = can & (distance >= threshold)
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
            apart = min(apart, int(distance[best]))
            found["distance"].append(int(distance[best]))
        take(best)
        found["rows"].append(best)
        found["radius"].append(int(distance.max()))
        found["bound"].append(min(apart, int(distance.max())))
    return found
