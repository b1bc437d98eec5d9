"""Bringing a catalogue up to date with the files that were found."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from coreframe.tasks.storage.files import exists
from coreframe.tasks.store.catalogue import (
    GONE,
    UNREADABLE,
    Catalogue,
    Video,
    VideoState,
    unique_name,
)


def merge(catalogue: Catalogue, looked_at: Iterable[Video]) -> list[int | None]:
    """Enter what was found into the catalogue, in the order of the files.

    Args:
        catalogue: to bring up to date.
        looked_at: what is known of each file, not yet numbered.

    Returns:
        The number of each file's video; None for one whose content is forgotten.
    """
    merging = _Merging(catalogue)
    numbers = [merging.enter(found) for found in looked_at]
    for number in sorted(set(range(len(catalogue))).difference(numbers)):
        video = catalogue.videos[number]
        why = _not_there(video) if video.active else ""
        if why:
            catalogue.update(number, state=VideoState.MISSING, reason=why)
    return numbers


def without_file(video: Video) -> bool:
    """Whether no file has this content any more."""
    return video.state == VideoState.RETIRED or _not_there(video) == GONE


def _not_there(video: Video) -> str:
    """Why a video's file cannot be had, or "" when it is there; it may be there another time."""
    try:
        return "" if exists(video.source) else GONE
    except OSError as error:
        return f"its folder cannot be read now ({error.strerror})"


class _Merging:
    """A catalogue while files are entered into it, one after the other."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        ended = (VideoState.RETIRED, VideoState.FORGOTTEN)
        current = [video for video in catalogue.videos if video.state not in ended]
        self._by_source = {video.source: video.video for video in current}
        self._names = {video.path for video in current}
        self._by_content: dict[str, list[int]] = {}
        """Numbers of the videos with rows."""
        self._quarantined: dict[str, Video] = {}
        """The first of each content."""
        for video in catalogue.videos:
            if video.rows and video.state != VideoState.FORGOTTEN:
                self._by_content.setdefault(video.fingerprint, []).append(video.video)
            if video.state == VideoState.QUARANTINED:
                self._quarantined.setdefault(video.fingerprint, video)
        self._next_row = catalogue.rows

    def enter(self, found: Video) -> int | None:
        """Enter what was found in one file, and give the number of its video.

        Nothing is entered of a forgotten content, and None given.
        """
        catalogue = self._catalogue
        quarantined = self._quarantined.get(found.fingerprint)
        if quarantined is not None:  # its content was not opened
            found = replace(quarantined, path=found.path, source=found.source, first_row=-1)
            found = replace(found, rows=0, decoded=0, undecodable=0)
        own = self._by_source.get(found.source)
        if own is not None:
            known = catalogue.videos[own]
            if not found.fingerprint or found.fingerprint == known.fingerprint:
                self._look_again(known, found)
                return own
            reason = "its file now holds another content"
            catalogue.update(own, state=VideoState.RETIRED, reason=reason)
            self._names.discard(known.path)
        if found.state == VideoState.FORGOTTEN:
            return None
        fallback = [] if quarantined is None else [quarantined.video]
        same = self._by_content.get(found.fingerprint, fallback)
        free = [number for number in same if without_file(catalogue.videos[number])]
        number = self._move(free[0], found) if free else self._add(found, same)
        self._names.add(catalogue.videos[number].path)
        self._by_source[found.source] = number
        return number

    def _look_again(self, known: Video, found: Video) -> None:
        """A file with the content that it had: what is planned of it stays."""
        number = known.video
        if found.version != known.version:
            self._catalogue.update(number, version=found.version)
        if not found.fingerprint and known.rows and known.state != VideoState.QUARANTINED:
            why = found.reason.removeprefix("cannot be read: ")
            reason = f"{UNREADABLE}: {why}"  # it counts again when it can be
            self._catalogue.update(number, state=VideoState.MISSING, reason=reason)
            return
        if known.rows or not found.fingerprint or known.state == VideoState.QUARANTINED:
            self._catalogue.revived(number)
            return
        # nothing is planned of it: what was found now counts
        attempts = known.attempts + found.attempts
        self._plan(replace(found, video=number, path=known.path, attempts=attempts))

    def _move(self, number: int, found: Video) -> int:
        """A known content whose file is gone: it has moved here, or come back."""
        self._names.discard(self._catalogue.videos[number].path)
        name = unique_name(found.path, found.source, self._names)
        self._catalogue.update(number, path=name, source=found.source, version=found.version)
        self._catalogue.revived(number)
        return number

    def _add(self, found: Video, same: Sequence[int]) -> int:
        """A file that was not known.

        Args:
            found: in it.
            same: numbers of the videos with the same content: it has rows of its own even so.
        """
        number = len(self._catalogue)
        if same:
            found = replace(found, note=self._catalogue.videos[same[0]].note)
        name = unique_name(found.path, found.source, self._names)
        self._catalogue.videos.append(found)
        self._plan(replace(found, video=number, path=name))
        return number

    def _plan(self, video: Video) -> None:
        """Put a video in its place in the catalogue, with rows behind all that are planned."""
        first_row = self._next_row if video.rows else -1
        self._catalogue.videos[video.video] = replace(video, first_row=first_row)
        self._next_row += video.rows
        if video.rows:
            self._by_content.setdefault(video.fingerprint, []).append(video.video)
