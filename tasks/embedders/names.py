"""How embedders are named."""

from pathlib import Path

from coreframe.tasks.errors import UsageError

DESCRIPTOR = "descriptor-3"
"""The default of new stores."""

EARLIER_DESCRIPTOR = "descriptor"
"""The default of those that were made before: what has a name stays the same function."""

HUGGINGFACE = "hf:"
"""Before the ID or folder of a Hugging Face model."""

SIMCLR = "simclr:"
"""Before the folder of a checkpoint."""

WITH_TEXT = (
    "CLIP and SigLIP models know words, such as hf:openai/clip-vit-base-patch32: make a store with "
    "one of them, or ask by file: or frame:."
)
"""What is said where words are asked of another embedder."""

DEFAULT_BATCH = 64
"""Frames that are embedded at once where nobody says."""


def refuse_wordless(name: str) -> None:
    """Raise UsageError for an embedder that can have no text tower, by its name alone."""
    if not name.startswith(HUGGINGFACE):
        raise UsageError(f"text: the store's embedder {name} knows no words. {WITH_TEXT}")


def is_folder(name: str) -> bool:
    """Whether a name, without its prefix, is a folder here rather than a model of the hub."""
    return bool(name) and Path(name).expanduser().is_dir()


def absolute_name(name: str) -> str:
    """An embedder's name with the file or folder in it, if any, made absolute."""
    prefix, _, place = name.partition(":")
    if name.startswith(SIMCLR) or (name.startswith(HUGGINGFACE) and is_folder(place)):
        return f"{prefix}:{Path(place).expanduser().absolute()}"
    return name
