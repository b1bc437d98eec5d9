"""The catalogue on disk: written twice, and known again.

A catalogue of another night is a sound file, and with it the rows of one video would be taken for
another's. So ``catalogue-seal.json`` holds the seal of the present one, and a copy to mend it from
lies beside. They are written in this order, and the first once more at the end: seal, copy,
catalogue. Wherever that is cut off, a reader finds the catalogue from before or the new one.
"""

from contextlib import suppress
from dataclasses import dataclass

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.storage.folders import Folder
from coreframe.tasks.store.catalogue import Catalogue
from coreframe.tasks.store.reading import mend, understandably
from coreframe.tasks.store.seals import (
    check_seal,
    open_table,
    parse_json,
    sealed_json,
    sealed_table,
)
from coreframe.tasks.store.settings import (
    CATALOGUE,
    CATALOGUE_COPY,
    CATALOGUE_SEAL,
    EARLIER_CATALOGUE,
)


@dataclass(frozen=True)
class _Version:
    catalogue: Catalogue
    seal: str
    """Empty where an earlier version of Coreframe wrote it."""


@dataclass(frozen=True)
class _Known:
    """The content of ``catalogue-seal.json``."""

    catalogue: str
    """The seal of the present catalogue."""
    before: str | None = None
    """That of the one that it takes the place of, until it has; empty for none."""


def write_catalogue(folder: Folder, catalogue: Catalogue) -> None:
    """Replace a store's catalogue, and its copy."""
    data = sealed_table(CATALOGUE, catalogue.to_table())
    seal, before = check_seal(CATALOGUE, data), ""
    with suppress(FileNotFoundError, ValueError):
        before = check_seal(CATALOGUE, folder.read(CATALOGUE))
    _write_known(folder, {"catalogue": seal, "before": before})
    folder.write(CATALOGUE_COPY, data)
    folder.write(CATALOGUE, data)
    _write_known(folder, {"catalogue": seal})
    if folder.exists(EARLIER_CATALOGUE):
        folder.delete(EARLIER_CATALOGUE)


def _write_known(folder: Folder, content: dict[str, str]) -> None:
    folder.write(CATALOGUE_SEAL, sealed_json(CATALOGUE_SEAL, content))


def read_catalogue(folder: Folder) -> Catalogue:
    """Read a store's catalogue.

    Raises:
        CoreframeError: it is damaged or gone, or of another night than the rest of the store.
    """
    known = _sound_known(folder)
    found = _read(folder, CATALOGUE)
    if found is not None and (known is None or found.seal == known.catalogue):
        return found.catalogue
    copy = _sound_copy(folder)
    newer = copy if copy is not None and known and copy.seal == known.catalogue else None
    if found is None:
        if known is None and not folder.exists(CATALOGUE_COPY):
            return Catalogue()
        if known and known.before == "":  # the first was being written
            return newer.catalogue if newer else Catalogue()
        raise CoreframeError(f"{folder.name}/{CATALOGUE} is missing: {mend(folder.name)}.")
    assert known is not None
    if copy is not None and copy.seal == found.seal:  # two of three agree
        return found.catalogue
    if found.seal == known.before:  # its writer was ended on the way
        return newer.catalogue if newer else found.catalogue
    raise CoreframeError(
        f"{folder.name}/{CATALOGUE} is not the one that was written last, as if it had come back "
        f"from a backup without the rest of the store. Bring the whole store back, or "
        f"{mend(folder.name)}."
    )


def read_copy(folder: Folder) -> Catalogue | None:
    """What a catalogue that cannot be read is mended from, None where there is nothing.

    Raises:
        CoreframeError: it is damaged, too.
    """
    for name in (CATALOGUE_COPY, EARLIER_CATALOGUE):
        copy = _read(folder, name)
        if copy is not None:
            return copy.catalogue
    return None


def copy_fault(folder: Folder) -> str:
    """What is wrong with that beside a sound catalogue which keeps it safe; empty for nothing."""
    found = _read(folder, CATALOGUE)
    if found is None or (not found.seal and not folder.exists(CATALOGUE_SEAL)):
        return ""
    try:
        copy, known = _read(folder, CATALOGUE_COPY), _read_known(folder)
    except CoreframeError as error:
        return str(error)
    if copy is None or copy.seal != found.seal:
        return f"{folder.name}/{CATALOGUE_COPY} is not the copy of {CATALOGUE}"
    if known is None or known.catalogue != found.seal:
        return f"{folder.name}/{CATALOGUE_SEAL} is not of the present {CATALOGUE}"
    return ""


def _read(folder: Folder, name: str) -> _Version | None:
    """Read one of the tables, or None when there is none."""
    with understandably(folder.name, name):
        try:
            data = folder.read(name)
        except FileNotFoundError:
            return None
        table = open_table(CATALOGUE, data)  # a copy bears the seal of what it is a copy of
        return _Version(Catalogue.from_table(table.read()), check_seal(CATALOGUE, data))


def _sound_copy(folder: Folder) -> _Version | None:
    with suppress(CoreframeError):
        return _read(folder, CATALOGUE_COPY)
    return None


def _read_known(folder: Folder) -> _Known | None:
    with understandably(folder.name, CATALOGUE_SEAL):
        try:
            return _Known(**parse_json(CATALOGUE_SEAL, folder.read(CATALOGUE_SEAL)))
        except FileNotFoundError:
            return None


def _sound_known(folder: Folder) -> _Known | None:
    with suppress(CoreframeError):
        return _read_known(folder)
    return None
