"""How embedders are named."""

from pathlib import Path

DESCRIPTOR = "descriptor-3"
"""The default of new stores."""

EARLIER_DESCRIPTOR = "descriptor"
"""The default of those that were made before: what has a name stays the same function."""

HUGGINGFACE = "hf:"
"""Before the ID or folder of a Hugging Face model."""

SIMCLR = "simclr:"
"""Before the folder of a checkpoint."""

DEFAULT_BATCH = 64
"""Frames that are embedded at once where nobody says."""


def is_folder(name: str) -> bool:
    """Whether a name, without its prefix, is a folder here rather than a model of the hub."""
    return bool(name) and Path(name).expanduser().is_dir()


def absolute_name(name: str) -> str:
    """An embedder's name with the file or folder in it, if any, made absolute."""
    prefix, _, place = name.partition(":")
    if name.startswith(SIMCLR) or (name.startswith(HUGGINGFACE) and is_folder(place)):
        return f"{prefix}:{Path(place).expanduser().absolute()}"
    return name
