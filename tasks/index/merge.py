"""Bringing a catalogue up to date with the files that were found."""

from collections.abc import Iterable
from dataclasses import replace

from coreframe.tasks.storage.files import exists
from coreframe.tasks.store.catalogue import Catalogue, Video, unique_name


def merge(catalogue: Catalogue, looked_at: Iterable[Video]) -> list[int]:
    """Enter what was found into the catalogue, in the order of the files."""
    current = [video for video in catalogue.videos if video.state != "retired"]
    by_source = {video.source: video.video for video in current}
    taken = {video.path for video in current}
    by_content: dict[str, list[int]] = {}
    quarantined: dict[str, Video] = {}
    for video in catalogue.videos:
        if video.rows:
            by_content.setdefault(video.fingerprint, []).append(video.video)
        if video.state == "quarantined":
            quarantined.setdefault(video.fingerprint, video)
    next_row = catalogue.rows
    numbers: list[int] = []
    for entry in looked_at:
        known = quarantined.get(entry.fingerprint)
        if known is not None:  # its content was not opened
            entry = replace(known, path=entry.path, source=entry.source, first_row=-1)
            entry = replace(entry, rows=0, decoded=0, undecodable=0)
        own = by_source.get(entry.source)
        if own is not None:
            old = catalogue.videos[own]
            if not entry.fingerprint or entry.fingerprint == old.fingerprint:
                if entry.version != old.version:
                    catalogue.update(own, version=entry.version)
                if old.rows or not entry.fingerprint or old.state == "quarantined":
                    catalogue.revived(own)
                else:  # nothing is planned of it: what was found now counts
                    attempts = old.attempts + entry.attempts
                    own_row = next_row if entry.rows else -1
                    next_row += entry.rows
                    catalogue.videos[own] = replace(
                        entry, video=own, path=old.path, first_row=own_row, attempts=attempts
                    )
                    if entry.rows:
                        by_content.setdefault(entry.fingerprint, []).append(own)
                numbers.append(own)
                continue
            catalogue.update(own, state="retired", reason="its file now holds another content")
            taken.discard(catalogue.videos[own].path)
        same = by_content.get(entry.fingerprint, [] if known is None else [known.video])
        free = [number for number in same if without_file(catalogue.videos[number])]
        if free:  # moved here, or back again
            number = free[0]
            taken.discard(catalogue.videos[number].path)
            name = unique_name(entry.path, entry.source, taken)
            catalogue.update(number, path=name, source=entry.source, version=entry.version)
            catalogue.revived(number)
        else:
            number = len(catalogue)
            if same:  # one more copy of a known file, with rows of its own
                entry = replace(entry, note=catalogue.videos[same[0]].note)
            name = unique_name(entry.path, entry.source, taken)
            first_row = next_row if entry.rows else -1
            next_row += entry.rows
            catalogue.videos.append(replace(entry, video=number, path=name, first_row=first_row))
            if entry.rows:
                by_content.setdefault(entry.fingerprint, []).append(number)
        taken.add(name)
        by_source[entry.source] = number
        numbers.append(number)
    for number in sorted(set(range(len(catalogue))) - set(numbers)):
        video = catalogue.videos[number]
        if video.active and not exists(video.source):
            catalogue.update(number, state="missing", reason="its file is gone")
    return numbers


def without_file(video: Video) -> bool:
    """Whether no file has this content any more."""
    return video.state == "retired" or not exists(video.source)
