"""What makes networks faster on a GPU, on the CPU: folding is exact enough, replaying pretended."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from coreframe.tasks.embedders import faster, huggingface, simclr
from coreframe.tasks.embedders.batches import FixedBatches
from coreframe.tasks.embedders.faster import Recording, Replayed, folded, noise
from coreframe.tasks.embedders.huggingface import HuggingFaceEmbedder
from coreframe.tasks.embedders.preparation import Normaliser, Preparation
from coreframe.tasks.embedders.simclr import Checkpoint, Network, SimclrEmbedder
from coreframe.tasks.video.pixels import Framing
from tests.embedders.models import CONV, EXAMPLES, SIDE_PX

CPU = torch.device("cpu")
FOLDED_TOLERANCE = 1e-5
"""Of each number of a vector whose largest is about 1."""


def settled(model: Any) -> Any:
    """A model whose batch norms have seen something, in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values, least in (
                (norm.running_mean, -1.0),
                (norm.running_var, 0.5),
                (norm.weight.data, 0.5),
                (norm.bias.data, -0.5),
            ):
                values.copy_(least + torch.rand(values.shape, generator=generator))
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
def test_a_resnet_without_its_batch_norms_gives_the_same(layer_type: str) -> None:
    config = transformers.ResNetConfig(**CONV, embedding_size=8, layer_type=layer_type)
    model = settled(transformers.ResNetModel(config))
    before = copy.deepcopy(model.state_dict())
    pixels = noise(64).permute(0, 3, 1, 2).float() / 255

    def vectors(some: Any) -> torch.Tensor:
        return some(pixel_values=pixels).pooler_output.flatten(1)

    changed = folded(model, vectors)
    assert norms(model) > norms(changed) == 0
    with torch.inference_mode():
        expected, found = vectors(model), vectors(changed)
    assert expected.abs().max() > 0.1
    assert (found - expected).abs().max() < FOLDED_TOLERANCE * expected.abs().max()
    assert all(torch.equal(model.state_dict()[name], values) for name, values in before.items())


def test_simclr_s_network_without_its_batch_norms_gives_the_same() -> None:
    torch.manual_seed(0)
    network = settled(Network())
    changed = folded(network, lambda some: some.embed(noise(64)))
    assert norms(network) > norms(changed) == 0
    images = torch.cat([noise(64), noise(64).flip(1)])
    with torch.inference_mode():
        assert (changed.embed(images) - network.embed(images)).abs().max() < FOLDED_TOLERANCE


class Crossed(nn.Module):
    """Its modules are not written down in the order in which they are used."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.convolution(torch.relu(self.norm(pixels))))


def test_a_model_that_folding_would_change_stays_as_it_is() -> None:
    crossed, plain = settled(Crossed()), nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()).eval()
    pixels = noise(8).permute(0, 3, 1, 2).float() / 255
    assert folded(crossed, lambda some: some(pixels)) is crossed
    assert folded(plain, lambda some: some(pixels)) is plain


def test_normalising_on_the_cpu_is_what_it_was_and_on_a_gpu_near_it() -> None:
    preparation = Preparation(Framing(8), 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    images = torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8)
    mean = torch.tensor(preparation.mean).reshape(3, 1, 1)
    std = torch.tensor(preparation.std).reshape(3, 1, 1)
    expected = (images.permute(0, 3, 1, 2).float() * preparation.scale - mean) / std
    normaliser = Normaliser(preparation, CPU)
    assert torch.equal(normaliser(images), expected)
    normaliser._at_once = True
    found = normaliser(images)
    assert (found - expected).abs().max() < 1e-6
    assert found.is_contiguous(memory_format=torch.channels_last)


ATTENDING = [name for name in EXAMPLES if "conv" not in name and name not in ("resnet", "swinv2")]


@pytest.mark.parametrize("name", ATTENDING)
def test_attention_is_one_kernel(name: str, tmp_path: Path) -> None:
    """`swinv2` alone has none: its attention compares by angles."""
    EXAMPLES[name].save(tmp_path)
    model = HuggingFaceEmbedder(f"hf:{tmp_path}", None, CPU, 4)._model
    assert model.config._attn_implementation == "sdpa"


# --- replaying, pretended: a recording does what the network does, when it is asked to -----------


class Pretended:
    """CUDA graphs, and a clock by which a replay takes a tenth of what a call takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.replays = 0
        self.recorded: list[int] = []
        self.now_s, self.call_s, self.replay_s, self.wrong_by = 0.0, 0.01, 0.001, 0.0
        self.error: Exception | None = None
        monkeypatch.setattr(faster, "record", self.record)
        monkeypatch.setattr(faster.time, "perf_counter", lambda: self.now_s)
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)

    def network(self, images: torch.Tensor) -> torch.Tensor:
        self.now_s += self.call_s
        return images.float().flatten(1)[:, :5] * 2

    def record(self, network: Callable[..., torch.Tensor], images: torch.Tensor) -> Recording:
        self.recorded.append(len(images))
        if self.error:
            raise self.error
        own = images.clone()
        vectors = network(own)

        def replay() -> None:
            self.replays += 1
            before_s = self.now_s
            vectors.copy_(network(own) + self.wrong_by)
            self.now_s = before_s + self.replay_s

        return Recording(own, replay, vectors)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    return Pretended(monkeypatch)


def pictures(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 4, 4, 3), dtype=torch.uint8)


def same(network: Replayed, made: Pretended, count: int = 8) -> None:
    """Batches give what the network gives, also after the next one has been asked for."""
    batches = [pictures(count) for _ in range(3)]
    vectors = [network(batch) for batch in batches]
    for batch, found in zip(batches, vectors, strict=True):
        assert torch.equal(found, made.network(batch))


def test_a_network_is_recorded_once_and_replayed(pretended: Pretended) -> None:
    network = Replayed(pretended.network)
    network(pictures(8))
    pretended.replays = 0
    same(network, pretended)
    assert pretended.replays == 3
    assert pretended.recorded == [8]


def test_threads_get_their_own_vectors(pretended: Pretended) -> None:
    network = Replayed(pretended.network)
    batches = [pictures(8) for _ in range(60)]
    with ThreadPoolExecutor(4) as pool:
        for batch, found in zip(batches, pool.map(network, batches), strict=True):
            assert torch.equal(found, pretended.network(batch))


@pytest.mark.parametrize(
    ("change", "recorded"),
    [
        ({"error": RuntimeError("operation not permitted when stream is capturing")}, [8]),
        ({"error": torch.OutOfMemoryError("out of memory")}, [8]),
        ({"wrong_by": 1e-3}, [8]),
        ({"replay_s": 0.02}, [8]),
        ({"call_s": 0.2}, []),
    ],
    ids=["not recordable", "no memory for it", "other bits", "slower", "busy without"],
)
def test_what_cannot_be_replayed_or_gains_nothing_is_called(
    change: dict[str, Any], recorded: list[int], pretended: Pretended
) -> None:
    for name, value in change.items():
        setattr(pretended, name, value)
    network = Replayed(pretended.network)
    network(pictures(8))
    pretended.replays = 0
    same(network, pretended)
    assert pretended.replays == 0
    assert pretended.recorded == recorded


def test_memory_that_does_not_suffice_halves_what_is_replayed(pretended: Pretended) -> None:
    whole = pretended.network

    def small_device(images: torch.Tensor) -> torch.Tensor:
        if len(images) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return whole(images)

    network, batches = Replayed(small_device), FixedBatches(16)
    images = pictures(21)
    for _ in range(2):
        assert torch.equal(batches(network, images), whole(images))
    assert pretended.recorded == [4]
    assert pretended.replays > 6


@pytest.mark.parametrize("name", ["resnet", "vit", "siglip"])
def test_an_embedder_as_it_is_made_on_a_gpu(
    name: str, pretended: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folded, normalised at once and replayed it gives the CPU's vectors, but for rounding."""
    EXAMPLES[name].save(tmp_path)
    on_cpu = HuggingFaceEmbedder(f"hf:{tmp_path}", None, CPU, 4)
    with monkeypatch.context() as gpu:
        as_on_gpu(gpu)
        gpu.setattr(huggingface, "_dtype", lambda _: torch.float32)
        on_gpu = HuggingFaceEmbedder(f"hf:{tmp_path}", None, torch.device("cuda"), 4)
    assert on_gpu.fingerprint == on_cpu.fingerprint
    assert isinstance(on_gpu._network, Replayed)
    assert on_gpu._normalised._at_once
    assert norms(on_gpu._model) == 0
    images = torch.randint(0, 256, (6, SIDE_PX, SIDE_PX, 3), dtype=torch.uint8)
    with torch.inference_mode():
        found, expected = on_gpu.embed(images), on_cpu.embed(images)
    assert (found - expected).abs().max() < FOLDED_TOLERANCE
    assert pretended.recorded == [4]


def as_on_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever brings something to a GPU leaves it where it is."""
    to, blank = torch.Tensor.to, torch.zeros

    def here(device: Any) -> Any:
        return CPU if isinstance(device, torch.device) else device

    monkeypatch.setattr(
        torch.Tensor, "to", lambda one, *at, **more: to(one, *map(here, at), **more)
    )
    module_to = nn.Module.to
    monkeypatch.setattr(
        nn.Module, "to", lambda one, *at, **more: module_to(one, *map(here, at), **more)
    )
    monkeypatch.setattr(
        torch, "zeros", lambda *shape, **more: blank(*shape, **more | {"device": CPU})
    )


def test_simclr_as_it_is_made_on_a_gpu(
    pretended: Pretended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    checkpoint = Checkpoint(settled(Network()), 64, 1, 1)
    (tmp_path / simclr.CHECKPOINT).write_bytes(checkpoint.to_bytes())
    on_cpu = SimclrEmbedder(f"simclr:{tmp_path}", None, CPU, 4)
    with monkeypatch.context() as gpu:
        as_on_gpu(gpu)
        on_gpu = SimclrEmbedder(f"simclr:{tmp_path}", None, torch.device("cuda"), 4)
    assert on_gpu.fingerprint == on_cpu.fingerprint
    assert isinstance(on_gpu._embed, Replayed)
    images = torch.randint(0, 256, (6, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        found, expected = on_gpu.embed(images), on_cpu.embed(images)
        assert torch.equal(expected, FixedBatches(4)(checkpoint.network.embed, images))
    assert (found - expected).abs().max() < FOLDED_TOLERANCE


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine")
@pytest.mark.parametrize("name", ["resnet", "vit", "siglip", "swin", "convnext"])
def test_a_recording_does_on_a_gpu_what_the_network_does(name: str, tmp_path: Path) -> None:
    EXAMPLES[name].save(tmp_path)
    ours = HuggingFaceEmbedder(f"hf:{tmp_path}", None, torch.device("cuda"), 8)
    side = ours.framing.side_px
    first, second = torch.randint(0, 256, (2, 8, side, side, 3), dtype=torch.uint8).cuda()
    with torch.inference_mode():
        recording = faster.record(ours._vectors, first)
        for images in (second, first):
            recording.images.copy_(images)
            recording.replay()
            assert torch.equal(recording.vectors, ours._vectors(images))
