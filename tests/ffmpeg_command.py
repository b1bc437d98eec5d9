"""The newest ffmpeg command, on pictures that tests make: what people see."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np


def ffmpeg(*arguments: str, given: bytes = b"") -> bytes:
    """What the command writes to its output."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout


def raw(frame: av.VideoFrame) -> bytes:
    """The pixels of a frame, one plane after the other, without line padding."""
    encoder = av.CodecContext.create("rawvideo", "w")
    encoder.width, encoder.height = frame.width, frame.height
    encoder.pix_fmt = frame.format.name
    encoder.time_base = Fraction(1, 25)
    return b"".join(bytes(packet) for packet in encoder.encode(frame))


def raw_input(frame: av.VideoFrame) -> list[str]:
    """Options by which the command reads one."""
    form, size = frame.format.name, f"{frame.width}x{frame.height}"
    return ["-f", "rawvideo", "-pix_fmt", form, "-s", size, "-i", "-"]


def png_of(frame: av.VideoFrame) -> tuple[np.ndarray, int]:
    """The picture in the PNG that the command makes of a frame, without alpha, and its bits."""
    png = ffmpeg(*raw_input(frame), "-f", "image2pipe", "-c:v", "png", "-", given=raw(frame))
    bits, channels = png[24], {0: 1, 2: 3, 4: 2, 6: 4}[png[25]]
    pixels = ffmpeg("-f", "png_pipe", "-i", "-", "-f", "rawvideo", "-", given=png)
    image = np.frombuffer(pixels, ">u2" if bits == 16 else "u1")
    image = image.reshape(frame.height, frame.width, channels)
    seen = image[..., : channels - 1] if channels in (2, 4) else image
    return seen.squeeze(), bits


def frames_of(path: Path, form: str, size: tuple[int, int], *options: str) -> np.ndarray:
    """(frames, bytes) of all frames of a file, without line padding."""
    chosen = ["-fps_mode", "passthrough", "-pix_fmt", form, "-f", "rawvideo", "-"]
    pixels = np.frombuffer(ffmpeg("-i", str(path), *options, *chosen), np.uint8)
    one = av.VideoFrame(*size, form)
    return pixels.reshape(-1, len(raw(one)))


def interlaced(path: Path, codec: str, *options: str, first: str = "top", rate: int = 25) -> Path:
    """A second of a moving picture, 96 x 64, whose lines are of two moments."""
    moving = f"testsrc2=s=96x64:r={2 * rate}:d=1"
    fields = f"tinterlace=interleave_{first},setfield={'tff' if first == 'top' else 'bff'}"
    encoder = ["-c:v", codec, "-threads", "1", "-bitexact", *options]
    ffmpeg("-y", "-f", "lavfi", "-i", moving, "-vf", fields, *encoder, str(path))
    return path
