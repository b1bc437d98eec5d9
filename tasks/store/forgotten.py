"""Which contents a store has forgotten: known by their fingerprints, and nothing else of them.

The list is there from the first content that was forgotten on. It says also whether removing what
the store held of them was brought to its end; whoever writes next continues.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.catalogue import Catalogue, VideoState
from coreframe.tasks.store.seals import parse_json, sealed_json
from coreframe.tasks.store.store import Store

FORGOTTEN = "forgotten.json"


@dataclass(frozen=True)
class Forgotten:
    """The content of ``forgotten.json``."""

    fingerprints: frozenset[str] = frozenset()
    """Of contents that no run is to look at."""
    unfinished: bool = False
    """Something of them may be left in the store."""


def read_forgotten(store: Store, catalogue: Catalogue) -> Forgotten:
    """Read which contents are not to come back.

    Raises:
        CoreframeError: the list is damaged, or is gone: what was forgotten might come back.
    """
    try:
        content = parse_json(FORGOTTEN, store.folder.read(FORGOTTEN))
        return Forgotten(frozenset(content["fingerprints"]), bool(content["unfinished"]))
    except FileNotFoundError:
        if not any(video.state == VideoState.FORGOTTEN for video in catalogue.videos):
            return Forgotten()
        why = "is missing"
    except (ValueError, KeyError, TypeError) as error:
        why = f"cannot be read ({error})"
    raise CoreframeError(
        f"{store.path}/{FORGOTTEN} {why}, and without it videos that were forgotten would come "
        f"back: bring it back from a backup, or delete it and forget them again (`coreframe forget "
        f"VIDEO --store {store.path}`)."
    )


def write_forgotten(store: Store, fingerprints: Iterable[str], *, unfinished: bool) -> None:
    """Replace the list."""
    store.guard()
    content = {"fingerprints": sorted(fingerprints), "unfinished": unfinished}
    store.folder.write(FORGOTTEN, sealed_json(FORGOTTEN, content))
