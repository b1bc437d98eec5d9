"""Data that all jobs of a stage share, sent to each worker once."""

from typing import Any


def as_is(value: Any) -> Any:
    """Hold what several jobs need, once, where a lost worker's copy can be made again."""
    return value
