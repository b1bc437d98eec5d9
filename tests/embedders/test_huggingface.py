"""Tests of `hf:`: the vectors are those of transformers, and what cannot be right is refused."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import interpolate, normalize

from coreframe.tasks.embedders.embedder import (
    EmbedderSpec,
    embed_images,
    embedder_facts,
    load_embedder,
)
from coreframe.tasks.embedders.huggingface import FAMILIES, HuggingFaceEmbedder
from coreframe.tasks.embedders.preparation import Preparation
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.scale import SCALE
from coreframe.tasks.video.pixels import Framing, InputScaler, upright_rgb
from tests.embedders.models import EXAMPLES, SIDE_PX, rewrite
from tests.videos import scenes

CPU = torch.device("cpu")

PIXELS_TOLERANCE = 2.0
"""Mean difference of prepared pixels, in grey levels: libswscale's kernels are not Pillow's."""

VECTOR_TOLERANCE = 1e-5
"""Of each number of a unit vector, given the same pixels."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    for name, example in EXAMPLES.items():
        example.save(folder / name)
    return {name: folder / name for name in EXAMPLES}


def embedder(folder: Path, input_px: int | None = None, batch_size: int = 4) -> HuggingFaceEmbedder:
    return HuggingFaceEmbedder(f"hf:{folder}", input_px, CPU, batch_size)


def blobs(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: soft spots of all colours, the same picture at every size."""
    spots = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    picture = interpolate(spots, (height, width), mode="bicubic").clamp(0, 1) * 255
    return picture.to(torch.uint8)[0].permute(1, 2, 0).contiguous().numpy()


def pictures(side_px: int, count: int = 6) -> np.ndarray:
    return np.stack([scenes(10 * number, side_px, side_px) for number in range(count)])


def test_every_family_has_an_example() -> None:
    assert {name.split()[0] for name in EXAMPLES} == set(FAMILIES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_vectors_are_those_of_transformers(name: str, saved: dict[str, Path]) -> None:
    example, ours = EXAMPLES[name], embedder(saved[name])
    images = pictures(ours.framing.side_px)
    with torch.inference_mode():
        vectors = ours.embed(torch.from_numpy(images))
    assert vectors.shape == (len(images), ours.dim)

    model = getattr(transformers, architecture(saved[name])).from_pretrained(saved[name]).eval()
    pixels = example.image_processor()(
        list(images), do_resize=False, do_center_crop=False, return_tensors="pt"
    )["pixel_values"]
    with torch.inference_mode():
        expected = normalize(example.vectors(model, pixels))
    assert (vectors - expected).abs().max() < VECTOR_TOLERANCE
    apart = torch.cdist(expected, expected).fill_diagonal_(2).min()
    assert apart > 1000 * VECTOR_TOLERANCE, "the model is blind, so this test would be"


def architecture(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text())["architectures"][0]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("pixel_format", ["yuv444p", "yuv420p"])
@pytest.mark.parametrize("size", [(480, 270), (90, 160)], ids=["wide", "tall"])
def test_pictures_are_prepared_as_the_model_s_processor_does(
    name: str, pixel_format: str, size: tuple[int, int], saved: dict[str, Path]
) -> None:
    framing = embedder(saved[name]).framing
    frame = av.VideoFrame.from_ndarray(blobs(*size), "rgb24").reformat(format=pixel_format)
    small = InputScaler(framing)(frame)
    processor = EXAMPLES[name].image_processor()
    done = processor(
        upright_rgb(frame).copy(), do_rescale=False, do_normalize=False, return_tensors="np"
    )
    expected = done["pixel_values"][0].transpose(1, 2, 0).astype(float)
    assert small.shape == expected.shape == (framing.side_px, framing.side_px, 3)
    enlarged = framing.side_px > min(size)  # chroma at half the size is spread in other ways
    difference = np.abs(small - expected).mean()
    assert difference < (3 * PIXELS_TOLERANCE if enlarged else PIXELS_TOLERANCE)
    assert np.abs(small[:, ::-1] - expected).mean() > 10 * difference


@pytest.mark.parametrize("name", EXAMPLES)
def test_vectors_do_not_depend_on_company(name: str, saved: dict[str, Path]) -> None:
    ours = embedder(saved[name])
    images = torch.from_numpy(pictures(ours.framing.side_px, 9))
    with torch.inference_mode():
        together = ours.embed(images)
        alone = torch.cat([ours.embed(images[place : place + 1]) for place in range(9)])
        turned = ours.embed(images.flip(0)).flip(0)
    assert torch.equal(together, alone)
    assert torch.equal(together, turned)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if "projection" not in name])
def test_other_input_sizes(name: str, saved: dict[str, Path]) -> None:
    usual, larger = embedder(saved[name]), embedder(saved[name], 2 * SIDE_PX)
    assert larger.framing.side_px == 2 * SIDE_PX
    for attribute in ("shorter_px", "squashed_px"):
        whole = getattr(usual.framing, attribute)
        scaled = whole and round(whole * 2 * SIDE_PX / usual.framing.side_px)
        assert getattr(larger.framing, attribute) == scaled
    assert usual.fingerprint != larger.fingerprint
    with torch.inference_mode():
        vectors = larger.embed(torch.from_numpy(pictures(2 * SIDE_PX)))
    assert torch.cdist(vectors, vectors).fill_diagonal_(2).min() > 0.01


def test_input_size_below_a_patch_is_refused(saved: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"cannot embed a picture of 4 x 4 px.*--input-size"):
        embedder(saved["vit"], 4)


def test_fingerprint_is_of_weights_and_preparation(saved: dict[str, Path], tmp_path: Path) -> None:
    before = embedder(saved["vit"]).fingerprint
    copy = tmp_path / "copy"
    shutil.copytree(saved["vit"], copy)
    assert embedder(copy, batch_size=7).fingerprint == before
    rewrite(copy / "preprocessor_config.json", resample=3)
    prepared = embedder(copy).fingerprint
    model = transformers.AutoModel.from_pretrained(copy)
    model.layernorm.bias.data[0] += 1e-3
    model.save_pretrained(copy)
    assert len({before, prepared, embedder(copy).fingerprint}) == 3


def test_memory_that_does_not_suffice_halves_the_batch(saved: dict[str, Path]) -> None:
    ours = embedder(saved["resnet"], batch_size=16)
    images = torch.from_numpy(pictures(SIDE_PX, 10))
    with torch.inference_mode():
        expected = ours.embed(images)
    sizes = []
    network = ours._model.forward

    def small_device(pixel_values: torch.Tensor) -> object:
        sizes.append(len(pixel_values))
        if len(pixel_values) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return network(pixel_values)

    ours._model.forward = small_device
    with torch.inference_mode():
        vectors = ours.embed(images)
        ours.embed(images[:3])
    assert sizes == [16, 8, 4, 4, 4, 4]
    assert torch.allclose(vectors, expected, atol=VECTOR_TOLERANCE)
    ours._model.forward = lambda pixel_values: small_device(pixel_values.repeat(5, 1, 1, 1))
    with torch.inference_mode(), pytest.raises(torch.OutOfMemoryError):
        ours.embed(images)


def test_unit_vectors_on_the_lattice(saved: dict[str, Path]) -> None:
    spec = EmbedderSpec(f"hf:{saved['dinov2']}", device="cpu", batch_size=4)
    vectors = embed_images(load_embedder(spec), list(pictures(SIDE_PX)), CPU)
    assert vectors.dtype == np.int16
    lengths = np.linalg.norm(vectors.astype(float), axis=1)
    assert np.abs(lengths - SCALE).max() < 0.5 * vectors.shape[1] ** 0.5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine")
@pytest.mark.parametrize("name", EXAMPLES)
def test_near_the_cpu_s_vectors_on_a_gpu(name: str, saved: dict[str, Path]) -> None:
    on_cpu = embedder(saved[name])
    on_gpu = HuggingFaceEmbedder(f"hf:{saved[name]}", None, torch.device("cuda"), 4)
    assert on_gpu.fingerprint == on_cpu.fingerprint
    images = torch.from_numpy(pictures(on_cpu.framing.side_px))
    with torch.inference_mode():
        expected, found = on_cpu.embed(images), on_gpu.embed(images.cuda()).cpu()
    assert (found - expected).norm(dim=1).max() < 0.1  # bfloat16 has eight bits


# --- what is refused -----------------------------------------------------------------------


@pytest.fixture
def broken(saved: dict[str, Path], tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    shutil.copytree(saved["vit"], folder)
    return folder


def test_pickled_weights_are_not_read(broken: Path) -> None:
    model = transformers.AutoModel.from_pretrained(broken)
    (broken / "model.safetensors").unlink()
    torch.save(model.state_dict(), broken / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"no model\.safetensors.*run any code.*save_pretrained"):
        embedder(broken)


def test_weights_that_are_not_there_are_not_made_up(broken: Path) -> None:
    rewrite(broken / "config.json", num_hidden_layers=3)
    with pytest.raises(UsageError, match=r"lacks 1. weights that a AutoModel has, layers\.2\."):
        embedder(broken)
    rewrite(broken / "config.json", num_hidden_layers=2, intermediate_size=40)
    with pytest.raises(UsageError, match=r"lacks \d+ weights"):
        embedder(broken)


def test_torn_weights(broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UsageError, match="cannot be loaded: "):
        embedder(broken)


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        ("config.json", {"model_type": "bert"}, "of type bert, .* use one of clip, .*vit"),
        ("preprocessor_config.json", {"size": {"height": 32, "width": 48}}, "no squares"),
        ("preprocessor_config.json", {"resample": 5}, "resamples by 5"),
        ("preprocessor_config.json", {"rescale_factor": None}, "float"),
        ("preprocessor_config.json", {"image_mean": [0.5]}, "not enough values"),
        ("preprocessor_config.json", {"size": "large"}, "image processor can"),
        ("preprocessor_config.json", {"image_processor_type": "New"}, "cannot be made"),
        (
            "preprocessor_config.json",
            {"do_center_crop": True, "crop_size": {"height": 64, "width": 64}},
            "crops to",
        ),
    ],
)
def test_models_that_do_not_fit(
    file: str, settings: dict[str, object], message: str, broken: Path
) -> None:
    rewrite(broken / file, **settings)
    with pytest.raises(UsageError, match=message):
        embedder(broken)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_missing_and_mangled_settings(file: str, broken: Path) -> None:
    (broken / file).write_text("{")
    with pytest.raises(UsageError, match=f"{file} is not JSON"):
        embedder(broken)
    (broken / file).unlink()
    with pytest.raises(UsageError, match=f"no readable {file}"):
        embedder(broken)


def test_code_of_a_model_is_not_run(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass Mine: pass\n"
    (broken / "mine.py").write_text(code)
    entry = {"auto_map": {"AutoImageProcessor": "mine.Mine", "AutoModel": "mine.Mine"}}
    rewrite(broken / "preprocessor_config.json", image_processor_type="Mine", **entry)
    rewrite(broken / "config.json", **entry)
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(UsageError, match="its image processor cannot be made"):
        embedder(broken)
    assert not list(broken.rglob("ran"))


def test_settings_as_old_and_new_files_have_them(saved: dict[str, Path], tmp_path: Path) -> None:
    """Sizes of one number; all of a processor in one file; ConvNeXt's share not given."""

    def framing(name: str, **settings: object) -> Framing:
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(saved[name], folder)
        rewrite(folder / "preprocessor_config.json", **settings)
        return Preparation.read(name, folder).framing

    assert framing("vit", size=48) == Framing(48, squashed_px=48, resampling="bilinear")
    clip = framing("clip", size=64, crop_size=48)
    assert clip == Framing(48, shorter_px=64, resampling="bicubic")
    for pct in (None, 0.875):
        for size, whole in ((96, 109), (384, None)):
            found = framing("convnext", size={"shortest_edge": size}, crop_pct=pct)
            assert found == Framing(size, shorter_px=whole, resampling="bicubic")

    folder = tmp_path / "whole"
    shutil.copytree(saved["siglip"], folder)
    alone = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": alone}))
    assert embedder(folder).framing == embedder(saved["siglip"]).framing


def test_dinov3_s_own_settings(saved: dict[str, Path], tmp_path: Path) -> None:
    """Its processor cannot be made without torchvision."""
    folder = tmp_path / "dinov3"
    shutil.copytree(saved["dinov3_vit"], folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({"image_processor_type": "DINOv3ViTImageProcessorFast"}))
    usual = embedder(folder)._preparation
    assert usual.framing == Framing(224, squashed_px=224, resampling="bilinear")
    assert usual.mean == (0.485, 0.456, 0.406)
    assert usual.scale == 1 / 255
    rewrite(path, size={"height": 64, "width": 64}, image_mean=0.5, resample=3)
    other = embedder(folder)._preparation
    assert other.framing == Framing(64, squashed_px=64, resampling="bicubic")
    assert other.mean == (0.5, 0.5, 0.5)


def test_vectors_that_are_not_finite_are_refused(broken: Path) -> None:
    model = transformers.AutoModel.from_pretrained(broken, add_pooling_layer=False)
    model.layernorm.bias.data[0] = torch.nan
    model.save_pretrained(broken)
    spec = EmbedderSpec(f"hf:{broken}", device="cpu", batch_size=4)
    with pytest.raises(CoreframeError, match=r"not finite.*--device cpu"):
        embed_images(load_embedder(spec), list(pictures(SIDE_PX)), CPU)


def test_facts_follow_the_files(broken: Path) -> None:
    spec = EmbedderSpec(f"hf:{broken}", device="cpu")
    before = embedder_facts(spec)
    assert embedder_facts(spec) is before
    rewrite(broken / "preprocessor_config.json", resample=3)
    assert embedder_facts(spec).fingerprint != before.fingerprint


@pytest.mark.integration
def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    code = """
        import torch
        from coreframe.tasks.embedders.huggingface import HuggingFaceEmbedder
        HuggingFaceEmbedder("hf:somebody/model", None, torch.device("cpu"), 4)
    """
    lines = [line.strip() for line in code.splitlines()]
    ended = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "PYTHONPATH": "."},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert "cannot be fetched from the hub" in ended.stderr.splitlines()[-1]
    assert "hf download somebody/model --local-dir FOLDER" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["no/such/folder", "with spaces"])
def test_what_is_neither_folder_nor_id(name: str) -> None:
    with pytest.raises(UsageError, match="neither a folder here nor the name of a model"):
        HuggingFaceEmbedder(f"hf:{name}", None, CPU, 4)


def test_no_name() -> None:
    with pytest.raises(UsageError, match="names no model"):
        HuggingFaceEmbedder("hf:", None, CPU, 4)


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch, saved: dict[str, Path]) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        UsageError, match=r"transformers is not installed.*pip install 'coreframe\[hf\]'"
    ):
        embedder(saved["vit"])


def test_framing_of_tall_and_wide_pictures() -> None:
    framing = Framing(224, shorter_px=256)
    assert framing.scaled_px(1920, 1080) == (455, 256)
    assert framing.scaled_px(1080, 1920) == (256, 455)
    assert Framing(224, squashed_px=256).scaled_px(1920, 1080) == (256, 256)
    assert Framing(224).scaled_px(1, 1000) == (224, 224)
