"""Turn what the user named (files, folders, globs, lists) into an ordered list of files."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tasks.errors import UsageError


@dataclass(frozen=True)
class SourceFile:
    """A file that may hold a video."""

    name: str
    """What people see: the path relative to its input folder, with ``/`` between parts."""
    path: Path
    """Absolute path, symbolic links not resolved."""
    explicit: bool
    """Named itself on the command line, not found in a folder, glob or list."""


def discover(
    inputs: Sequence[str],
    *,
    files_from: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    ignore: Sequence[Path] = (),
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
        ignore: folders never entered (the run's own store and output).

    Raises:
        UsageError: an input or the list does not exist.
    """
    found: list[SourceFile] = []
    for given in inputs:
        found.extend(_expand(given, ignore))
    if files_from is not None:
        found.extend(_listed(files_from))

    files: list[SourceFile] = []
    seen: set[str] = set()
    for file in found:
        real = os.path.realpath(file.path)
        if real in seen or not _wanted(file.name, include, exclude):
            continue
        seen.add(real)
        files.append(file)
    return files


def _expand(given: str, ignore: Sequence[Path]) -> Iterable[SourceFile]:
    path = Path(given).absolute()
    if path.is_dir():
        return _walk(path, ignore)
    if path.exists():
        return [SourceFile(path.name, path, explicit=True)]
    if glob.has_magic(given):
        return _glob(given, ignore)
    raise UsageError(
        f"no such file or folder: {given}. Check the path (it is read from {Path.cwd()})."
    )


def _walk(folder: Path, ignore: Sequence[Path]) -> list[SourceFile]:
    files = []
    ignored = {os.path.realpath(path) for path in ignore}
    entered: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in entered or real in ignored:  # a link back to a folder above never ends
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.is_file():
                files.append(SourceFile(path.relative_to(folder).as_posix(), path, explicit=False))
    return sorted(files, key=lambda file: file.name)


def _glob(pattern: str, ignore: Sequence[Path]) -> list[SourceFile]:
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed]).absolute() if fixed else Path.cwd()
    files: list[SourceFile] = []
    for match in sorted(glob.glob(pattern, recursive=True)):
        path = Path(match).absolute()
        if path.is_dir():
            files.extend(
                SourceFile(file.path.relative_to(root).as_posix(), file.path, explicit=False)
                for file in _walk(path, ignore)
            )
        else:
            files.append(SourceFile(path.relative_to(root).as_posix(), path, explicit=False))
    return files


def _listed(files_from: str) -> list[SourceFile]:
    try:
        lines = Path(files_from).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read --files-from {files_from}: {error.strerror}.") from error
    files = []
    for line in filter(str.strip, lines):
        path = Path(line)
        relative = not path.is_absolute() and ".." not in path.parts
        name = path.as_posix() if relative else path.name
        files.append(SourceFile(name, path.absolute(), explicit=False))
    return files


def _wanted(name: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    def matches(patterns: Sequence[str]) -> bool:
        base = name.rpartition("/")[2]
        return any(fnmatch(name, pattern) or fnmatch(base, pattern) for pattern in patterns)

    return (not include or matches(include)) and not matches(exclude)
