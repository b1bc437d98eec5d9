"""The decodable frames of a store."""

from collections.abc import Sequence

import pandas as pd

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.store import Store

FRAME_COLUMNS = ["row", "video", "frame_index", "pts", "time_s", "digest"]


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
