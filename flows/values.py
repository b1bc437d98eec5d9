"""What a person can set that is in no model, and how a command line names it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from coreframe.flows.texts import limits, readable
from coreframe.tasks.query.asked import APART_S, FOUND


@dataclass(frozen=True)
class Positional:
    """Marks what the command takes without an option's name."""

    metavar: str
    """How its help names it."""


@dataclass(frozen=True)
class Described:
    """What a value that is in no model means. Prefect's forms drop the description of a `Field`."""

    text: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) | {"description": self.text}


@dataclass(frozen=True)
class Answered(Described):
    """Marks an option that is answered at once, whatever else is given."""

    answer: Callable[[], str]


def _url(value: str | None) -> str | None:
    if value and "://" not in value:
        raise ValueError("must be a URL, such as https://media.example.org/coreframe")
    return value or None  # a deployment gives an empty text for a variable that is not set


def _read_by_node_exporter(value: str | None) -> str | None:
    if value and Path(value).suffix != ".prom":
        raise ValueError("must end in .prom: the node exporter reads no other files")
    return value or None


StorePath = Annotated[str, Described("Folder of the store, or its URL in an object store.")]
OutPath = Annotated[str, Described("Folder for frames, tables and report.")]
TrainedPath = Annotated[str, Described("Folder for checkpoint and loss curve.")]
SelectedPath = Annotated[str, Described("Folder that curate or select wrote.")]
OtherPaths = Annotated[
    list[str],
    Positional("[OUT2...]"),
    Field(default=[]),
    Described("Folders of other selections to show beside it."),
]
Repair = Annotated[
    bool, Field(default=False), Described("Take back what is bad; the next run embeds it again.")
]
Wait = Annotated[
    float,
    Field(default=0.0, ge=0),
    Described("Seconds to wait for another run that writes to the store."),
]
ForgottenVideos = Annotated[
    list[str],
    Positional("VIDEO..."),
    Field(min_length=1),
    Described("As `coreframe info` names it, or its file, URL or fingerprint."),
]
Unforget = Annotated[
    bool,
    Field(default=False),
    Described("Let forgotten contents in again: their files, or fingerprints."),
]
DryRun = Annotated[bool, Field(default=False), Described("Say what would go, and change nothing.")]
ColumnsName = Annotated[
    str, Positional("NAME"), Described("Of the columns, such as detections or weather.")
]
ColumnsFile = Annotated[
    str,
    Positional("FILE"),
    Described("Parquet, or CSV: video and frame_index or time_s, and the columns."),
]
PageUrl = Annotated[
    str | None,
    AfterValidator(_url),
    Field(default=None),
    Described("URL that the output folder is served under, for links to its page."),
]
MetricsFile = Annotated[
    str | None,
    AfterValidator(_read_by_node_exporter),
    Field(default=None),
    Described("File to leave the run's numbers in for Prometheus: the node exporter's, .prom."),
]
Queries = Annotated[
    list[str],
    Positional("QUERY..."),
    Field(min_length=1),
    Described("A picture's file, or file:PATH, frame:VIDEO@TIME (s or m:ss) or text:WORDS."),
]
Unlike = Annotated[
    list[str],
    Field(default=[]),
    Described("What they should not be like, written in the same way; repeatable."),
]
Found = Annotated[int, Field(default=FOUND, ge=1, le=1000), Described("Frames shown at most.")]
MinApart = Annotated[
    float,
    Field(default=APART_S, ge=0),
    Described(
        "Seconds that two of one video are apart at least, so that no moment fills the page."
    ),
]
Where = Annotated[
    str | None,
    Field(default=None),
    Described("Find only frames that meet an expression of SQL, as of `coreframe select`."),
]
Least = Annotated[
    list[str],
    readable(limits),
    Field(default=[]),
    Described("COLUMN=V, such as sharpness=0.02: find no frame below; repeatable."),
]
Most = Annotated[
    list[str],
    readable(limits),
    Field(default=[]),
    Described("COLUMN=V, such as luminance=0.9: find no frame above; repeatable."),
]
SheetPath = Annotated[
    str,
    Field(default="search.jpg"),
    Described("Picture of what is found, .jpg or .png; one that is there is replaced."),
]
Format = Annotated[str, Described("imagefolder, webdataset, coco, fiftyone or csv.")]
Destination = Annotated[
    str | None,
    Field(default=None),
    Described("Folder to write or replace [default: OUT/FORMAT]."),
]
StoreOfSelection = Annotated[
    str | None,
    Field(default=None),
    Described("For csv and coco [default: the store that the selection is from]."),
]
LogJson = Annotated[
    bool,
    Field(default=False),
    Described("Log to the error stream, a line of JSON for each event."),
]
Version = Annotated[
    bool,
    Field(default=False),
    Answered("Say which version this is.", lambda: f"coreframe {version('coreframe')}"),
]
