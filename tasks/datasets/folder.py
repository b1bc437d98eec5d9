"""The folder that a dataset is written to: replaced as a whole, and only if it is our own."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from coreframe.tasks.errors import UsageError
from coreframe.tasks.storage.buckets import is_url
from coreframe.tasks.storage.folders import explain_full_disk

MARKER = ".coreframe-export.json"
"""Lists the files of a dataset with their sizes in bytes. The readers pass over hidden files."""


@contextmanager
def replacing(place: str | Path) -> Iterator[Path]:
    """Write a folder beside another one, and let it take that one's place when all is written.

    If writing fails, what was there before stays. Between the old folder and the new one there is
    a moment without any.

    Args:
        place: the folder to be. It may exist if it is empty, or holds nothing but what this has
            written there before.

    Yields:
        An empty folder to write to.

    Raises:
        UsageError: the place is taken or cannot be written.
        CoreframeError: the disk is full.
    """
    if is_url(place):
        raise UsageError(f"{place} is not a local folder: name one, and copy it from there.")
    folder = Path(os.path.realpath(place))  # a link to a folder stays one
    _refuse_foreign(folder, place)
    unique = uuid4().hex
    temporary, earlier = (folder.with_name(f".{folder.name}.{unique}.{w}") for w in ("tmp", "old"))
    try:
        with explain_full_disk(folder):
            temporary.mkdir(parents=True)
            yield temporary
            listed = json.dumps({"files": _sizes(temporary)}, indent=1)
            (temporary / MARKER).write_text(listed + "\n", encoding="ascii")
        if folder.exists():
            os.replace(folder, earlier)
        os.replace(temporary, folder)
    except OSError as error:
        what = f" ({error.filename})" if error.filename else ""
        raise UsageError(
            f"cannot write the dataset {place}: {error.strerror or error}{what}. Name another "
            "folder with --dest."
        ) from error
    finally:
        if earlier.exists() and not folder.exists():
            os.replace(earlier, folder)
        for leftover in (temporary, earlier):
            shutil.rmtree(leftover, ignore_errors=True)


def _refuse_foreign(folder: Path, place: str | Path) -> None:
    """Refuse a folder with anything in it that is not as it was left here.

    Raises:
        UsageError: naming the first file that somebody else has put there or changed.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{place} is a file: name a folder with --dest.")
    try:
        known = json.loads((folder / MARKER).read_text(encoding="ascii"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    for name, size in _sizes(folder).items():
        if known.get(name) != size:
            raise UsageError(
                f"{place} holds {name}, which this command did not write or which has changed "
                "since: move it away, or name another folder with --dest."
            )


def _sizes(folder: Path) -> dict[str, int]:
    """Sizes in bytes of all files in a folder but the marker, by their relative names, in order."""
    return {
        path.relative_to(folder).as_posix(): path.lstat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
        if path != folder / MARKER
    }
