"""Verify a store, and bring it to a state from which the next run makes it whole."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from dask.distributed import Client

from coreframe.tasks.check.files import check_kept_files, check_made, clause
from coreframe.tasks.check.job import (
    BlockCheck,
    ObjectsCheck,
    PlannedRows,
    check_block,
    check_objects,
)
from coreframe.tasks.check.objects import (
    check_listed,
    forgotten_objects,
    objects_jobs,
    recount_objects,
)
from coreframe.tasks.engine.dispatch import run_jobs
from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.engine.stage import stage
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.neighbours.kept import KeptNeighbours
from coreframe.tasks.store.catalogue import INACTIVE, Catalogue, VideoState
from coreframe.tasks.store.catalogue_file import copy_fault, read_copy
from coreframe.tasks.store.frames import FrameState
from coreframe.tasks.store.indexes import index_name
from coreframe.tasks.store.objects import StoredObjects
from coreframe.tasks.store.store import Store

LISTED = 3
"""Faults of a kind that are told one by one."""


@dataclass
class Checked:
    """What was found, and what was done about it."""

    blocks: int = 0
    """Looked at."""
    faults: dict[int, str] = field(default_factory=dict)
    """block -> what is wrong; its commit is taken back."""
    objects: dict[int, str] = field(default_factory=dict)
    """The same of blocks of objects."""
    indexes: list[str] = field(default_factory=list)
    """Names of videos whose index cannot be read; it is deleted."""
    catalogue: str = ""
    """Why the catalogue could not be read, when its copy took its place."""
    recounted: list[str] = field(default_factory=list)
    """Names of videos of which fewer rows are committed than the catalogue says."""
    unavailable: list[str] = field(default_factory=list)
    """Names of those among them whose file is not there to be read again."""
    files: list[str] = field(default_factory=list)
    """What is wrong with other files: settings, the array, selections, records of runs."""
    lost: list[str] = field(default_factory=list)
    """What of that cannot be mended."""

    @property
    def sound(self) -> bool:
        """Nothing is wrong."""
        blocks = self.faults or self.objects
        return not (blocks or self.indexes or self.catalogue or self.recounted or self.files)

    def described(self) -> list[str]:
        """What is wrong, a clause each, with the first of a kind by name."""
        found = []
        if self.catalogue:
            found.append(f"{self.catalogue}; its copy is sound")
        found += _first(self.files, "files")
        if self.indexes:
            more = f" and {len(self.indexes) - 1} more" if len(self.indexes) > 1 else ""
            found.append(f"the index of {self.indexes[0]}{more} cannot be read")
        blocks = [f"block {block}: {reason}" for block, reason in self.faults.items()]
        blocks += [f"block {block} of objects: {reason}" for block, reason in self.objects.items()]
        found += _first(blocks, "blocks")
        if self.recounted:
            found.append(f"rows of {len(self.recounted)} videos are not as the catalogue counts")
        if self.unavailable:
            many = len(self.unavailable)
            more = f" and {many - 1} more videos" if many > 1 else ""
            found.append(f"frames of {self.unavailable[0]}{more} are lost until the file is back")
        return found


def _first(found: list[str], kind: str) -> list[str]:
    more = len(found) - LISTED
    return found[:LISTED] + ([f"{more} more {kind}"] if more > 0 else [])


def check_store(store: Store, cluster: str, *, repair: bool) -> Checked:
    """Compare all that a store holds with what was written.

    Args:
        store: to look at.
        cluster: the scheduler's address.
        repair: mend what can be mended, and take back what cannot be trusted, so that the next run
            embeds it again.

    Raises:
        CoreframeError: the catalogue cannot be read, and there is none to take its place.
    """
    checked = Checked()
    catalogue = _catalogue(store, checked, repair)
    checked.files += check_made(store, catalogue, repair=repair)
    _check_indexes(store, catalogue, checked, repair)
    files, checked.lost = check_kept_files(store, catalogue, repair=repair)
    checked.files += files
    blocks = store.committed_blocks()
    with Client(cluster) as client, stage_bar("check", len(blocks), "blocks") as advance:
        jobs = _jobs(store, catalogue, blocks)
        for job, fault in run_jobs(client, check_block, jobs, _describe):
            checked.blocks += 1
            if fault is not None:
                checked.faults[fault.block] = fault.reason
                if repair:
                    store.guard()
                    store.take_back(job.block)
            advance(1)
        _check_objects(client, store, catalogue, checked, repair)
    _recount(store, catalogue, checked)
    if repair and checked.faults:  # the blocks may be embedded by another machine, a little apart
        KeptNeighbours(store).drop()
    if repair and not checked.sound:
        store.write_catalogue(catalogue)
    return checked


check_stage = stage("check")(check_store)


def _check_objects(
    client: Client, store: Store, catalogue: Catalogue, checked: Checked, repair: bool
) -> None:
    files: list[str] = []
    boxes = check_listed(store, files, repair=repair)
    jobs = objects_jobs(store, boxes)
    for job, fault in run_jobs(client, check_objects, jobs, _describe):
        checked.blocks += 1
        if fault is not None:
            checked.objects[fault.block] = fault.reason
            if repair:
                store.guard()
                StoredObjects(store).take_back(job.block)
    missing = recount_objects(store, boxes, checked.objects, repair=repair)
    checked.files += files + ([missing] if missing and not checked.objects else [])
    forgotten = forgotten_objects(store, catalogue, boxes, repair=repair)
    checked.files += [forgotten] if forgotten else []


def _catalogue(store: Store, checked: Checked, repair: bool) -> Catalogue:
    try:
        catalogue = store.read_catalogue()
    except CoreframeError as error:
        copy = read_copy(store.folder)
        if copy is None:
            raise
        checked.catalogue = clause(error)
        if repair:
            store.write_catalogue(copy)
        return copy
    fault = copy_fault(store.folder)
    if fault:
        checked.files.append(fault)
    return catalogue


def _check_indexes(store: Store, catalogue: Catalogue, checked: Checked, repair: bool) -> None:
    planned = [v for v in catalogue.videos if v.rows and v.state != VideoState.FORGOTTEN]
    names = {video.fingerprint: video.path for video in planned}
    held = [name.partition(".")[0] for name in store.folder.names("index")]
    # Where there is none of a video whose file is gone, it is made when the file is back.
    needed = [video.fingerprint for video in planned if video.active]
    for fingerprint in dict.fromkeys([*needed, *held]):
        try:
            store.read_index(fingerprint)
        except CoreframeError:
            checked.indexes.append(names.get(fingerprint) or index_name(fingerprint))
            if repair:
                store.delete_index(fingerprint)


def _jobs(store: Store, catalogue: Catalogue, blocks: list[int]) -> Iterator[BlockCheck]:
    near = catalogue.by_rows()
    for block in blocks:
        start = block * store.block_rows
        own = near(start, start + store.block_rows)
        planned = tuple(PlannedRows(v.first_row, v.first_row + v.rows, v.video) for v in own)
        yield BlockCheck(store.path, store.settings, catalogue.rows, block, planned)


def _recount(store: Store, catalogue: Catalogue, checked: Checked) -> None:
    """Bring the catalogue's counts to what is left; what is missing is pending again.

    More than it counts is no fault: a run that was ended has not counted yet what it committed.
    """
    counts: Counter[tuple[int, str]] = Counter()
    for block in store.committed_blocks():
        table = None if block in checked.faults else store.committed(block)
        if table is not None:
            counts.update(zip(table["video"].to_pylist(), table["state"].to_pylist(), strict=True))
    for video in list(catalogue.videos):
        decoded = counts[video.video, FrameState.OK]
        undecodable = counts[video.video, FrameState.UNDECODABLE]
        if (decoded, undecodable) != (video.decoded, video.undecodable):
            fewer = decoded < video.decoded or undecodable < video.undecodable
            if fewer:
                checked.recounted.append(video.path)
            before = video.state
            catalogue.counted(video.video, decoded, undecodable)
            if before in INACTIVE:
                catalogue.update(video.video, state=before, reason=video.reason)
                if fewer:
                    checked.unavailable.append(video.path)


def _describe(job: BlockCheck | ObjectsCheck) -> str:
    return f"Checking block {job.block}"
