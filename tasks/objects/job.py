"""Embed what is in boxes: frames are decoded again and checked, blocks committed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np
import pyarrow as pa
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from coreframe.tasks.device import resolve_device
from coreframe.tasks.embedders.embedder import (
    Embedder,
    EmbedderSpec,
    embed_images,
    load_embedder_of,
)
from coreframe.tasks.errors import (
    BrokenVideoError,
    DamagedVideoError,
    OutOfReachError,
    SourceChangedError,
    UsageError,
)
from coreframe.tasks.objects.matching import LEAST_PX
from coreframe.tasks.objects.plan import Part
from coreframe.tasks.output.exported import Fault, fault
from coreframe.tasks.store.decoding import recorded_frames
from coreframe.tasks.store.objects import SCHEMA, ObjectState, StoredObjects
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.pixels import InputScaler, upright_size
from coreframe.tasks.video.viewing import Crop, Viewing

ROUNDING_PX = 0.01
"""What float32 loses of coordinates, and more."""


@dataclass(frozen=True)
class PartJob:
    """A part, and what embeds it."""

    store: str
    part: Part
    embedder: EmbedderSpec


@dataclass
class Embedded:
    """What came of a part."""

    vectors: dict[int, NDArray[np.int16] | None] = field(default_factory=dict)
    """Object -> its (dim,) lattice; None of one that its frame shows too little of."""
    faults: dict[int, Fault] = field(default_factory=dict)
    """video -> why its frames did not come, if they did not."""
    unreachable: list[str] = field(default_factory=list)
    """What could not be read for now, which says nothing of the video."""


@dataclass(frozen=True)
class BlockJob:
    """What a block is to hold."""

    store: str
    block: int
    planned: int
    """Rows of the array that are this block's."""
    boxes: pa.Table
    """Those of its objects that are not committed: BOXES_SCHEMA."""


@dataclass
class BlockReport:
    """What was added to a block."""

    embedded: int = 0
    small: int = 0
    faults: dict[int, Fault] = field(default_factory=dict)
    unreachable: list[str] = field(default_factory=list)


def embed_part(job: PartJob) -> Embedded:
    """Decode a part's frames, each once, check their digests, and embed what is in its boxes.

    Frames that do not come are the video's fault, and told as one; the other videos go on.
    """
    store, part = Store.open(job.store), job.part
    made = store.settings
    embedder = load_embedder_of(store.path, job.embedder, made.embedder, made.fingerprint)
    viewing, video = made.viewing.of(part.video), part.video
    scaler = InputScaler(embedder.framing, viewing)
    result, batch = Embedded(), _Batch(embedder, job.embedder)
    try:
        for which, frame in recorded_frames(
            job.store,
            video.source,
            video.fingerprint,
            part.frame_index.tolist(),
            part.digest.tolist(),
        ):
            own = np.flatnonzero(part.place == which)
            crops = [pixels_of(part.box[place], frame, viewing) for place in own.tolist()]
            whole = [crop for crop in crops if not isinstance(crop, _TooSmall)]
            images = scaler.crops(frame, whole)
            for place, crop in zip(part.objects[own].tolist(), crops, strict=True):
                if isinstance(crop, _TooSmall):
                    result.vectors[place] = None
                else:
                    batch.add(place, next(images))
    except (OutOfReachError, UsageError) as error:
        result.unreachable.append(str(error))
    except (DamagedVideoError, SourceChangedError, BrokenVideoError, OSError) as error:
        result.faults[video.video] = fault(video.source, video.fingerprint, error)
    result.vectors |= batch.close()
    return result


class _TooSmall:
    """A box of which a frame shows too little."""


def pixels_of(
    box: NDArray[np.float32], frame: VideoFrame, viewing: Viewing
) -> Crop | _TooSmall | None:
    """The whole pixels that a box touches; None for the whole picture.

    Args:
        box: (4,) x, y, width, height in pixels of what is seen of the frame.
        frame: whose picture may be smaller than the others of its video.
        viewing: the store's, for its video.
    """
    width, height = upright_size(frame, viewing)
    if viewing.crop is not None:
        width, height = viewing.crop.width, viewing.crop.height
    x, y, right, bottom = (float(value) for value in (*box[:2], *(box[:2] + box[2:])))
    left, top = max(0, floor(x + ROUNDING_PX)), max(0, floor(y + ROUNDING_PX))
    right_px = min(width, ceil(right - ROUNDING_PX))
    bottom_px = min(height, ceil(bottom - ROUNDING_PX))
    if min(right_px - left, bottom_px - top) < LEAST_PX:
        return _TooSmall()
    if (left, top, right_px, bottom_px) == (0, 0, width, height):
        return None
    return Crop(right_px - left, bottom_px - top, left, top)


class _Batch:
    """Pictures on their way through the embedder."""

    def __init__(self, embedder: Embedder, spec: EmbedderSpec) -> None:
        self._embedder, self._size = embedder, spec.batch_size
        self._device = resolve_device(spec.device)
        self._waiting: list[tuple[int, NDArray[np.uint8]]] = []
        self._done: dict[int, NDArray[np.int16] | None] = {}

    def add(self, number: int, image: NDArray[np.uint8]) -> None:
        """Take one more object."""
        self._waiting.append((number, image))
        if len(self._waiting) == self._size:
            self._embed()

    def close(self) -> dict[int, NDArray[np.int16] | None]:
        """The (dim,) lattice vectors of all, by object."""
        if self._waiting:
            self._embed()
        return self._done

    def _embed(self) -> None:
        numbers, images = zip(*self._waiting, strict=True)
        self._waiting = []
        vectors = embed_images(self._embedder, images, self._device)
        self._done |= dict(zip(numbers, vectors, strict=True))


def commit_block(job: BlockJob, parts: Sequence[Embedded]) -> BlockReport:
    """Add to a block what came of its boxes; what is committed already stays.

    Args:
        job: the block.
        parts: all that its objects may come from.
    """
    store = Store.open(job.store)
    objects, report = StoredObjects(store), BlockReport()
    start = job.block * store.block_rows
    vectors = np.zeros((job.planned, store.settings.dim), np.int16)
    held = objects.committed(job.block)
    if held is not None:
        vectors[:] = objects.reader().block(job.block)[: job.planned]
    found: dict[int, NDArray[np.int16] | None] = {}
    for part in parts:
        found |= part.vectors
        report.faults |= part.faults
        report.unreachable += part.unreachable
    numbers = job.boxes["object"].to_pylist()
    come = [number in found for number in numbers]
    states = []
    for number in (number for number in numbers if number in found):
        vector = found[number]
        states.append(ObjectState.SMALL if vector is None else ObjectState.OK)
        if vector is not None:
            vectors[number - start] = vector
    report.embedded, report.small = (states.count(s) for s in (ObjectState.OK, ObjectState.SMALL))
    if states:
        new = job.boxes.filter(pa.array(come, pa.bool_()))
        new = new.append_column("state", pa.array([str(state) for state in states], pa.string()))
        tables = [new.cast(SCHEMA)] + ([] if held is None else [held.replace_schema_metadata()])
        objects.commit(job.block, vectors, pa.concat_tables(tables).sort_by("object"))
    return report
