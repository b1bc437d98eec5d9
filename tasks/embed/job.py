"""Embed: parts of videos are decoded and embedded, and blocks committed from what came of them.

A part is what one worker does in one go, a block what becomes durable in one go. Parts begin at
keyframes, so that no frame is decoded twice; blocks are so many rows, wherever those cut a video.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.device import Decoder, resolve_device
from coreframe.tasks.embed.census import survey
from coreframe.tasks.embed.decoders import DECODERS
from coreframe.tasks.embed.incidents import Incidents, Quarantine
from coreframe.tasks.embed.plan import Segment
from coreframe.tasks.embed.prepare import Decoding, PreparedFrame, Wanted, prepared_frames
from coreframe.tasks.embedders.embedder import (
    Embedder,
    EmbedderSpec,
    begin_embedding,
    load_embedder_of,
)
from coreframe.tasks.errors import (
    BrokenVideoError,
    CoreframeError,
    DamagedVideoError,
    OutOfReachError,
    SourceChangedError,
)
from coreframe.tasks.lazy import torch
from coreframe.tasks.store.frames import FrameRecord, FrameState, frame_records, frames_table
from coreframe.tasks.store.stalls import note_stall, stalls
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.ahead import ahead
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.viewing import Viewing

logger = logging.getLogger("coreframe")

AHEAD_BYTES = 32 * 1024 * 1024
"""Pictures decoded ahead of the embedder hold at most this much memory."""


@dataclass(frozen=True)
class PartJob:
    """What one worker decodes and embeds in one go, small enough to send to it."""

    store: str
    segments: tuple[Segment, ...]
    sampling: Sampling
    viewing: Viewing
    embedder: EmbedderSpec
    stall_limit_s: float
    """Longest time that a decoder may give no sign of life; 0 for any."""
    decoder: Decoder = Decoder.AUTO


@dataclass
class Part:
    """What came of it. Rows that are committed already are not done again."""

    records: list[FrameRecord] = field(default_factory=list)
    vectors: list[NDArray[np.int16]] = field(default_factory=list)
    """(dim,) lattice each; zeros where there is no frame."""
    gpu_rows: set[int] = field(default_factory=set)
    """Those of the frames that a GPU decoded."""
    incidents: Incidents = field(default_factory=Incidents)


@dataclass(frozen=True)
class BlockJob:
    """What a block is to hold."""

    store: str
    block: int
    planned_rows: int
    """Rows of this block that are planned so far: all, but for the store's last block."""
    segments: tuple[Segment, ...]
    sampling: Sampling


class RowCounts(NamedTuple):
    """How many rows of a video are committed."""

    decoded: int
    """With an embedding."""
    undecodable: int
    """Without one."""


@dataclass
class BlockReport:
    """What a block holds now."""

    block: int
    counts: dict[int, RowCounts] = field(default_factory=dict)
    """video -> its rows that are committed in this block."""
    embedded: int = 0
    """Rows newly committed by this call."""
    by_gpu: int = 0
    """Of these, frames that a GPU decoded."""
    incidents: Incidents = field(default_factory=Incidents)
    """Of the parts that the block was made of."""


Wait = Callable[[], NDArray[np.int16]]


class Embedded(NamedTuple):
    """A row that is done."""

    record: FrameRecord
    vector: NDArray[np.int16] | None
    """(dim,) lattice; None without a frame."""
    on_gpu: bool = False
    """Whether a GPU decoded it."""


def embed_part(job: PartJob) -> Part:
    """Decode and embed what is not committed yet of some segments.

    One video that fails does not stop the others: its rows are left out and the reason is given.
    """
    store = Store.open(job.store)
    settings = store.settings
    made = settings.embedder, settings.fingerprint
    embedder = load_embedder_of(store.path, job.embedder, *made)
    part = Part()
    incidents = part.incidents
    noted = stalls(store)
    nothing = np.zeros(store.settings.dim, np.int16)
    for segment in job.segments:
        stall = noted.get(segment.fingerprint)
        if stall is not None and stall.too_many:
            incidents.quarantined[segment.video] = Quarantine(stall.reason, stall.times)
            continue
        facts, index = store.read_facts_and_index(segment.fingerprint)
        if index.surveyed:
            incidents.notes[segment.video] = facts.note
        rows = np.array(segment.rows)
        done = _still_valid(store, [segment], job.sampling, rows)
        missing = np.array([row for row in rows.tolist() if row not in done], np.int64)
        if not len(missing):
            continue
        try:
            viewing = job.viewing.of(facts)
            wanted = Wanted(segment, facts, index, viewing, embedder.framing)
            # it may have been a GPU's decoder that hung
            own = job if stall is None else replace(job, decoder=Decoder.CPU)
            fresh = _embed_or_survey(own, store, embedder, wanted, missing, incidents)
        except (SourceChangedError, BrokenVideoError, OutOfReachError) as error:
            incidents.unreadable[segment.video] = str(error)
        except CoreframeError:  # the embedder's fault, not this file's
            raise
        except Exception as error:  # whatever one file does, the others of the part go on
            incidents.unreadable[segment.video] = f"{type(error).__name__}: {error}"
        else:
            for one in fresh:
                part.records.append(one.record)
                part.vectors.append(nothing if one.vector is None else one.vector)
            part.gpu_rows.update(one.record.row for one in fresh if one.on_gpu)
            continue
        logger.warning("%s: %s", segment.source, incidents.unreadable[segment.video])
    return part


def _embed_or_survey(
    job: PartJob,
    store: Store,
    embedder: Embedder,
    wanted: Wanted,
    rows: NDArray[np.int64],
    incidents: Incidents,
) -> list[Embedded]:
    """Embed missing rows of a segment, after a census where decoding breaks its promise.

    The census is taken here only of a video that is whole in this segment: others may be at work
    on the rest of it. Such a video is noted as damaged, and nothing of it is given.
    """
    segment = wanted.segment
    every = job.sampling.positions(wanted.index)
    positions = every[rows - segment.first_row]
    try:
        return _embed_segment(job, embedder, wanted, positions, rows, incidents)
    except DamagedVideoError:
        if len(segment.rows) < len(every):
            incidents.damaged.add(segment.video)
            return []
    note = survey(store, segment.source, segment.fingerprint, job.stall_limit_s)
    incidents.notes[segment.video] = note
    incidents.censuses.add(segment.video)
    logger.info("%s: census taken, %s", segment.source, note)
    surveyed = replace(wanted, index=store.read_index(segment.fingerprint))
    return _embed_segment(job, embedder, surveyed, positions, rows, incidents)


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
        report.incidents |= part.incidents
        for record, vector in zip(part.records, part.vectors, strict=True):
            row = record.row
            if start <= row < start + job.planned_rows and row not in records:
                records[row] = record
                vectors[row - start] = vector
                report.embedded += 1
                report.by_gpu += row in part.gpu_rows
    if report.embedded:
        store.commit_block(job.block, vectors, frames_table(records.values()))
    for segment in job.segments:
        states = [record.state for record in records.values() if record.video == segment.video]
        decoded, undecodable = states.count(FrameState.OK), states.count(FrameState.UNDECODABLE)
        report.counts[segment.video] = RowCounts(decoded, undecodable)
    return report


def _still_valid(
    store: Store, segments: Sequence[Segment], sampling: Sampling, rows: NDArray[np.int64]
) -> dict[int, FrameRecord]:
    """Committed records, by row, of some ascending rows that lie side by side.

    A census changes what is known of a video: rows committed before it count only if its
    verdict on them is the same.
    """
    records: dict[int, FrameRecord] = {}
    if len(rows) == 0:
        return records
    first, last = int(rows[0]), int(rows[-1])
    for block in store.blocks_of(first, last + 1):
        table = store.committed(block)
        if table is not None:
            every = frame_records(table)
            records.update((record.row, record) for record in every if first <= record.row <= last)
    if not records:
        return records
    for segment in segments:
        index = store.read_index(segment.fingerprint)
        if index.digest is None:
            continue
        for row, position in enumerate(sampling.positions(index).tolist(), segment.first_row):
            record = records.get(row)
            if record is not None and (record.frame_index, record.digest, record.suspect) != (
                int(index.frame_index[position]),
                int(index.digest[position]),
                index.suspect is not None and bool(index.suspect[position]),
            ):
                del records[row]
    return records


class _Batches:
    """Frames on their way through the embedder: a GPU works at one batch while the next is made."""

    def __init__(self, embedder: Embedder, device: torch.device, size: int) -> None:
        self._embedder, self._device, self._size = embedder, device, size
        self._waiting: list[tuple[FrameRecord, PreparedFrame]] = []
        self._begun: tuple[list[tuple[FrameRecord, PreparedFrame]], Wait] | None = None
        self._done: list[Embedded] = []

    def add(self, record: FrameRecord, frame: PreparedFrame) -> None:
        """Take one more frame."""
        self._waiting.append((record, frame))
        if len(self._waiting) == self._size:
            self._begin()

    def close(self) -> list[Embedded]:
        """Wait for the rest, and give all of them, in order."""
        if self._waiting:
            self._begin()
        self._finish()
        return self._done

    def _begin(self) -> None:
        some, self._waiting = self._waiting, []
        wait = begin_embedding(self._embedder, [frame.image for _, frame in some], self._device)
        self._finish()
        self._begun = some, wait

    def _finish(self) -> None:
        if self._begun is None:
            return
        some, wait = self._begun
        for (record, frame), vector in zip(some, wait(), strict=True):
            self._done.append(Embedded(record, vector, frame.on_gpu))
        self._begun = None


def _embed_segment(
    job: PartJob,
    embedder: Embedder,
    wanted: Wanted,
    positions: NDArray[np.int64],
    rows: NDArray[np.int64],
    incidents: Incidents,
) -> list[Embedded]:
    """Decode and embed a segment's missing rows.

    Args:
        job: of the part.
        embedder: for its frames.
        wanted: of one video.
        positions: (n,) ascending positions in its index.
        rows: (n,) their rows.
        incidents: where it is noted when the GPU is of no use.
    """
    segment, index = wanted.segment, wanted.index
    device = resolve_device(job.embedder.device)
    row_of = dict(zip(positions.tolist(), rows.tolist(), strict=True))
    time_s = index.time_s()
    batches = _Batches(embedder, device, job.embedder.batch_size)

    def stalled(reason: str) -> None:
        note_stall(Store.open(job.store), segment.fingerprint, reason)

    decoding = Decoding(device, job.decoder, job.embedder.processes, DECODERS, incidents)
    frames = prepared_frames(wanted, positions, decoding, job.stall_limit_s, stalled)
    depth = max(
        2, min(2 * job.embedder.batch_size, AHEAD_BYTES // (3 * embedder.framing.side_px**2))
    )
    for frame in ahead(frames, depth):
        record = FrameRecord(
            row=row_of.pop(frame.position),
            video=segment.video,
            frame_index=int(index.frame_index[frame.position]),
            pts=int(index.pts[frame.position]),
            time_s=float(time_s[frame.position]),
            digest=frame.digest,
            luminance=frame.luminance,
            sharpness=frame.sharpness,
            state=FrameState.OK,
            suspect=index.suspect is not None and bool(index.suspect[frame.position]),
            flat=frame.flat,
        )
        batches.add(record, frame)
    fresh = batches.close()
    for position, row in row_of.items():
        place = (int(index.pts[position]), float(time_s[position]))
        fresh.append(Embedded(FrameRecord.without_frame(row, segment.video, *place), None))
    return fresh
