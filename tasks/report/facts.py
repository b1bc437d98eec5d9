"""What both the page and ``report.md`` say of a run: the verdict, and tables as rows of text."""

from collections.abc import Mapping, Sequence
from typing import Any

from coreframe.tasks.kcenter.goal import StoppedBy
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.run import ChangedVideos, Run, Trouble
from coreframe.tasks.select.choice import Method
from coreframe.tasks.store.catalogue import Video, VideoState
from coreframe.tasks.video.listing import Unread

LISTED = 200
"""Files listed by name at most; a page stays a page on a corpus of any size."""

NOT_READ = "not read"
"""In place of a state: a folder or link that could not be looked at."""

NAMED = 5
"""Videos named in one cell."""

STOPPED = {
    StoppedBy.N: "as many as asked",
    StoppedBy.MIN_DISTANCE: "every other frame is closer than the minimum distance to one of these",
    StoppedBy.RADIUS: "every frame that could be chosen is within the radius asked for",
    StoppedBy.MAX_PER_VIDEO: "every video has as many as it may, or no other frame to choose",
    StoppedBy.BALANCE: "the classes that are given more have no other frame to choose",
    StoppedBy.THINNED: "of those at the fixed rate, all that are the minimum distance apart",
    StoppedBy.EXHAUSTED: "all there are to choose from",
}


WAYS = {
    "fixed_rate": "at a fixed rate",
    "random": "at random",
    "coreset": "in a coreset",
    "facility_location": "by facility location",
}
"""How each of the methods chooses, in words."""


def headline(metrics: Metrics) -> str:
    """What whoever decides wants to know, in words; the verdict where that was not counted."""
    chosen, noun = metrics.chosen, metrics.noun
    if chosen.n and metrics.selected is Method.FACILITY_LOCATION:
        return _mean_gaps(metrics)
    if not chosen.n or not chosen.distinct:
        return verdict(metrics)
    every = "all" if chosen.distinct == chosen.n else f"{chosen.distinct:,} of them"
    others = [
        f"of {measured.n:,} {WAYS[key]}, {measured.distinct:,}"
        for key, measured in metrics.methods.by_key().items()
        if key in WAYS and key != metrics.selected_key and measured.distinct is not None
    ]
    start = f"{chosen.n:,} chosen {noun}{'s' * (chosen.n != 1)}, {every} different from one another"
    return f"{start}. {' are; '.join(others).capitalize()}."


def _mean_gaps(metrics: Metrics) -> str:
    """How near the corpus is to the chosen units on average, and to those of other methods."""
    chosen, noun = metrics.chosen, metrics.noun
    others = [
        f"of {measured.n:,} {WAYS[key]}, {measured.coverage_mean:.3f}"
        for key, measured in metrics.methods.by_key().items()
        if key in WAYS and key != metrics.selected_key and measured.coverage_mean is not None
    ]
    nearest = f"is on average {chosen.coverage_mean:.3f} from the nearest of"
    start = f"A {noun} of the corpus {nearest} {chosen.n:,} chosen {noun}{'s' * (chosen.n != 1)}"
    return f"{start}; {'; '.join(others)}."


def verdict(metrics: Metrics) -> str:
    """The comparison in numbers, whoever won."""
    length, chosen = metrics.sequence_length, metrics.chosen
    nouns = "frames" if length == 1 else f"sequences of {length} frames"
    start = f"{chosen.n:,} of {metrics.methods.original.n:,} {nouns} ({metrics.selected})"
    if chosen.n == 0:
        return f"{start} are chosen: none."
    objects = metrics.methods.original.objects
    covered = "the corpus" if objects is None else f"the {objects:,} objects of the corpus"
    others = " and ".join(
        f"{name.replace('_', ' ')} at the same count within {measured.coverage_radius:.3f}"
        for name, measured in metrics.methods.by_key().items()
        if name not in ("original", metrics.selected_key)
    )
    return f"{start} cover {covered} within {chosen.coverage_radius:.3f}; {others}."


def first_troubles(videos: Sequence[Video], unread: Sequence[Unread]) -> list[Trouble]:
    """The first LISTED of the folders that cannot be read and files that are not ok, or odd."""
    return _troubles(videos, unread)[:LISTED]


def more_troubles(videos: Sequence[Video], unread: Sequence[Unread]) -> int:
    """How many such folders and files :func:`first_troubles` leaves out."""
    return max(0, len(_troubles(videos, unread)) - LISTED)


def _troubles(videos: Sequence[Video], unread: Sequence[Unread]) -> list[Trouble]:
    return [Trouble(file=one.path, state=NOT_READ, why=one.why) for one in unread] + [
        Trouble(file=video.path, state=video.state, why=video.reason or video.note)
        for video in videos
        if video.state != VideoState.OK or video.note
    ]


def troubles_table(run: Run) -> list[dict[str, str]]:
    """The first files that are not ok, or odd, and why."""
    return [trouble.model_dump() for trouble in run.troubles]


def states_table(run: Run) -> list[dict[str, str]]:
    """How many files are in each state."""
    return [{"state": state, "files": f"{n:,}"} for state, n in run.counts.files.items()]


def parameters_table(run: Run) -> list[dict[str, object]]:
    """What was asked for, under dotted names."""
    flat = flattened(run.parameters.model_dump())
    return [{"parameter": name, "value": value} for name, value in flat.items()]


def timings_table(run: Run) -> list[dict[str, str]]:
    """Seconds by stage."""
    return [{"stage": name, "seconds": f"{s:.2f}"} for name, s in run.timings_s.items()]


def versions_text(run: Run) -> str:
    """With what it was made."""
    return ", ".join(f"{name} {version}" for name, version in run.versions.items())


def changes_table(changes: Mapping[str, ChangedVideos]) -> list[dict[str, str]]:
    """What has changed in the corpus since the last run."""
    return [
        {
            "files": kind,
            "number": f"{found.count:,}",
            "first of them": ", ".join(found.first[:NAMED]) + ", …" * (found.count > NAMED),
        }
        for kind, found in changes.items()
    ]


def flattened(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested parameters under dotted names."""
    found: dict[str, object] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return found
