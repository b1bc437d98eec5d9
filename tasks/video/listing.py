"""Listing folders: what lies in them, and what could not be looked at."""

import errno
import glob
import os
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from coreframe.tasks.names import shown


@dataclass(frozen=True)
class Unread:
    """A folder, file or link that could not be looked at: whatever is behind it is not known."""

    path: str
    """Where it is, as people are shown it."""
    why: str
    """In the system's words."""


Tell = Callable[[Unread], None]


def files_below(folder: Path, ignored: Collection[str], tell: Tell) -> list[Path]:
    """The files in a folder and in those inside it, also behind links; each folder once.

    Names with a leading dot are passed over, and so is what is neither a file nor a folder.

    Args:
        folder: an absolute path.
        ignored: resolved paths of folders inside it that are not entered.
        tell: is told of what cannot be looked at.
    """
    files = []
    for inside in folders_below(folder, ignored, tell):
        for entry in _entries(inside, tell):
            if not entry.name.startswith(".") and _is(entry, os.DirEntry.is_file, tell):
                files.append(Path(entry.path))
    return files


def folders_below(folder: Path, ignored: Collection[str], tell: Tell) -> Iterator[Path]:
    """A folder and all inside it, those above first; links that lead back are not followed twice.

    Args:
        folder: an absolute path.
        ignored: resolved paths of folders that are not entered.
        tell: is told of what cannot be looked at; of folders that cannot be listed, when they are.
    """
    entered = set(ignored)
    waiting = [str(folder)]
    while waiting:
        path = waiting.pop()
        real = os.path.realpath(path)
        if real in entered:
            continue
        entered.add(real)
        yield Path(path)
        waiting += [
            entry.path
            for entry in reversed(_entries(Path(path), lambda _: None))
            if not entry.name.startswith(".") and _is(entry, os.DirEntry.is_dir, lambda _: None)
        ]


def matching(pattern: str, tell: Tell) -> list[Path]:
    """The files and folders that a pattern matches, sorted, as `glob.glob` has it with ``**``.

    Unlike there, ``**`` enters no folder twice, and what cannot be looked at is told.
    """
    whole = Path(pattern).absolute()
    return sorted(_matching(Path(whole.anchor), whole.parts[1:], tell))


def _matching(folder: Path, parts: Sequence[str], tell: Tell) -> Iterator[Path]:
    if not parts:
        yield folder
        return
    part, rest = parts[0], parts[1:]
    if part == "**" and not rest:
        yield folder  # and with it all that is in it
    elif part == "**":
        for inside in folders_below(folder, (), tell):
            yield from _matching(inside, rest, tell)
    elif not glob.has_magic(part):
        if os.path.lexists(folder / part):
            yield from _matching(folder / part, rest, tell)
    else:
        for entry in _entries(folder, tell):
            hidden = entry.name.startswith(".") and not part.startswith(".")
            if hidden or not fnmatch(entry.name, part):
                continue
            if not rest or _is(entry, os.DirEntry.is_dir, tell):
                yield from _matching(Path(entry.path), rest, tell)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder that can be seen."""
    with suppress(OSError):
        return path.is_dir()
    return False


def is_file(path: Path, tell: Tell) -> bool:
    """Whether a path that is there is a file; what cannot be looked at is told."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        tell(unread(path, error))
        return False


def _entries(folder: Path, tell: Tell) -> list["os.DirEntry[str]"]:
    """What lies in a folder, by name; nothing where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        tell(unread(folder, error))
        return []


def _is(entry: "os.DirEntry[str]", kind: "Callable[[os.DirEntry[str]], bool]", tell: Tell) -> bool:
    """Whether an entry, or what it links to, is of a kind."""
    try:
        if kind(entry):
            return True
        if entry.is_symlink():
            Path(entry.path).stat()
    except OSError as error:
        tell(unread(Path(entry.path), error))
    return False


def unread(path: Path, error: OSError) -> Unread:
    """What is told of a path that gave an error."""
    dangling = error.errno == errno.ENOENT and path.is_symlink()
    why = "it links to nothing" if dangling else error.strerror or str(error)
    return Unread(shown(str(path)), shown(why))
