"""A store made with a GPU's decoder is the one that CPU cores make, whatever the GPU does.

The GPU is pretended, see `tests.pretended_gpu`: all but its own decoding is the code that runs
there, on tensors of this machine's memory.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from av.video.frame import VideoFrame
from dask.distributed import KilledWorker

from coreframe.tasks.device import Decoder
from coreframe.tasks.embed import decoders, job, task
from coreframe.tasks.embed.decoders import Decoders
from coreframe.tasks.embed.job import BlockJob, PartJob
from coreframe.tasks.embed.plan import Segment
from coreframe.tasks.embed.task import EmbedCounts
from coreframe.tasks.embedders.embedder import EmbedderSpec
from coreframe.tasks.gpu_video import decoder
from coreframe.tasks.store.stalls import Stall
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.viewing import AS_SHOWN
from tests.pretended_gpu import pretend
from tests.runs import by_name, bytes_of, ingest
from tests.videos import Recipe, damage, make

SIZE = {"width": 256, "height": 208}
FILMS = [
    Recipe("bframes.mp4", options={"bf": "2"}, frames=50, **SIZE),
    Recipe("full.mp4", pixel_format="yuvj420p", **SIZE),
    Recipe(
        "ten.mkv",
        "libx265",
        pixel_format="yuv420p10le",
        options={"x265-params": "keyint=12:log-level=none"},
        **SIZE,
    ),
]
OTHERS = [
    Recipe("mpeg4.mp4", "mpeg4", **SIZE),
    Recipe("high_444.mp4", pixel_format="yuv444p", **SIZE),
    Recipe("hdr.mp4", options={"color_trc": "smpte2084"}, **SIZE),
]
"""Which a GPU does not decode, or whose frames it does not make small."""

PLAIN_DECODER = {name: getattr(decoder, name) for name in ("accelerator", "decode_frames")}

FRAMES = 50 + 40 + 40
TABLES = ("embeddings.zarr/", "frames/", "index/")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for recipe in FILMS:
        make(recipe, folder)
    return folder


@pytest.fixture(scope="module")
def by_cpu(films: Path, tmp_path_factory: pytest.TempPathFactory, cluster: str) -> Store:
    return made(films, tmp_path_factory.mktemp("cpu") / "store", cluster)[0]


def made(films: Path, store: Path, cluster: str) -> tuple[Store, EmbedCounts]:
    return ingest([films], store, cluster, block_rows=32)


def tables(store: Store) -> dict[str, bytes]:
    """What a store holds of frames, to the byte."""
    place = Path(store.path)
    found = {str(path.relative_to(place)): data for path, data in bytes_of(place).items()}
    kept = {name: data for name, data in found.items() if name.startswith(TABLES)}
    assert {name.partition("/")[0] + "/" for name in kept} == set(TABLES)
    return kept


def catalogue(store: Store) -> list[object]:
    return list(store.read_catalogue().videos)


def test_the_store_is_the_same_to_the_byte(
    films: Path, by_cpu: Store, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = pretend(monkeypatch)
    store, counts = made(films, tmp_path / "store", cluster)
    assert (counts.frames, counts.by_gpu, counts.gpu_faults) == (FRAMES, FRAMES, 0)
    assert len(given) >= FRAMES
    assert tables(store) == tables(by_cpu)
    assert catalogue(store) == catalogue(by_cpu)


def test_either_extends_the_others_store(
    films: Path, by_cpu: Store, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = [films / "bframes.mp4"]
    ingest(one, tmp_path / "a", cluster, block_rows=32)
    pretend(monkeypatch)
    store, counts = made(films, tmp_path / "a", cluster)
    assert counts.by_gpu == counts.frames == FRAMES - 50
    ingest(one, tmp_path / "b", cluster, block_rows=32)
    monkeypatch.undo()
    other, counts = made(films, tmp_path / "b", cluster)
    assert (counts.by_gpu, counts.frames) == (0, FRAMES - 50)
    assert tables(store) == tables(other) == tables(by_cpu)


@pytest.mark.parametrize(
    ("at", "fault"),
    [
        (0, lambda: RuntimeError("the session is lost")),
        (17, lambda: torch.OutOfMemoryError("CUDA out of memory")),
        (49, lambda: OSError(5, "I/O error")),
    ],
    ids=["session", "memory", "reading"],
)
def test_a_fault_loses_nothing_and_is_counted(
    at: int,
    fault: Callable[[], Exception],
    films: Path,
    by_cpu: Store,
    tmp_path: Path,
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = []

    def spoil(position: int, frame: VideoFrame) -> None:
        if position == at and frame.width == SIZE["width"] and not failed:
            failed.append(position)
            raise fault()

    pretend(monkeypatch, spoil)
    store, counts = made(films, tmp_path / "store", cluster)
    assert failed == [at]
    assert counts.gpu_faults == 1
    assert counts.frames == FRAMES
    # those of a batch before the fault, of one of the films, are the GPU's still
    assert FRAMES - 50 + at - 4 <= counts.by_gpu < FRAMES
    made(films, tmp_path / "again", cluster)
    monkeypatch.setattr(decoders, "FAULTS_IN_A_ROW", 1)
    assert job.DECODERS.refusal("any") == "", "a row of faults ends with a part that succeeds"
    assert tables(store) == tables(by_cpu)
    told = [video.fallback for video in store.read_catalogue().videos if video.fallback]
    assert len(told) == 1
    assert str(fault()) in told[0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_where_a_gpu_is_asked_for_and_is_not_there_it_is_told(
    films: Path, by_cpu: Store, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, counts = ingest([films], tmp_path / "auto", cluster, "auto", block_rows=32)
    assert not counts.fallbacks
    monkeypatch.setattr("coreframe.flows.preflight.has_gpu_driver", lambda: True)
    options = {"block_rows": 32, "decoder": "gpu"}
    store, counts = ingest([films], tmp_path / "gpu", cluster, "auto", **options)
    names = [recipe.file for recipe in FILMS]
    assert {why: sorted(told) for why, told in counts.fallbacks.items()} == {
        "no GPU where it was decoded": sorted(names)
    }
    assert tables(store) == tables(by_cpu)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_driver_without_a_decoder_costs_nothing_but_a_word(
    films: Path, by_cpu: Store, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch)
    for name, own in PLAIN_DECODER.items():
        monkeypatch.setattr(decoder, name, own)
    store, counts = made(films, tmp_path / "store", cluster)
    assert tables(store) == tables(by_cpu)
    assert (counts.frames, counts.by_gpu, counts.gpu_faults) == (FRAMES, 0, len(FILMS))
    told = {video.fallback for video in store.read_catalogue().videos}
    assert all("Error: [Errno" in one for one in told)


def test_what_a_gpu_cannot_do_cpu_cores_do_and_the_catalogue_says_so(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for recipe in OTHERS:
        make(recipe, tmp_path / "films")
    make(FILMS[0], tmp_path / "films")
    plain, _ = made(tmp_path / "films", tmp_path / "plain", cluster)
    pretend(monkeypatch)
    store, counts = made(tmp_path / "films", tmp_path / "store", cluster)
    assert tables(store) == tables(plain)
    assert (counts.by_gpu, counts.gpu_faults) == (50, 0)
    assert counts.fallbacks["mpeg4 of yuv420p"] == ["mpeg4.mp4"]
    assert {name: video.fallback for name, video in by_name(store).items()} == {
        "bframes": "",
        "hdr": "of high dynamic range, which is tone-mapped",
        "high_444": "h264 of yuv444p",
        "mpeg4": "mpeg4 of yuv420p",
    }
    assert not any(video.fallback for video in plain.read_catalogue().videos)


def with_damage(folder: Path, packet: int) -> Path:
    """A folder with a film of which one packet cannot be decoded."""
    sound = make(Recipe("sound.mp4", options={"bf": "0"}, frames=50, **SIZE), folder)
    (folder / "films").mkdir()
    damage(sound, folder / "films" / "damaged.mp4", packet)
    return folder / "films"


def test_a_damaged_film_has_its_census_from_cpu_cores(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = with_damage(tmp_path, packet=30)
    plain, _ = made(films, tmp_path / "plain", cluster)
    pretend(monkeypatch)
    store, counts = made(films, tmp_path / "store", cluster)
    assert tables(store) == tables(plain)
    assert (counts.censuses, counts.gpu_faults) == (1, 0)
    assert by_name(store)["damaged"].state == by_name(plain)["damaged"].state


def test_damage_beside_a_wanted_frame_is_seen_where_a_cpu_would_see_it(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = with_damage(tmp_path, packet=41)
    asked = {"every": 10, "deinterlace": "on"}  # so 39, 40 and 41 are decoded for 40, the last
    plain, _ = ingest([films], tmp_path / "plain", cluster, **asked)
    pretend(monkeypatch)
    store, counts = ingest([films], tmp_path / "store", cluster, **asked)
    assert tables(store) == tables(plain)
    assert counts.censuses == 1


def test_pixels_that_differ_are_never_taken(
    films: Path, by_cpu: Store, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(_: int, frame: VideoFrame) -> None:
        data = bytearray(bytes(frame.planes[1]))
        data[0] ^= 1
        frame.make_writable()
        frame.planes[1].update(bytes(data))

    pretend(monkeypatch, spoil)
    store, counts = made(films, tmp_path / "store", cluster)
    assert tables(store) == tables(by_cpu)
    assert (counts.by_gpu, counts.gpu_faults) == (0, 0)
    why = {video.fallback for video in store.read_catalogue().videos}
    assert why == {"the GPU decodes other pixels"}


def test_a_store_of_the_first_digests_is_decoded_by_cpu_cores(
    films: Path, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coreframe.flows.preflight.AS_SHOWN", replace(AS_SHOWN, digest=1))
    begun, _ = ingest([films / "bframes.mp4"], tmp_path / "store", cluster, block_rows=32)
    monkeypatch.undo()
    before = begun.frames()["digest"].to_numpy()
    pretend(monkeypatch)
    store, counts = made(films, tmp_path / "store", cluster)
    assert (store.settings.digest, store.settings.viewing.digest) == (1, 1)
    assert (counts.frames, counts.by_gpu) == (FRAMES - 50, 0)
    assert store.frames()["digest"].to_numpy()[:50].tolist() == before.tolist()
    assert "version 1" in by_name(store)["full"].fallback
    other, _ = made(films, tmp_path / "other", cluster)
    assert not set(before.tolist()) & set(other.frames()["digest"].tolist())


def test_what_hung_once_is_decoded_by_cpu_cores(
    films: Path, by_cpu: Store, tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = {by_name(by_cpu)["bframes"].fingerprint: Stall(1, "it gave nothing for 1 s")}
    monkeypatch.setattr(job, "stalls", lambda _: hung)
    pretend(monkeypatch)
    store, counts = made(films, tmp_path / "store", cluster)
    assert (counts.frames, counts.by_gpu, counts.quarantined) == (FRAMES, FRAMES - 50, 0)
    assert tables(store) == tables(by_cpu)


class FakeFuture:
    status = "error"

    def exception(self) -> None:
        return None


def test_what_killed_workers_is_tried_alone_by_cpu_cores(
    by_cpu: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver that dies is no fault of the file, which is taken out if this kills workers too."""
    asked: list[Decoder] = []

    class FakeClient:
        def submit(self, function: object, job: object, *_: object, **__: object) -> FakeFuture:
            asked.extend([job.decoder] if isinstance(job, PartJob) else [])
            return FakeFuture()

    monkeypatch.setattr(task, "wait", lambda _: None)
    monkeypatch.setattr(task, "gather", lambda *_: ["report"])
    segment = Segment(0, "film.mp4", "f", 0, 0, 4)
    part = PartJob(by_cpu.path, (segment,), Sampling(), AS_SHOWN, EmbedderSpec(), 0.0)
    parts = task._Parts(FakeClient(), by_cpu, iter([part]))  # type: ignore[arg-type]
    block = BlockJob(by_cpu.path, 0, 4, (segment,), Sampling())
    parts(block)
    parts.alone(block, KilledWorker("part", None, 0))
    assert asked == [Decoder.AUTO, Decoder.CPU]


# --- who decodes ---------------------------------------------------------------------------


def turns(decoders_: Decoders, pixels_per_s: dict[bool, float], count: int) -> list[bool]:
    """Who has each of some turns, where each of the two has a rate."""
    found = []
    for _ in range(count):
        with decoders_.turn(1000) as turn:
            turn.frames, turn.seconds = 10, 10_000 / pixels_per_s[turn.on_gpu]
        found.append(turn.on_gpu)
    return found


def test_both_are_tried_and_the_faster_is_taken() -> None:
    assert turns(Decoders(), {True: 300.0, False: 100.0}, 10) == [True, False] + 8 * [True]
    assert turns(Decoders(), {True: 100.0, False: 300.0}, 10) == [True] + 9 * [False]


def test_the_slower_one_is_tried_again_and_may_have_become_the_faster() -> None:
    own = Decoders()
    turns(own, {True: 300.0, False: 100.0}, 10)
    later = turns(own, {True: 50.0, False: 100.0}, 60)
    assert sum(later) < 20
    assert turns(own, {True: 50.0, False: 100.0}, 64).count(True) == 64 // decoders.TRIED_AGAIN


def test_no_more_than_its_places_are_taken_on_the_gpu() -> None:
    own, share = Decoders(), decoders.PLACES // 2
    asked = (1, Decoder.GPU, share)
    with own.turn(*asked) as first, own.turn(*asked) as second, own.turn(*asked) as third:
        assert [turn.on_gpu for turn in (first, second, third)] == [True, True, False]
    with own.turn(*asked) as fourth:
        assert fourth.on_gpu
    with own.turn(1, Decoder.GPU, 100 * decoders.PLACES) as one:
        assert one.on_gpu
    with own.turn(1, Decoder.CPU) as never:
        assert not never.on_gpu


def test_a_gpu_that_fails_again_and_again_is_left_alone() -> None:
    own = Decoders()
    for _ in range(decoders.FAULTS_IN_A_ROW - 1):
        own.failed()
    own.succeeded()
    for _ in range(decoders.FAULTS_IN_A_ROW - 1):
        own.failed()
    assert own.refusal("any") == ""
    own.failed()
    assert "failed 3 times in a row" in own.refusal("any")


def test_a_turn_measures_its_own_frames_alone() -> None:
    own = Decoders()
    with pytest.raises(ValueError, match="no more"), own.turn(5) as turn:
        raise ValueError("no more")
    assert (turn.frames, turn.seconds) == (0, 0.0)
    with own.turn(5) as turn:
        assert turn.on_gpu
