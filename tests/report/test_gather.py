"""Small pictures of an output folder's images, and those kept for the next report."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster
from PIL import Image

from coreframe.tasks.output.thumbnails import SIDES_PX, THUMBNAILS, keep_pictures, small_picture
from coreframe.tasks.report.gather import small_pictures

pytestmark = pytest.mark.integration

FILES = pd.Series([f"frames/{number}.png" for number in range(3)])
SIDE = SIDES_PX[0][1]


@pytest.fixture
def client() -> Client:
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    rng = np.random.default_rng(0)
    for file in FILES:
        Image.fromarray(rng.integers(256, size=(36, 64, 3), dtype=np.uint8)).save(tmp_path / file)
    return tmp_path


def pictures_of(out: Path) -> dict[str, bytes]:
    return {file: small_picture(Image.open(out / file), SIDE) for file in FILES}


def test_kept_pictures_are_used_while_their_files_are_as_they_were(
    out: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = small_pictures(client, out, FILES)
    assert made == (pictures_of(out), 3)
    keep_pictures(out / THUMBNAILS, out, made[0], SIDE)
    bytes_before = (out / THUMBNAILS).read_bytes()
    for file in FILES:
        (out / file).touch()  # the same content at another time is the same
    keep_pictures(out / THUMBNAILS, out, made[0], SIDE)
    assert (out / THUMBNAILS).read_bytes() == bytes_before
    with monkeypatch.context() as patch:
        patch.setattr("coreframe.tasks.output.thumbnails.small_picture", lambda *_: b"made again")
        assert small_pictures(client, out, FILES) == made
    Image.new("RGB", (64, 36), "red").save(out / FILES[1])
    (out / FILES[2]).unlink()
    expected = {FILES[0]: made[0][FILES[0]]}
    expected[FILES[1]] = small_picture(Image.open(out / FILES[1]), SIDE)
    assert small_pictures(client, out, FILES)[0] == expected


@pytest.mark.parametrize("content", [b"", b"no parquet", None])
def test_kept_pictures_of_another_size_or_broken_are_made_again(
    out: Path, client: Client, content: bytes | None
) -> None:
    keep_pictures(out / THUMBNAILS, out, dict.fromkeys(FILES, b"another size"), SIDE - 1)
    if content is not None:
        (out / THUMBNAILS).write_bytes(content)
    assert small_pictures(client, out, FILES)[0] == pictures_of(out)
