"""``run.json``: what a run was asked for, with what it was made, and what it met."""

from typing import Any, ClassVar

from pydantic import Field

from coreframe.tasks.kcenter.goal import StoppedBy
from coreframe.tasks.output.documents import Document, Part
from coreframe.tasks.store.settings import StoreSettings


class RunParameters(Part):
    """The flow's parameters; each section is what its model in ``flows/parameters.py`` holds."""

    OMITTED_IF_NONE: ClassVar[frozenset[str]] = frozenset({"corpus", "ingestion"})

    store: str
    """The store, as it was named."""
    out: str
    """The output folder, as it was named."""
    corpus: dict[str, Any] | None = None
    """Which videos; of ``curate`` only."""
    ingestion: dict[str, Any] | None = None
    """How they were embedded; of ``curate`` only."""
    selecting: dict[str, Any]
    """What was to be chosen."""
    picture: dict[str, Any]
    """How the chosen frames were to be written."""
    compute: dict[str, Any]
    """Where the work was to be done."""

    @property
    def picture_format(self) -> str:
        """Of the images: ``png``, ``jpg`` or ``webp``."""
        return str(self.picture["format"])


class ChangedVideos(Part):
    """Videos to which the same has happened since the run before."""

    count: int
    """How many."""
    first: list[str]
    """Names of the first of them."""


class Trouble(Part):
    """A file that is not ok, or odd, or a folder or link that could not be looked at."""

    file: str
    """Its name; of a folder or link, the whole path."""
    state: str
    """Its video's state; ``not read`` of a folder or link."""
    why: str
    """The reason, in words."""


class Counts(Part):
    """What the run counted."""

    OMITTED_IF_NONE: ClassVar[frozenset[str]] = frozenset({"frames_without_objects"})

    files: dict[str, int]
    """The run's files by state."""
    embedded_frames: int
    """Embedded by this run, as are the blocks."""
    embedded_blocks: int
    """Committed by this run."""
    censuses: int
    """Videos that were decoded once in full to learn which frames they have."""
    quarantined_videos: int
    """Taken out by this run."""
    frames_by_gpu: int = 0
    """Of the embedded ones those that GPUs' decoders decoded; CPU cores did the others."""
    gpu_faults: int = 0
    """Parts of videos in which a GPU's decoder failed, so that CPU cores went on."""
    decodable_frames: int
    """Frames of the corpus."""
    undecodable_frames: int
    """Planned, but not to be decoded."""
    suspect_frames: int = 0
    """Left out because their pictures are damaged, or built on damaged ones."""
    flat_frames: int = 0
    """Left out because they show nothing: one colour, black, almost the end of a fade."""
    outlier_frames: int = 0
    """Skipped because nothing resembles them."""
    exact_duplicates: int
    """Frames left out because an earlier one has the same pixels."""
    rejected_frames: int
    """Left out by limits and conditions."""
    less_like_frames: int = 0
    """Left out because others are more like what was asked for."""
    frames_in_no_sequence: int
    """Left out because they are in no whole sequence."""
    frames_without_objects: int | None = None
    """Left out because no object is in them; None where frames are not chosen by these."""
    eligible_frames: int
    """From which all methods choose."""
    asked_frames: int | None
    """The number that was asked for; None where the budget set none."""
    kept_frames: int
    """Of the chosen, selected before this run."""
    gone_frames: int
    """Selected before, dropped with their videos."""
    absent_frames: int
    """Of the chosen, of videos that are gone or have changed."""
    absent_images: int
    """Of these, without an image."""
    selected_frames: int
    """Chosen in all."""
    stopped_by: StoppedBy
    """Why choosing came to its end."""
    selection_passes: int
    """Over the corpus."""
    distances_formed: int
    """While choosing."""
    rough_distances_formed: int
    """Formed to save others."""
    written_files: int
    """Images."""


class ClassCount(Part):
    """Of a class of ``balance`` what there is and what was chosen, in units."""

    name: str
    """The value, or the values of several columns."""
    eligible: int
    """That may be chosen."""
    asked: int
    """Its part of all, were there enough of it: what it lacks went to the others."""
    chosen: int
    """With those that were chosen before."""


class AddedColumns(Part):
    """A file of ``columns``, and what became of it."""

    name: str
    """Under which the store keeps them."""
    columns: dict[str, str]
    """Each with its kind."""
    lines: int
    """Of the file."""
    matched: int
    """Of these, about a frame of the store."""
    frames: int
    """Frames that they are about."""
    unmatched: int
    """Lines that are about none."""
    first_unmatched: str
    """The first of them, and why; empty where there is none."""


class Run(Document):
    """The whole file. It is written last: with it the folder is whole."""

    parameters: RunParameters
    """What was asked for."""
    command: str
    """The command line that asks for the same."""
    store: StoreSettings
    """What made the store."""
    corpus: str
    """Hash of the corpus that was selected from; see :meth:`Catalogue.state`."""
    columns: str = ""
    """Hash of what columns said of it, where options may name any; empty where none does."""
    changes: dict[str, ChangedVideos]
    """To the corpus since the run before, by kind."""
    troubles: list[Trouble]
    """The first files that are not ok, or odd."""
    more_troubles: int
    """Further such files."""
    versions: dict[str, str]
    """Of Python, of packages, and of FFmpeg's decoders."""
    timings_s: dict[str, float]
    """Wall-clock seconds by stage."""
    counts: Counts
    """Files, frames and images."""
    classes: list[ClassCount] = Field(default=[])
    """What ``balance`` came to; empty without it."""
    added_columns: list[AddedColumns] = Field(default=[])
    """The files of ``columns`` that this run added to the store."""
    failures: list[str]
    """A sentence for each frame that could not be written."""
    warnings: list[str] = Field(default=[])
    """Of videos that are not in the selection: newly broken, unreadable, or taken out; sentences
    that this run was the first to say."""
    outcome: str = "completed"
    """How the run ended: ``completed``, ``completed with warnings`` or ``failed``."""
