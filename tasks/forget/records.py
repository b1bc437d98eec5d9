"""Records of runs: names taken out of them, and what they know of folders outside of the store."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coreframe.tasks.names import shown
from coreframe.tasks.output.files import SELECTION
from coreframe.tasks.storage.folders import Folder
from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.store.seals import parse_json, sealed_json
from coreframe.tasks.store.settings import RUNS

REDACTED = "(forgotten)"


@dataclass(frozen=True)
class Outside:
    """A folder outside of the store that holds something of forgotten videos, or may."""

    path: str
    frames: int | None
    """Chosen frames of theirs that its selection lists; None for a trained model."""


def names_to_redact(gone: Collection[Video], staying: Collection[Video]) -> list[str]:
    """What videos are called, longest first: but for what others are called as well."""
    kept = {name for video in staying for name in _names(video)}
    names = {name for video in gone for name in _names(video)} - kept
    return sorted(names, key=len, reverse=True)


def _names(video: Video) -> set[str]:
    names = {video.path, video.source, video.source.rpartition("/")[2]} - {""}
    return names | set(map(shown, names))


def redact(folder: Folder, names: Sequence[str]) -> None:
    """Take names out of all records of runs; a record that cannot be read is deleted."""
    if not names:
        return
    whole_words = "|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w-])" for name in names)
    pattern = re.compile(whole_words)
    for name in folder.names(RUNS):
        place = f"{RUNS}/{name}"
        data = folder.read(place)
        try:
            before = parse_json(place, data)
        except ValueError:
            folder.delete(place)
            continue
        after = _redacted(before, pattern)
        if after != before:
            folder.write(place, sealed_json(place, after))


def _redacted(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub(REDACTED, value)
    if isinstance(value, list):
        return [_redacted(one, pattern) for one in value]
    if isinstance(value, dict):
        return {pattern.sub(REDACTED, key): _redacted(one, pattern) for key, one in value.items()}
    return value


def outside(folder: Folder, rows: NDArray[np.int64]) -> list[Outside]:
    """The folders that runs have written to, of those that are there and hold some rows, or may."""
    found: dict[str, Outside] = {}
    for flow, out in _written_to(folder):
        if flow == "train" and Path(out).is_dir():
            found[out] = Outside(out, None)
        elif flow != "train":
            frames = _listed(Path(out), rows)
            if frames:
                found[out] = Outside(out, frames)
    return list(found.values())


def _written_to(folder: Folder) -> Iterator[tuple[str, str]]:
    for name in folder.names(RUNS):
        try:
            record = json.loads(folder.read(f"{RUNS}/{name}"))
            out = record["parameters"]["out"]
            if isinstance(out, str):
                yield record["flow"], out
        except (ValueError, KeyError, TypeError):  # of a flow without outputs, or damaged
            continue


def _listed(out: Path, rows: NDArray[np.int64]) -> int:
    """How many of some rows an output folder's selection lists; 0 where it cannot be read."""
    try:
        table = pq.read_table(out / SELECTION, columns=["row"])
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return 0
    return int(np.isin(table["row"].to_numpy(), rows).sum())
