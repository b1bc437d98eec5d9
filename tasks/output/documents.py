"""The JSON files of an output folder: their version, how they are written and read again."""

import json
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from coreframe.tasks.errors import UsageError

FORMAT_VERSION = 2
"""Of the whole output folder; ``run.json`` and ``metrics.json`` name it as ``format_version``.

The rule:

- A file that names no version is of version 0. Commit 1e0a6dd and earlier ones wrote such files.
  Version 1 holds the same and its number, so both are read alike.
- Version 2 measures what all frames take written as the chosen ones are, in ``all_frames_bytes``.
  ``reduction_factor`` compares with that, and ``all_frames_png_bytes`` and ``_jpg_bytes`` are gone.
- A key that is added, with a default for files without it, keeps the version. One that goes or
  gets another meaning or new words raises it, and so does such a change to ``selection.parquet``.
- A folder of a newer version than this is not read, and not written over.
"""

UNNAMED_VERSION = 0
"""Of a file that names none."""

VERSION_KEY = "format_version"


class Part(BaseModel):
    """A part of a file. Its fields are the keys, in the order in which they are written."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    OMITTED_IF_NONE: ClassVar[frozenset[str]] = frozenset()
    """Keys that are left out, not null, where there is no value."""

    @model_serializer(mode="wrap")
    def _written(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        return {
            key: value
            for key, value in values.items()
            if value is not None or key not in self.OMITTED_IF_NONE
        }


class Document(Part):
    """A whole file."""

    format_version: int = FORMAT_VERSION
    """See :data:`FORMAT_VERSION`."""

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.model_dump(), indent=2) + "\n"


Kind = TypeVar("Kind", bound=Document)


class NewerFormatError(UsageError):
    """A newer version of Coreframe wrote the file."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a file without looking at more of it than its version.

    Raises:
        UsageError: it is missing or torn.
        NewerFormatError: it is of a newer version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(path) from error
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    version = content.setdefault(VERSION_KEY, UNNAMED_VERSION)
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise NewerFormatError(
            f"{path} is of format {version}, and this version of Coreframe knows formats up to "
            f"{FORMAT_VERSION}: update Coreframe, or name another folder."
        )
    return content


def parse(kind: type[Kind], content: dict[str, Any], path: Path) -> Kind:
    """Give what :func:`read_json` read its type.

    Raises:
        UsageError: something is not what the type says, or was not written yet by an earlier
            version.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if content[VERSION_KEY] == UNNAMED_VERSION and first["type"] == "missing":
            raise UsageError(
                f"the selection in {path.parent} was written by an earlier version, which measured "
                "less than is read here: select again."
            ) from error
        place = ".".join(map(str, first["loc"]))
        raise unreadable(path, f"{place}: {first['msg']}") from error


def missing(path: Path) -> UsageError:
    """The answer where a file of an output folder is not there."""
    out = path.parent
    return UsageError(
        f"there is no selection in {out} ({path.name} is missing): make one with `coreframe select "
        f"--store STORE --out {out}`."
    )


def unreadable(path: Path, why: object) -> UsageError:
    """The answer where a file of an output folder is torn, or not what it should be."""
    return UsageError(f"{path} cannot be read ({why}): select again.")
