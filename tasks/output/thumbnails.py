"""``thumbnails.parquet``: small pictures of the chosen frames, kept for the next report."""

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from coreframe.tasks.output.png import in_8_bits
from coreframe.tasks.storage.fingerprint import fingerprint

QUALITY = 70
"""Of WebP: what it loses cannot be seen at this size."""

SIDES_PX = ((150, 256), (600, 192), (1500, 144))
"""Up to so many chosen frames, a picture's longer side."""

SMALL_PX = 112

THUMBNAILS = "thumbnails.parquet"
"""In an output folder: the small pictures, so that a report made again decodes no image."""

THUMBNAILS_SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "side_px": pa.int32(),
        "fingerprint": pa.string(),
        "webp": pa.binary(),
    }
)


def small_picture(image: Image.Image, side_px: int) -> bytes:
    """Make a WebP picture whose longer side has so many pixels; equal ones give equal bytes."""
    image.draft("RGB", (2 * side_px, 2 * side_px))  # a JPEG is decoded at a fraction of its size
    if image.mode.startswith("I;16"):  # Pillow would take all above 255 for white
        image = Image.fromarray(in_8_bits(np.asarray(image)))
    image = image.convert("RGB")
    image.thumbnail((side_px, side_px), reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()


def side_px(count: int) -> int:
    """The longer side of the small pictures of so many chosen units."""
    return next((side for most, side in SIDES_PX if count <= most), SMALL_PX)


def keep_pictures(path: Path, out: Path, pictures: Mapping[str, bytes], side_px: int) -> None:
    """Write small pictures of an output folder's images, by file, as THUMBNAILS_SCHEMA says."""
    table = {
        "file": list(pictures),
        "side_px": [side_px] * len(pictures),
        "fingerprint": [fingerprint(str(out / file)) for file in pictures],
        "webp": list(pictures.values()),
    }
    pq.write_table(pa.table(table, THUMBNAILS_SCHEMA), path, compression="none")


def kept_pictures(out: Path, side_px: int, wanted: set[str]) -> dict[str, bytes]:
    """Those of the right size, of the files asked for, whose files have not changed since."""
    try:
        table = pq.read_table(out / THUMBNAILS, schema=THUMBNAILS_SCHEMA).to_pylist()
    except (OSError, ValueError, pa.ArrowException):  # not there, or not ours: they are made again
        return {}
    found = {}
    for one in table:
        if one["side_px"] != side_px or one["file"] not in wanted:
            continue
        with suppress(OSError):
            if one["fingerprint"] == fingerprint(str(out / one["file"])):
                found[one["file"]] = one["webp"]
    return found
