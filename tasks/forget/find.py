"""What people mean by a video that is to be forgotten, or to be let in again."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from coreframe.tasks.errors import UsageError
from coreframe.tasks.storage.buckets import is_url
from coreframe.tasks.storage.files import exists
from coreframe.tasks.storage.fingerprint import fingerprint
from coreframe.tasks.store.catalogue import Catalogue, Video, VideoState


@dataclass(frozen=True)
class Found:
    """What is to be forgotten."""

    fingerprints: frozenset[str]
    """Of the contents, in the store or not."""
    videos: tuple[Video, ...]
    """Entries of the catalogue, copies among them."""

    @property
    def frames(self) -> int:
        """Embedded ones."""
        return sum(video.decoded for video in self.videos)


def find(catalogue: Catalogue, given: Sequence[str], store: str) -> Found:
    """Find what is meant by names: paths that the catalogue shows, files, URLs, or fingerprints.

    A content is meant as a whole: with one file of it, all of its copies. A name means all contents
    that have borne it. A file that the store does not know is forgotten before it comes.

    Raises:
        UsageError: a name means nothing.
    """
    known = [video for video in catalogue.videos if video.state != VideoState.FORGOTTEN]
    fingerprints: set[str] = set()
    numbers: set[int] = set()
    for name in given:
        meant = {name, absolute(name)} - {""}
        own = [v for v in known if meant & {v.path, v.source, v.fingerprint}]
        numbers |= {video.video for video in own}
        fingerprints |= {video.fingerprint for video in own if video.fingerprint}
        if not own:
            fingerprints.add(_of_file(name, absolute(name), store))
    videos = (v for v in known if v.video in numbers or v.fingerprint in fingerprints)
    return Found(frozenset(fingerprints), tuple(videos))


def find_forgotten(given: Sequence[str], forgotten: Collection[str], store: str) -> frozenset[str]:
    """The fingerprints of forgotten contents that are meant: by fingerprint, or by a file.

    Raises:
        UsageError: one is not among them.
    """
    found = set()
    for name in given:
        content = name if name in forgotten else _of_file(name, absolute(name), store)
        if content not in forgotten:
            raise UsageError(
                f"{name} is not among what {store} has forgotten: its fingerprint is {content}."
            )
        found.add(content)
    return frozenset(found)


def absolute(name: str) -> str:
    """As a catalogue has it where it was found."""
    return name if is_url(name) else str(Path(name).absolute())


def _of_file(name: str, place: str, store: str) -> str:
    """The fingerprint of a file.

    Raises:
        UsageError: there is none.
    """
    try:
        if exists(place):
            return fingerprint(place)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror or error}.") from error
    if re.fullmatch(r"[0-9a-f]{32}", name):
        raise UsageError(f"{store} knows no content with the fingerprint {name}.")
    raise UsageError(
        f"no video {name} in {store}, and no such file: name it as `coreframe info --store {store}`"
        " shows it, by where its file is, or by its fingerprint."
    )
