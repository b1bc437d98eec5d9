"""Nights on a bucket whose server loses answers, cuts them and refuses requests."""

from pathlib import Path

import pytest

from coreframe.tasks.storage.buckets import Bucket
from coreframe.tasks.storage.folders import open_folder
from tests.commands import coreframe
from tests.flaky_proxy import Faults, flaky
from tests.runs import bytes_of
from tests.videos import clips

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

SEEDS = 10


def two_nights(bucket: str, store: str, out: Path, server: str) -> dict[str, bytes]:
    """What two nights of the command leave in a store and an output folder."""
    out.mkdir()
    common = ["--store", store, "--name", "nightly", "--proportion", "0.3", "--block-rows", "16"]
    for names in ("clip-0*", "*"):
        ended = coreframe(
            *("curate", f"{bucket}/videos", "--include", names, *common, "--out", "out"),
            cwd=out,
            server=server,
        )
        assert ended.returncode == 0, ended.stderr
    ended = coreframe("check", "--store", store, cwd=out, server=server)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ended = coreframe(
        *("select", "--store", store, "--n-samples", 20, "--out", "again"), cwd=out, server=server
    )
    assert ended.returncode == 0, ended.stderr
    found = {}
    for folder in ("out", "again"):
        for path, data in bytes_of(out / folder).items():
            if path.suffix in (".png", ".parquet"):
                found[str(path.relative_to(out))] = data
    return found


def stored(store: str) -> dict[str, bytes]:
    """What a store holds, but for records, which name times, and the lease."""
    bucket = Bucket(store)
    names = [one.name for one in bucket.listed()]
    told = ("runs/", "lock.json")
    kept = [name for name in names if not name.startswith(told) and "selection.json" not in name]
    return {name: bucket.get(name)[0] for name in kept}


def test_ten_runs_on_a_flaky_bucket_give_the_same_bytes(
    object_store: str,
    bucket: str,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = clips(tmp_path / "videos", [f"clip-{number:02d}" for number in range(18)])
    videos = open_folder(f"{bucket}/videos")
    for path in folder.iterdir():
        videos.write(path.name, path.read_bytes())
    wanted = two_nights(bucket, f"{bucket}/well", tmp_path / "well", server)
    wanted_store = stored(f"{bucket}/well")
    assert len(wanted) > 30
    assert len(wanted_store) > 10
    for seed in range(SEEDS):
        faults = Faults(seed, lost=0.1, cut=0.1, refused=0.2)
        with flaky(object_store, faults) as address, monkeypatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", address)
            found = two_nights(bucket, f"{bucket}/{seed}", tmp_path / str(seed), server)
        print(f"seed {seed}: {faults.asked.total()} requests, {dict(faults.happened)}")
        assert found == wanted, seed
        assert stored(f"{bucket}/{seed}") == wanted_store, seed
