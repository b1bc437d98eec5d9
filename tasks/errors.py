"""What can go wrong, by who can mend it. A message names the file, the value, the next step."""

from coreframe.tasks.names import shown


class Told(Exception):
    """An error whose message is for people: names in it are as they are shown, on one line."""

    def __init__(self, message: object = "") -> None:
        super().__init__(shown(str(message)))


class CoreframeError(Told, RuntimeError):
    """A run could not do what was asked; the message is meant for the person who asked."""


class OutOfReachError(CoreframeError):
    """A bucket refused or went on failing to answer, which says nothing of what lies in it."""


class UsageError(Told, ValueError):
    """The command or flow was asked for something impossible. The command exits with status 2."""


class ReadOnlyError(UsageError):
    """What would have to be written may only be read."""


class NotAVideoError(Told, ValueError):
    """The file holds no moving picture (audio, a still image, text, ...). It is skipped."""


class BrokenVideoError(Told, RuntimeError):
    """The file should be a video, but no frame of it can be read."""


class ColoursError(BrokenVideoError):
    """A frame's colours cannot be turned into RGB, so there is no picture of it."""


class DamagedVideoError(Told, RuntimeError):
    """Decoding did not give what the index promised. The video needs a census.

    See :func:`coreframe.tasks.video.census.take_census`.
    """


class SourceChangedError(Told, RuntimeError):
    """The file's frames are no longer those that were indexed or embedded."""
