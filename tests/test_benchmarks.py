"""The benchmarks run, and what they compare is comparable.

They run in this process, with few rows and small pictures, and with workers that are forks.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.stores import make_store, walks

FOLDER = Path(__file__).parents[1] / "benchmarks"

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("forked")]


@pytest.fixture(autouse=True)
def cores() -> Iterator[None]:
    """Contenders take as many cores as they are to have: they are given back."""
    available = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, available)


Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Import a benchmark, and let it measure contenders in this process."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def here(function: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        return function(*arguments) | {"peak_bytes": 10**6}

    def loaded(name: str) -> ModuleType:
        module = import_module(name)
        if hasattr(module, "measure"):
            monkeypatch.setattr(module, "measure", here)
        return module

    return loaded


def run(
    module: ModuleType, *arguments: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    monkeypatch.setattr(sys, "argv", [module.__name__, "--json", str(out), *arguments])
    module.main()
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def test_selection(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    selection = load("selection")
    monkeypatch.setattr(selection, "LIMIT_SIDE", 256)
    monkeypatch.setattr(selection, "LIMIT_VALUES", 2**20)
    options = ["--scale", "0.01", "--cases", "video", "--only", "textbook", "2 cores"]
    options.append("--no-scaling")
    report = run(selection, *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    results = report["cases"]["video"]["results"]
    textbook, ours = results["textbook (torch, 2 cores)"], results["coreframe, 2 cores"]
    assert ours["radius"] == pytest.approx(textbook["radius"], rel=0.02)
    assert ours["passes"] < textbook["passes"] == 100
    assert 0 < ours["pairs_share"] <= 1
    assert ours["peak_bytes"] > 0
    assert ours["against_picks"][-1][0] == 100


def test_neighbours(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load("selection")
    neighbours = load("neighbours")

    def sorted_distances(folder: Path, k: int) -> dict[str, Any]:
        """What scikit-learn stands for, which is not installed here."""
        vectors = np.load(folder / "vectors.npy").astype(np.float64)
        distance = np.sqrt(((vectors[:, None] - vectors[None]) ** 2).sum(axis=2))
        np.fill_diagonal(distance, np.inf)
        near = np.argsort(distance, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(distance, near, axis=1)
        np.savez(folder / "plain.npz", distance=found, near=near)
        return {"seconds": 1.0, "file": "plain.npz"}

    contenders = {"plain": sorted_distances, "coreframe": neighbours.two_workers}
    monkeypatch.setattr(neighbours, "CONTENDERS", contenders)
    options = ["--scale", "0.002", "--cases", "video"]
    report = run(neighbours, *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    results = report["cases"]["video"]["results"]
    assert set(results) == {"plain", "coreframe"}
    for result in results.values():
        assert result["told_off_by"] < 1e-6
        assert result["missed_by"] < 1e-6
    assert results["coreframe"]["again_seconds"] > 0


def test_a_contender_is_measured_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    selection = import_module("selection")
    np.save(tmp_path / "vectors.npy", selection.video_like(50, 8, 0))
    found = selection.measure(selection.naive, tmp_path, 5)
    assert len(set(found["chosen"])) == 5
    assert found["peak_bytes"] > 10_000_000  # Python, NumPy and torch


def test_ingest(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest = load("ingest")
    for name, value in (("WIDTH", 320), ("HEIGHT", 180), ("LOADERS", 0)):
        monkeypatch.setattr(ingest, name, value)
    options = ["--minutes", "0.05", "--studies", "long", "today", "--videos", str(tmp_path)]
    report = run(ingest, *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    long, today = report["long"], report["today"]
    assert long["coreframe"]["frames"] == long["PyAV"]["frames"] == 75
    assert long["coreframe"]["ratio"] > 0
    assert today["coreframe"]["frames"] == today["the script of today"]["frames"] == 75
    assert today["coreframe"]["written_bytes"] > 0


def checked_without_a_gpu(
    module: ModuleType, sections: list[str], out: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What `gpu_check` reports of some sections on the CPU, in which nothing went wrong."""
    options = ["--device", "cpu", "--scale", "0.003", "--only", *sections]
    monkeypatch.setattr(sys, "argv", ["gpu_check", "--json", str(out), *options])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert not ended.value.code
    report: dict[str, Any] = json.loads(out.read_text())
    assert set(report) == {"machine", "scale", "ceilings", *sections}
    assert all("error" not in report[name] for name in sections)
    assert report["selection"]["same"]
    assert report["decode-rates"]["cpu_frames_per_s"]["1"] > 0
    return report


def test_sharper(
    load: Load, tmp_path: Path, cluster: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load("sharper")
    module.gaps(make_store(tmp_path / "store", walks(400, 16, 1), [200, 200]), cluster)
    module.seconds(4001, 40, tmp_path, cluster)
    gap, exchanged, seconds = capsys.readouterr().out.splitlines()
    assert re.search(r"10 to 300 frames: mean [+-]\d\.\d\d %.* at 20: .*, 300: ", gap)
    assert re.search(
        r"of the first 99 are exchanged, \d+ of 300; they are \d+ % sharper", exchanged
    )
    assert re.match(r"40 of 4,001 rows of 384: [\d.]+ s, without [\d.]+ s", seconds)


def test_gpu_check_without_a_gpu(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = ["selection", "descriptor", "decode-rates"]  # the others are in the trials
    checked_without_a_gpu(load("gpu_check"), sections, tmp_path / "out.json", monkeypatch)


def test_gpu_check_wants_a_gpu() -> None:
    command = [sys.executable, str(FOLDER / "gpu_check.py")]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert "torch sees no GPU here" in result.stderr


def test_first_picture(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first_picture = load("first_picture")

    def begun(words: list[str], environment: dict[str, str], every_s: float) -> Any:
        """A command that leaves what is read of one."""
        assert environment["PREFECT_HOME"] != os.environ.get("PREFECT_HOME")
        place, began_s = Path(words[words.index("--store") + 1]).parent, time.time()
        for folder in ("store/runs", "out"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        begin_s = time.perf_counter()
        time.sleep(0.2)
        for name, text in {
            "out/run.json": "",
            "out/report.html": "",
            "store/runs/1.json": json.dumps({"seconds": 0.15, "timings_s": {"index": 0.05}}),
        }.items():
            (place / name).write_text(text)
            os.utime(place / name, (began_s + 0.2,) * 2)
        time.sleep(0.1)
        return first_picture.Watched(time.perf_counter() - begin_s)

    monkeypatch.setattr(first_picture, "watch", begun)
    monkeypatch.setattr(first_picture, "SECONDS", 1)
    options = ["--rounds", "2", "--cases", "again", "ingest"]
    report = run(first_picture, *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    assert set(report["cases"]) == {"again", "ingest"}
    found = report["cases"]["again"]["medians"]["this"]
    assert found["seconds"] == pytest.approx(0.3, abs=0.1)
    assert found["start"] == pytest.approx(0.05, abs=0.03)
    assert found["end"] == pytest.approx(0.1, abs=0.05)
    parts = sum(value for key, value in found.items() if key != "seconds")
    assert parts == pytest.approx(found["seconds"], abs=0.05)


@pytest.mark.usefixtures("server")
def test_clips(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = load("clips")
    assert clips.watched(["--help"], tmp_path)["driver_bytes"] > 0

    def here(arguments: list[str], _: Path) -> dict[str, Any]:
        from coreframe.flows.cli import app

        started = time.perf_counter()
        app(arguments, standalone_mode=False)
        return {
            "seconds": time.perf_counter() - started,
            "driver_bytes": 1,
        }

    monkeypatch.setattr(clips, "watched", here)
    options = ["--clips", "20"]
    report = run(clips, *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    nights = report["nights"]
    assert [night["embedded_frames"] for night in nights.values()] == [80, 80, 0]


def test_facility(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facility = load("facility")
    options = ["--scale", "0.01"]
    report = run(facility, *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    rival, product = report["cases"]["rival"], report["cases"]["product"]
    assert rival["ours"]["sum_of_gaps"] == rival["other"]["sum_of_gaps"]
    assert product["ours"]["pairs"] > 0.5 * product["rows"] ** 2
    assert product["processor_ratio"] > 0
