"""Which contents a store has forgotten: known by their fingerprints, and nothing else of them.

The list is there from the first content that was forgotten on. It says also whether removing what
the store held of them was brought to its end; whoever writes next continues.

It is written twice, and what either says is forgotten is: a list that is damaged, gone or of
another night lets nothing come back.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.catalogue import Catalogue, VideoState
from coreframe.tasks.store.seals import parse_json, sealed_json
from coreframe.tasks.store.store import Store

FORGOTTEN, FORGOTTEN_COPY = "forgotten.json", "forgotten-copy.json"


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
    lists, why = [], ""
    for name in (FORGOTTEN, FORGOTTEN_COPY):
        try:
            one = _read(store, name)
        except CoreframeError as error:
            why = str(error)
        else:
            lists += [] if one is None else [one]
    if lists:
        known = frozenset().union(*(one.fingerprints for one in lists))
        return Forgotten(known, any(one.unfinished for one in lists))
    if not why and not any(video.state == VideoState.FORGOTTEN for video in catalogue.videos):
        return Forgotten()
    raise CoreframeError(
        f"{why or f'{store.path}/{FORGOTTEN} is missing'}, and without it videos that were "
        "forgotten would come back: bring it back from a backup, or delete it and forget them "
        f"again (`coreframe forget VIDEO --store {store.path}`)."
    )


def forgotten_fault(store: Store, catalogue: Catalogue) -> str:
    """What is wrong with the lists, in a clause; empty for nothing."""
    try:
        read_forgotten(store, catalogue)
        first, second = (_read(store, name) for name in (FORGOTTEN, FORGOTTEN_COPY))
    except CoreframeError as error:
        return str(error)
    return "" if first == second else f"{store.path}/{FORGOTTEN} differs from {FORGOTTEN_COPY}"


def _read(store: Store, name: str) -> Forgotten | None:
    try:
        content = parse_json(name, store.folder.read(name))
        return Forgotten(frozenset(content["fingerprints"]), bool(content["unfinished"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise CoreframeError(f"{store.path}/{name} cannot be read ({error})") from error


def write_forgotten(store: Store, fingerprints: Iterable[str], *, unfinished: bool) -> None:
    """Replace both lists."""
    store.guard()
    content = {"fingerprints": sorted(fingerprints), "unfinished": unfinished}
    for name in (FORGOTTEN, FORGOTTEN_COPY):
        store.folder.write(name, sealed_json(name, content))
