"""What a person can set of objects: which boxes, and by what they are embedded."""

from typing import Annotated

from pydantic import Field

from coreframe.flows.parameters import Ingestion, Parameters
from coreframe.flows.values import Positional
from coreframe.tasks.embedders.names import DEFAULT_BATCH


class Boxes(Parameters):
    """Boxes in frames of a store."""

    files: Annotated[list[str], Positional("[FILE]...")] = Field(
        default=[],
        description="Boxes: CSV of video, frame_index or time_s, x, y, width, height, and if there "
        "are any label and score; or COCO's JSON with the file names of an export. Without a file "
        "what is missing of those given before is embedded.",
    )
    replace: bool = Field(
        default=False, description="Take away all boxes that were given before and are not in FILE."
    )
    embedder: str | None = Field(
        default=None, description="Where the store's embedder is now, if it was moved."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=65536,
        description=f"Objects embedded at once [default: {DEFAULT_BATCH}].",
    )

    def ingestion(self) -> Ingestion:
        """What of it is asked of the embedder."""
        return Ingestion(embedder=self.embedder, batch_size=self.batch_size)
