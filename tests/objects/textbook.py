"""Choosing frames by their objects, as one would write it down: in int64, a pick at a time."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FAR = 2**28


@dataclass
class Asked:
    """Of o objects: in which frame each is, and what is asked for."""

    n: int
    frame: NDArray[np.int64]
    threshold: int = 0
    radius: int | None = None
    weight: NDArray[np.int64] | None = None
    video: NDArray[np.int64] | None = None
    most: int | None = None
    least: int = 0


def frames_by_objects(lattice: NDArray[np.int16], asked: Asked) -> dict[str, list[int]]:
    """Pick the object farthest from all that are taken, and take all objects of its frame.

    The first is the object nearest to the mean of all; ties go to the lower number.

    Returns:
        ``objects`` picked, their squared ``distance`` then, and the squared ``radius`` after.
    """
    wide = lattice.astype(np.int64)
    apart = ((wide[:, None] - wide[None]) ** 2).sum(axis=2)
    count, taken_of = len(wide), Counter[int]()
    taken = np.zeros(count, bool)
    weight = np.ones(count, np.int64) if asked.weight is None else asked.weight
    video = np.zeros(count, np.int64) if asked.video is None else asked.video
    frames_of = {v: len(set(asked.frame[video == v].tolist())) for v in set(video.tolist())}
    found: dict[str, list[int]] = {"objects": [], "distance": [], "radius": []}
    while len(found["objects"]) < asked.n:
        if taken.any():
            distance = apart[:, taken].min(axis=1)
            lacking = [v for v in frames_of if taken_of[v] < min(asked.least, frames_of[v])]
            best, pick = -1, -1
            for one in range(count):
                short = bool(lacking) and any(
                    v in lacking and can(o, taken, distance, asked.threshold)
                    for o, v in enumerate(video.tolist())
                )
                least = asked.threshold
                if not short and asked.radius is not None:
                    least = max(least, asked.radius + 1)
                if not can(one, taken, distance, least):
                    continue
                if short and int(video[one]) not in lacking:
                    continue
                if not short and asked.most is not None and taken_of[int(video[one])] >= asked.most:
                    continue
                key = int(distance[one] * weight[one])
                if key > best:
                    best, pick = key, one
            if pick < 0:
                break
        else:
            distance = np.full(count, FAR)
            mean = wide.sum(axis=0)
            pick = int(np.argmin(count * (wide**2).sum(axis=1) - 2 * wide @ mean))
        found["objects"].append(pick)
        found["distance"].append(int(distance[pick]))
        taken |= asked.frame == asked.frame[pick]
        taken_of[int(video[pick])] += 1
        found["radius"].append(int(apart[:, taken].min(axis=1).max()))
    return found


def can(one: int, taken: NDArray[np.bool_], distance: NDArray[np.int64], least: int) -> bool:
    """Whether an object may be picked at all."""
    return not taken[one] and bool(distance[one] >= least)
