"""The embedder's input of a picture in a file, made in a process that may be ended.

Run as a module it answers through `coreframe.tasks.video.apart`. Nothing of a store but the size
of that input takes part: a picture is taken as it is, upright as its EXIF data say, whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.video.apart import Apart, serve
from coreframe.tasks.video.pixels import Framing, InputScaler
from coreframe.tasks.video.viewing import AS_SHOWN, Orientation, Viewing

TIMEOUT_S = 60.0
"""Without an answer for so long, the process counts as hung."""

EXIF_ORIENTATION = 0x0112

ORIENTATIONS = {
    1: Orientation(0),
    2: Orientation(0, mirrored=True),
    3: Orientation(2),
    4: Orientation(2, mirrored=True),
    5: Orientation(1, mirrored=True),
    6: Orientation(3),
    7: Orientation(3, mirrored=True),
    8: Orientation(1),
}
"""By the numbers of the EXIF standard: how a picture is made upright."""


def embedder_inputs(
    paths: Sequence[str], framing: Framing, timeout_s: float = TIMEOUT_S
) -> list[NDArray[np.uint8]]:
    """(side, side, 3) uint8 RGB of each picture, made as those of videos' frames are.

    Args:
        paths: files of this machine.
        framing: the embedder's.
        timeout_s: longest time that one of them may take.

    Raises:
        UsageError: one is no picture, or cannot be read.
    """
    found = []
    with Apart(__name__) as reader:
        for path in paths:
            try:
                (answer,) = reader.ask((path, framing), timeout_s)
            except TimeoutError as error:
                raise UsageError(f"{path} was not decoded within {timeout_s:g} s.") from error
            except EOFError as error:
                raise UsageError(f"decoding {path} ended the process that did it.") from error
            if isinstance(answer, str):
                raise UsageError(f"{path} cannot be used as a picture: {answer.rstrip('.')}.")
            found.append(answer)
    return found


def _read(asked: tuple[str, Framing]) -> Iterator[Any]:
    """The embedder's input, or why there is none."""
    from coreframe.tasks.video.container import open_picture  # loads FFmpeg's readers, here alone

    path, framing = asked
    try:
        with open_picture(path) as (container, stream):
            frames = container.decode(stream)
            frame = next(frames, None)
            if frame is None:
                yield "no picture in it"
            elif next(frames, None) is not None:
                yield "it is a film: name one of the store's frames, frame:VIDEO@TIME"
            else:
                yield InputScaler(framing, _viewing(path, int(frame.rotation)))(frame)
    except Exception as error:  # whatever it is, it is told where the file was named
        yield getattr(error, "strerror", None) or str(error) or type(error).__name__


def _viewing(path: str, degrees: int) -> Viewing:
    """How a picture is shown.

    Args:
        path: its file.
        degrees: by which FFmpeg says that it is turned; of one that is also mirrored that is not
            all, and PyAV 18 cannot tell the rest beside EXIF data.
    """
    from PIL import Image

    told: Any = None
    with suppress(Exception), Image.open(path) as image:  # it reads fewer formats, in many errors
        told = image.getexif().get(EXIF_ORIENTATION)
    turned = ORIENTATIONS.get(told, Orientation(round(degrees / 90) % 4))
    return replace(AS_SHOWN, orientation=turned, matrix_degrees=degrees)


if __name__ == "__main__":
    serve(_read)
