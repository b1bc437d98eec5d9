"""Times of frames: what players take them for, and what is made of those that cannot be right.

A file's clock may jump, repeat itself or say nothing. Two answers are given to it:

* the **played times**: what FFmpeg's command takes, by its own rules (`fftools/ffmpeg_demux.c` and
  `ffmpeg_dec.c` of FFmpeg 8; `guess_correct_pts` of its `libavcodec/decode.c`). Where the decoding
  times step back by more than 0.1 s, or in formats that may be discontinuous step by more than
  10 s, the clock has started anew, and what follows is moved to where the packet before ends. A
  frame without a time is shown one frame after the last.
* the **times of the index**, which rise strictly, because a frame is known by its time. As many of
  the played times are kept as rise (a longest increasing subsequence); the others are put evenly
  between those around them, in a finer unit where there is no room.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

LONGEST_STEP_US = 10 * av.time_base
"""FFmpeg's ``-dts_delta_threshold``, of formats in which a clock may jump."""

BACK_US = av.time_base // 10
"""Further back than this no decoding time steps but where a clock starts anew."""


def clock(container: InputContainer, stream: VideoStream) -> tuple[Fraction, int]:
    """Seconds per unit of the stream's times, and where players count from, in these units.

    That is where the container starts. In formats in which clocks may jump it is where the stream
    does, as FFmpeg's command counts when it reads no other.
    """
    time_base = stream.time_base or Fraction(1, 90_000)
    start_us = container.start_time or 0
    if jumps_allowed(container) and stream.start_time is not None:
        start_us = _nearest(stream.start_time * time_base * av.time_base)
    return time_base, _nearest(Fraction(start_us, av.time_base) / time_base)


def jumps_allowed(container: InputContainer) -> bool:
    """Whether the format may be discontinuous, as transport streams are."""
    return bool(container.format.flags & cast(int, Flags.ts_discont.value))


def _nearest(value: Fraction) -> int:
    """The nearest whole number, halves away from zero: how FFmpeg rounds."""
    return _scaled(1, value)


def _scaled(number: int, factor: Fraction) -> int:
    """The same of a product, without forming it: this is done for every packet."""
    size = abs(number * factor.numerator)
    rounded = (2 * size + factor.denominator) // (2 * factor.denominator)
    return rounded if (number < 0) == (factor.numerator < 0) else -rounded


class PacketClock:
    """Follows a stream's decoding times, and moves packets behind a jump of its clock."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._us_a_unit = (stream.time_base or Fraction(1, 90_000)) * av.time_base
        rate = stream.codec_context.framerate or stream.average_rate
        self._frame_us = _nearest(av.time_base / Fraction(rate)) if rate else 0
        self._any_jump = jumps_allowed(container)
        self._moved_us = 0
        self._dts_us: int | None = None
        self._next_us = 0
        self.jumps = 0
        """Times that the clock has started anew."""

    def move(self, packet: "Packet[VideoStream]") -> None:
        """Give a packet its played times; packets come in the order of the file."""
        moved = self._units(self._moved_us)
        if packet.dts is not None:
            dts_us = self._us(packet.dts + moved)
            if self._dts_us is not None:
                step_us = dts_us - self._next_us
                back = dts_us + BACK_US < self._dts_us
                if back or (self._any_jump and abs(step_us) > LONGEST_STEP_US):
                    self.jumps += 1
                    self._moved_us -= step_us
                    moved, dts_us = self._units(self._moved_us), self._next_us
            self._dts_us = self._next_us = dts_us
        if self._dts_us is not None:
            span_us = self._us(packet.duration) if packet.duration else self._frame_us
            self._next_us += span_us
        if moved:
            packet.pts = None if packet.pts is None else packet.pts + moved
            packet.dts = None if packet.dts is None else packet.dts + moved

    def _us(self, units: int) -> int:
        return _scaled(units, self._us_a_unit)

    def _units(self, us: int) -> int:
        return _scaled(us, 1 / self._us_a_unit) if us else 0


class FrameTimes(NamedTuple):
    """What a decoded frame says of its time, in units of the stream's time base."""

    pts: int | None
    dts: int | None
    """Of the packet that made the decoder give it."""
    duration: int | None


@dataclass(frozen=True)
class Durations:
    """What tells how long a frame is shown."""

    time_base: Fraction
    codec_rate: Fraction | None
    """Frames a second, as the bitstream says."""
    rate: Fraction | None
    """As the container says."""
    untimed: bool
    """The format stores no times: the durations of its packets are guesses."""

    def of(self, duration: int | None, step: int, before: int = 0) -> int:
        """How long a frame is shown, in units of the time base, at least 1.

        Args:
            duration: of its packet.
            step: from the frame before it; not above 0 if there is none.
            before: how long that one was shown.
        """
        span = duration or 0
        if span > 0 and not self.untimed and not (span == 1 and step > 2):
            return span
        by_codec = 0
        if self.codec_rate:
            by_codec = _nearest(1 / self.codec_rate / self.time_base)
        if by_codec > 0 and self.untimed:
            return by_codec
        by_rate = _nearest(1 / self.rate / self.time_base) if self.rate else 0
        return next((one for one in (step, span, by_codec, by_rate) if one > 0), max(before, 1))


def durations(container: InputContainer, stream: VideoStream) -> Durations:
    """Read what the file says of its frames' durations."""
    return Durations(
        time_base=stream.time_base or Fraction(1, 90_000),
        codec_rate=stream.codec_context.framerate or None,
        rate=stream.average_rate or None,
        untimed=bool(container.format.flags & cast(int, Flags.no_timestamps.value)),
    )


def played_times(frames: Sequence[FrameTimes], lasting: Durations) -> tuple[list[int], int]:
    """When FFmpeg's command shows decoded frames, in the order in which they are decoded.

    Returns:
        Their times, which need not rise, and the end of the last one.
    """
    last_pts = last_dts = -(2**63)
    faulty_pts = faulty_dts = 0
    times: list[int] = []
    span = 0
    for frame in frames:
        if frame.dts is not None:
            faulty_dts += frame.dts <= last_dts
            last_dts = frame.dts
        elif frame.pts is not None:
            last_dts = frame.pts
        if frame.pts is not None:
            faulty_pts += frame.pts <= last_pts
            last_pts = frame.pts
        elif frame.dts is not None:
            last_pts = frame.dts
        trusted = faulty_pts <= faulty_dts or frame.dts is None
        best = frame.pts if frame.pts is not None and trusted else frame.dts
        if best is None:
            best = times[-1] + span if times else 0
        step = best - times[-1] if times else -1
        span = lasting.of(frame.duration, step, span)
        times.append(best)
    return times, times[-1] + span if times else 0


def mended(times: Sequence[int]) -> tuple[NDArray[np.int64], int, int]:
    """Times that rise strictly, with as many as can be kept.

    Args:
        times: in presentation order; some may be repeated or out of order.

    Returns:
        The times, in a unit so many times finer; how many times finer; how many were mended.
    """
    kept = _rising(times)
    known = np.array([times[place] for place in kept], np.int64)
    usual = max(1, int(np.median(np.diff(known)))) if len(known) > 1 else 1
    gaps = [*pairwise(kept)]
    finer = max(
        (-(-(after - before) // (times[after] - times[before])) for before, after in gaps),
        default=1,
    )
    made = np.empty(len(times), np.int64)
    made[kept] = known * finer
    for before, after in gaps:
        if after > before + 1:
            first, span = int(made[before]), int(made[after] - made[before])
            for place in range(before + 1, after):
                made[place] = first + span * (place - before) // (after - before)
    for place in range(kept[0] - 1, -1, -1):
        made[place] = made[place + 1] - usual * finer
    for place in range(kept[-1] + 1, len(times)):
        made[place] = made[place - 1] + usual * finer
    return made, finer, len(times) - len(kept)


def _rising(times: Sequence[int]) -> list[int]:
    """Places of a longest strictly increasing subsequence (Schensted 1961, by bisection)."""
    ends: list[int] = []
    """The least value that a rising sequence of each length ends with."""
    places: list[int] = []
    before: list[int] = []
    for place, value in enumerate(times):
        length = bisect_left(ends, value)
        before.append(places[length - 1] if length else -1)
        if length == len(ends):
            ends.append(value)
            places.append(place)
        else:
            ends[length] = value
            places[length] = place
    found = []
    place = places[-1] if places else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]
