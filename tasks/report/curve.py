"""The covering radius by number of picks."""

import numpy as np
import pandas as pd

from coreframe.tasks.output.metrics import Knee

LEAST_PICKS = 10
"""Of fewer, no bend is worth naming."""

LEAST_BEND = 2.5
"""Times as much as one after the bend takes a pick before it off the radius: less is not seen."""


def radius_curve(selection: pd.DataFrame, length: int) -> pd.DataFrame:
    """The radius after each pick of which it is known.

    Args:
        selection: what ``selection.parquet`` holds.
        length: frames a unit.

    Returns:
        ``k``, ``radius``, ``lower_bound``: the number of units picked, the largest L2 distance of
        any unit to its nearest pick, and what the best choice of as many cannot be below.
    """
    units = selection.iloc[::length]
    curve = pd.DataFrame(
        {
            "k": np.arange(1, len(units) + 1),
            "radius": units["radius"].to_numpy(),
            "lower_bound": units["lower_bound"].to_numpy(),
        }
    )
    return curve[np.isfinite(curve["radius"])].reset_index(drop=True)


def find_knee(curve: pd.DataFrame) -> Knee | None:
    """Where more picks stop paying: the point farthest below the chord of the curve.

    With both axes scaled to 0 .. 1, as Kneedle does (Satopaa et al. 2011, "Finding a 'Kneedle' in
    a haystack", without its smoothing, which a curve that only falls does not need).

    Args:
        curve: of :func:`radius_curve`.

    Returns:
        None where the curve is too short, does not fall, or falls about as fast all the way.
    """
    k, radius = curve["k"].to_numpy(float), curve["radius"].to_numpy(float)
    if len(k) < LEAST_PICKS or radius[0] <= radius[-1]:
        return None
    across = (k - k[0]) / (k[-1] - k[0])
    down = (radius[0] - radius) / (radius[0] - radius[-1])
    at = int((down - across).argmax())
    if at in (0, len(k) - 1):
        return None
    before = float((radius[0] - radius[at]) / (k[at] - k[0]))
    after = float((radius[at] - radius[-1]) / (k[-1] - k[at]))
    if before < LEAST_BEND * after:
        return None
    return Knee(k=int(k[at]), radius=float(radius[at]), before=before, after=after)
