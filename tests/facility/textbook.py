"""Greedy facility location with all options, every gain found anew, in int64."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.apportion import apportion
from tests.kcenter.textbook import Asked


def whole_gaps(lattice: NDArray[np.int16]) -> NDArray[np.int64]:
    """(n, n) distances in whole lattice units, as `coreframe.tasks.facility.gaps` defines them."""
    wide = lattice.astype(np.int64)
    squared = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    return np.rint(np.sqrt(squared.astype(np.float32))).astype(np.int64)


def textbook(lattice: NDArray[np.int16], asked: Asked) -> dict[str, list[int]]:
    """Pick what lowers the sum of all gaps most, of equals the lowest row."""
    wide = lattice.astype(np.int64)
    squared = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    apart = whole_gaps(lattice)
    far = 2**28
    distance, gap = np.full(len(wide), far), np.full(len(wide), 2**14)
    video = np.zeros(len(wide), np.int64) if asked.video is None else asked.video
    can, taken = np.ones(len(wide), bool), Counter()
    got, targets = [0] * len(asked.shares), None
    of = np.zeros(len(wide), np.int64) if asked.classes is None else asked.classes
    found: dict[str, list[int]] = {"rows": [], "distance": [], "radius": [], "gap": []}

    def take(row: int) -> None:
        can[row] = False
        taken[int(video[row])] += 1
        if got:
            got[of[row]] += 1
        np.minimum(distance, squared[row], out=distance)
        np.minimum(gap, apart[row], out=gap)

    for row in asked.before:
        take(row)
    filling = asked.video is not None and asked.least > 0
    while len(found["rows"]) < asked.n:
        ok = can & (distance >= asked.threshold)
        if got and not filling:
            every = [int((of == one).sum()) for one in range(len(got))]
            seats = asked.n - len(found["rows"]) + sum(got)
            targets = targets or apportion(seats, asked.shares, list(got), every)
            ok &= np.array([got[one] < targets[one] for one in of.tolist()], bool)
        if filling:
            ok &= np.array([taken[v] < asked.least for v in video.tolist()])
        elif asked.video is not None and asked.most is not None:
            ok &= np.array([taken[v] < asked.most for v in video.tolist()])
        if not ok.any():
            if not filling:
                break
            filling = False
            continue
        gain = np.maximum(0, gap[None] - apart).sum(axis=1)
        best = int(np.argmax(np.where(ok, gain, -1)))
        found["distance"].append(int(distance[best]))
        take(best)
        found["rows"].append(best)
        found["radius"].append(int(distance.max()))
        found["gap"].append(int(gap.sum()))
    return found
