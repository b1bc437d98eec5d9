"""Stage 3, select: choose rows, with the corpus spread over the workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from dask.distributed import Client, Future

from tasks.dispatch import gather, workers
from tasks.errors import CoreframeError
from tasks.jobs.select import load_partition
from tasks.lattice import SCALE
from tasks.progress import Advance, stage_bar
from tasks.selection import partition as on_worker
from tasks.selection.greedy import Picks, central_row, greedy_k_center
from tasks.selection.methods import (
    Choice,
    distances_in_order,
    fixed_rate_rows,
    keep_apart,
    random_rows,
)
from tasks.selection.partition import Candidates
from tasks.stage import stage
from tasks.store.frames import first_occurrences
from tasks.store.store import Store, corpus_frames

PARTITIONS_PER_WORKER = 2


@dataclass(frozen=True)
class Selection:
    """What was chosen, and from what."""

    frames: pd.DataFrame
    """One row a pick in pick order: rank, row, video (its catalogue number), frame_index, pts,
    time_s, distance, digest."""
    eligible: np.ndarray
    """(m,) int64 rows that could be chosen, ascending."""
    decodable: int
    """Rows of the corpus."""
    duplicates: int
    """Rows left out because an earlier frame has the same pixels."""
    asked: int | None
    """Frames the budget asked for, perhaps more than there are; None when it set no number."""
    stopped_by: str
    """``n``, ``min_distance``, ``exhausted`` or, at a fixed rate, ``thinned``."""
    passes: int


def read_corpus(store: Store) -> pd.DataFrame:
    """The decodable frames of all videos that are not retired, in row order.

    Raises:
        CoreframeError: there are none.
    """
    active = [video.video for video in store.read_catalogue().videos if video.active]
    frames = corpus_frames(store.frames(), active)
    if frames.empty:
        raise CoreframeError(
            f"the store {store.path} holds no decodable frame: ingest at least one sound video."
        )
    return frames


@stage("select")
def select_frames(store: Store, choice: Choice, device: str, cluster: str) -> Selection:
    """Choose rows by the method asked for.

    Duplicates are dropped before any method chooses, so that methods differ in nothing else.
    """
    corpus = read_corpus(store)
    rows = corpus["row"].to_numpy()
    first = first_occurrences(corpus)
    eligible = np.ones(len(rows), bool) if choice.keep_exact_duplicates else first
    asked = choice.budget.asked(len(rows))
    available = int(eligible.sum())
    n = available if asked is None else min(asked, available)

    with stage_bar("select", n, "frames") as advance:
        if choice.method == "coreset":
            with Client(cluster) as client:
                parts = DaskPartitions(client, store, rows, eligible, device, advance)
                picks = greedy_k_center(parts, n, choice.budget.squared_min_distance)
                advance(len(picks.rows) - parts.assigned)
        else:
            picks = _baseline_picks(store, choice, rows[eligible], n)
            advance(len(picks.rows))

    stopped_by = picks.stopped_by
    if stopped_by == "n" and (asked is None or asked > available):
        stopped_by = "exhausted"
    chosen = corpus.set_index("row").loc[picks.rows].reset_index()
    chosen.insert(0, "rank", np.arange(len(chosen)))
    chosen["distance"] = picks.distance
    return Selection(
        frames=chosen,
        eligible=rows[eligible],
        decodable=len(rows),
        duplicates=int((~eligible).sum()),
        asked=asked,
        stopped_by=stopped_by,
        passes=picks.passes,
    )


def baseline_rows(method: str, eligible: np.ndarray, n: int, seed: int) -> np.ndarray:
    """The rows that ``random`` or ``fixed-rate`` chooses, in its order."""
    if method == "random":
        return random_rows(eligible, n, seed)
    return fixed_rate_rows(eligible, n)


def _baseline_picks(store: Store, choice: Choice, eligible: np.ndarray, n: int) -> Picks:
    """Choose at random or at a fixed rate, and apart if that is asked.

    At random, frames too near to a drawn one are passed over and drawing goes on; a fixed rate
    has no others to go on with, so its frames are thinned.
    """
    if choice.budget.min_distance == 0:
        rows, stopped_by = baseline_rows(choice.method, eligible, n, choice.seed), "n"
    else:
        random = choice.method == "random"
        order = baseline_rows(choice.method, eligible, len(eligible) if random else n, choice.seed)
        rows = keep_apart(order, store.read_rows, choice.budget.squared_min_distance, n)
        stopped_by = "n" if len(rows) == n else "min_distance" if random else "thinned"
    return Picks(rows, distances_in_order(store.read_rows(rows)), stopped_by)


class DaskPartitions:
    """The corpus on the workers: :class:`tasks.selection.greedy.Partitions` over Dask futures.

    A partition's next state is a new future made from the last one and the new centers, both
    immutable, so Dask can rebuild a lost worker's partitions from the store.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        rows: np.ndarray,
        eligible: np.ndarray,
        device: str,
        advance: Advance = lambda _: None,
    ) -> None:
        self._client = client
        self._store = store
        self._advance = advance
        self.assigned = 0
        """Centers the partitions know of."""
        count = PARTITIONS_PER_WORKER * workers(client)
        self._parts: list[Future] = [
            client.submit(load_partition, str(store.path), some, ok, device, pure=False)
            for some, ok in split_by_block(rows, eligible, store.block_rows, count)
        ]

    def central(self) -> int | None:
        return central_row(self._ask(on_worker.vector_sum), self._nearest_to_mean)

    def _nearest_to_mean(self, count: int, total: np.ndarray) -> list[tuple[int, int] | None]:
        return self._ask(on_worker.most_central, count, total)

    def vectors(self, rows: Sequence[int]) -> np.ndarray:
        return self._store.read_rows(rows)

    def assign(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        self._parts = self._submit(on_worker.assign, rows, vectors)
        self._advance(len(rows))
        self.assigned += len(rows)

    def candidates(self, count: int) -> list[Candidates]:
        return self._ask(on_worker.candidates, -(-count // len(self._parts)))

    def coverage(self, subset: np.ndarray) -> tuple[float, float]:
        """Largest and mean L2 distance of the corpus's rows to their nearest vector of a subset.

        Args:
            subset: (m, dim) int16 lattice.
        """
        answers = self._ask(on_worker.coverage, subset)
        rows = sum(count for _, _, count in answers)
        largest = max(squared for squared, _, _ in answers)
        return largest**0.5 / SCALE, sum(total for _, total, _ in answers) / rows / SCALE

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> list[Future]:
        return [self._client.submit(function, part, *arguments, pure=False) for part in self._parts]

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        return gather(self._client, self._submit(function, *arguments), "Selecting")


def split_by_block(
    rows: np.ndarray, eligible: np.ndarray, block_rows: int, count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split ascending rows into at most ``count`` runs of about equal size, whole blocks each."""
    edges = np.flatnonzero(np.diff(rows // block_rows)) + 1
    ideal = np.arange(1, count) * len(rows) // count
    at = np.searchsorted(edges, ideal)
    cuts = np.unique(edges[at[at < len(edges)]])
    return list(zip(np.split(rows, cuts), np.split(eligible, cuts), strict=True))
