"""Scores of a corpus, computed by Dask workers: each reads its own blocks."""

from functools import partial

import numpy as np
from dask.distributed import Client
from numpy.typing import NDArray

from coreframe.tasks.engine.dispatch import gather, workers
from coreframe.tasks.kcenter.layout import block_cuts
from coreframe.tasks.query.scores import ScoreJob, ScoresOf, score_rows
from coreframe.tasks.query.vectors import Wish
from coreframe.tasks.store.store import Store

JOBS_PER_WORKER = 4
"""So that all end at about the same time."""


def scores_on(cluster: str) -> ScoresOf:
    """Let the workers of a cluster compute scores; 8 bytes a row come back.

    Args:
        cluster: the scheduler's address.
    """
    return partial(_scores, cluster)


def _scores(cluster: str, store: Store, rows: NDArray[np.int64], wish: Wish) -> NDArray[np.int64]:
    with Client(cluster) as client:
        cuts = block_cuts(rows, store.block_rows, JOBS_PER_WORKER * workers(client))
        futures = [
            client.submit(score_rows, ScoreJob(store.path, own, wish), pure=False)
            for own in np.split(rows, cuts)
        ]
        return np.concatenate(gather(client, futures, "Comparing frames with queries"))
