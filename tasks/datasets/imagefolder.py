"""Hugging Face ImageFolder: images beside a table of what is known of them."""

from pathlib import Path

import pyarrow.parquet as pq

from coreframe.tasks.datasets.chosen import Chosen, place_images

SPLIT = "train"
"""The folder of all images, and with it the one split. Of images that lie in none, ``datasets``
guesses the splits from their names, which are those of videos: of a video ``test_clip`` it makes a
split ``test``, and leaves out all that is in no split."""


def write_imagefolder(chosen: Chosen, folder: Path) -> None:
    """Write images and ``metadata.parquet``, for ``load_dataset("imagefolder", data_dir=...)``.

    Parquet says which type a column has. Of CSV, readers guess it from the first lines: videos
    called ``007`` or ``NA`` would be numbers, or missing.
    """
    place_images(chosen.frames, folder / SPLIT)
    pq.write_table(chosen.table, folder / SPLIT / "metadata.parquet")
