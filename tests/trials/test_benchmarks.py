"""Benchmarks of which the tests run a part, and those that take longest."""

from pathlib import Path

import pytest

from tests.test_benchmarks import Load, checked_without_a_gpu, cores, load, run

__all__ = ["cores", "load"]

pytestmark = pytest.mark.usefixtures("forked")


def test_large_store(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--scale", "0.01", "--studies", "extend", "metrics", "page", "pairs"]
    large_store = load("large_store")
    report = run(large_store, *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    for study in report["extend"].values():
        assert study["picks_after"] == 110
        assert study["share"] > 0
    assert report["metrics"]["original"]["exact"]
    assert report["pairs"]["largest_difference"] < 1e-5
    assert report["page"]["pictures"] == report["page"]["chosen"] == 10
    assert 0 < report["page"]["looking_s"] < report["page"]["seconds"]


def test_neighbours_of_vectors_without_structure(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("selection")
    options = ["--scale", "0.05", "--cases", "isotropic"]
    report = run(load("neighbours"), *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    for result in report["cases"]["isotropic"]["results"].values():
        assert result["told_off_by"] < 1e-6
        assert result["missed_by"] < 1e-6


def test_facility_location_on_more_rows(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("selection")
    options = ["--scale", "0.1", "--cases", "rival"]
    report = run(load("facility"), *options, out=tmp_path / "out.json", monkeypatch=monkeypatch)
    rival = report["cases"]["rival"]
    assert rival["same_picks"] or report["apricot"]
    assert rival["ours"]["sum_of_gaps"] == pytest.approx(rival["other"]["sum_of_gaps"], rel=1e-6)


def test_gpu_check_without_a_gpu(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections = ["selection", "descriptor", "models", "simclr", "selection-large", "ingest"]
    sections += ["selection-naive", "frames", "decode-rates"]
    out = tmp_path / "out.json"
    report = checked_without_a_gpu(load("gpu_check"), sections, out, monkeypatch)
    assert report["selection-large"]["picks"] == 200
    assert report["selection-naive"]["same_picks"] == 200
    assert report["frames"]["same"]
    assert report["ingest"]["same"]
    assert report["models"]["vit-s/14"]["share_of_float32"] > 0
