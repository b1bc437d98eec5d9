"""Names of videos as the page shows them: each its own, whatever characters tell two apart."""

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from coreframe.tasks.names import labels
from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.other_selections import Other
from coreframe.tasks.store.catalogue import Video


def with_labels(
    folder: OutputFolder, evidence: Evidence, videos: Sequence[Video], others: Sequence[Other]
) -> tuple[OutputFolder, Evidence, list[Video], list[Other]]:
    """What a page is made of, with the same label in place of a video's name everywhere."""
    folders = [folder, *(other.folder for other in others)]
    label = labels(
        [
            *(video.path for video in videos if video.active),
            *(name for one in folders for name in one.table["video"].unique().to_pylist()),
        ]
    )
    if all(name == shown for name, shown in label.items()):
        return folder, evidence, list(videos), list(others)

    def labelled(one: OutputFolder) -> OutputFolder:
        names = pa.array([label[name] for name in one.table["video"].to_pylist()], pa.string())
        place = one.table.schema.get_field_index("video")
        return replace(one, table=one.table.set_column(place, "video", names))

    return (
        labelled(folder),
        replace(
            evidence,
            dropped=evidence.dropped.assign(name=evidence.dropped["name"].map(label)),
            flat=evidence.flat.assign(name=evidence.flat["name"].map(label)),
            odd=evidence.odd.assign(name=evidence.odd["name"].map(label)),
            missed=evidence.missed.assign(name=evidence.missed["name"].map(label)),
            graded=evidence.graded.assign(name=evidence.graded["name"].map(label)),
            mapped=evidence.mapped.assign(name=evidence.mapped["name"].map(label)),
        ),
        [replace(video, path=label.get(video.path, video.path)) for video in videos],
        [replace(other, folder=labelled(other.folder)) for other in others],
    )
