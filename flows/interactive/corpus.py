"""A store in this process: its frames and embeddings as tables and arrays, and choosing from it."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from PIL import Image
from pydantic import BaseModel, ValidationError

from coreframe.decoder import Decoder
from coreframe.flows.choosing import Selecting
from coreframe.flows.parameters import Compute
from coreframe.tasks.columns.add import AddedColumns, add_columns, name_of
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.names import labels, shown
from coreframe.tasks.output.contact_sheet import contact_sheet
from coreframe.tasks.output.files import replace_file
from coreframe.tasks.query.asked import APART_S, FOUND, spelled
from coreframe.tasks.report.frames import pictures_of_frames
from coreframe.tasks.scale import SCALE
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.lock import writing
from coreframe.tasks.store.store import Store

__all__ = ["CoreframeError", "Corpus", "Found", "Picks", "UsageError", "open"]

FRAME_COLUMNS = ("row", "video", "frame_index", "pts", "time_s", "luminance", "sharpness")

Model = TypeVar("Model", bound=BaseModel)

NAME_CHARACTERS = 28
"""Of a video's name below a picture that was found."""


def open(store: str | Path) -> "Corpus":
    """Open a store that ``coreframe ingest`` or ``curate`` has made.

    Args:
        store: its folder, or its URL in an object store.

    Raises:
        UsageError: there is none.
    """
    return Corpus(Store.open(store))


class Corpus:
    """The videos of a store and their embedded frames, as they were when it was first asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decoder = Decoder()

    def __enter__(self) -> "Corpus":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process that decodes pictures; it ends with this one, too."""
        self._decoder.close()

    def __repr__(self) -> str:
        settings = self._store.settings
        return shown(
            f"<Corpus {self._store.path}: {len(self.videos):,} files, {settings.embedder}>"
        )

    @cached_property
    def videos(self) -> pd.DataFrame:
        """One row a file: its name ``path``, ``state``, ``reason``, ``duration_s``, and more."""
        return self._store.read_catalogue().to_table().to_pandas()

    @cached_property
    def frames(self) -> pd.DataFrame:
        """The decodable frames of all videos that can be read, in row order.

        ``row`` (in the store), ``video`` (its name), ``frame_index``, ``pts``, ``time_s``,
        ``luminance`` and ``sharpness``.

        Raises:
            CoreframeError: there are none.
        """
        return self._named(read_corpus(self._store, FRAME_COLUMNS))

    @property
    def embeddings(self) -> np.ndarray:
        """(n, dim) float32 unit vectors, to within 0.01 %, of :attr:`frames`."""
        return self.embeddings_of(self.frames["row"].to_numpy())

    def embeddings_of(self, rows: np.ndarray) -> np.ndarray:
        """(k, dim) float32 unit vectors of some rows of the store, in the order asked."""
        return self._store.read_rows(rows).astype(np.float32) / np.float32(SCALE)

    def select(
        self, device: str = "auto", memory_limit: str | int | None = None, **options: Any
    ) -> "Picks":
        """Choose frames in this process: those that ``coreframe select`` chooses.

        Args:
            device: ``auto``, ``cpu`` or ``cuda``.
            memory_limit: of this process, such as ``"2GB"``. Embeddings are kept in memory while
                it takes less than half of that, and those beyond are read again when needed. By
                default the limit is the memory of the machine, or of the container.
            options: the command's options of which frames to choose, with underscores:
                ``n_samples``, ``proportion``, ``min_distance``, ``radius``, ``method``,
                ``max_per_video``, ... 100 frames when none says how many. With ``name``, the store
                keeps the selection and extends it the next time.

        Raises:
            UsageError: an option is unknown, or this corpus cannot give what is asked for.
            CoreframeError: there is a ``name``, and another run writes to the store.
        """
        selecting = _validated(Selecting, options)
        choice = selecting.choice()
        compute = _validated(Compute, {"device": device, "memory_limit": memory_limit})
        from coreframe.tasks.select.local import choose_here  # loads torch: needed here alone

        writes = choice.name is not None or selecting.columns
        with writing(self._store, "a notebook", 0) if writes else nullcontext():
            for file in selecting.columns:
                add_columns(self._store, name_of(file), file)
            chosen = choose_here(self._store, choice, compute.device, compute.memory_limit)
        return Picks(self, self._named(chosen.frames))

    def add_columns(self, name: str, table: pd.DataFrame | str | Path) -> AddedColumns:
        """Keep columns in the store, joined with its frames, as ``coreframe columns add`` does.

        Args:
            name: of the columns, such as ``"detections"``.
            table: or a file: ``video`` and ``frame_index`` or ``time_s``, and the columns.

        Raises:
            UsageError: it cannot be used, or no line is about a frame of the store.
            CoreframeError: another run writes to the store.
        """
        with TemporaryDirectory() as folder, writing(self._store, "a notebook", 0):
            if not isinstance(table, pd.DataFrame):
                return add_columns(self._store, name, str(table))
            file = str(Path(folder, "table.parquet"))
            try:
                table.to_parquet(file, index=False)
                return add_columns(self._store, name, file)
            except UsageError as error:
                raise UsageError(str(error).replace(file, "the table")) from None
            except (ValueError, TypeError, NotImplementedError) as error:  # mixed, or names twice
                why = "; ".join(map(str, error.args))
                raise UsageError(f"the table cannot be kept as Parquet: {why}.") from error

    def search(
        self,
        *queries: str,
        unlike: Sequence[str] = (),
        n_samples: int = FOUND,
        min_apart: float = APART_S,
        where: str | None = None,
        min: Sequence[str] = (),
        max: Sequence[str] = (),
    ) -> "Found":
        """Find the frames that are most like something, of several the nearest.

        Args:
            queries: the file of a picture, or ``file:PATH``, ``frame:VIDEO@TIME`` or
                ``text:WORDS``, which needs a store made with CLIP or SigLIP.
            unlike: what they should not be like, written in the same way.
            n_samples: frames at most.
            min_apart: seconds that two of one video are apart at least.
            where: find only frames that meet it, such as ``"conf > 0.5 AND hour < 7"``.
            min: limits of columns, such as ``["sharpness=0.02"]``: none below.
            max: likewise none above.

        Raises:
            UsageError: there is no query, or one means nothing in this store; or a limit names no
                column, or no frame is within.
        """
        if n_samples < 1 or not min_apart >= 0:
            raise UsageError(
                f"n_samples {n_samples} must be at least 1, and min_apart {min_apart} at least 0."
            )
        selecting = _validated(Selecting, {"where": where, "min": list(min), "max": list(max)})
        from coreframe.tasks.query.nearest import nearest_frames
        from coreframe.tasks.select.derive import deriving
        from coreframe.tasks.select.within import rows_within

        within = rows_within(self._store, selecting.choice(), deriving())
        among = None if within is None else within.rows
        found = nearest_frames(self._store, queries, unlike, n_samples, min_apart, among)
        return Found(self, self._named(found), str(within or ""))

    def pictures(self, rows: np.ndarray, side_px: int = 224) -> dict[int, Image.Image]:
        """Decode some frames in the process that :meth:`image` uses, and make them small.

        Args:
            rows: (k,) rows of the store.
            side_px: of the longer side.

        Returns:
            The picture of each row whose video can still be read.
        """
        asked = np.asarray(rows, np.int64)
        return pictures_of_frames(self._store, asked, side_px, self._decoder.small_pictures)

    def image(self, row: int) -> np.ndarray:
        """The picture of a row's frame in full, as ``curate`` would export it in 8 bits.

        It is the very frame that was embedded: its pixels are checked. Readers that are asked for
        ``frame_index`` may give another one (``benchmarks/README.md`` says which, of which files).
        It is decoded in a process of its own, one for all, that may crash without harm.

        Args:
            row: of the store, such as one of :attr:`frames`.

        Returns:
            (height, width, 3) uint8 RGB.

        Raises:
            CoreframeError: there is no such row, or its frame cannot be had any more.
        """
        frame = self._store.frames_at(np.array([row], np.int64)).iloc[0]
        video = self._store.read_catalogue().videos[int(frame["video"])]
        return self._decoder.picture(
            self._store.path,
            video.source,
            video.fingerprint,
            int(frame["frame_index"]),
            int(frame["digest"]),
        )

    def _named(self, frames: pd.DataFrame) -> pd.DataFrame:
        """The frames with their videos' names as of now: the store may have grown meanwhile."""
        names = {video.video: video.path for video in self._store.read_catalogue().videos}
        return frames.assign(video=frames["video"].map(names))


@dataclass(frozen=True)
class Frames:
    """Some frames of a corpus, in an order."""

    corpus: Corpus
    frames: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self):,} frames of {self.corpus!r}>"

    @property
    def embeddings(self) -> np.ndarray:
        """(k, dim) float32 unit vectors, in their order."""
        return self.corpus.embeddings_of(self.frames["row"].to_numpy())

    def contact_sheet(self, columns: int = 8, side_px: int = 160) -> Image.Image:
        """All of them in their order as one picture, each with its caption."""
        rows = self.frames["row"].to_numpy()
        pictures = self.corpus.pictures(rows, side_px)
        return contact_sheet(
            [pictures.get(row) for row in rows.tolist()],
            self._captions(),
            columns,
            side_px,
            self._heading(),
        )

    def _heading(self) -> str:
        """A line above them."""
        return ""

    def _captions(self) -> list[str]:
        """Number and time."""
        times = self.frames["time_s"]
        return [f"{place + 1}  {seconds:.2f} s" for place, seconds in enumerate(times)]


class Picks(Frames):
    """Chosen frames.

    Attributes:
        corpus: what they were chosen from.
        frames: in pick order: ``rank``, ``row``, ``video`` (its name), ``frame_index``, ``pts``,
            ``time_s``, ``center_row``, ``distance``, ``radius``, ``lower_bound``, ``preselected``,
            ``sequence``.
    """


@dataclass(frozen=True, repr=False)
class Found(Frames):
    """Frames that were searched for.

    Attributes:
        corpus: what they were found in.
        frames: the best first: ``rank``, ``row``, ``video`` (its name), ``frame_index``, ``pts``,
            ``time_s`` and ``similarity``: the cosine to the nearest of the queries, less that to
            the nearest of those to be unlike.
        within: how many frames met what was asked of all that may be found; empty where nothing
            was.
    """

    within: str = ""

    def save(self, path: str | Path, columns: int = 5, side_px: int = 320) -> None:
        """Write the contact sheet, as JPEG or PNG by the file's name."""
        sheet = self.contact_sheet(columns, side_px)
        kind = "PNG" if Path(path).suffix.lower() == ".png" else "JPEG"
        replace_file(Path(path), lambda temporary: sheet.save(temporary, kind, quality=90))

    def _heading(self) -> str:
        """How many there were to choose from."""
        return shown(self.within)

    def _captions(self) -> list[str]:
        """Number, similarity, video and time."""
        names = labels(self.frames["video"].unique().tolist())
        return [
            f"{rank + 1}  {similarity:.3f}  {spelled(time_s)}  {_ending(names[video])}"
            for rank, similarity, time_s, video in zip(
                *(self.frames[name] for name in ("rank", "similarity", "time_s", "video")),
                strict=True,
            )
        ]


def _validated(model: type[Model], given: dict[str, Any]) -> Model:
    """A model of what was given.

    Raises:
        UsageError: a value is refused, or a name is unknown.
    """
    try:
        return model(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ").rstrip(".")
        raise UsageError(f"{name}: {said}." if name else f"{said}.") from error


def _ending(name: str) -> str:
    """As much of a name as has room below its picture: the end, which tells files apart."""
    return name if len(name) <= NAME_CHARACTERS else f"…{name[1 - NAME_CHARACTERS :]}"
