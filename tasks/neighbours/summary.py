"""What a store keeps of the neighbours of its frames."""

from dataclasses import dataclass

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.neighbours.kept import KeptNeighbours
from coreframe.tasks.store.corpus import in_corpus
from coreframe.tasks.store.store import Store


@dataclass(frozen=True)
class NeighbourSummary:
    """The neighbours that are kept."""

    k: int
    """Of each frame; 0 where what is kept cannot be read."""
    frames: int
    """Of the corpus, whose neighbours are known."""


def neighbour_summary(store: Store) -> NeighbourSummary | None:
    """Count the frames of the corpus whose neighbours are kept; None where none are."""
    try:
        kept = KeptNeighbours(store).read()
    except CoreframeError:
        return NeighbourSummary(0, 0)  # whoever needs them finds them anew
    if kept is None:
        return None
    known = kept.rows[kept.settled]
    return NeighbourSummary(kept.k, int(in_corpus(store.read_catalogue(), known).sum()))
