"""The catalogue: one entry for every file the store has ever been given."""

from bisect import bisect_right
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from itertools import zip_longest

import pyarrow as pa
import xxhash

from coreframe.tasks.names import shown


class VideoState(StrEnum):
    """What can be said of a file.

    The rows of missing and retired videos stay in the store but out of every selection, and count
    again when the content comes back.
    """

    PENDING = "pending"
    """Rows are planned, not all are committed."""
    OK = "ok"
    """Every planned frame is embedded."""
    DAMAGED = "damaged"
    """Some frames cannot be decoded, the others are embedded."""
    BROKEN = "broken"
    """It should be a video, but no frame can be had."""
    SKIPPED = "skipped"
    """It holds no moving picture."""
    QUARANTINED = "quarantined"
    """It killed or hung the workers that read it, or does not give again what was embedded, and is
    not tried again."""
    MISSING = "missing"
    """Its file is gone, or cannot be read."""
    RETIRED = "retired"
    """Another content has taken its file's place."""
    FORGOTTEN = "forgotten"
    """Somebody wanted all of it gone: what is left is where its rows were."""


INACTIVE = frozenset(
    {VideoState.QUARANTINED, VideoState.MISSING, VideoState.RETIRED, VideoState.FORGOTTEN}
)
"""States of videos whose rows, if there are any, do not belong to the corpus."""


GONE = "its file is gone"
REPLACED = "its file was replaced while it was being read"
UNREADABLE = "its file cannot be read"
"""Reasons of missing videos; details may follow the last."""


class Change(StrEnum):
    """What happened to a video between two runs."""

    NEW = "new"
    CHANGED = "changed"
    """Another content under a known name."""
    MOVED = "moved"
    GONE = "gone"
    BACK = "back"
    QUARANTINED = "quarantined"
    UNUSABLE = "unusable"
    """New, and broken or no video."""


@dataclass(frozen=True)
class Video:
    """One file of the corpus."""

    video: int
    """Its number in the catalogue, never reused."""
    path: str
    """What people see: its path relative to the input folder, unique among those not retired."""
    source: str
    """Where it was last found: an absolute path or a URL."""
    fingerprint: str
    """Of its content; see :func:`coreframe.tasks.storage.fingerprint.fingerprint`."""
    size_bytes: int
    state: VideoState
    reason: str = ""
    """Why it is in this state, for people; empty when all is well."""
    missing: int = 0
    """Frames that its container promises and its file does not hold."""
    note: str = ""
    """What is odd about the file without doing harm; empty when nothing is."""
    container: str = ""
    codec: str = ""
    width: int = 0
    """Pixels, upright."""
    height: int = 0
    pixel_format: str = ""
    rotation: int = 0
    mirrored: bool = False
    matrix_degrees: int = 0
    """The angle of its display matrix, which says nothing of mirrors."""
    sample_aspect_num: int = 1
    """Width to height of a stored pixel."""
    sample_aspect_den: int = 1
    margins: str = ""
    """``left:top:right:bottom``, stored pixels that are not shown."""
    color_transfer: str = ""
    """Such as ``bt709``, ``smpte2084`` (PQ), ``arib-std-b67`` (HLG); empty: the file is silent."""
    color_primaries: str = ""
    """Such as ``bt709`` or ``bt2020``; empty: the file is silent."""
    interlaced: str = ""
    """``progressive``, ``tff`` or ``bff`` (top, bottom field first), ``mixed``; empty: unknown."""
    stream_index: int = -1
    """Of the file's streams, that which holds its frames; -1: not recorded."""
    time_base_num: int = 0
    time_base_den: int = 1
    duration_s: float = 0.0
    frame_count: int = 0
    """Frames in the file, decodable or not."""
    first_row: int = -1
    """Its rows are ``first_row`` to ``first_row + rows``; -1 when it has none."""
    rows: int = 0
    decoded: int = 0
    """Rows committed with an embedding."""
    undecodable: int = 0
    """Rows committed without one."""
    attempts: int = 0
    """Workers that it killed or hung."""
    version: str = ""
    """By which an object store tells its content from another; empty for files."""
    fallback: str = ""
    """Why CPU cores decoded it, or a part of it, beside a GPU; empty where there was none, or no
    reason."""
    created: str = ""
    """When its recording began, as the file says: ISO 8601 on the clock that the file goes by, most
    often UTC. Empty where it does not say, or an earlier version indexed it."""

    def __post_init__(self) -> None:
        for name in ("reason", "note", "fallback"):  # libraries' messages, which may name files
            object.__setattr__(self, name, shown(getattr(self, name)))

    @property
    def complete(self) -> bool:
        """Every planned row is committed, one way or the other."""
        return self.decoded + self.undecodable == self.rows

    @property
    def active(self) -> bool:
        """Its rows belong to the corpus."""
        return self.rows > 0 and self.state not in INACTIVE

    @property
    def lost(self) -> bool:
        """Its file is there, and no frame, or not every planned one, was ever read from it.

        One that was embedded and does not decode to the same again has changed, and is not lost.
        """
        if self.state == VideoState.QUARANTINED:
            return self.rows == 0 or not self.complete
        unreadable = self.state == VideoState.MISSING and self.reason.startswith(UNREADABLE)
        return unreadable or self.state in (VideoState.BROKEN, VideoState.PENDING)


_TYPES = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    VideoState: pa.string(),
}
SCHEMA = pa.schema([pa.field(item.name, _TYPES[item.type]) for item in fields(Video)])  # type: ignore[index]


@dataclass
class Catalogue:
    """The videos, in the order in which the store met them: ``videos[i].video == i``."""

    videos: list[Video] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def rows(self) -> int:
        """Rows planned so far."""
        return sum(video.rows for video in self.videos)

    def by_rows(self) -> Callable[[int, int], list[Video]]:
        """Find the videos that have rows from one to before another, in row order, fast."""
        planned = [video for video in self.videos if video.rows]
        starts = [video.first_row for video in planned]

        def near(start: int, stop: int) -> list[Video]:
            first = max(0, bisect_right(starts, start) - 1)
            return planned[first : bisect_right(starts, stop - 1)]

        return near

    def state(self) -> str:
        """A hash that is the same as long as the same rows belong to the corpus."""
        facts: list[object] = [
            (v.video, v.path, v.decoded, v.undecodable) for v in self.videos if v.active
        ]
        # an earlier selection may hold frames of these
        facts += [v.video for v in self.videos if v.state == VideoState.FORGOTTEN]
        return xxhash.xxh3_128(repr(facts).encode()).hexdigest()

    def update(self, video: int, **changes: object) -> None:
        """Replace fields of one entry."""
        self.videos[video] = replace(self.videos[video], **changes)  # type: ignore[arg-type]

    def counted(
        self,
        video: int,
        decoded: int,
        undecodable: int,
        reason: str = "",
        *,
        cropped: bool = False,
    ) -> None:
        """Set how many of a video's rows are committed, and the state that follows from it.

        Args:
            video: its number.
            decoded: rows with an embedding.
            undecodable: rows without one.
            reason: why rows are missing, when some are.
            cropped: the store embeds a crop, which a frame may be too small for.
        """
        before = self.videos[video]
        after = replace(before, decoded=decoded, undecodable=undecodable)
        if not after.complete:
            self.videos[video] = replace(after, state=VideoState.PENDING, reason=reason)
        elif undecodable == before.missing == 0:
            self.videos[video] = replace(after, state=VideoState.OK, reason="")
        else:
            whys = []
            if before.missing:
                promised = before.frame_count + before.missing
                about = "about " if before.container.startswith("matroska") else ""
                whys.append(f"{about}{before.missing:,} of {promised:,} frames are missing")
            if undecodable:
                whys.append(f"{undecodable} of {before.rows} sampled frames cannot be decoded")
                whys[-1] += " or are too small for the crop" if cropped else ""
            why = " and ".join(whys)
            why += f" ({before.note})" if before.note else ""
            state = VideoState.DAMAGED if decoded else VideoState.BROKEN
            self.videos[video] = replace(after, state=state, reason=why)

    def quarantined(self, video: int, reason: str, attempts: int) -> None:
        """Take a video out, with the number of workers that it has cost just now."""
        attempts += self.videos[video].attempts
        self.update(video, state=VideoState.QUARANTINED, reason=reason, attempts=attempts)

    def forget(self, video: int) -> None:
        """Keep of an entry no more than its number and which rows were its own."""
        held = self.videos[video]
        self.videos[video] = Video(
            video=video,
            path="",
            source="",
            fingerprint="",
            size_bytes=0,
            state=VideoState.FORGOTTEN,
            first_row=held.first_row,
            rows=held.rows,
        )

    def released(self, video: int) -> None:
        """Let a quarantined video be tried again."""
        held = self.videos[video]
        if held.state == VideoState.QUARANTINED and held.rows:
            self.counted(video, held.decoded, held.undecodable)
        elif held.state == VideoState.QUARANTINED:
            self.update(video, state=VideoState.PENDING, reason="")

    def revived(self, video: int) -> None:
        """Give a missing or retired video the state back that its rows make."""
        held = self.videos[video]
        if held.state in (VideoState.MISSING, VideoState.RETIRED):
            self.counted(video, held.decoded, held.undecodable)

    def to_table(self) -> pa.Table:
        return pa.Table.from_pylist([asdict(video) for video in self.videos], schema=SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Catalogue":
        known = [name for name in table.column_names if name in SCHEMA.names]
        rows = table.select(known).to_pylist()
        return cls([Video(**row | {"state": VideoState(row["state"])}) for row in rows])


def changes(before: Sequence[Video], after: Sequence[Video]) -> dict[Change, list[str]]:
    """What happened between two states of a catalogue: names of videos, by kind; none is empty."""
    replaced = {
        new.source
        for old, new in zip(before, after, strict=False)
        if new.state == VideoState.RETIRED != old.state
    }
    found: dict[Change, list[str]] = {}
    for old, new in zip_longest(before, after):
        change = _change(old, new, replaced)
        if change is not None:
            found.setdefault(change, []).append(new.path)
    return found


def _change(old: Video | None, new: Video, replaced: Container[str]) -> Change | None:
    """What happened to one video; ``replaced`` holds the sources whose content is another now."""
    if old is None:
        if new.state in (VideoState.BROKEN, VideoState.SKIPPED):
            return Change.UNUSABLE
        if new.state == VideoState.QUARANTINED:
            return Change.QUARANTINED
        return Change.CHANGED if new.source in replaced else Change.NEW
    if new.state == VideoState.QUARANTINED != old.state:
        return Change.QUARANTINED
    if old.active and new.state == VideoState.MISSING:
        return Change.GONE
    if new.active and not old.active:
        return Change.BACK if old.rows else Change.NEW
    if new.source != old.source and new.active:
        return Change.MOVED
    return None


def unique_name(name: str, source: str, taken: Iterable[str]) -> str:
    """A name that no other video bears: as given, else with as many parent folders as needed."""
    names = set(taken)
    if name not in names:
        return name
    parts = source.strip("/").split("/")
    for count in range(name.count("/") + 2, len(parts) + 1):
        longer = "/".join(parts[-count:])
        if longer not in names:
            return longer
    return source
