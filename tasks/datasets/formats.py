"""A selection as a dataset: which forms there are, and where they go."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from coreframe.tasks.datasets.chosen import Chosen, read_chosen
from coreframe.tasks.datasets.coco import boxes_in, write_coco
from coreframe.tasks.datasets.embeddings import write_embeddings
from coreframe.tasks.datasets.fiftyone import write_fiftyone
from coreframe.tasks.datasets.folder import replacing
from coreframe.tasks.datasets.imagefolder import write_imagefolder
from coreframe.tasks.datasets.webdataset import write_webdataset
from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.files import RUN
from coreframe.tasks.storage.folders import open_folder
from coreframe.tasks.store.settings import MADE
from coreframe.tasks.store.store import Store

Writer = Callable[[Chosen, Path], None]

CSV, COCO = "csv", "coco"
WITHOUT_STORE: dict[str, Writer] = {
    "imagefolder": write_imagefolder,
    "webdataset": write_webdataset,
    COCO: write_coco,
    "fiftyone": write_fiftyone,
}
DATASET_FORMATS = (*WITHOUT_STORE, CSV)


@dataclass(frozen=True)
class Dataset:
    """What was written."""

    place: str
    frames: int
    without_image: int
    """Chosen frames that were left out: their video is gone, and no image is left."""
    boxes: int = 0
    """Objects of the store that are among its annotations."""


def export_dataset(out: str, to: str, dest: str | None = None, store: str | None = None) -> Dataset:
    """Write the selection in an output folder as a dataset.

    Args:
        out: the folder that ``curate`` or ``select`` wrote.
        to: one of DATASET_FORMATS.
        dest: the folder to write or replace; ``out/to`` by default.
        store: for ``csv``, where the embeddings are read, and for ``coco``, where boxes are, if it
            is there; by default the store that the selection was made from.

    Raises:
        UsageError: there is no such format, no selection, or no store with its frames, or the
            folder holds something else.
        CoreframeError: an image is missing.
    """
    if to not in DATASET_FORMATS:
        raise UsageError(f"unknown format {to!r}: use {', '.join(DATASET_FORMATS[:-1])} or {CSV}.")
    if store is not None and to not in (CSV, COCO):
        raise UsageError(
            f"{to} needs no store: leave --store {store} out, or use --to {CSV} or {COCO}."
        )
    chosen = read_chosen(Path(out))
    place = dest or str(Path(out, to))
    boxes = 0
    if to == CSV:
        write: Writer = partial(write_embeddings, store=_store(chosen, Path(out), store))
    elif to == COCO and (store is not None or _is_there(chosen.store)):
        found = boxes_in(chosen, _store(chosen, Path(out), store))
        write, boxes = partial(write_coco, boxes=found), sum(map(len, found.values()))
    else:
        write = WITHOUT_STORE[to]
    with replacing(place) as folder:
        write(chosen, folder)
    return Dataset(place, len(chosen.frames), chosen.without_image, boxes)


def _is_there(store: str | None) -> bool:
    return store is not None and open_folder(store).exists(MADE)


def _store(chosen: Chosen, out: Path, given: str | None) -> Store:
    """The store that is given, or else that of the selection."""
    place = given or chosen.store
    if place is None:
        raise UsageError(
            f"{out / RUN} does not say which store the selection is from: name it with --store."
        )
    if given is None and not _is_there(place):
        raise UsageError(
            f"{place}, the store that {out / RUN} names, is not there as seen from {Path.cwd()}: "
            "name it with --store."
        )
    return Store.open(place)
