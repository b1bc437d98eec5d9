"""What is embedded and exported of deep, of HDR and of interlaced videos, however it is cut."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from coreframe.tasks.embed.plan import PartLimits
from coreframe.tasks.export.job import ExportJob, export_job
from coreframe.tasks.output.exported import Exported
from coreframe.tasks.output.images import ImageFormat, PictureSettings
from coreframe.tasks.report.job import FrameJob, ImageJob, shrink_frames, shrink_images
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.tone_map import HLG, PQ, tone_map
from tests.ffmpeg_command import frames_of, interlaced
from tests.runs import content, ingest
from tests.videos import Recipe, make

SMALL_PARTS = PartLimits(most_frames=3, unseekable_frames=3)


def exported(store: Store, folder: Path, form: ImageFormat = ImageFormat.PNG) -> Exported:
    """Write every third frame of a store's only video."""
    (video,) = store.read_catalogue().videos
    frames = store.frames().iloc[::3]
    folder.mkdir()
    job = ExportJob(
        store=store.path,
        video=video.video,
        source=video.source,
        fingerprint=video.fingerprint,
        frame_index=tuple(frames["frame_index"].tolist()),
        digest=tuple(frames["digest"].tolist()),
        targets=tuple(str(folder / f"{number:04d}.{form}") for number in frames["frame_index"]),
        measure=(True,) * len(frames),
        viewing=store.settings.viewing,
        picture=PictureSettings(format=form),
        small_px=40,
    )
    done = export_job(job)
    assert not done.failures
    assert all(done.sample)
    return done


def thermal(number: int, width: int, height: int) -> np.ndarray:
    """A small part of the range, as thermal cameras give it."""
    ramp = np.linspace(0, 900, width)[None] + np.linspace(0, 300, height)[:, None]
    return (29_000 + 40 * number + ramp).astype(np.uint16)


def thermal_video(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=9)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "gray16le"
        for number in range(9):
            frame = av.VideoFrame.from_ndarray(thermal(number, 96, 64), format="gray16le")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_no_level_of_a_thermal_picture_is_lost(tmp_path: Path, cluster: str) -> None:
    store, _ = ingest([thermal_video(tmp_path / "thermal.mkv")], tmp_path / "s", cluster)
    done = exported(store, tmp_path / "png")
    for number in (0, 3, 6):
        with Image.open(tmp_path / "png" / f"{number:04d}.png") as image:
            assert image.mode == "I;16"
            assert np.array_equal(np.asarray(image), thermal(number, 96, 64))
    paths = tuple(sorted(done.small))
    assert shrink_images(ImageJob(paths, 40)) == done.small  # of the file, the same
    exported(store, tmp_path / "jpg", ImageFormat.JPG)
    with Image.open(tmp_path / "jpg" / "0000.jpg") as image:
        assert image.mode == "RGB"
        assert abs(int(np.asarray(image).mean()) - 115) <= 2


def test_ten_bits_are_exported_as_the_ffmpeg_command_does(tmp_path: Path, cluster: str) -> None:
    path = make(Recipe("ten.mp4", pixel_format="yuv420p10le", frames=9), tmp_path)
    store, _ = ingest([path], tmp_path / "s", cluster)
    done = exported(store, tmp_path / "png")
    seen = frames_of(path, "rgb48le", (96, 64))
    for number in (0, 3, 6):
        with av.open(str(tmp_path / "png" / f"{number:04d}.png")) as container:
            (frame,) = container.decode(video=0)
            mine = frame.reformat(format="rgb48le").to_ndarray()
        assert np.array_equal(mine.view(np.uint8).ravel(), seen[number])
    assert shrink_images(ImageJob(tuple(sorted(done.small)), 40)) == done.small


@pytest.mark.parametrize(("name", "transfer"), [("smpte2084", PQ), ("arib-std-b67", HLG)])
def test_high_dynamic_range_is_tone_mapped_unless_told_not_to(
    name: str, transfer: int, tmp_path: Path, cluster: str
) -> None:
    tags = f"colorprim=bt2020:transfer={name}:colormatrix=bt2020nc"
    recipe = Recipe("hdr.mp4", pixel_format="yuv420p10le", frames=9, options={"x264-params": tags})
    path = make(recipe, tmp_path)
    on, _ = ingest([path], tmp_path / "on", cluster)
    off, _ = ingest([path], tmp_path / "off", cluster, tone_map="off")
    (video,) = on.read_catalogue().videos
    assert (video.color_transfer, video.color_primaries) == (name, "bt2020")
    assert not np.array_equal(content(on)[1], content(off)[1])
    exported(on, tmp_path / "png-on")
    exported(off, tmp_path / "png-off")
    plain = frames_of(path, "rgb48le", (96, 64))
    for number in (0, 3, 6):
        flat = plain[number].view(np.uint16).reshape(64, 96, 3)
        with Image.open(tmp_path / "png-on" / f"{number:04d}.png") as image:
            assert np.array_equal(np.asarray(image), tone_map(flat, transfer))
        with Image.open(tmp_path / "png-off" / f"{number:04d}.png") as image:
            assert np.array_equal(np.asarray(image), flat >> 8)


def test_whole_pictures_are_the_same_however_a_video_is_cut(tmp_path: Path, cluster: str) -> None:
    options = "tff=1:bframes=2:keyint=4:scenecut=0"
    path = interlaced(tmp_path / "tff.mp4", "libx264", "-x264-params", options)
    asked = {"deinterlace": "on"}
    one, _ = ingest([path], tmp_path / "one", cluster, **asked)
    cut, _ = ingest([path], tmp_path / "cut", cluster, block_rows=5, limits=SMALL_PARTS, **asked)
    sparse, _ = ingest([path], tmp_path / "sparse", cluster, every=3, **asked)
    plain, _ = ingest([path], tmp_path / "plain", cluster)
    (frames, vectors), (_, cut_vectors) = content(one), content(cut)
    assert np.array_equal(vectors, cut_vectors)
    assert np.array_equal(vectors[::3], content(sparse)[1])
    assert not np.array_equal(vectors, content(plain)[1])
    combed = content(plain)[0]
    assert frames["digest"].tolist() == combed["digest"].tolist()  # of what was decoded
    assert frames["sharpness"].mean() < combed["sharpness"].mean()
    done = exported(one, tmp_path / "png")
    whole = frames_of(path, "rgb24", (96, 64), "-vf", "yadif=deint=interlaced,scale=flags=bicubic")
    for number in (0, 3, 24):
        with Image.open(tmp_path / "png" / f"{number:04d}.png") as image:
            assert np.array_equal(np.asarray(image).ravel(), whole[number])
    (video,) = one.read_catalogue().videos
    rows = frames.iloc[::3]
    job = FrameJob(
        one.path,
        video.source,
        video.fingerprint,
        tuple(rows["row"].tolist()),
        tuple(rows["frame_index"].tolist()),
        tuple(rows["digest"].tolist()),
        one.settings.viewing,
        40,
    )
    assert sorted(shrink_frames(job).values()) == sorted(done.small.values())
    assert video.interlaced == "tff"
    (told,) = plain.read_catalogue().videos
    assert "--deinterlace on" in told.note


def test_a_matrix_that_cannot_be_converted_makes_no_pending_video(
    tmp_path: Path, cluster: str
) -> None:
    shapes = {"bt2020c": "broken", "YCgCo": "ok"}
    for matrix in shapes:
        recipe = Recipe(f"{matrix}.mp4", pixel_format="yuv444p", frames=4)
        make(replace(recipe, options={"x264-params": f"colormatrix={matrix}"}), tmp_path / "in")
    store, _ = ingest([tmp_path / "in"], tmp_path / "s", cluster)
    held = {Path(video.path).stem: video for video in store.read_catalogue().videos}
    assert {name: str(video.state) for name, video in held.items()} == shapes
    assert "BT.2020 constant luminance, matrix coefficients 10" in held["bt2020c"].reason
