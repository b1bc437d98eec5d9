"""Names of files as people are shown them: text that neither a terminal nor a page acts upon.

A file may be called anything but ``/`` and NUL. Line ends break tables and logs, escape sequences
rewrite a terminal, bidirectional controls make ``gpj.exe`` of ``exe.jpg``, and what XML has no room
for ends the drawing of a plot. Whatever shows a name, or a sentence with names in it, shows
:func:`shown` of it; what is stored and what programs read holds the name itself.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

JOINERS = "\u200c\u200d"
"""Invisible, but letters of some scripts and pictures of several parts are spelled with them."""

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""General categories of characters that are not seen, or that move or break what is."""

SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def shown(text: str) -> str:
    r"""A name, or a sentence with names in it, on one line and harmless, whatever it holds.

    Control and formatting characters, line and paragraph separators and what is no character
    appear as escapes such as ``\n``, ``\x1b`` and ``\u202e``, bytes that are not UTF-8 as
    ``\xff``. All else is as it was, so what has been shown once is not changed again.
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or character in JOINERS:
        return character
    code = ord(character)
    if not (unicodedata.category(character) in HIDDEN or _no_character(code)):
        return character  # a space of another width, or of a later Unicode than Python's
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode: a byte
        return f"\\x{code - 0xDC00:02x}"
    if character in SHORT:
        return SHORT[character]
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0x7F else f"\\x{code:02x}"


def _no_character(code: int) -> bool:
    """Whether Unicode has promised that this will never be one; XML refuses some of them."""
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def shown_all(value: Any) -> Any:
    """What JSON can hold, with every text in it as :func:`shown` has it; keys stay."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {key: shown_all(one) for key, one in value.items()}
    return list(map(shown_all, value)) if isinstance(value, list | tuple) else value


def labels(names: Iterable[str]) -> dict[str, str]:
    r"""As what each name is shown where different names must stay apart, by the name.

    Of those that would look alike, one is as :func:`shown` has it, the name that looks so itself
    if there is one, and the others are numbered: ``a\nb (2)``.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(dict.fromkeys(names), key=lambda name: shown(name) != name):
        label, number = shown(name), 1
        while label in taken:
            number += 1
            label = f"{shown(name)} ({number})"
        found[name] = label
        taken.add(label)
    return found
