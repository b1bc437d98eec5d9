"""The benchmarks run, and what they compare is comparable."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def run(script: str, *arguments: str, out: Path) -> dict[str, Any]:
    command = [sys.executable, str(FOLDER / script), "--json", str(out), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert result.returncode == 0, result.stderr
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def test_selection(tmp_path: Path) -> None:
    options = ["--scale", "0.01", "--cases", "video", "--only", "textbook", "2 cores"]
    report = run("selection.py", *options, "--no-scaling", out=tmp_path / "out.json")
    results = report["cases"]["video"]["results"]
    textbook, ours = results["textbook (torch, 2 cores)"], results["coreframe, 2 cores"]
    assert ours["radius"] == pytest.approx(textbook["radius"], rel=0.02)
    assert ours["passes"] < textbook["passes"] == 100
    assert 0 < ours["pairs_share"] <= 1
    assert ours["peak_bytes"] > 0
    assert ours["against_picks"][-1][0] == 100


def test_large_store(tmp_path: Path) -> None:
    options = ["--scale", "0.01", "--studies", "extend", "metrics", "page", "pairs"]
    report = run("large_store.py", *options, out=tmp_path / "out.json")
    for study in report["extend"].values():
        assert study["picks_after"] == 110
        assert study["share"] > 0
    assert report["metrics"]["original"]["exact"]
    assert report["pairs"]["largest_difference"] < 1e-5
    assert report["page"]["pictures"] == report["page"]["chosen"] == 10
    assert 0 < report["page"]["looking_s"] < report["page"]["seconds"]


def test_ingest(tmp_path: Path) -> None:
    options = ["--minutes", "0.05", "--studies", "long", "today", "--videos", str(tmp_path)]
    report = run("ingest.py", *options, out=tmp_path / "out.json")
    long, today = report["long"], report["today"]
    assert long["coreframe"]["frames"] == long["PyAV"]["frames"] == 75
    assert long["coreframe"]["ratio"] > 0
    assert today["coreframe"]["frames"] == today["the script of today"]["frames"] == 75
    assert today["coreframe"]["written_bytes"] > 0


def test_gpu_check_without_a_gpu(tmp_path: Path) -> None:
    sections = ["selection", "descriptor", "models", "simclr", "selection-large", "decoding"]
    options = ["--device", "cpu", "--scale", "0.003", "--only", *sections]
    report = run("gpu_check.py", *options, out=tmp_path / "out.json")
    assert set(report) == {"machine", "scale", "ceilings", *sections}
    assert all("error" not in report[name] for name in sections)
    assert report["selection"]["same"]
    assert report["selection-large"]["picks"] == 200
    assert report["models"]["vit-s/14"]["share_of_float32"] > 0
    assert report["decoding"]["cpu_thread_frames_per_s"] > 0


def test_gpu_check_wants_a_gpu() -> None:
    command = [sys.executable, str(FOLDER / "gpu_check.py")]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert "torch sees no GPU here" in result.stderr


def test_clips(tmp_path: Path) -> None:
    nights = run("clips.py", "--clips", "20", out=tmp_path / "out.json")["nights"]
    assert [night["embedded_frames"] for night in nights.values()] == [80, 80, 0]
    assert all(night["driver_bytes"] > 0 for night in nights.values())
