"""Nights on a bucket whose server loses answers, cuts them and refuses requests."""

import json
from pathlib import Path

import pytest

from coreframe.flows.check import check
from coreframe.flows.choosing import Selecting
from coreframe.flows.curate import curate
from coreframe.flows.parameters import Compute, Ingestion, Sources
from coreframe.tasks.storage.buckets import Bucket
from coreframe.tasks.storage.folders import open_folder
from tests.commands import coreframe
from tests.flaky_proxy import Faults, flaky
from tests.runs import bytes_of
from tests.videos import clips

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("server", "without_page")]

NIGHTS = ("clip-0*", "*")


@pytest.fixture
def uploaded(bucket: str, tmp_path: Path) -> str:
    """Where videos are: eighteen, ten of them known in the first night."""
    folder = clips(tmp_path / "videos", [f"clip-{number:02d}" for number in range(18)])
    videos = open_folder(f"{bucket}/videos")
    for path in folder.iterdir():
        videos.write(path.name, path.read_bytes())
    return videos.name


def left(store: str, out: Path) -> dict[str, bytes]:
    """The bytes of a store and of an output folder, but for what names times, and the lease."""
    bucket = Bucket(store)
    names = [one.name for one in bucket.listed() if not one.name.startswith(("runs/", "lock."))]
    found = {name: bucket.get(name)[0] for name in names if "selection.json" not in name}
    for path, data in bytes_of(out).items():
        if path.suffix in (".png", ".parquet"):
            found[str(path.relative_to(out))] = data
    return found


def nights(videos: str, store: str, out: Path, cluster: str) -> dict[str, bytes]:
    """Two nights of the flow, and a check of the store: what they leave."""
    compute = Compute(cluster=cluster)
    for names in NIGHTS:
        curate(
            store=store,
            out=str(out),
            corpus=Sources(videos=[videos], include=[names]),
            ingestion=Ingestion(block_rows=16),
            selecting=Selecting(name="nightly", proportion=0.3),
            compute=compute,
        )
    check(store=store, compute=compute)
    return left(store, out)


def test_ten_runs_on_a_flaky_bucket_give_the_same_bytes(
    object_store: str,
    bucket: str,
    uploaded: str,
    cluster: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = nights(uploaded, f"{bucket}/well", tmp_path / "well", cluster)
    assert len(wanted) > 50
    for seed in range(10):
        faults = Faults(seed, lost=0.1, cut=0.1, refused=0.2)
        with flaky(object_store, faults) as address, monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", address)
            found = nights(uploaded, f"{bucket}/{seed}", tmp_path / str(seed), cluster)
        print(f"seed {seed}: {faults.asked.total()} requests, {dict(faults.happened)}")
        assert found == wanted, seed
        records = Bucket(f"{bucket}/{seed}/runs")
        for one in records.listed():
            assert json.loads(records.get(one.name)[0])["outcome"] == "completed"


def test_the_command_on_a_flaky_bucket_gives_the_same_bytes(
    object_store: str,
    bucket: str,
    uploaded: str,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In processes of its own: the command and its worker."""
    found = []
    for name, share in {"well": 0.0, "flaky": 0.1}.items():
        faults = Faults(11, lost=share, cut=share, refused=2 * share)
        (tmp_path / name).mkdir()
        with flaky(object_store, faults) as address, monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", address)
            ended = coreframe(
                *("curate", uploaded, "--store", f"{bucket}/{name}", "--block-rows", 16),
                *("--out", "out", "--n-samples", 10, "--include", "clip-0*", "--workers", 1),
                cwd=tmp_path / name,
                server=server,
            )
            assert ended.returncode == 0, ended.stderr
        assert bool(faults.happened["lost"]) == bool(share)
        found.append(left(f"{bucket}/{name}", tmp_path / name / "out"))
    assert found[0] == found[1]
