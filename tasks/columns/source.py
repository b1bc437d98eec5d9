"""Files of what people know of frames: Parquet or CSV, read a piece at a time."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.columns import RESERVED, TYPES, Kind

BATCH_ROWS = 65_536
"""Rows of a Parquet file that are read together."""

PARQUET = b"PAR1"
"""What a Parquet file begins with."""

INDEX = r"__index_level_\d+__"
"""Names under which pandas writes an index to Parquet."""

MOST_EXACT = 2**53
"""Whole numbers above this are not kept exactly as float64."""


@dataclass(frozen=True)
class Source:
    """A file of columns, looked at.

    Attributes:
        file: its path.
        by_time: whether frames are named by ``time_s``; else by ``frame_index``.
        kinds: of its columns, those aside that name frames.
        batches: reads it: tables with ``video`` (text), ``frame_index`` (int64) or ``time_s``
            (float64), and the columns, any of them null.
    """

    file: str
    by_time: bool
    kinds: dict[str, Kind]
    batches: Callable[[], Iterator[pa.Table]]

    @property
    def key(self) -> str:
        """The column that names frames of a video."""
        return "time_s" if self.by_time else "frame_index"


def open_source(file: str) -> Source:
    """Look at a file; of a CSV all of it is read once, to see what its columns are.

    Args:
        file: Parquet, or else CSV with a line of column names.

    Raises:
        UsageError: it cannot be read, names no frames, or has columns that cannot be kept.
    """
    with _understandably(file):
        return _parquet(file) if _is_parquet(file) else _csv(file)


def _is_parquet(file: str) -> bool:
    if Path(file).suffix.lower() in (".parquet", ".pq"):
        return True
    with open(file, "rb") as opened:
        return opened.read(len(PARQUET)) == PARQUET


@contextmanager
def _understandably(file: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        if isinstance(error, OSError) and error.errno:
            reason = os.strerror(error.errno)  # Arrow's own has the name again
        raise UsageError(f"cannot read the columns in {file}: {reason}.") from error


def _parquet(file: str) -> Source:
    with pq.ParquetFile(file) as opened:
        schema = opened.schema_arrow
    by_time = _check_names(file, schema.names)
    kinds = {}
    for column in _own(schema.names):
        kinds[column] = _kind(file, column, schema.field(column).type)

    def batches() -> Iterator[pa.Table]:
        with _understandably(file), pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(BATCH_ROWS):
                yield _as_kept(file, pa.Table.from_batches([batch]), kinds, by_time)

    return Source(file, by_time, kinds, batches)


def _kind(file: str, column: str, kept: pa.DataType) -> Kind:
    if pa.types.is_dictionary(kept):
        kept = kept.value_type
    if pa.types.is_boolean(kept):
        return Kind.BOOLEAN
    if pa.types.is_integer(kept) or pa.types.is_floating(kept) or pa.types.is_decimal(kept):
        return Kind.NUMBER
    if pa.types.is_string(kept) or pa.types.is_large_string(kept) or pa.types.is_null(kept):
        return Kind.TEXT
    raise UsageError(
        f"{file}: column {column} holds {kept}, and numbers, booleans and text can be kept: make "
        "one of these of it, or leave it out."
    )


def _csv(file: str) -> Source:
    names, by_time = _csv_names(file)
    own = _own(names)
    possible = {column: [Kind.BOOLEAN, Kind.NUMBER, Kind.TEXT] for column in own}
    said = dict.fromkeys(own, False)
    for table in _texts(file, names):
        for column, kinds in possible.items():
            values = pc.drop_null(table[column])
            said[column] |= len(values) > 0
            while len(values) and not _READ[kinds[0]](values):
                kinds.pop(0)
    seen = {column: possible[column][0] if said[column] else Kind.TEXT for column in own}

    def batches() -> Iterator[pa.Table]:
        with _understandably(file):
            for table in _texts(file, names):
                yield _as_kept(file, table, seen, by_time)

    return Source(file, by_time, seen, batches)


def _csv_names(file: str) -> tuple[list[str], bool]:
    with pa_csv.open_csv(file, parse_options=_PARSE) as reader:
        names: list[str] = reader.schema.names
    return names, _check_names(file, names)


_PARSE = pa_csv.ParseOptions(newlines_in_values=True)


def _texts(file: str, names: list[str]) -> Iterator[pa.Table]:
    """A CSV's values as texts without spaces around them, nothing as null."""
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    with pa_csv.open_csv(file, parse_options=_PARSE, convert_options=convert) as reader:
        for batch in reader:
            columns = {}
            for name in names:
                text = pc.utf8_trim_whitespace(batch[name])
                columns[name] = pc.if_else(pc.equal(text, ""), None, text)
            yield pa.table(columns)


def _booleans(values: pa.ChunkedArray) -> bool:
    words = {str(one).lower() for one in pc.unique(values).to_pylist()}
    return words <= {"true", "false"}


def _numbers(values: pa.ChunkedArray) -> bool:
    try:
        numbers = values.cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    whole = pc.match_substring_regex(values, r"^[+-]?[0-9]+$")
    large = pc.greater_equal(pc.abs(numbers), float(MOST_EXACT))
    return not pc.any(pc.and_(whole, large)).as_py()  # such as numbers of tracks: text is exact


_READ: Mapping[Kind, Callable[[pa.ChunkedArray], bool]] = {
    Kind.BOOLEAN: _booleans,
    Kind.NUMBER: _numbers,
    Kind.TEXT: lambda values: True,
}
"""Whether a CSV's values can be of a kind."""


def _check_names(file: str, names: list[str]) -> bool:
    """Whether frames are named by time.

    Raises:
        UsageError: they are not named, or a column cannot have its name.
    """
    if "video" not in names or not {"frame_index", "time_s"} & set(names):
        raise UsageError(
            f"{file} names no frames: it needs the columns video (as `coreframe info` names it) "
            f"and frame_index, or time_s, and has {_shown(names)}."
        )
    lower: dict[str, str] = {}
    for name in names:
        if name.lower() in lower:
            same = lower[name.lower()]
            raise UsageError(f"{file} has two columns {same} and {name}: give one another name.")
        lower[name.lower()] = name
    for name in _own(names):
        if name.lower() in RESERVED:
            raise UsageError(
                f"{file}: every frame has its own {name.lower()}: give the column another name."
            )
        if name == "":
            raise UsageError(
                f"{file}: a column has no name, as pandas writes its index: write it with "
                "index=False, or give the column a name."
            )
        if not re.fullmatch(r"[^\W\d][\w ./-]*", name) or name != name.strip():
            raise UsageError(
                f"{file}: {name!r} cannot name a column: use letters, digits, spaces and _ . / -, "
                "a letter first."
            )
    if not _own(names):
        raise UsageError(f"{file} has no columns but those that name frames: nothing to keep.")
    return "frame_index" not in names


def _shown(names: list[str]) -> str:
    """The first of the names that a file has, as they stand there: perhaps with other commas."""
    few = ", ".join(repr(name[:60]) for name in names[:9])
    return f"{few} and {len(names) - 9} more" if len(names) > 9 else few


def _own(names: list[str]) -> list[str]:
    """The columns to be kept: not those that name frames, nor pandas' index."""
    named = ("video", "frame_index", "time_s")
    return [one for one in names if one not in named and not re.fullmatch(INDEX, one)]


def _as_kept(file: str, table: pa.Table, kinds: Mapping[str, Kind], by_time: bool) -> pa.Table:
    """A piece of a file with the types that are kept."""
    key = "time_s" if by_time else "frame_index"
    columns = {"video": table["video"].cast(pa.string())}
    kept = pa.float64() if by_time else pa.int64()
    try:
        columns[key] = table[key].cast(pa.float64()).cast(kept)
    except pa.ArrowInvalid as error:
        raise UsageError(
            f"{file}: {key} must be {'seconds' if by_time else 'a whole number from 0'} on each "
            f"line: {error}."
        ) from error
    for name, kind in kinds.items():
        values = table[name]
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if kind is Kind.BOOLEAN and not pa.types.is_boolean(values.type):
            values = pc.utf8_lower(values)
        if pa.types.is_integer(values.type) and len(values) > values.null_count:
            span = pc.min_max(values).as_py()
            if max(abs(span["min"]), abs(span["max"])) > MOST_EXACT:
                raise UsageError(
                    f"{file}: column {name} holds whole numbers above 2^53, which are not kept "
                    "exactly: make text of them."
                )
        values = values.cast(TYPES[kind])
        if kind is Kind.NUMBER:
            values = pc.if_else(pc.is_finite(values), values, None)
        columns[name] = values
    return pa.table(columns)
