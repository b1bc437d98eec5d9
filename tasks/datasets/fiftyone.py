"""FiftyOne: images, and a JSON file of samples with fields."""

from pathlib import Path

from coreframe.tasks.datasets.chosen import Chosen, place_images, write_json


def write_fiftyone(chosen: Chosen, folder: Path) -> None:
    """Write ``data/``, ``samples.json`` and ``metadata.json``, for ``fo.types.FiftyOneDataset``.

    Every column of the selection is a field of its samples. Of the two layouts that this type
    stands for it is the one without a ``version``: every FiftyOne reads it, and finds the fields
    and their types itself; the other is a dump of one release's database.
    """
    place_images(chosen.frames, folder / "data")
    samples = []
    for frame in chosen.frames:
        facts = {name: value for name, value in frame.facts.items() if name != "file_name"}
        samples.append({"filepath": f"data/{frame.file_name}", "tags": []} | facts)
    write_json(folder / "metadata.json", {"info": {"description": "Frames selected by Coreframe"}})
    write_json(folder / "samples.json", {"samples": samples})
