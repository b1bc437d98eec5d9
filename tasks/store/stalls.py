"""What workers leave behind of videos that hung their decoder, before they end themselves.

A file for each content under ``STORE/stalled``, or for each path of which nothing came. It is there
only until the run has taken the video out; then the catalogue says so.
"""

from contextlib import suppress
from dataclasses import asdict, dataclass

from coreframe.tasks.store.indexes import checked_fingerprint
from coreframe.tasks.store.seals import parse_json, sealed_json
from coreframe.tasks.store.store import Store

MOST_STALLS = 2
"""A slow disk may stall a sound video once."""


@dataclass(frozen=True)
class Stall:
    """How often a video hung, and the last time where."""

    times: int
    reason: str

    @property
    def too_many(self) -> bool:
        """Whether the video is not to be tried again."""
        return self.times >= MOST_STALLS


def note_stall(store: Store, fingerprint: str, reason: str) -> None:
    """Count one more."""
    before = stalls(store).get(fingerprint)
    stall = Stall(before.times + 1 if before else 1, reason)
    name = f"stalled/{checked_fingerprint(fingerprint)}.json"
    store.folder.write(name, sealed_json(name, asdict(stall)))


def stalls(store: Store) -> dict[str, Stall]:
    """All that are noted, by the content's fingerprint."""
    found = {}
    for name in store.folder.names("stalled"):
        if name.endswith(".json"):
            place = f"stalled/{name}"
            with suppress(ValueError, TypeError, FileNotFoundError):  # damaged: it may hang again
                content = parse_json(place, store.folder.read(place))
                found[name.removesuffix(".json")] = Stall(**content)
    return found


def hung(store: Store) -> dict[str, Stall]:
    """Those that hung too often to be tried again."""
    return {key: stall for key, stall in stalls(store).items() if stall.too_many}


def forget_stalls(store: Store) -> None:
    """Forget all, once the catalogue has what matters."""
    store.folder.delete("stalled")
