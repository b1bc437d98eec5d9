"""Embed one block: decode its segments, embed the frames, commit. The unit of work and of retry."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tasks.embedding.embedder import EmbedderSpec, embed_images, load_embedder, resolve_device
from tasks.errors import DamagedVideoError, SourceChangedError
from tasks.store.catalogue import Video
from tasks.store.frames import OK, UNDECODABLE, frames_table
from tasks.store.store import Store
from tasks.video.decode import ahead, decode_frames
from tasks.video.index import VideoIndex
from tasks.video.pixels import (
    Crop,
    Thumbnailer,
    frame_digest,
    luminance_and_sharpness,
    upright_size,
)
from tasks.video.sampling import Sampling

AHEAD_BYTES = 32 * 1024 * 1024
"""Pictures decoded ahead of the embedder hold at most this much memory."""


@dataclass(frozen=True)
class Segment:
    """A half-open run of one video's sampled frames, and the rows that are theirs."""

    video: int
    source: str
    fingerprint: str
    first_row: int
    start: int
    """Place among the video's sampled frames; the row is ``first_row`` for this one."""
    stop: int


@dataclass(frozen=True)
class BlockJob:
    """One block's work, small enough to send to a worker."""

    store: str
    block: int
    planned_rows: int
    """Rows of this block that are planned so far: all, but for the store's last block."""
    segments: tuple[Segment, ...]
    sampling: Sampling
    crop: Crop | None
    embedder: EmbedderSpec


@dataclass
class BlockReport:
    """What came of it."""

    block: int
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    """video -> (decoded, undecodable), over all of its rows committed in this block."""
    embedded: int = 0
    """Rows newly committed by this call."""
    damaged: dict[int, str] = field(default_factory=dict)
    """video -> why it needs a census before its rows here can be embedded."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """video -> why its rows here stay uncommitted."""


def embed_block(job: BlockJob) -> BlockReport:
    """Bring a block's commit up to its plan. Rows already committed and still valid are kept.

    One video that fails does not stop the others: its rows are left out of the commit and the
    reason is returned.
    """
    store = Store.open(job.store)
    report = BlockReport(job.block)
    block_start = job.block * store.block_rows
    vectors = np.zeros((job.planned_rows, store.settings.dim), np.int16)
    records = _still_valid(store, job, vectors)

    for segment in job.segments:
        index = store.read_index(segment.fingerprint)
        positions = job.sampling.positions(index)[segment.start : segment.stop]
        rows = segment.first_row + np.arange(len(positions))
        missing = np.array([row not in records for row in rows.tolist()], bool)
        if not missing.any():
            continue
        try:
            fresh = _embed_segment(job, segment, index, positions[missing], rows[missing])
        except DamagedVideoError as error:
            report.damaged[segment.video] = str(error)
            continue
        except SourceChangedError as error:
            report.unreadable[segment.video] = str(error)
            continue
        except Exception as error:  # whatever one file does, the others of the block go on
            report.unreadable[segment.video] = f"{type(error).__name__}: {error}"
            continue
        for row, record, vector in fresh:
            records[row] = record
            if vector is not None:
                vectors[row - block_start] = vector
        report.embedded += len(fresh)

    if report.embedded:
        store.commit_block(job.block, vectors, frames_table(list(records.values())))
    for segment in job.segments:
        states = [record[-1] for record in records.values() if record[1] == segment.video]
        report.counts[segment.video] = (states.count(OK), states.count(UNDECODABLE))
    return report


Record = tuple[int, int, int, int, float, int, float, float, str]
"""One row of :data:`tasks.store.frames.SCHEMA`."""


def _still_valid(store: Store, job: BlockJob, vectors: np.ndarray) -> dict[int, Record]:
    """Committed records of this block by row, their embeddings copied into ``vectors``.

    A census changes what is known of a video: rows committed before it count only if its
    verdict on them is the same.
    """
    table = store.committed(job.block)
    if table is None:
        return {}
    records: dict[int, Record] = {
        record[0]: record for record in zip(*table.to_pydict().values(), strict=True)
    }
    for segment in job.segments:
        index = store.read_index(segment.fingerprint)
        if index.digest is None:
            continue
        positions = job.sampling.positions(index)[segment.start : segment.stop]
        for row, position in enumerate(positions.tolist(), segment.first_row):
            record = records.get(row)
            if record is not None and (record[2], record[5]) != (
                int(index.frame_index[position]),
                int(index.digest[position]),
            ):
                del records[row]
    held = store.read_block(job.block)
    for row in records:
        place = row - job.block * store.block_rows
        vectors[place] = held[place]
    return records


def _embed_segment(
    job: BlockJob, segment: Segment, index: VideoIndex, positions: np.ndarray, rows: np.ndarray
) -> list[tuple[int, Record, np.ndarray | None]]:
    """Decode and embed a segment's missing rows: (row, its record, its vector or None) each."""
    embedder = load_embedder(job.embedder)
    device = resolve_device(job.embedder.device)
    row_of = dict(zip(positions.tolist(), rows.tolist(), strict=True))
    time_s = index.time_s()
    fresh: list[tuple[int, Record, np.ndarray | None]] = []
    pending: list[tuple[int, Record]] = []
    images: list[np.ndarray] = []

    def flush() -> None:
        if images:
            for (row, record), vector in zip(
                pending, embed_images(embedder, images, device), strict=True
            ):
                fresh.append((row, record, vector))
            pending.clear()
            images.clear()

    seen = _seen_frames(job, segment, index, positions, embedder.input_px)
    depth = max(2, min(2 * job.embedder.batch_size, AHEAD_BYTES // (3 * embedder.input_px**2)))
    for position, image, digest, luminance, sharpness in ahead(seen, depth):
        row = row_of.pop(position)
        record = (
            row,
            segment.video,
            int(index.frame_index[position]),
            int(index.pts[position]),
            float(time_s[position]),
            digest,
            luminance,
            sharpness,
            OK,
        )
        pending.append((row, record))
        images.append(image)
        if len(images) == job.embedder.batch_size:
            flush()
    flush()
    nan = float("nan")
    for position, row in row_of.items():
        place = (int(index.pts[position]), float(time_s[position]))
        fresh.append((row, (row, segment.video, -1, *place, 0, nan, nan, UNDECODABLE), None))
    return fresh


def _seen_frames(
    job: BlockJob, segment: Segment, index: VideoIndex, positions: np.ndarray, input_px: int
) -> Iterator[tuple[int, np.ndarray, int, float, float]]:
    thumbnail = Thumbnailer(input_px, job.crop)
    for position, frame in decode_frames(segment.source, index, positions):
        if job.crop is not None and not job.crop.fits(*upright_size(frame)):
            continue  # the picture's size changes on the way: this frame has nothing to embed
        measures = luminance_and_sharpness(frame)
        yield position, thumbnail(frame), frame_digest(frame), *measures


def plan_segments(videos: Iterable[Video], start_row: int, stop_row: int) -> tuple[Segment, ...]:
    """The segments of the videos whose rows lie in ``start_row`` to ``stop_row`` (half-open)."""
    segments = []
    for video in videos:
        low = max(video.first_row, start_row)
        high = min(video.first_row + video.rows, stop_row)
        if low < high:
            start, stop = low - video.first_row, high - video.first_row
            segments.append(Segment(video.video, video.source, video.fingerprint, low, start, stop))
    return tuple(segments)
