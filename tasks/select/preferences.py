"""What is better among what may be chosen: weights by which near-equals differ, and best shares."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.select.choice import exact

WEIGHT_STEPS = 1024
"""Weights are whole numbers of 1/1024, so that keys are integers and compare exactly."""

Preference = tuple[NDArray[Any], float]
"""The (u,) quality of each unit, the larger the better, and the strength, 0 to 1."""


def weights(
    preferences: Sequence[Preference], eligible: NDArray[np.bool_]
) -> NDArray[np.int64] | None:
    """Square weights that let the better of near-equals win.

    With q the share of the eligible units of lower quality (0 for the worst, near 1 for the
    best), a unit's distance to its nearest center is multiplied by w = 1 - strength * (1 - q)
    before it is compared. So at strength s a unit of the lowest quality must lie 1 / (1 - s) times
    as far out as one of the highest to be picked before it; at 0 only distance counts. Of several
    preferences the factors are multiplied.

    Args:
        preferences: what is preferred.
        eligible: (u,).

    Returns:
        (u,) round(1024 w) squared; None where nothing is preferred.
    """
    if not preferences:
        return None
    factor = np.ones(len(eligible))
    for quality, strength in preferences:
        order = np.sort(quality[eligible])
        share = np.searchsorted(order, quality, side="left") / max(1, len(order))
        factor = factor * (1 - strength * (1 - share))
    return np.rint(WEIGHT_STEPS * factor).astype(np.int64) ** 2


def best_share(
    score: NDArray[np.int64], eligible: NDArray[np.bool_], share: float
) -> NDArray[np.bool_]:
    """(u,) which of the eligible are the best of them, of equals the lower rows.

    Args:
        score: (u,), the more the better.
        eligible: (u,).
        share: above 0, at most 1; of so many units it keeps the next whole number.
    """
    places = np.flatnonzero(eligible)
    order = np.argsort(-score[places], kind="stable")
    best = np.zeros(len(eligible), bool)
    best[places[order[: math.ceil(exact(share) * len(places))]]] = True
    return best


def mean_quality(of_frames: NDArray[np.number], members: NDArray[np.int64]) -> NDArray[np.float64]:
    """(u,) mean over the (u, length) frames of each unit that have a value; -inf where none has."""
    own = of_frames.astype(np.float64)[members]
    there = ~np.isnan(own)
    mean = np.where(there, own, 0.0).sum(axis=1) / np.maximum(1, there.sum(axis=1))
    return np.where(there.any(axis=1), mean, -np.inf)
