"""What both the page and ``report.md`` say of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from coreframe.tasks.store.catalogue import Video

LISTED = 200
"""Files listed by name at most; a page stays a page on a corpus of any size."""

NAMED = 5
"""Videos named in one cell."""

STOPPED = {
    "n": "as many as asked",
    "min_distance": "every further frame is nearer than the minimum distance to one of these",
    "radius": "every frame that could be chosen is within the radius asked for",
    "max_per_video": "the videos have their largest number, or nothing else to choose",
    "thinned": "of the fixed rate, those at least the minimum distance apart",
    "exhausted": "all that there are to choose from",
}


def verdict(metrics: Mapping[str, Any]) -> str:
    """The comparison in one sentence, whoever won."""
    methods, length = metrics["methods"], metrics["sequence_length"]
    noun = "frames" if length == 1 else f"sequences of {length} frames"
    selected = metrics["selected"].replace("-", "_")
    mine = methods[selected]
    start = f"{mine['n']:,} of {methods['original']['n']:,} {noun} ({metrics['selected']})"
    if mine["n"] == 0:
        return f"{start} are chosen: none."
    others = " and ".join(
        f"{name.replace('_', ' ')} at the same count within {methods[name]['coverage_radius']:.3f}"
        for name in ("fixed_rate", "random", "coreset")
        if name != selected
    )
    return f"{start} cover the corpus within {mine['coverage_radius']:.3f}; {others}."


def reduction(storage: Mapping[str, Any]) -> str:
    """How many times less is kept than all frames as PNG would take; empty when nothing is."""
    factor = storage["reduction_factor"] or 0.0
    if not factor:
        return ""
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.1f}"


def troubles_table(videos: Sequence[Video]) -> list[dict[str, str]]:
    """The first LISTED of the files that are not ok, or odd, and why."""
    troubles = [video for video in videos if video.state != "ok" or video.note]
    return [
        {"file": video.path, "state": video.state, "why": video.reason or video.note}
        for video in troubles[:LISTED]
    ]


def more_troubles(videos: Sequence[Video]) -> int:
    """How many such files the table leaves out."""
    return max(0, sum(bool(video.state != "ok" or video.note) for video in videos) - LISTED)


def changes_table(changes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """What has changed in the corpus since the last run."""
    return [
        {
            "videos": kind,
            "number": f"{found['count']:,}",
            "first of them": ", ".join(found["first"][:NAMED]),
        }
        for kind, found in changes.items()
    ]


def flat(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Nested parameters under dotted names."""
    found: dict[str, object] = {}
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return found
