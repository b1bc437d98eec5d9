"""The catalogue: one entry for every file the store has ever been given."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import zip_longest

import pyarrow as pa
import xxhash

STATES = ("pending", "ok", "damaged", "broken", "skipped", "quarantined", "missing", "retired")
"""What can be said of a file.

``pending``: rows are planned, not all are committed. ``ok``: every planned frame is embedded.
``damaged``: some frames cannot be decoded, the others are embedded. ``broken``: it should be a
video, but no frame can be had. ``skipped``: it holds no moving picture. ``missing``: its file is
gone. ``retired``: another content has taken its file's place. The rows of missing and retired
videos stay in the store but out of every selection, and count again when the content comes back.
``quarantined``: it killed or hung the workers that read it, and is not tried again.
"""


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
    state: str
    reason: str = ""
    """Why it is in this state, for people; empty when all is well."""
    note: str = ""
    """What is odd about the file without doing harm; empty when nothing is."""
    container: str = ""
    codec: str = ""
    width: int = 0
    """Pixels, upright."""
    height: int = 0
    pixel_format: str = ""
    rotation: int = 0
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

    @property
    def complete(self) -> bool:
        """Every planned row is committed, one way or the other."""
        return self.decoded + self.undecodable == self.rows

    @property
    def active(self) -> bool:
        """Its rows belong to the corpus."""
        return self.rows > 0 and self.state not in ("quarantined", "missing", "retired")


_TYPES = {int: pa.int64(), float: pa.float64(), str: pa.string()}
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
        facts = [(v.video, v.path, v.decoded, v.undecodable) for v in self.videos if v.active]
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
            self.videos[video] = replace(after, state="pending", reason=reason)
        elif undecodable == 0:
            self.videos[video] = replace(after, state="ok", reason="")
        else:
            why = f"{undecodable} of {before.rows} sampled frames cannot be decoded"
            why += " or are too small for the crop" if cropped else ""
            why += f" ({before.note})" if before.note else ""
            self.videos[video] = replace(
                after, state="damaged" if decoded else "broken", reason=why
            )

    def quarantined(self, video: int, reason: str, attempts: int) -> None:
        """Take a video out, with the number of workers that it has cost just now."""
        entry = self.videos[video]
        self.update(video, state="quarantined", reason=reason, attempts=entry.attempts + attempts)

    def released(self, video: int) -> None:
        """Let a quarantined video be tried again."""
        entry = self.videos[video]
        if entry.state == "quarantined" and entry.rows:
            self.counted(video, entry.decoded, entry.undecodable)
        elif entry.state == "quarantined":
            self.update(video, state="pending", reason="")

    def revived(self, video: int) -> None:
        """Give a missing or retired video the state back that its rows make."""
        entry = self.videos[video]
        if entry.state in ("missing", "retired"):
            self.counted(video, entry.decoded, entry.undecodable)

    def to_table(self) -> pa.Table:
        return pa.Table.from_pylist([asdict(video) for video in self.videos], schema=SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Catalogue":
        known = [name for name in table.column_names if name in SCHEMA.names]
        return cls([Video(**entry) for entry in table.select(known).to_pylist()])


def changes(before: Sequence[Video], after: Sequence[Video]) -> dict[str, list[str]]:
    """What happened between two states of a catalogue: names of videos, by kind; none left empty.

    Kinds: ``new``, ``changed`` (another content under a known name), ``moved``, ``gone``, ``back``,
    ``quarantined``, and ``unusable`` (new, and broken or no video).
    """
    replaced = {
        new.source
        for old, new in zip(before, after, strict=False)
        if new.state == "retired" and old.state != "retired"
    }
    found: dict[str, list[str]] = {}
    for old, new in zip_longest(before, after):
        if old is None:
            kind = "changed" if new.source in replaced else "new"
            kind = new.state if new.state == "quarantined" else kind
            kind = "unusable" if new.state in ("broken", "skipped") else kind
        elif new.state == "quarantined" != old.state:
            kind = "quarantined"
        elif old.active and new.state == "missing":
            kind = "gone"
        elif new.active and not old.active:
            kind = "back" if old.rows else "new"
        elif new.source != old.source and new.active:
            kind = "moved"
        else:
            continue
        found.setdefault(kind, []).append(new.path)
    return found


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
