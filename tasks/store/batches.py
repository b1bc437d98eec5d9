"""How many pictures a store's embedder is given at once, by where it computes.

What a network makes of a picture depends, in its last bits, on this number, which could be another
one if it were measured anew each night.
"""

from contextlib import suppress

from coreframe.tasks.store.seals import parse_json, sealed_json
from coreframe.tasks.store.store import Store

NAME = "batches.json"


def read_batches(store: Store) -> dict[str, int]:
    """What was settled, by the name of the place."""
    with suppress(ValueError, TypeError, KeyError, FileNotFoundError):  # damaged: settled anew
        settled = parse_json(NAME, store.folder.read(NAME))["settled"]
        return {str(place): int(size) for place, size in settled.items()}
    return {}


def settle_batch(store: Store, place: str, size: int) -> None:
    """Keep it for later runs."""
    settled = read_batches(store) | {place: size}
    store.folder.write(NAME, sealed_json(NAME, {"settled": settled}))
