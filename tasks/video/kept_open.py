"""The film that was read last, open for a moment longer: parts of one film often follow each other.

To open one takes as long as decoding some of its frames (20 ms of H.264 at 1080p): FFmpeg decodes a
picture to know what it is.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from coreframe.tasks.storage.buckets import is_url
from coreframe.tasks.video.container import open_video
from coreframe.tasks.video.viewing import Viewing

KEPT_S = 2.0
"""For longer nobody holds on to a file that nobody reads."""

Stamp = tuple[str, Viewing, bool, int, int, int, int]
"""The same for the same film in the same file, unless that has been written to."""


@dataclass
class _Film:
    stamp: Stamp
    container: InputContainer
    stream: VideoStream
    closing: ExitStack
    timer: threading.Timer | None = None


_lock = threading.Lock()
_kept: _Film | None = None


@contextmanager
def open_once(
    path: str | Path, viewing: Viewing, *, reuse: bool, accelerator: HWAccel | None = None
) -> Iterator[tuple[InputContainer, VideoStream, bool]]:
    """`open_video`, or what of that film is open still; kept open unless it ends in an error.

    A film in a bucket is opened as ever.

    Args:
        path: as of `open_video`.
        viewing: as of `open_video`.
        reuse: whether a film may be given that has been read before.
        accelerator: as of `open_video`.

    Yields:
        The container, its film, and whether it has been read before: then its place is unknown.

    Raises:
        as `open_video`.
    """
    if is_url(path):
        with open_video(path, viewing, accelerator=accelerator) as (container, stream):
            yield container, stream, False
        return
    stamp = _stamp(path, viewing, accelerator)
    film = _taken(stamp, reuse)
    read_before = film is not None
    if film is None:
        with ExitStack() as stack:
            opened = open_video(path, viewing, accelerator=accelerator)
            container, stream = stack.enter_context(opened)
            film = _Film(stamp, container, stream, stack.pop_all())
    try:
        yield film.container, film.stream, read_before
    except BaseException:
        film.closing.close()
        raise
    _keep(film)


def _stamp(path: str | Path, viewing: Viewing, accelerator: HWAccel | None) -> Stamp:
    found = Path(path).stat()
    file = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    return (str(path), viewing, accelerator is not None, *file)


def _taken(stamp: Stamp, reuse: bool) -> _Film | None:
    """Take what is kept, and close it if it is of no use."""
    film = _exchanged(None)
    if film is None or (reuse and film.stamp == stamp):
        return film
    film.closing.close()
    return None


def _keep(film: _Film) -> None:
    film.timer = threading.Timer(KEPT_S, _let_go, (film,))
    film.timer.daemon = True
    film.timer.start()
    before = _exchanged(film)
    if before is not None:
        before.closing.close()


def _exchanged(film: _Film | None) -> _Film | None:
    global _kept
    with _lock:
        before, _kept = _kept, film
    if before is not None and before.timer is not None:
        before.timer.cancel()
    return before


def _let_go(film: _Film) -> None:
    """Close it, if nobody has taken it."""
    global _kept
    with _lock:
        if _kept is not film:
            return
        _kept = None
    film.closing.close()
