"""COCO: images, and a JSON file that is ready for annotations."""

from pathlib import Path

from PIL import Image

from coreframe.tasks.datasets.chosen import Chosen, Frame, place_images, write_json
from coreframe.tasks.errors import CoreframeError


def write_coco(chosen: Chosen, folder: Path) -> None:
    """Write ``images/`` and ``annotations.json``, without annotations or categories.

    An image's ``id`` is its rank plus one: some tools take 0 for none.

    Raises:
        CoreframeError: an image cannot be read.
    """
    place_images(chosen.frames, folder / "images")
    write_json(
        folder / "annotations.json",
        {
            "info": {"description": "Frames selected by Coreframe"},
            "licenses": [],
            "images": [_image(frame) for frame in chosen.frames],
            "annotations": [],
            "categories": [],
        },
    )


def _image(frame: Frame) -> dict[str, object]:
    try:
        with Image.open(frame.image) as picture:  # reads no pixels
            width, height = picture.size
    except OSError as error:
        raise CoreframeError(
            f"{frame.image} cannot be read as an image ({error}): select again, then export again."
        ) from error
    return {"id": frame.facts["rank"] + 1, "width": width, "height": height} | frame.facts
