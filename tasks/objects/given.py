"""Boxes as people give them: CSV, or COCO's JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.objects import BOX

COLUMNS = [*("video", "frame_index", "time_s", *BOX, "label", "score"), "place"]
"""Of what is read. ``video`` and ``file_name`` are as written, ``frame_index`` and ``time_s``
float64, NaN where not given; ``place`` says where in the file a box is."""

COCO_COLUMNS = [*COLUMNS, "file_name", "image_width", "image_height"]

NEEDED = ("video", *BOX)

HOW = (
    "list boxes as CSV with a first line `video,frame_index,x,y,width,height` (`time_s` in place "
    "of `frame_index`; `label` and `score` if there are any), or as COCO's JSON"
)


def read_boxes(path: str) -> pd.DataFrame:
    """Read all boxes of a file, in its order.

    Returns:
        COLUMNS, of COCO's JSON COCO_COLUMNS.

    Raises:
        UsageError: it cannot be read, or is neither CSV nor COCO's JSON.
    """
    try:
        with Path(path).open("rb") as file:
            begins = file.read(4096)
        suffix, text = Path(path).suffix.lower(), begins.removeprefix(b"\xef\xbb\xbf").lstrip()
        if suffix == ".json" or (suffix != ".csv" and text[:1] in (b"{", b"[")):
            return _of_coco(path, json.loads(Path(path).read_bytes()))
        if suffix == ".csv" or b"," in text.partition(b"\n")[0]:
            return _of_csv(path)
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"cannot read the boxes in {path}: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise UsageError(f"cannot read the boxes in {path} ({why}): {HOW}.") from error
    raise UsageError(f"{path} is neither CSV nor JSON: {HOW}.")


def _of_csv(path: str) -> pd.DataFrame:
    # a video may be called 007 or NA: what is in a column does not say what it is
    given = pd.read_csv(
        path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
    )
    missing = [name for name in NEEDED if name not in given.columns]
    if not {"frame_index", "time_s"} & set(given.columns):
        missing.append("frame_index (or time_s)")
    if missing:
        raise UsageError(f"{path} has no column {' and no column '.join(missing)}: {HOW}.")
    found = given.reindex(columns=COLUMNS)
    found["label"] = given.get("label", "")
    found["place"] = [f"line {number}" for number in range(2, len(found) + 2)]
    return _with_numbers(found)


def _of_coco(path: str, content: Any) -> pd.DataFrame:
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise UsageError(f"{path} has no `images` and `annotations`, as COCO's JSON has: {HOW}.")
    names = {one["id"]: str(one["name"]) for one in content.get("categories") or []}
    images = {one["id"]: one for one in content["images"]}
    rows = []
    for number, one in enumerate(content["annotations"]):
        image = images.get(one.get("image_id"), {})
        box = one.get("bbox") or [None] * 4
        rows.append(
            {
                "video": image.get("video"),
                "frame_index": image.get("frame_index"),
                "file_name": str(image.get("file_name") or ""),
                "image_width": image.get("width"),
                "image_height": image.get("height"),
                **dict(zip(BOX, box, strict=True)),
                "label": names.get(one.get("category_id"), str(one.get("category_id", ""))),
                "score": one.get("score"),
                "place": f"annotation {one.get('id', number)}",
            }
        )
    found = pd.DataFrame(rows, columns=COCO_COLUMNS)
    return _with_numbers(found, "image_width", "image_height")


def _with_numbers(found: pd.DataFrame, *more: str) -> pd.DataFrame:
    """With numbers as float64; what is none is NaN."""
    for name in ("frame_index", "time_s", *BOX, "score", *more):
        numbers = pd.to_numeric(found[name], errors="coerce").astype(np.float64)
        found[name] = numbers.where(np.isfinite(numbers))
    return found
