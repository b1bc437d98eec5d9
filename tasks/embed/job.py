"""Embed: parts of videos are decoded and embedded, and blocks committed from what came of them.

A part is what one worker does in one go, a block what becomes durable in one go. Parts begin at
keyframes, so that no frame is decoded twice; blocks are so many rows, wherever those cut a video.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from coreframe.tasks.device import resolve_device
from coreframe.tasks.embed.census import survey
from coreframe.tasks.embed.plan import Segment
from coreframe.tasks.embedders.embedder import (
    Embedder,
    EmbedderSpec,
    embed_images,
    forget_embedder,
    load_embedder,
)
from coreframe.tasks.errors import (
    BrokenVideoError,
    CoreframeError,
    DamagedVideoError,
    SourceChangedError,
)
from coreframe.tasks.store.frames import OK, UNDECODABLE, frames_table
from coreframe.tasks.store.stalls import hung, note_stall
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.decode import ahead, decode_frames
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.pixels import (
    Crop,
    Framing,
    Thumbnailer,
    frame_digest,
    luminance_and_sharpness,
    upright_size,
)
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.watchdog import beat, rest, watching

logger = logging.getLogger("coreframe")

AHEAD_BYTES = 32 * 1024 * 1024
"""Pictures decoded ahead of the embedder hold at most this much memory."""


@dataclass(frozen=True)
class PartJob:
    """What one worker decodes and embeds in one go, small enough to send to it."""

    store: str
    segments: tuple[Segment, ...]
    sampling: Sampling
    crop: Crop | None
    embedder: EmbedderSpec
    stall_limit_s: float
    """Longest time that a decoder may give no sign of life; 0 for any."""


@dataclass
class Met:
    """What was met in videos, by their numbers in the catalogue."""

    damaged: set[int] = field(default_factory=set)
    """Videos that need a census before their rows here can be embedded."""
    notes: dict[int, str] = field(default_factory=dict)
    """video -> what its census met."""
    censuses: set[int] = field(default_factory=set)
    """Videos of which one was taken here."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """video -> why its rows here stay uncommitted."""
    quarantined: dict[int, tuple[str, int]] = field(default_factory=dict)
    """video -> why it is not tried any more, and how many workers it has cost."""

    def __ior__(self, other: "Met") -> "Met":
        """Add what was met elsewhere."""
        self.damaged |= other.damaged
        self.notes |= other.notes
        self.censuses |= other.censuses
        self.unreadable |= other.unreadable
        self.quarantined |= other.quarantined
        return self


@dataclass
class Part:
    """What came of it. Rows that are committed already are not done again."""

    records: "list[Record]" = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    """(dim,) int16 lattice each; zeros where there is no frame."""
    met: Met = field(default_factory=Met)


@dataclass(frozen=True)
class BlockJob:
    """What a block is to hold."""

    store: str
    block: int
    planned_rows: int
    """Rows of this block that are planned so far: all, but for the store's last block."""
    segments: tuple[Segment, ...]
    sampling: Sampling


@dataclass
class BlockReport:
    """What a block holds now."""

    block: int
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    """video -> (decoded, undecodable), over all of its rows committed in this block."""
    embedded: int = 0
    """Rows newly committed by this call."""
    met: Met = field(default_factory=Met)
    """Of the parts that the block was made of."""


Record = tuple[int, int, int, int, float, int, float, float, str]
"""One row of :data:`coreframe.tasks.store.frames.SCHEMA`."""


def embed_part(job: PartJob) -> Part:
    """Decode and embed what is not committed yet of some segments.

    One video that fails does not stop the others: its rows are left out and the reason is given.
    """
    store = Store.open(job.store)
    embedder = _embedder(job, store)
    part = Part()
    met = part.met
    hanging = hung(store)
    for segment in job.segments:
        if segment.fingerprint in hanging:
            stall = hanging[segment.fingerprint]
            met.quarantined[segment.video] = (stall.reason, stall.times)
            continue
        facts, index = store.read_facts_and_index(segment.fingerprint)
        if index.surveyed:
            met.notes[segment.video] = facts.note
        positions = job.sampling.positions(index)
        own = slice(segment.start, segment.stop)
        rows = np.array(segment.rows)
        done = _still_valid(store, [segment], job.sampling, rows)
        missing = np.array([row not in done for row in rows.tolist()], bool)
        if not missing.any():
            continue
        wanted = (positions[own][missing], rows[missing])
        try:
            try:
                fresh = _embed_segment(job, embedder, segment, index, *wanted)
            except DamagedVideoError:
                if len(rows) < len(positions):  # others may be at work on the rest of it
                    met.damaged.add(segment.video)
                    continue
                met.notes[segment.video] = survey(
                    store, segment.source, segment.fingerprint, job.stall_limit_s
                )
                met.censuses.add(segment.video)
                logger.info("%s: census taken, %s", segment.source, met.notes[segment.video])
                index = store.read_index(segment.fingerprint)
                fresh = _embed_segment(job, embedder, segment, index, *wanted)
        except (SourceChangedError, BrokenVideoError) as error:
            met.unreadable[segment.video] = str(error)
            continue
        except CoreframeError:  # the embedder's fault, not this file's
            raise
        except Exception as error:  # whatever one file does, the others of the part go on
            met.unreadable[segment.video] = f"{type(error).__name__}: {error}"
            continue
        finally:
            if segment.video in met.unreadable:
                logger.warning("%s: %s", segment.source, met.unreadable[segment.video])
        nothing = np.zeros(store.settings.dim, np.int16)
        for record, vector in fresh:
            part.records.append(record)
            part.vectors.append(nothing if vector is None else vector)
    return part


def _embedder(job: PartJob, store: Store) -> Embedder:
    """Load the embedder that the store was made with.

    Raises:
        CoreframeError: the one of its name here is another.
    """
    embedder = load_embedder(job.embedder)
    if embedder.fingerprint != store.settings.fingerprint:  # its files may have changed since
        forget_embedder()
        embedder = load_embedder(job.embedder)
    if embedder.fingerprint != store.settings.fingerprint:
        raise CoreframeError(
            f"the store {store.path} was made with {store.settings.embedder} "
            f"({store.settings.fingerprint}), and the worker has another of that name "
            f"({embedder.fingerprint}): give all machines the same model files."
        )
    return embedder


def commit_block(job: BlockJob, parts: Sequence[Part]) -> BlockReport:
    """Bring a block's commit up to its plan. Rows already committed and still valid are kept.

    Args:
        job: the block.
        parts: all that its rows may come from.
    """
    store = Store.open(job.store)
    report = BlockReport(job.block)
    start = job.block * store.block_rows
    rows = np.arange(start, start + job.planned_rows)
    records = _still_valid(store, job.segments, job.sampling, rows)
    vectors = np.zeros((job.planned_rows, store.settings.dim), np.int16)
    if records:
        held = store.read_block(job.block)
        for row in records:
            vectors[row - start] = held[row - start]
    for part in parts:
        report.met |= part.met
        for record, vector in zip(part.records, part.vectors, strict=True):
            row = record[0]
            if start <= row < start + job.planned_rows and row not in records:
                records[row] = record
                vectors[row - start] = vector
                report.embedded += 1
    if report.embedded:
        store.commit_block(job.block, vectors, frames_table(list(records.values())))
    for segment in job.segments:
        states = [record[-1] for record in records.values() if record[1] == segment.video]
        report.counts[segment.video] = (states.count(OK), states.count(UNDECODABLE))
    return report


def _still_valid(
    store: Store, segments: Sequence[Segment], sampling: Sampling, rows: np.ndarray
) -> dict[int, Record]:
    """Committed records, by row, of some ascending rows that lie side by side.

    A census changes what is known of a video: rows committed before it count only if its
    verdict on them is the same.
    """
    records: dict[int, Record] = {}
    if len(rows) == 0:
        return records
    first, last = int(rows[0]), int(rows[-1])
    for block in store.blocks_of(first, last + 1):
        table = store.committed(block)
        if table is not None:
            every = zip(*table.to_pydict().values(), strict=True)
            records.update((record[0], record) for record in every if first <= record[0] <= last)
    if not records:
        return records
    for segment in segments:
        index = store.read_index(segment.fingerprint)
        if index.digest is None:
            continue
        for row, position in enumerate(sampling.positions(index).tolist(), segment.first_row):
            record = records.get(row)
            if record is not None and (record[2], record[5]) != (
                int(index.frame_index[position]),
                int(index.digest[position]),
            ):
                del records[row]
    return records


def _embed_segment(
    job: PartJob,
    embedder: Embedder,
    segment: Segment,
    index: VideoIndex,
    positions: np.ndarray,
    rows: np.ndarray,
) -> list[tuple[Record, np.ndarray | None]]:
    """Decode and embed a segment's missing rows: each one's record, and its vector or None."""
    device = resolve_device(job.embedder.device)
    row_of = dict(zip(positions.tolist(), rows.tolist(), strict=True))
    time_s = index.time_s()
    fresh: list[tuple[Record, np.ndarray | None]] = []
    pending: list[Record] = []
    images: list[np.ndarray] = []

    def flush() -> None:
        if images:
            fresh.extend(zip(pending, embed_images(embedder, images, device), strict=True))
            pending.clear()
            images.clear()

    seen = _seen_frames(job, segment, index, positions, embedder.framing)
    depth = max(
        2, min(2 * job.embedder.batch_size, AHEAD_BYTES // (3 * embedder.framing.side_px**2))
    )
    for position, image, digest, luminance, sharpness in ahead(seen, depth):
        record = (
            row_of.pop(position),
            segment.video,
            int(index.frame_index[position]),
            int(index.pts[position]),
            float(time_s[position]),
            digest,
            luminance,
            sharpness,
            OK,
        )
        pending.append(record)
        images.append(image)
        if len(images) == job.embedder.batch_size:
            flush()
    flush()
    nan = float("nan")
    for position, row in row_of.items():
        place = (int(index.pts[position]), float(time_s[position]))
        fresh.append(((row, segment.video, -1, *place, 0, nan, nan, UNDECODABLE), None))
    return fresh


def _seen_frames(
    job: PartJob, segment: Segment, index: VideoIndex, positions: np.ndarray, framing: Framing
) -> Iterator[tuple[int, np.ndarray, int, float, float]]:
    thumbnail = Thumbnailer(framing, job.crop)
    last = int(positions[0])

    def stalled() -> None:
        reason = f"its decoder gave nothing for {job.stall_limit_s:g} s from frame {last} on"
        note_stall(Store.open(job.store), segment.fingerprint, reason)

    with watching(job.stall_limit_s, stalled):
        for position, frame in decode_frames(segment.source, index, positions):
            last = position
            if job.crop is not None and not job.crop.fits(*upright_size(frame)):
                continue  # the picture's size changes on the way: nothing to embed in this frame
            measures = luminance_and_sharpness(frame)
            seen = (position, thumbnail(frame), frame_digest(frame), *measures)
            rest()
            yield seen
            beat()
