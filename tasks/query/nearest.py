"""The frames that answer a query best, no two of one moment."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.query.asked import APART_S, FOUND
from coreframe.tasks.query.scores import scores_here
from coreframe.tasks.query.vectors import resolve
from coreframe.tasks.scale import SCALE
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.store import Store


def nearest_frames(
    store: Store,
    like: Sequence[str],
    unlike: Sequence[str],
    n: int = FOUND,
    min_apart_s: float = APART_S,
    among: NDArray[np.int64] | None = None,
) -> pd.DataFrame:
    """Search a store's corpus in this process.

    Every decodable frame may be found, also one that shows nothing or equals another.

    Args:
        store: to search.
        like: queries as people write them; see `coreframe.tasks.query.asked`.
        unlike: likewise.
        n: frames at most.
        min_apart_s: seconds that two frames of one video are apart at least.
        among: (m,) rows of the frames that may be found; None for all.

    Returns:
        The best first, of equals the lower row: ``rank`` (from 0), ``row``, ``video`` (its
        number), ``frame_index``, ``pts``, ``time_s`` and ``similarity``, the score as cosines.

    Raises:
        UsageError: there is no query, or one means nothing in this store.
    """
    if not like and not unlike:
        raise UsageError("nothing to search for: name a query, or --unlike one.")
    wish = resolve(store, like, unlike)
    corpus = read_corpus(store, ["row", "video", "frame_index", "pts", "time_s"])
    if among is not None:
        corpus = corpus[np.isin(corpus["row"].to_numpy(), among)]
    score = scores_here(store, corpus["row"].to_numpy(), wish)
    video, time_s = corpus["video"].to_numpy(), corpus["time_s"].to_numpy()
    places = best_apart(score, video, time_s, n, min_apart_s)
    found = corpus.iloc[places].reset_index(drop=True)
    found["similarity"] = score[places] / SCALE**2
    found.insert(0, "rank", np.arange(len(found)))
    return found


def best_apart(
    score: NDArray[np.int64],
    video: NDArray[np.int32],
    time_s: NDArray[np.float64],
    n: int,
    min_apart_s: float,
) -> NDArray[np.int64]:
    """Places of the best, passing over each that is too near in time to a better one.

    Args:
        score: (f,).
        video: (f,) of which each is.
        time_s: (f,).
        n: places at most.
        min_apart_s: seconds that two of one video are apart at least.
    """
    found: list[int] = []
    taken: dict[int, list[float]] = {}
    for place in np.argsort(-score, kind="stable").tolist():
        if len(found) == n:
            break
        own, at = taken.setdefault(int(video[place]), []), float(time_s[place])
        if all(abs(at - other) >= min_apart_s for other in own):
            own.append(at)
            found.append(place)
    return np.array(found, np.int64)
