"""Queries as vectors in the space of a store's frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from coreframe.tasks.device import Device
from coreframe.tasks.embedders.embedder import (
    Embedder,
    EmbedderSpec,
    embed_images,
    forget_embedder,
    load_embedder,
)
from coreframe.tasks.embedders.names import refuse_wordless
from coreframe.tasks.errors import UsageError
from coreframe.tasks.lazy import torch
from coreframe.tasks.query.asked import Kind, Query, parse_queries, spelled
from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.store.frames import FrameState
from coreframe.tasks.store.row_reader import frames_name
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.picture import embedder_inputs

BEYOND_S = 1.0
"""So far past a video's last frame, or before its first, or a sampling step if that is longer, a
time still means that frame."""


@dataclass(frozen=True)
class Wish:
    """What frames should be like, and unlike: vectors, whatever they were made of."""

    like: NDArray[np.int16]
    """(m, dim) lattice."""
    unlike: NDArray[np.int16]
    """(k, dim) lattice."""


def resolve(store: Store, like: Sequence[str], unlike: Sequence[str]) -> Wish:
    """Find the vectors of queries as people write them.

    Raises:
        UsageError: one cannot be read, means nothing in this store, or needs an embedder that is
            not here or cannot do it.
    """
    vectors = query_vectors(store, parse_queries([*like, *unlike]))
    return Wish(vectors[: len(like)], vectors[len(like) :])


def let_go() -> None:
    """Give back the memory of the embedder that queries were embedded with; others reload it."""
    forget_embedder()


def refuse_unanswerable(embedder: str, queries: Sequence[Query]) -> None:
    """Look, before anything is started, for what no store of an embedder can be asked.

    Args:
        embedder: its name.
        queries: as they were read.

    Raises:
        UsageError: a picture that is not there, or words for an embedder that knows none.
    """
    for query in queries:
        if query.kind is Kind.FILE:
            _path(query)
        elif query.kind is Kind.TEXT:
            refuse_wordless(embedder)


def query_vectors(store: Store, queries: Sequence[Query]) -> NDArray[np.int16]:
    """(len(queries), dim) int16 lattice of queries of any kind, in their order.

    A frame's vector is the one that the store holds. Pictures and words are embedded in this
    process, on the CPU, wherever the corpus is: so they are the same for all workers.

    Raises:
        UsageError: see :func:`resolve`.
    """
    found = np.empty((len(queries), store.settings.dim), np.int16)
    for kind, embed in ((Kind.FRAME, _frames), (Kind.FILE, _files), (Kind.TEXT, _texts)):
        places = [place for place, query in enumerate(queries) if query.kind is kind]
        if places:
            found[places] = embed(store, [queries[place] for place in places])
    return found


def _frames(store: Store, queries: Sequence[Query]) -> NDArray[np.int16]:
    videos = store.read_catalogue().videos
    return store.read_rows([frame_row(store, videos, query) for query in queries])


def frame_row(store: Store, videos: Sequence[Video], query: Query) -> int:
    """The row of the frame that is nearest in time, the earlier of two.

    Raises:
        UsageError: there is no such video in the corpus, or no such time in it.
    """
    own = [video for video in videos if query.what in (video.path, video.source)]
    video = next((one for one in own if one.active), None)
    if video is None:
        why = f"it is {own[0].state}" if own else "there is none of that name"
        raise UsageError(
            f"{query.text}: no such video in the corpus of {store.path} ({why}). `coreframe info "
            f"--store {store.path}` lists them."
        )
    blocks = store.blocks_of(video.first_row, video.first_row + video.rows)
    names = [name for name in map(frames_name, blocks) if store.folder.exists(name)]

    def wanted(table: pa.Table) -> pa.ChunkedArray:
        return pc.and_(
            pc.equal(table["video"], pa.scalar(video.video, pa.int32())),
            pc.equal(table["state"], FrameState.OK),
        )

    frames = store.scan(["row", "time_s"], wanted, by=("video", "state"), names=names)
    if frames.empty:
        raise UsageError(f"{query.text}: that video has no decodable frame in {store.path}.")
    time_s = frames["time_s"].to_numpy()
    nearest = int(np.abs(time_s - query.time_s).argmin())
    step_s = float(np.diff(time_s).max(initial=BEYOND_S))
    if abs(time_s[nearest] - query.time_s) > step_s:
        raise UsageError(
            f"{query.text}: its frames are from {spelled(time_s[0])} to {spelled(time_s[-1])}."
        )
    return int(frames["row"].iloc[nearest])


def _files(store: Store, queries: Sequence[Query]) -> NDArray[np.int16]:
    paths = [_path(query) for query in queries]
    embedder = own_embedder(store)
    images = embedder_inputs(paths, embedder.framing)
    one_by_one = [embed_images(embedder, [image], torch.device("cpu")) for image in images]
    return np.concatenate(one_by_one)


def _path(query: Query) -> str:
    path = Path(query.what).expanduser().absolute()
    if not path.is_file():
        raise UsageError(f"{query.text}: there is no such file here.")
    return str(path)


def own_embedder(store: Store) -> Embedder:
    """The store's embedder, in this process, on the CPU, for a picture at a time.

    Raises:
        UsageError: it is not here, or it is another one now.
    """
    settings = store.settings
    spec = EmbedderSpec(settings.embedder, None, Device.CPU, batch_size=1)
    try:
        embedder = load_embedder(spec)
        if embedder.framing.side_px != settings.input_px:
            embedder = load_embedder(replace(spec, input_px=settings.input_px))
    except UsageError as error:
        raise UsageError(
            f"the store {store.path} was made with the embedder {settings.embedder}, which cannot "
            f"be used here: {str(error).rstrip('.')}. A query frame:VIDEO@TIME needs none."
        ) from error
    if embedder.fingerprint != settings.fingerprint:
        raise UsageError(
            f"the store {store.path} was made with the embedder {settings.embedder} when it was "
            f"{settings.fingerprint}, and now it is {embedder.fingerprint}: bring its earlier "
            "files back. A query frame:VIDEO@TIME needs none."
        )
    return embedder


def _texts(store: Store, queries: Sequence[Query]) -> NDArray[np.int16]:
    from coreframe.tasks.embedders.text import text_vectors  # loads torch

    settings = store.settings
    return text_vectors(
        settings.embedder,
        settings.input_px,
        settings.fingerprint,
        [query.what for query in queries],
    )
