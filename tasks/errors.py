"""What can go wrong, by who can mend it. A message names the file, the value, the next step."""


class CoreframeError(RuntimeError):
    """A run could not do what was asked; the message is meant for the person who asked."""


class OutOfReachError(CoreframeError):
    """A bucket refused or went on failing to answer, which says nothing of what lies in it."""


class UsageError(ValueError):
    """The command or flow was asked for something impossible. The command exits with status 2."""


class NotAVideoError(ValueError):
    """The file holds no moving picture (audio, a still image, text, ...). It is skipped."""


class BrokenVideoError(RuntimeError):
    """The file should be a video, but no frame of it can be read."""


class ColoursError(BrokenVideoError):
    """A frame's colours cannot be turned into RGB, so there is no picture of it."""


class DamagedVideoError(RuntimeError):
    """Decoding did not give what the index promised. The video needs a census.

    See :func:`coreframe.tasks.video.census.take_census`.
    """


class SourceChangedError(RuntimeError):
    """The file's frames are no longer those that were indexed or embedded."""
