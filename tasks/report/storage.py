"""What the chosen frames take, next to the videos and to all frames written the same way."""

from coreframe.tasks.output.images import FORMAT_NAMES, ImageFormat
from coreframe.tasks.output.metrics import StorageMetrics
from coreframe.tasks.output.run import Run
from coreframe.tasks.report.tables import size

EARLIER_QUALITY = 95
"""Of the JPEG that versions before format 2 measured."""

SAVES_NOTHING = 1.05
"""Below this factor, "1.0 times less" would be said."""


def written_as(run: Run) -> str:
    """How the images were written: ``WebP of quality 95, cropped to 40:40:5:5``."""
    picture = run.parameters.picture
    words = FORMAT_NAMES[run.parameters.picture_format]
    if run.parameters.picture_format != ImageFormat.PNG:
        words += f" of quality {picture['quality']}"
    if run.store.crop:
        words += f", cropped to {run.store.crop}"
    if picture.get("resize"):
        words += f", resized to {picture['resize']}"
    return words


def all_frames_bytes(run: Run, storage: StorageMetrics) -> int | None:
    """What all sampled frames would take, written as the chosen ones are; None if not measured.

    Versions before format 2 measured whole pictures as PNG and JPEG: that says it of a run that
    wrote such ones.
    """
    picture = run.parameters.picture
    if storage.all_frames_bytes is not None:
        return storage.all_frames_bytes
    if run.store.crop or picture.get("resize"):
        return None
    if run.parameters.picture_format == ImageFormat.PNG:
        return storage.all_frames_png_bytes
    if run.parameters.picture_format == ImageFormat.JPG and picture["quality"] == EARLIER_QUALITY:
        return storage.all_frames_jpg_bytes
    return None


def reduction(run: Run, storage: StorageMetrics) -> str:
    """How many times less is kept than all frames would take, written the same way.

    Empty where nothing is kept or saved, or all frames were not measured.
    """
    every = all_frames_bytes(run, storage)
    if not every or not storage.kept_frames_bytes:
        return ""
    factor = every / storage.kept_frames_bytes
    if factor < SAVES_NOTHING:
        return ""
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.1f}"


def storage_sentence(run: Run, storage: StorageMetrics) -> str:
    """The reduction in a sentence; empty where it is not known."""
    factor = reduction(run, storage)
    if not factor:
        return ""
    estimated = ""
    if not storage.all_frames_exact:
        estimated = (
            f" (estimated from {storage.all_frames_estimated_from} frames at an even stride)"
        )
    return (
        f"The kept frames take {factor} times less than all frames as {written_as(run)}{estimated}."
    )


def storage_table(run: Run, storage: StorageMetrics) -> list[dict[str, str]]:
    """What is stored now, what exploding the corpus would store, and what was kept."""
    about = "" if storage.all_frames_exact else "about "
    every, way = all_frames_bytes(run, storage), written_as(run)
    earlier = run.counts.absent_frames - run.counts.absent_images
    rows = [{"what": "source videos", "size": size(storage.source_videos_bytes)}]
    if every is not None:
        what = f"all {storage.all_frames:,} sampled frames as {way}"
        rows.append({"what": what, "size": about + size(every)})
    kept = f"kept: {storage.kept_frames:,} frames as {way}"
    if earlier:
        kept += f"; {earlier:,} of them, of videos that are gone, as an earlier run wrote them"
    return [*rows, {"what": kept, "size": size(storage.kept_frames_bytes)}]
