"""A whole run, as a Prefect flow on a Dask cluster of processes, checked against plain tools."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import ge
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prefect.client.orchestration import get_client

import coreframe
from coreframe.flows.choosing import Selecting
from coreframe.flows.curate import curate
from coreframe.flows.failures import ENGINES
from coreframe.flows.ingest import ingest
from coreframe.flows.parameters import Compute, Ingestion, Picture, Sources
from coreframe.flows.selection import select
from coreframe.flows.terminal import show_result, show_store
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.names import shown
from coreframe.tasks.output.folder import OutputFolder
from coreframe.tasks.output.result import Result
from coreframe.tasks.store.store import Store
from tests.flows.shots import shots_hit
from tests.runs import check_metrics, check_picks
from tests.videos import damage, sequential_rgb

NAMES = [
    "<img src=x onerror=alert(1)>.mp4",
    "sub/closed_gop.mp4",
    'quote\'s "and" %d |`雪\n\x1b[2J\u202e\ufffe.mkv',
]
NOT_UTF_8 = os.fsdecode(b"\xff.mp4")


@pytest.fixture(scope="module")
def corpus(made_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run-corpus")
    (folder / "sub").mkdir()
    for name in ("closed_gop.mp4", "ten_bit.mp4", "times_guessed.avi", "variable_rate.mkv"):
        shutil.copy(made_videos[name], folder / name)
    shutil.copy(made_videos["vp9.webm"], folder / NAMES[0])
    shutil.copy(made_videos["closed_gop.mp4"], folder / NAMES[1])
    shutil.copy(made_videos["odd_size.mkv"], folder / NAMES[2])
    damage(made_videos["late_start.mp4"], folder / "damaged.mp4", packet=15)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    shutil.copy(made_videos["mpeg4.mp4"], folder / NOT_UTF_8)
    (folder / "to nothing.mp4").symlink_to("nothing")
    (folder / "notes.txt").write_text("no video either")
    return folder


pytestmark = pytest.mark.usefixtures("server", "forked")

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run(corpus: Path) -> Run:
    def curated(folder: Path, n: int = 30, workers: int = 2, **settings: Any) -> dict[str, Any]:
        return curate(
            store=str(folder / "store"),
            out=str(folder / "out"),
            corpus=Sources(videos=[str(corpus)], corrupt_threshold=0.2),
            ingestion=Ingestion(block_rows=settings.pop("block_rows", 64)),
            selecting=Selecting(n_samples=n, **settings.pop("selecting", {})),
            picture=Picture(**settings),
            compute=Compute(workers=workers, device="cpu"),
        )

    return curated


@pytest.fixture(scope="module")
def finished(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose outputs several tests look at."""
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


def test_metrics_and_picks_equal_an_independent_computation(finished: Path) -> None:
    check_metrics(finished / "store", finished / "out")
    check_picks(finished / "store", finished / "out")


def test_images_equal_a_sequential_decode(finished: Path, corpus: Path) -> None:
    selection = pd.read_parquet(finished / "out" / "selection.parquet")
    truth = {video: sequential_rgb(corpus / video) for video in selection["video"].unique()}
    assert len(selection) == 30
    for pick in selection.itertuples():
        if pick.video == "ten_bit.mp4":
            continue  # in 16 bits: tests/embed/test_pictures.py
        image = np.asarray(Image.open(finished / "out" / str(pick.file)))
        assert np.array_equal(image, truth[str(pick.video)][int(str(pick.frame_index))])


def test_selection_table_has_the_promised_columns(finished: Path) -> None:
    selection = pd.read_parquet(finished / "out" / "selection.parquet")
    names = [
        "rank",
        "row",
        "center_row",
        "video",
        "frame_index",
        "pts",
        "time_s",
        "distance",
        "radius",
    ]
    names += ["lower_bound", "preselected", "sequence", "file"]
    assert list(selection.columns) == names
    files = sorted(path.name for path in (finished / "out" / "frames").iterdir())
    assert sorted(Path(file).name for file in selection["file"]) == files


def test_report_names_every_trouble_and_shows_names_as_text(finished: Path, corpus: Path) -> None:
    report = (finished / "out" / "report.md").read_text()
    assert "| broken.mp4 | broken | cannot be opened" in report
    assert "| damaged.mp4 | damaged |" in report
    assert "| notes.txt | skipped |" in report
    assert "| \\\\xff.mp4 | broken | its name is not valid UTF-8: rename it |" in report
    assert f"| {corpus / 'to nothing.mp4'} | not read | it links to nothing |" in report
    assert "<img" not in report
    metrics = json.loads((finished / "out" / "metrics.json").read_text())
    assert f"{metrics['methods']['coreset']['coverage_radius']:.3f}" in report


def test_no_name_acts_upon_a_terminal_or_a_page(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = Store.open(finished / "store"), OutputFolder.read(finished / "out")
    assert NAMES[2] in {video.path for video in store.read_catalogue().videos}
    assert NAMES[2] in set(out.selection["video"])
    show_store(store)
    show_result(Result(out.run, out.metrics).to_json() | {"warnings": [NAMES[2]]}, NAMES[2])
    texts = [capsys.readouterr().out, repr(coreframe.open(finished / "store"))]
    texts += [(finished / "out" / name).read_text() for name in ("report.md", "report.html")]
    for text in texts:
        assert {one for one in text if shown(one) != one} <= {"\n", "\t"}
    assert r"%d |`雪\n\x1b[2J\u202e\ufffe.mkv" in texts[0]


def test_run_record_counts_add_up(finished: Path) -> None:
    record = json.loads((finished / "out" / "run.json").read_text())
    counts = record["counts"]
    frames = Store.open(finished / "store").frames()
    assert counts["decodable_frames"] == (frames["state"] == "ok").sum()
    assert counts["undecodable_frames"] == (frames["state"] != "ok").sum() > 0
    assert counts["exact_duplicates"] >= 40  # closed_gop.mp4 is there twice
    assert counts["suspect_frames"] == frames["suspect"].sum() > 0  # of damaged.mp4
    left_out = counts["exact_duplicates"] + counts["suspect_frames"] + counts["flat_frames"]
    assert counts["eligible_frames"] + left_out == counts["decodable_frames"]
    assert counts["files"] == {"ok": 7, "damaged": 1, "broken": 2, "skipped": 1}
    assert set(record["timings_s"]) == {"index", "embed", "select", "export", "metrics"}


def test_storage_is_that_of_the_files(finished: Path, corpus: Path) -> None:
    storage = json.loads((finished / "out" / "metrics.json").read_text())["storage"]
    images = (finished / "out" / "frames").iterdir()
    assert storage["kept_frames_bytes"] == sum(path.stat().st_size for path in images)
    others = ("broken.mp4", "notes.txt", NOT_UTF_8)
    videos = [path for path in corpus.rglob("*") if path.name not in others]
    assert storage["source_videos_bytes"] == sum(p.stat().st_size for p in videos if p.is_file())
    factor = storage["all_frames_bytes"] / storage["kept_frames_bytes"]
    assert storage["reduction_factor"] == pytest.approx(factor, rel=1e-3)


def test_same_command_again_embeds_nothing_and_writes_the_same_bytes(
    finished: Path, run: Run
) -> None:
    before = {p: p.read_bytes() for p in (finished / "out").rglob("*.p*") if p.is_file()}
    counts = run(finished)["run"]["counts"]
    assert (counts["embedded_frames"], counts["embedded_blocks"], counts["censuses"]) == (0, 0, 0)
    assert before == {p: p.read_bytes() for p in (finished / "out").rglob("*.p*") if p.is_file()}


@pytest.mark.usefixtures("without_page")
@pytest.mark.parametrize(("workers", "block_rows"), [(1, 64), (3, 7)])
def test_workers_and_block_size_give_the_same_bytes(
    workers: int, block_rows: int, finished: Path, run: Run, tmp_path: Path
) -> None:
    run(tmp_path, workers=workers, block_rows=block_rows)
    table = "out/selection.parquet"
    assert (tmp_path / table).read_bytes() == (finished / table).read_bytes()
    for name, method in measured(finished).items():
        other = measured(tmp_path)[name]
        for exact in ("rows", "l2_counts"):
            assert method.pop(exact, None) == other.pop(exact, None)
        assert method == pytest.approx(other, rel=1e-12)


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    methods: dict[str, dict[str, Any]] = json.loads((folder / "out" / "metrics.json").read_text())[
        "methods"
    ]
    return methods


@pytest.mark.usefixtures("without_page")
def test_fewer_frames_into_the_same_folder_leave_no_stale_image(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished / "out", tmp_path / "out")
    (tmp_path / "out" / "frames" / "mine.png").touch()
    select(
        store=str(finished / "store"),
        out=str(tmp_path / "out"),
        selecting=Selecting(n_samples=5, method="random"),
        picture=Picture(format="jpg", resize="40x"),
        compute=Compute(workers=1, device="cpu"),
    )
    selection = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    files = {path.name for path in (tmp_path / "out" / "frames").iterdir()}
    assert files == {Path(file).name for file in selection["file"]} | {"mine.png"}
    assert {Image.open(tmp_path / "out" / file).width for file in selection["file"]} == {40}
    check_metrics(finished / "store", tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["selected"] == "random"
    assert metrics["methods"]["random"]["rows"] == selection["row"].tolist()


@pytest.mark.usefixtures("without_page")
def test_more_than_there_is_takes_all_and_min_distance_holds(
    finished: Path, tmp_path: Path
) -> None:
    results = []
    for name, selecting in (
        ("all", Selecting(n_samples=10_000)),
        (
            "kept",
            Selecting(
                n_samples=10_000, keep_exact_duplicates=True, keep_suspect=True, keep_flat=True
            ),
        ),
        ("apart", Selecting(min_distance=0.3)),
        ("rate", Selecting(method="fixed-rate", n_samples=50, min_distance=0.3)),
    ):
        result = select(
            store=str(finished / "store"),
            out=str(tmp_path / name),
            selecting=selecting,
            picture=Picture(),
            compute=Compute(workers=2, device="cpu"),
        )
        results.append(result["run"]["counts"])
    everything, kept, apart, rate = results
    assert everything["selected_frames"] == everything["eligible_frames"]
    assert kept["selected_frames"] == kept["decodable_frames"] > everything["selected_frames"]
    assert everything["stopped_by"] == kept["stopped_by"] == "exhausted"
    for name, counts, why in (("apart", apart, "min_distance"), ("rate", rate, "thinned")):
        assert counts["stopped_by"] == why
        assert 2 < counts["selected_frames"] < everything["selected_frames"]
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert metrics["methods"][metrics["selected"].replace("-", "_")]["l2_min"] >= 0.3


@pytest.mark.usefixtures("without_page")
def test_too_many_broken_videos_end_in_an_error_after_all_is_written(
    corpus: Path, tmp_path: Path
) -> None:
    why = r"2 of 10 videos .* threshold of 0.1 \(.*broken.mp4"
    with logged() as told, pytest.raises(CoreframeError, match=why):
        curate(
            store=str(tmp_path / "store"),
            out=str(tmp_path / "out"),
            corpus=Sources(videos=[str(corpus)]),
            selecting=Selecting(n_samples=3),
            compute=Compute(workers=2, device="cpu"),
            metrics_file=str(tmp_path / "night.prom"),
        )
    assert len(pd.read_parquet(tmp_path / "out" / "selection.parquet")) == 3
    assert (tmp_path / "out" / "run.json").exists()
    assert [line for line in told if "broken.mp4 " in line or "of 10 videos" in line] == told[-1:]
    assert told[-1].startswith("curate failed: 2 of 10 videos")
    (record,) = map(json.loads, map(Path.read_text, (tmp_path / "store" / "runs").iterdir()))
    name = f"{record['started'][:10]} curate out: 8 new, 3 unusable, 3 frames"
    assert record["run"] == name
    with get_client(sync_client=True) as client:
        asked = {"flow_runs": {"name": {"any_": [name]}}}
        runs = client.request("POST", "/flow_runs/filter", json=asked).json()
    assert [run["state"]["type"] for run in runs] == ["FAILED"]
    numbers = (tmp_path / "night.prom").read_text()
    assert f'outcome="failed",store="{tmp_path / "store"}"}} 1.0' in numbers
    assert "coreframe_run_last_good" not in numbers


@contextmanager
def logged() -> Iterator[list[str]]:
    """While the context lasts, what runs log as errors, with tracebacks."""
    lines: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    for name in ENGINES:
        logging.getLogger(name).addHandler(handler)
    try:
        yield lines
    finally:
        for name in ENGINES:
            logging.getLogger(name).removeHandler(handler)


def test_nothing_but_broken_videos_is_said_so(made_videos: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    raw = made_videos["mjpeg.mov"].read_bytes()
    start = raw.index(b"mdat") + 4
    stop = raw.index(b"moov", start) - 4
    blank = raw[:start] + bytes(stop - start) + raw[stop:]  # it opens, but holds no picture
    (tmp_path / "in" / "a.mov").write_bytes(blank)
    with pytest.raises(CoreframeError, match=r"no frame to select from: 1 of 1 videos .*a\.mov"):
        curate(
            store=str(tmp_path / "s"),
            out=str(tmp_path / "o"),
            corpus=Sources(videos=[str(tmp_path / "in")]),
            compute=Compute(workers=1, device="cpu"),
        )


@pytest.mark.usefixtures("without_page")
def test_replaced_video_is_not_exported_as_what_it_was(
    made_videos: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("closed_gop.mp4", "high_444.mp4"):
        shutil.copy(made_videos[name], tmp_path / "in" / name)
    compute = Compute(workers=1, device="cpu")
    ingest(
        store=str(tmp_path / "s"), corpus=Sources(videos=[str(tmp_path / "in")]), compute=compute
    )
    shutil.copy(made_videos["mpeg4.mp4"], tmp_path / "in" / "closed_gop.mp4")
    result = select(
        store=str(tmp_path / "s"),
        out=str(tmp_path / "o"),
        selecting=Selecting(proportion=1.0),
        compute=compute,
    )
    assert "closed_gop.mp4: its file was replaced while it was being read" in result["warnings"][0]
    record = json.loads((tmp_path / "o" / "run.json").read_text())
    assert record["failures"] == []
    assert set(pd.read_parquet(tmp_path / "o" / "selection.parquet")["video"]) == {"high_444.mp4"}


@pytest.mark.usefixtures("without_page")
def test_real_videos(real_videos: Path, tmp_path: Path) -> None:
    result = curate(
        store=str(tmp_path / "store"),
        out=str(tmp_path / "out"),
        corpus=Sources(videos=[str(real_videos)]),
        ingestion=Ingestion(pixels="stored"),
        selecting=Selecting(n_samples=99),
        compute=Compute(device="cpu"),
    )
    videos = {v.path: v for v in Store.open(tmp_path / "store").read_catalogue().videos}
    assert len(videos) == 15
    assert {v.state for v in videos.values()} == {"ok", "damaged"}
    assert videos["decord_corrupted.mp4"].state == "damaged"
    assert (videos["decord_corrupted.mp4"].decoded, videos["decord_corrupted.mp4"].rows) == (49, 50)
    assert videos["flipping_a_pancake.mkv"].duration_s == pytest.approx(10.33, abs=0.01)
    frames = Store.open(tmp_path / "store").frames()
    late = frames[frames["video"] == videos["delayed_start.mp4"].video]
    assert (late["pts"].iloc[0], late["time_s"].iloc[0]) == (13760, 0)  # as players count
    variable = frames[frames["video"] == videos["goldeneye-vfr-drop3.mp4"].video]
    assert sorted(variable["pts"].diff().dropna().unique()) == [1001, 2002]
    check_metrics(tmp_path / "store", tmp_path / "out")
    check_picks(tmp_path / "store", tmp_path / "out")
    selection = pd.read_parquet(tmp_path / "out" / "selection.parquet")
    for video, picks in selection.groupby("video"):
        truth = sequential_rgb(real_videos / str(video))
        if video == "h264_10bits.mp4":
            continue  # in 16 bits: tests/embed/test_pictures.py
        for pick in picks.itertuples():
            image = np.asarray(Image.open(tmp_path / "out" / str(pick.file)))
            assert np.array_equal(image, truth[int(str(pick.frame_index))]), pick.file
    methods = result["metrics"]["methods"]
    for baseline in ("fixed_rate", "random"):
        assert methods["coreset"]["l2_min"] > methods[baseline]["l2_min"]
        assert methods["coreset"]["coverage_radius"] < methods[baseline]["coverage_radius"]


@pytest.mark.usefixtures("without_page")
def test_few_frames_hit_shots_of_very_unequal_length(real_videos: Path, tmp_path: Path) -> None:
    hit = shots_hit(real_videos, tmp_path, shorter=3)  # at full length in tests/trials
    assert all(map(ge, hit, (27, 30, 31, 31))), hit
