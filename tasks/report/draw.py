"""Draw charts as PNG, and give the script that draws them on a page, in a process of its own.

Vega runs in a JavaScript engine, which takes 37 GB of address space and some 200 MB of memory that
a flow would keep; a child process that comes to no end can be ended.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.output.files import write_text

LIMIT_S = 180

PIXEL_RATIO = 2
"""Pixels of a picture for each of the chart's."""

SCRIPT = "script.js"

MOST_SAID = 500
"""Characters of what a drawing that failed has said."""


@dataclass(frozen=True)
class Drawn:
    """What came of it.

    Attributes:
        pictures: the PNG of each chart by its name.
        script: Vega, Vega-Lite and Vega-Embed in one piece, which gives ``window.vegaEmbed``.
    """

    pictures: dict[str, bytes]
    script: str


def draw(charts: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> Drawn:
    """Draw Vega-Lite charts by name.

    Args:
        charts: their specifications.
        config: Vega's configuration.

    Raises:
        CoreframeError: it did not end in time, or a chart cannot be drawn.
    """
    global _ready
    if _ready is None:
        prepare()
    process, _ready = _ready, None
    assert process is not None
    with tempfile.TemporaryDirectory(prefix="coreframe-") as name, process:
        request = json.dumps({"charts": charts, "config": config, "folder": name})
        try:
            _, said = process.communicate(request, LIMIT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise CoreframeError(
                f"the plots were not drawn within {LIMIT_S} s: make the page with `coreframe "
                "report` when the machine is less busy."
            ) from error
        if process.returncode:
            why = " ".join(said.split())[-MOST_SAID:]
            raise CoreframeError(f"the plots cannot be drawn: {why}")
        folder = Path(name)
        pictures = {
            chart: (folder / f"{number}.png").read_bytes() for number, chart in enumerate(charts)
        }
        return Drawn(pictures, (folder / SCRIPT).read_text(encoding="utf-8"))


def prepare() -> None:
    """Begin to start the process that will draw, and go on: it takes a second or two to be ready.

    It ends when this process does.
    """
    global _ready
    if _ready is None:
        _ready = subprocess.Popen(
            # -P: modules of the user's folder would go first
            [sys.executable, "-P", "-m", "coreframe.tasks.report.draw"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )


_ready: "subprocess.Popen[str] | None" = None


def main() -> None:
    """Get ready, and answer the request on standard input with files in the folder it names."""
    import vl_convert

    script = kept_script(lambda: vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    vl_convert.vegalite_to_png({"mark": "point", "data": {"values": []}})  # the first is slow
    text = sys.stdin.read()
    if not text:
        return  # there is nothing to draw after all
    request = json.loads(text)
    folder = Path(request["folder"])
    for number, spec in enumerate(request["charts"].values()):
        picture = vl_convert.vegalite_to_png(spec, scale=PIXEL_RATIO, config=request["config"])
        (folder / f"{number}.png").write_bytes(picture)
    (folder / SCRIPT).write_text(script, encoding="utf-8")


def kept_script(bundle: Callable[[], str]) -> str:
    """The script of this version of Vega, which is the same every time and takes a second to make.

    It is kept in the user's folder for such things, with a hash, where that can be written.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "coreframe" / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, ValueError):
        digest, script = place.read_text(encoding="utf-8").split("\n", 1)
        if digest == _digest(script):
            return script
    script = bundle()
    with suppress(OSError, CoreframeError):  # a full disk among them
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, f"{_digest(script)}\n{script}")
    return script


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
