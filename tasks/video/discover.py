"""Turn what the user named (files, folders, globs, lists) into an ordered list of files."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.storage.buckets import is_url
from coreframe.tasks.storage.files import listed
from coreframe.tasks.video.listing import Tell, Unread, files_below, is_file, is_folder, matching


@dataclass(frozen=True)
class SourceFile:
    """A file that may hold a video."""

    name: str
    """What people see: the path relative to its input folder, with ``/`` between parts."""
    path: str
    """Absolute path, symbolic links not resolved; or URL."""
    explicit: bool
    """Named itself on the command line, not found in a folder, glob or list."""
    version: str = ""
    """By which an object store tells contents apart; empty for files."""


def discover(
    inputs: Sequence[str],
    *,
    files_from: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    ignore: Sequence[Path] = (),
    tell: Tell = lambda _: None,
) -> list[SourceFile]:
    """List the files that the user's inputs name, each once, in a stable order.

    Inputs keep the order given; the files of one folder or glob are sorted by name. Hidden
    files and folders (a leading dot) are passed over inside folders.

    Args:
        inputs: files, folders (searched recursively) and glob patterns (``**`` allowed).
        files_from: a text file with one path a line; relative ones are relative to the
            current folder.
        include: keep only files whose name or base name matches one of these patterns.
        exclude: drop files whose name or base name matches one of these patterns.
        ignore: folders never entered from above (the run's own store and images).
        tell: is told of each folder or link that cannot be looked at, once.

    Raises:
        UsageError: an input or the list does not exist.
    """
    found: list[SourceFile] = []
    unread: dict[Unread, None] = {}
    for given in inputs:
        found.extend(_expand(given, ignore, unread.setdefault))
    if files_from is not None:
        found.extend(_listed(files_from, ignore, unread.setdefault))
    for one in unread:
        tell(one)

    files: dict[str, SourceFile] = {}
    for file in found:
        if not _wanted(file.name, include, exclude):
            continue
        real = file.path if is_url(file.path) else os.path.realpath(file.path)
        first = files.setdefault(real, file)
        if file.explicit and not first.explicit:
            files[real] = replace(first, explicit=True)
    return list(files.values())


def readable(name: str) -> str:
    """A name as text that can be stored: bytes that are not UTF-8 appear as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _file(name: str, path: Path, *, explicit: bool = False) -> SourceFile:
    return SourceFile(readable(name), str(path), explicit)


def _expand(given: str, ignore: Sequence[Path], tell: Tell) -> Sequence[SourceFile]:
    if is_url(given):
        return _objects(given)
    path = Path(given).absolute()
    try:
        if path.is_dir():
            return _walk(path, ignore, tell)
        if path.is_file():
            return [_file(path.name, path, explicit=True)]
        if path.exists():
            raise UsageError(f"{readable(given)} is not a regular file: leave it out.")
        if glob.has_magic(given):
            return _glob(given, ignore, tell)
    except OSError as error:
        raise UsageError(f"cannot look at {readable(given)[:200]}: {error.strerror}.") from error
    raise UsageError(
        f"no such file or folder: {readable(given)}. Check the path (it is read from {Path.cwd()})."
    )


def _objects(url: str) -> list[SourceFile]:
    """The objects at or under a URL, with what hidden files and folders hold left out.

    Raises:
        UsageError: there are none, or the bucket cannot be read.
    """
    url = url.rstrip("/")
    try:
        found = listed(url)
    except CoreframeError as error:
        raise UsageError(str(error)) from error
    if not found:
        raise UsageError(f"there is nothing at or under {url}: check the bucket and the prefix.")
    first = found[0]
    if first.name == url:
        name = url.rpartition("/")[2]
        return [SourceFile(name, url, explicit=True, version=first.version)]
    files = []
    for one in found:
        name = one.name.removeprefix(f"{url}/")
        if not any(part.startswith(".") for part in name.split("/")):
            files.append(SourceFile(name, one.name, explicit=False, version=one.version))
    return files


def _walk(folder: Path, ignore: Sequence[Path], tell: Tell) -> list[SourceFile]:
    ignored = {os.path.realpath(path) for path in ignore} - {os.path.realpath(folder)}
    found = files_below(folder, ignored, tell)
    files = [_file(path.relative_to(folder).as_posix(), path) for path in found]
    return sorted(files, key=lambda file: file.name)


def _glob(pattern: str, ignore: Sequence[Path], tell: Tell) -> list[SourceFile]:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed]).absolute() if fixed else Path.cwd()
    files: list[SourceFile] = []
    for path in matching(pattern, tell):
        if is_folder(path):
            found = [Path(file.path) for file in _walk(path, ignore, tell)]
        else:
            found = [path] if is_file(path, tell) else []
        files.extend(_file(one.relative_to(root).as_posix(), one) for one in found)
    return files


def _listed(files_from: str, ignore: Sequence[Path], tell: Tell) -> list[SourceFile]:
    try:
        text = Path(files_from).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read --files-from {files_from}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--files-from {files_from} is not UTF-8 text ({error.reason})."
        ) from error
    if "\0" in text:
        raise UsageError(f"--files-from {files_from} holds NUL characters: write one path a line.")
    files: list[SourceFile] = []
    for line in (line.rstrip("\r") for line in text.split("\n")):
        if not line.strip():
            continue
        if is_url(line):
            files.extend(replace(file, explicit=False) for file in _objects(line))
            continue
        path = Path(line)
        if is_folder(path):
            files.extend(_walk(path.absolute(), ignore, tell))
            continue
        relative = not path.is_absolute() and ".." not in path.parts
        files.append(_file(path.as_posix() if relative else path.name, path.absolute()))
    return files


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    def matches(patterns: Sequence[str]) -> bool:
        base = name.rpartition("/")[2]
        return any(fnmatch(name, pattern) or fnmatch(base, pattern) for pattern in patterns)

    return (not include or matches(include)) and not matches(exclude)
