"""COCO: images, and a JSON file with what the store has in boxes, ready for more annotations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from coreframe.tasks.datasets.chosen import Chosen, Frame, place_images, write_json
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.objects import BOX, StoredObjects
from coreframe.tasks.store.store import Store

UNLABELLED = "object"
"""The category of a box without a label: COCO knows no box without a category."""


@dataclass(frozen=True)
class Annotated:
    """A box in a frame, in parts of the picture's width and height."""

    box: tuple[float, float, float, float]
    """Left, top, width, height."""
    label: str
    score: float | None


def boxes_in(chosen: Chosen, store: Store) -> dict[int, list[Annotated]]:
    """The objects that a store has in chosen frames, by the frames' rows.

    Of frames that the store does not have in these rows there are none.

    Raises:
        CoreframeError: they are damaged.
    """
    table = StoredObjects(store).active(["row", *BOX, "label", "score"])
    rows = np.array([frame.facts["row"] for frame in chosen.frames], np.int64)
    table = table.filter(np.isin(table["row"].to_numpy(), rows))
    if len(table) == 0:
        return {}
    videos = {video.path: video for video in store.read_catalogue().videos if video.active}
    crop, sizes = store.settings.viewing.crop, {}
    for frame in chosen.frames:
        video, row = videos.get(frame.facts["video"]), frame.facts["row"]
        if video is not None and video.first_row <= row < video.first_row + video.rows:
            sizes[row] = (video.width, video.height) if crop is None else (crop.width, crop.height)
    found: dict[int, list[Annotated]] = {}
    for one in table.to_pylist():
        if one["row"] not in sizes:
            continue
        width, height = sizes[one["row"]]
        box = one["x"] / width, one["y"] / height, one["width"] / width, one["height"] / height
        score = None if np.isnan(one["score"]) else one["score"]
        found.setdefault(one["row"], []).append(Annotated(box, one["label"] or UNLABELLED, score))
    return found


def write_coco(
    chosen: Chosen, folder: Path, boxes: Mapping[int, Sequence[Annotated]] | None = None
) -> None:
    """Write ``images/`` and ``annotations.json``.

    An image's ``id`` is its rank plus one: some tools take 0 for none. A score is among the
    annotation's keys, as in COCO's format of results.

    Args:
        chosen: the selection.
        folder: to write into.
        boxes: what is in frames, by their rows.

    Raises:
        CoreframeError: an image cannot be read.
    """
    place_images(chosen.frames, folder / "images")
    images = [_image(frame) for frame in chosen.frames]
    annotated = [
        (image, one)
        for image, frame in zip(images, chosen.frames, strict=True)
        for one in (boxes or {}).get(frame.facts["row"], [])
    ]
    labels = sorted({one.label for _, one in annotated})
    categories = {label: number for number, label in enumerate(labels, 1)}
    write_json(
        folder / "annotations.json",
        {
            "info": {"description": "Frames selected by Coreframe"},
            "licenses": [],
            "images": images,
            "annotations": [
                _annotation(number, image, one, categories[one.label])
                for number, (image, one) in enumerate(annotated, 1)
            ],
            "categories": [{"id": number, "name": label} for label, number in categories.items()],
        },
    )


def _annotation(
    number: int, image: Mapping[str, object], one: Annotated, category: int
) -> dict[str, object]:
    across, down = float(str(image["width"])), float(str(image["height"]))
    sides = zip(one.box, (across, down) * 2, strict=True)
    x, y, width, height = (round(part * px, 4) for part, px in sides)
    known = {} if one.score is None else {"score": round(one.score, 6)}
    return {
        "id": number,
        "image_id": image["id"],
        "category_id": category,
        "bbox": [x, y, width, height],
        "area": round(width * height, 4),
        "iscrowd": 0,
        **known,
    }


def _image(frame: Frame) -> dict[str, object]:
    try:
        with Image.open(frame.image) as picture:  # reads no pixels
            width, height = picture.size
    except OSError as error:
        raise CoreframeError(
            f"{frame.image} cannot be read as an image ({error}): select again, then export again."
        ) from error
    return {"id": frame.facts["rank"] + 1, "width": width, "height": height} | frame.facts
