"""Whether a file can be opened as a video, found out in a process that may be ended.

Run as a module it answers through `coreframe.tasks.video.apart`.
"""

from collections.abc import Iterator
from pathlib import Path

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError
from coreframe.tasks.video.apart import Apart, serve

_opened: set[tuple[str, int, int, int]] = set()
"""Files of this machine that could be opened, with their sizes and times, and how many frames they
might have: the command looks at them before it starts anything, and again where its flow starts."""


class Looker:
    """Opens files for whoever must not wait for them."""

    def __init__(self) -> None:
        self._apart = Apart(__name__)

    def __enter__(self) -> "Looker":
        return self

    def __exit__(self, *_: object) -> None:
        self._apart.close()

    def look(self, path: str, most_frames: int, timeout_s: float) -> None:
        """Open a file once, elsewhere.

        Raises:
            NotAVideoError, BrokenVideoError: as `coreframe.tasks.video.container.open_video`.
            TimeoutError: it did not open in that time.
            EOFError: it ended the process that opened it.
        """
        version = _version(path, most_frames)
        if version in _opened:
            return
        for kind, reason in self._apart.ask((path, most_frames), timeout_s):
            if kind == "no video":
                raise NotAVideoError(reason)
            raise BrokenVideoError(reason)
        if version is not None:
            _opened.add(version)


def _version(path: str, most_frames: int) -> tuple[str, int, int, int] | None:
    """None of what is no file, or not here."""
    try:
        known = Path(path).stat()
    except OSError:
        return None
    return path, known.st_size, known.st_mtime_ns, most_frames


def _look(asked: tuple[str, int]) -> Iterator[tuple[str, str]]:
    from coreframe.tasks.video.container import open_video  # loads PyAV, here alone

    try:
        path, most_frames = asked
        with open_video(path, most_frames=most_frames):
            pass
    except NotAVideoError as error:
        yield "no video", str(error)
    except Exception as error:  # whatever it is, it is told where the file was named
        yield "broken", str(error) or type(error).__name__


if __name__ == "__main__":
    serve(_look)
