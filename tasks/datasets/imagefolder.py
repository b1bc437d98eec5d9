"""Hugging Face ImageFolder: images beside a table of what is known of them."""

import csv
from pathlib import Path

from coreframe.tasks.datasets.chosen import Frame, place_images


def write_imagefolder(frames: list[Frame], folder: Path) -> None:
    """Write the images and ``metadata.csv``, for ``load_dataset("imagefolder", data_dir=...)``.

    Numbers are written with all their digits. What is not known, such as the first frame's
    distance, is left empty.
    """
    place_images(frames, folder)
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(frames[0].facts))
        table.writeheader()
        table.writerows(frame.facts for frame in frames)
