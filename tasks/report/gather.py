"""Gather evidence for a report, from a store and a selection, on the workers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from dask.distributed import Client

from coreframe.tasks.engine.dispatch import run_jobs
from coreframe.tasks.kcenter.coverage import Represented
from coreframe.tasks.kcenter.on_dask import DaskPartitions
from coreframe.tasks.output.metrics import Methods
from coreframe.tasks.output.thumbnails import kept_pictures, side_px
from coreframe.tasks.report.alike import alike_side_by_side
from coreframe.tasks.report.compared import Compared, Standing
from coreframe.tasks.report.evidence import Evidence
from coreframe.tasks.report.frames import crop_jobs, frame_jobs
from coreframe.tasks.report.job import ImageJob, shrink_crops, shrink_frames, shrink_images
from coreframe.tasks.report.marks import plain_pictures, soft_frames
from coreframe.tasks.report.measures import MEASURES, spans_and_measures
from coreframe.tasks.report.projection import projections
from coreframe.tasks.report.rivals import PICTURED, rival_rows, rival_sheets
from coreframe.tasks.scale import SCALE
from coreframe.tasks.select.choice import TYPICAL, Choice, Method
from coreframe.tasks.select.derive import deriving
from coreframe.tasks.select.units import Units, unit_reader, units_of
from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.store.objects import BOX, StoredObjects
from coreframe.tasks.store.store import Store

COMPARED = 12
"""Chosen units shown with what they stand for, and dropped units shown that lie far away."""

SKIPPED = 24
"""Units shown that were skipped because nothing resembles them."""

MISSED = 6
"""Chosen units shown that each of the other methods misses by most."""

LEAST_BYTES = 500
"""Of a picture, so that no more are made than can fit."""

DROPPED_PX = 192
"""The longer side of a dropped frame's picture."""

IMAGES_PER_JOB = 32


@dataclass(frozen=True)
class PageLimits:
    """How much a page shows of a corpus of any size."""

    mapped: int = 20_000
    """Units on the map; of more, as many drawn at random."""
    mapped_chosen: int = 5_000
    """Chosen units on the map, the first in pick order."""
    pictures_bytes: int = 5_000_000
    """Taken by the pictures of the chosen frames together; a third more inside the page."""


def gather_evidence(
    store: Store,
    choice: Choice,
    selection: pd.DataFrame,
    methods: Methods,
    out: Path,
    device: str,
    cluster: str,
    small: Mapping[str, bytes] = MappingProxyType({}),
    limits: PageLimits = PageLimits(),
) -> Evidence:
    """Look at a selection in its store.

    Args:
        store: what it was chosen from.
        choice: what was asked for: it says which units the corpus has.
        selection: what ``selection.parquet`` holds.
        methods: what was measured of it and of the others, with what these choose.
        out: the folder with the images.
        device: where workers keep tensors.
        cluster: the scheduler's address.
        small: small pictures of files that were made before.
        limits: how much is shown.
    """
    videos = {video.video: video for video in store.read_catalogue().videos}
    corpus, units = _corpus_and_units(store, choice, device, cluster)
    spans, graded, histograms = spans_and_measures(corpus, units)
    picks = (chosen := selection.iloc[:: units.length])["row"].to_numpy()
    rivals, compared = rival_rows(methods), Compared.of(store, choice, units, chosen)
    rows = compared.numbers
    sample = np.random.default_rng(choice.seed).permutation(len(rows))[: limits.mapped]
    present = np.isin(picks, units.measured)
    asked = np.union1d(rows[sample], np.intersect1d(compared.first(limits.mapped_chosen), rows))
    leading = compared.reader(store, units)(compared.leading)
    with Client(cluster) as client:
        stood, standing, mapped, vectors = _stood_for(client, store, units, compared, asked, device)
        flat = _flat(store, units.flat)
        dropped = _dropped(store, stood, compared, standing)
        odd = _odd(store, units, corpus)
        graded = graded.join(store.frames_at(graded.pop("row").to_numpy(), PICTURED))
        asks = rivals if _is_missed(choice) and present.any() else {}
        missed = _missed(client, store, units, picks[present], asks, device)
        missed["pick"] = np.flatnonzero(present)[missed["pick"].to_numpy()]
        sheets = rival_sheets(store, units, methods)
        images, pictured = small_pictures(client, out, chosen["file"], small, limits)
        seen = _named(videos, dropped, flat, odd, missed, graded, sheets)
        frames = pictures_of_dropped(client, store, seen, videos)
        frames |= pictures_of_objects(client, store, _shown_objects(dropped), videos)
    planes, variance = projections(vectors, choice.seed)
    mapped = _mapped(store, compared.located(asked)[0], planes, videos).join(mapped)
    return Evidence(
        units=len(rows),
        stands_for=standing.count,
        dropped=dropped,
        flat=flat,
        odd=odd,
        graded=graded,
        histograms=histograms,
        mapped=mapped,
        variance=variance,
        spans=spans,
        rivals={name: store.frames_at(own, ["video", "time_s"]) for name, own in rivals.items()},
        missed=missed,
        sheets=sheets,
        alike=alike_side_by_side(leading[:pictured]),
        marks=_marks(store, chosen[:pictured], spans, images),
        images=images,
        pictured=pictured,
        frames=frames,
    )


def _stood_for(
    client: Client,
    store: Store,
    units: Units,
    compared: Compared,
    asked: np.ndarray,
    device: str,
) -> tuple[Represented, Standing, pd.DataFrame, np.ndarray]:
    """What each center stands for, and each chosen unit; of those asked a part of the map.

    At last the (a, dim) lattice vectors of these.
    """
    length, place = units.length, compared.place
    parts = DaskPartitions(
        client, store, compared.numbers, length=length, device=device, place=place
    )
    centers = np.asarray(compared.reader(store, units)(compared.centers))
    stood, nearest, squared = parts.represented(compared.centers, centers, asked)
    pick = compared.pick[nearest] if compared.picks else nearest
    standing = compared.standing(stood, centers)
    mapped = pd.DataFrame({"pick": pick, "distance": np.sqrt(squared) / SCALE})
    mapped["chosen"] = np.isin(asked, compared.centers)
    return stood, standing, mapped, parts.collect(asked)


def _named(videos: Mapping[int, Video], *tables: pd.DataFrame) -> pd.DataFrame:
    """Give frames the names of their videos; all of them, of which pictures are to be made."""
    for table in tables:
        table["name"] = [videos[number].path for number in table["video"]]
    return pd.concat([table[PICTURED] for table in tables])


def _marks(
    store: Store, chosen: pd.DataFrame, spans: pd.DataFrame, images: Mapping[str, bytes]
) -> pd.DataFrame:
    """See :attr:`Evidence.marks`."""
    frames = store.frames_at(chosen["row"].to_numpy(), ["video", "sharpness"])
    plain = plain_pictures([images.get(file) for file in chosen["file"]])
    return pd.DataFrame({"soft": soft_frames(frames, spans), "plain": plain})


def _mapped(
    store: Store, rows: np.ndarray, planes: Mapping[str, np.ndarray], videos: Mapping[int, Video]
) -> pd.DataFrame:
    """Of :attr:`Evidence.mapped` what does not depend on the picks."""
    mapped = store.frames_at(rows, ["row", "video", "time_s"])
    mapped["name"] = [videos[number].path for number in mapped.pop("video")]
    for name, plane in planes.items():
        mapped[f"{name} x"], mapped[f"{name} y"] = plane.T
    return mapped


def _is_missed(choice: Choice) -> bool:
    """Whether it is shown what other methods miss: of whole units, and of a coreset."""
    return choice.method is Method.CORESET and not choice.objects


def _shown_objects(dropped: pd.DataFrame) -> np.ndarray:
    """The dropped objects, and the chosen ones shown beside them."""
    objects = np.union1d(dropped["object"].to_numpy(), dropped["beside"].to_numpy())
    return objects[objects >= 0]


def _dropped(
    store: Store, stood: Represented, compared: Compared, standing: Standing
) -> pd.DataFrame:
    """See :attr:`Evidence.dropped`."""
    shown, weakest = standing.shown, standing.weakest
    some = np.flatnonzero((shown >= 0) & (stood.near_row[shown] >= 0))
    count = standing.count + compared.own
    by_number = some[np.argsort(-count[some], kind="stable")][:COMPARED]
    by_distance = some[np.argsort(-stood.far[weakest[some]], kind="stable")][:COMPARED]
    parts = [
        (by_number, shown[by_number], "near", stood.near_row, stood.near),
        (by_number, shown[by_number], "far", stood.far_row, stood.far),
        (by_distance, weakest[by_distance], "farthest", stood.far_row, stood.far),
    ]
    tables = []
    for picks, centers, kind, numbers, squared in parts:
        rows, objects = compared.located(numbers[centers])
        table = store.frames_at(rows, PICTURED).assign(pick=picks, kind=kind, object=objects)
        table["beside"] = compared.located(compared.centers[centers])[1]
        tables.append(table.assign(distance=np.sqrt(squared[centers]) / SCALE))
    return pd.concat(tables, ignore_index=True)


def _corpus_and_units(
    store: Store, choice: Choice, device: str, cluster: str
) -> tuple[pd.DataFrame, Units]:
    """The frames with all measures, and how typical they are if that was asked for; their units."""

    @contextmanager
    def on_cluster(store: Store, rows: np.ndarray, **units: Any) -> Iterator[DaskPartitions]:
        with Client(cluster) as client:
            yield DaskPartitions(client, store, rows, device=device, **units)

    again = choice.without_queries()  # whose files may be gone by now
    formed = units_of(store, again, ("time_s", *MEASURES), deriving(partitions_of=on_cluster))
    return formed.frames, formed.units


def _missed(
    client: Client,
    store: Store,
    units: Units,
    picks: np.ndarray,
    rivals: Mapping[str, np.ndarray],
    device: str,
) -> pd.DataFrame:
    """See :attr:`Evidence.missed`: what a greedy choice would add to each rival, of the picks.

    Args:
        client: of the cluster.
        store: that has the units.
        units: of the corpus.
        picks: (c,) int64 rows of chosen ones, of which ``pick`` are the places.
        rivals: see :func:`rival_rows`.
        device: where workers keep tensors.
    """
    if not rivals:
        return store.frames_at(picks[:0], PICTURED).assign(
            method="", pick=0, of_video=0, of_time_s=0.0, distance=0.0
        )
    order = np.argsort(picks)
    there, read, found = picks[order], unit_reader(store, units), []
    vectors = np.asarray(read(there)).astype(np.float32)  # whose products are exact
    parts = DaskPartitions(client, store, there, length=units.length, device=device)
    for method, frames in rivals.items():
        rows = frames[:: units.length]
        _, nearest, squared = parts.represented(rows, np.asarray(read(rows)), there)
        first, left = [], squared.astype(np.float64)
        for _ in range(min(MISSED, len(there))):
            first.append(int(left.argmax()))
            left = np.minimum(left, ((vectors - vectors[first[-1]]) ** 2).sum(axis=1))
        of = store.frames_at(there[first], ["video", "time_s"])
        found.append(
            store.frames_at(rows[nearest[first]], PICTURED).assign(
                method=method,
                pick=order[first],
                of_video=of["video"],
                of_time_s=of["time_s"],
                distance=np.sqrt(squared[first]) / SCALE,
            )
        )
    return pd.concat(found, ignore_index=True)


def _flat(store: Store, rows: np.ndarray) -> pd.DataFrame:
    """See :attr:`Evidence.flat`."""
    places = np.unique(np.linspace(0, max(0, len(rows) - 1), min(COMPARED, len(rows))).astype(int))
    return store.frames_at(rows[places], PICTURED)


def _odd(store: Store, units: Units, corpus: pd.DataFrame) -> pd.DataFrame:
    """See :attr:`Evidence.odd`."""
    rows = units.skipped
    typical = np.ones(len(rows))
    if len(rows):
        first = np.searchsorted(corpus["row"].to_numpy(), rows)
        members = first[:, None] + np.arange(units.length)
        typical = corpus[TYPICAL].to_numpy()[members].mean(axis=1)
    order = np.argsort(typical, kind="stable")[:SKIPPED]
    return store.frames_at(rows[order], PICTURED).assign(typical=typical[order])


def small_pictures(
    client: Client,
    out: Path,
    files: pd.Series,
    known: Mapping[str, bytes] = MappingProxyType({}),
    limits: PageLimits = PageLimits(),
) -> tuple[dict[str, bytes], int]:
    """Give small WebP pictures of images in an output folder, as many as fit in the page.

    Those that ``thumbnails.parquet`` has of the files as they are now are taken from there.

    Args:
        client: of the cluster.
        out: the folder.
        files: of the chosen units in pick order; null for one without an image.
        known: pictures that were made before, by file.
        limits: how much is shown.

    Returns:
        The pictures by file, and of how many units in pick order theirs fit.
    """
    there = [str(file) for file in files if isinstance(file, str)]
    side = side_px(len(there))
    known = kept_pictures(out, side, {file for file in there if file not in known}) | dict(known)
    lacking = [
        str(out / file)
        for file in there[: limits.pictures_bytes // LEAST_BYTES]
        if file not in known
    ]
    jobs = [
        ImageJob(tuple(lacking[start : start + IMAGES_PER_JOB]), side)
        for start in range(0, len(lacking), IMAGES_PER_JOB)
    ]
    made: dict[str, bytes] = {}
    for _, some in run_jobs(
        client,
        shrink_images,
        jobs,
        lambda _: "Making small pictures",
        killed=lambda job, error: {},
    ):
        made |= some
    pictures: dict[str, bytes] = {}
    left = limits.pictures_bytes
    for place, file in enumerate(files):
        picture = known.get(file) or made.get(str(out / str(file)))
        left -= LEAST_BYTES if picture is None else len(picture)
        if left < 0:
            return pictures, place
        if picture is not None:
            pictures[str(file)] = picture
    return pictures, len(files)


def pictures_of_dropped(
    client: Client, store: Store, frames: pd.DataFrame, videos: Mapping[int, Video]
) -> dict[int, bytes]:
    """Decode frames on the workers, and make small WebP pictures of them, by row."""
    found: dict[int, bytes] = {}
    for _, pictures in run_jobs(
        client,
        shrink_frames,
        frame_jobs(store, frames, videos, DROPPED_PX),
        lambda job: f"Decoding frames of {job.source}",
        killed=lambda job, error: {},
    ):
        found |= pictures
    return found


def pictures_of_objects(
    client: Client,
    store: Store,
    objects: np.ndarray,
    videos: Mapping[int, Video],
) -> dict[int, bytes]:
    """Decode what some objects are, and make small WebP pictures of it, by `picture_key`."""
    found: dict[int, bytes] = {}
    if not len(objects):
        return found
    table = StoredObjects(store).table(["object", "row", *BOX]).to_pandas()
    wanted = table[table["object"].isin(objects)]
    jobs = crop_jobs(store, wanted, videos, DROPPED_PX)
    for _, pictures in run_jobs(
        client, shrink_crops, jobs, lambda _: "Decoding objects", killed=lambda job, error: {}
    ):
        found |= pictures
    return found
