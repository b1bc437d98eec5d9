"""What objects a store holds."""

from collections import Counter
from dataclasses import dataclass

from coreframe.tasks.store.objects import StoredObjects
from coreframe.tasks.store.store import Store


@dataclass(frozen=True)
class ObjectSummary:
    """Of the embedded objects in frames of the corpus."""

    objects: int
    frames: int
    """That have any."""
    labels: dict[str, int]
    """Objects of each, the most first."""


def object_summary(store: Store) -> ObjectSummary:
    """Count the objects of a store."""
    table = StoredObjects(store).active(["row", "label"])
    count = Counter(table["label"].to_pylist())
    ordered = sorted(count.items(), key=lambda one: (-one[1], one[0]))
    return ObjectSummary(len(table), len(set(table["row"].to_pylist())), dict(ordered))
