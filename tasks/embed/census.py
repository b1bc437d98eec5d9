"""A census: a video decoded once from beginning to end, where decoding broke its promise."""

from dataclasses import dataclass, replace

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError, OutOfReachError
from coreframe.tasks.store.stalls import note_stall
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.census import take_census
from coreframe.tasks.video.deinterlace import field_note
from coreframe.tasks.watchdog import watching


@dataclass(frozen=True)
class CensusJob:
    """A video to be decoded from beginning to end, to learn what can be decoded."""

    store: str
    video: int
    source: str
    fingerprint: str
    stall_limit_s: float


def take_and_keep_census(job: CensusJob) -> str:
    """Take a video's census on its own: why there is none, or "" when it is in the store."""
    try:
        survey(Store.open(job.store), job.source, job.fingerprint, job.stall_limit_s)
    except (BrokenVideoError, NotAVideoError, OutOfReachError, OSError) as error:
        return str(error)
    return ""


def survey(store: Store, source: str, content: str, stall_limit_s: float) -> str:
    """Take a video's census and keep it as its index, with a note of what it found.

    Returns:
        The note.

    Raises:
        BrokenVideoError, NotAVideoError, OutOfReachError, OSError: nothing can be decoded any more.
    """
    facts, demuxed = store.read_facts_and_index(content)

    def stalled() -> None:
        reason = f"its decoder gave nothing for {stall_limit_s:g} s in a decode from its beginning"
        note_stall(store, content, reason)

    with watching(stall_limit_s, stalled):
        index, trouble = take_census(source, demuxed, store.settings.viewing.of(facts))
    told = [trouble or "it does not decode as its packets promise", *index.oddities()]
    note = "; ".join(told)
    fields = field_note(facts.interlaced, store.settings.viewing.of(facts))
    note = "; ".join(filter(None, [note, fields]))
    store.write_index(content, replace(facts, note=note), index)
    return note
