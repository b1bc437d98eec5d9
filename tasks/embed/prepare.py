"""From a segment to what is embedded: frames decoded, by a GPU or a CPU core, and made small."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.device import Decoder
from coreframe.tasks.embed.decoders import Decoders
from coreframe.tasks.embed.incidents import Incidents
from coreframe.tasks.embed.plan import Segment
from coreframe.tasks.errors import ColoursError, DamagedVideoError
from coreframe.tasks.gpu_video import decoder
from coreframe.tasks.gpu_video.reduce import Reduced
from coreframe.tasks.gpu_video.swscale import Siting
from coreframe.tasks.lazy import torch
from coreframe.tasks.video.deinterlace import Decoded, decode_shown
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.index import VideoFacts, VideoIndex
from coreframe.tasks.video.pixels import (
    Framing,
    InputScaler,
    is_flat,
    luminance_and_sharpness,
    upright_size,
)
from coreframe.tasks.video.viewing import Viewing
from coreframe.tasks.watchdog import beat, rest, watching


class PreparedFrame(NamedTuple):
    """What the embedder and the frames table need of a decoded frame."""

    position: int
    """In the video's index."""
    image: NDArray[np.uint8]
    """(side, side, 3) RGB, the embedder's input."""
    digest: int
    flat: bool
    luminance: float
    sharpness: float
    on_gpu: bool = False
    """Who decoded it."""


@dataclass(frozen=True)
class Wanted:
    """Frames of one file, and what becomes of them."""

    segment: Segment
    facts: VideoFacts
    index: VideoIndex
    viewing: Viewing
    """The store's, for this video."""
    framing: Framing
    """The embedder's."""


@dataclass(frozen=True)
class Decoding:
    """Who may decode."""

    device: torch.device
    """The embedder's."""
    wanted: Decoder
    processes: int
    """That share the device."""
    decoders: Decoders
    """Those of this process."""
    incidents: Incidents
    """Where it is noted when a GPU is of no use."""


def prepared_frames(
    wanted: Wanted,
    positions: NDArray[np.int64],
    decoding: Decoding,
    stall_limit_s: float,
    stalled: Callable[[str], None],
) -> Iterator[PreparedFrame]:
    """Decode frames of a segment, but those that cannot be shown; the watchdog watches.

    Where the GPU fails, CPU cores go on from the frame that it owes.

    Args:
        wanted: what to decode.
        positions: (n,) int64 ascending positions in the index, at least one.
        decoding: who may decode them.
        stall_limit_s: longest time that a decoder may give no sign of life; 0 for any.
        stalled: is told why, before this process is ended.
    """
    last = int(positions[0])

    def tell() -> None:
        stalled(f"its decoder gave nothing for {stall_limit_s:g} s from frame {last} on")

    with watching(stall_limit_s, tell):
        for frame in _by_whoever(wanted, positions, decoding):
            last = frame.position
            rest()
            yield frame
            beat()


def _by_whoever(
    wanted: Wanted, positions: NDArray[np.int64], decoding: Decoding
) -> Iterator[PreparedFrame]:
    """Decode on the GPU as far as that is wanted and goes, the rest on a CPU core."""
    decoders, incidents = decoding.decoders, decoding.incidents
    segment, facts = wanted.segment, wanted.facts
    there = decoder.can_decode(decoding.device)
    if decoding.wanted == Decoder.CPU or (decoding.wanted == Decoder.AUTO and not there):
        yield from _on_cpu(wanted, positions)
        return
    refused = "" if there else "no GPU where it was decoded"
    refused = refused or decoder.refusal(facts, wanted.index, wanted.viewing)
    refused = refused or decoders.refusal(segment.fingerprint)
    if refused:
        incidents.fallbacks[segment.video] = refused
        yield from _on_cpu(wanted, positions)
        return
    left = positions
    pixels = facts.width * facts.height
    with decoders.turn(pixels, decoding.wanted, decoding.processes) as turn:
        if not turn.on_gpu:
            yield from turn.timed(_on_cpu(wanted, positions))
            return
        try:
            siting = _proven_siting(wanted, positions, decoding)
            for frame in turn.timed(_on_gpu(wanted, positions, decoding.device, siting)):
                yield frame
                left = positions[positions > frame.position]
            decoders.succeeded()
            return
        except (decoder.NotOnGpuError, DamagedVideoError, av.InvalidDataError) as error:
            decoders.refuse(segment.fingerprint, str(error))
            incidents.fallbacks[segment.video] = str(error)
        except Exception as error:  # whatever a device does, the file may be sound
            decoders.failed()
            incidents.faults.add((segment.video, int(left[0]) if len(left) else -1))
            incidents.fallbacks[segment.video] = f"{type(error).__name__}: {error}"
    torch.cuda.empty_cache()  # it may have been memory that the device lacked
    yield from _on_cpu(wanted, left)


def _proven_siting(wanted: Wanted, positions: NDArray[np.int64], decoding: Decoding) -> Siting:
    """Where the file has its chroma, after its first frame here was the same from both.

    Raises:
        NotOnGpuError: it was not.
        and whatever a decoder or a device may.
    """
    segment, known = wanted.segment, decoding.decoders.sitings
    if segment.fingerprint not in known:
        viewing, framing = wanted.viewing, wanted.framing
        source, index = segment.source, wanted.index
        decoded = next(decode_shown(source, index, positions[:1], viewing), None)
        first = decoded and _prepared(decoded, InputScaler(framing, viewing), viewing)
        if decoded is None or first is None:
            raise decoder.NotOnGpuError("its first frame cannot be decoded or shown")
        reference = Reduced(*first[:3], first.luminance, first.sharpness)
        args = (source, index, reference, decoded.frame, viewing, framing, decoding.device)
        known[segment.fingerprint] = decoder.proven(*args)
    return known[segment.fingerprint]


def _on_gpu(
    wanted: Wanted, positions: NDArray[np.int64], device: torch.device, siting: Siting
) -> Iterator[PreparedFrame]:
    """Decode on the GPU."""
    source, viewing, framing = wanted.segment.source, wanted.viewing, wanted.framing
    args = (source, wanted.index, positions, viewing, framing, device, siting)
    for one in decoder.reduced_frames(*args):
        measures = one.luminance, one.sharpness
        flat = is_flat(one.image)
        yield PreparedFrame(one.position, one.image, one.digest, flat, *measures, on_gpu=True)


def _on_cpu(wanted: Wanted, positions: NDArray[np.int64]) -> Iterator[PreparedFrame]:
    """Decode on the CPU core at hand."""
    viewing, source = wanted.viewing, wanted.segment.source
    scale = InputScaler(wanted.framing, viewing)
    for decoded in decode_shown(source, wanted.index, positions, viewing):
        prepared = _prepared(decoded, scale, viewing)
        if prepared is not None:
            yield prepared


def _prepared(decoded: Decoded, scale: InputScaler, viewing: Viewing) -> PreparedFrame | None:
    """What is kept of a frame in memory; None where it cannot be shown."""
    position, frame, shown = decoded
    crop = viewing.crop
    if crop is not None and not crop.fits(*upright_size(shown, viewing)):
        return None  # the picture's size changes on the way: nothing to embed in this frame
    try:
        image, measures = scale(shown), luminance_and_sharpness(shown)
    except (ColoursError, av.FFmpegError):  # as its colours may, and what else it is
        return None
    digest = frame_digest(frame, viewing)
    return PreparedFrame(position, image, digest, is_flat(image), *measures)
