"""Names of what is in an output folder, and writing a file so that no reader sees half of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coreframe.tasks.storage.folders import explain_full_disk

SELECTION, METRICS, RUN = "selection.parquet", "metrics.json", "run.json"
PAGE, MARKDOWN, PLOTS = "report.html", "report.md", "plots"


def write_text(path: Path, text: str) -> None:
    """Write a text file so that readers see the old one or the new one."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old one or the new one."""
    replace_file(path, lambda temporary: temporary.write_bytes(content))


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` make a file, and put it where readers look once it is whole."""
    temporary = path.with_name(f".{path.name}.tmp")
    with explain_full_disk(path):
        try:
            write(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
