"""Tests of contrastive training: the loss is the textbook's, and a seed determines the bytes."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from coreframe.tasks.embedders.simclr import DIM, KIND, Checkpoint
from coreframe.tasks.errors import UsageError
from coreframe.tasks.train import job
from coreframe.tasks.train.contrast import (
    TEMPERATURE,
    TrainingState,
    contrastive_loss,
    new_network,
    train_epoch,
)
from coreframe.tasks.train.frames import Pictures, TrainingFrames
from coreframe.tasks.train.settings import TrainingSettings
from tests.videos import scenes

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(max_epochs=3, batch_size=16, seed=5)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> TrainingFrames:
    """Two videos of 40 frames, a scene each second."""
    images = np.stack([scenes(number, 32, 32) for number in range(80)])
    file = tmp_path_factory.mktemp("frames") / "all.npy"
    np.save(file, images)
    video = np.repeat(np.array([0, 1], np.int32), 40)
    return TrainingFrames((file,), video, np.tile(np.arange(40) / 10, 2))


def trained(
    frames: TrainingFrames, epochs: int, settings: TrainingSettings = SETTINGS
) -> TrainingState:
    state = TrainingState.fresh(new_network(settings.seed))
    for _ in range(epochs):
        state = train_epoch(state, frames, settings, CPU)
    return state


def content(state: TrainingState) -> bytes:
    return Checkpoint(state.network, 32, len(state.losses), 80).to_bytes()


def test_loss_is_the_textbook_s() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = normalize(torch.rand(12, 5, generator=generator, dtype=torch.float64) - 0.5)
    left_out = torch.rand(12, 12, generator=generator) < 0.3
    left_out |= left_out.T.clone()
    terms = []
    for i in range(12):
        partner = (i + 6) % 12
        like = [math.exp(float(vectors[i] @ vectors[j]) / TEMPERATURE) for j in range(12)]
        others = [j for j in range(12) if j != i and (j == partner or not left_out[i, j])]
        terms.append(-math.log(like[partner] / sum(like[j] for j in others)))
    assert contrastive_loss(vectors, left_out).item() == pytest.approx(sum(terms) / 12)


def test_all_pairs_undecided_is_no_error() -> None:
    vectors = normalize(torch.rand(8, 3, generator=torch.Generator().manual_seed(0)))
    assert contrastive_loss(vectors, torch.ones(8, 8, dtype=torch.bool)).item() == 0


def test_training_teaches(frames: TrainingFrames) -> None:
    settings = TrainingSettings(max_epochs=12, batch_size=16, seed=1)
    state = trained(frames, 12, settings)
    assert state.losses[-1] < 0.8 * state.losses[0]
    images = frames.open()[np.arange(80)]
    with torch.inference_mode():
        vectors = state.network.eval().embed(images)
    assert vectors.shape == (80, DIM)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(80))
    distance = torch.cdist(vectors, vectors)
    scene = torch.arange(80) // 10
    same = (scene[:, None] == scene[None, :]) & ~torch.eye(80, dtype=torch.bool)
    assert distance[same].mean() < 0.5 * distance[scene[:, None] != scene[None, :]].mean()


def test_a_seed_determines_every_byte(frames: TrainingFrames) -> None:
    one = content(trained(frames, 2))
    assert one == content(trained(frames, 2))
    assert one != content(trained(frames, 2, TrainingSettings(3, 16, seed=6)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU on this machine")
def test_a_seed_determines_every_byte_on_a_gpu(frames: TrainingFrames) -> None:
    settings = TrainingSettings(max_epochs=2, batch_size=16, seed=5)
    found = []
    for _ in range(2):
        state = job.begin(None, settings, "cuda")
        for _ in range(2):
            state = job.epoch(state, frames, settings, "cuda")
        found.append(job.finish(state, len(frames), 32).checkpoint)
    assert found[0] == found[1]


def test_an_epoch_leaves_what_it_began_with_as_it_was(frames: TrainingFrames) -> None:
    """A worker may die in the next epoch, and another begin it again."""
    before = trained(frames, 1)
    kept = content(before)
    once = train_epoch(before, frames, SETTINGS, CPU)
    assert content(before) == kept
    again = train_epoch(before, frames, SETTINGS, CPU)
    travelled = train_epoch(pickle.loads(pickle.dumps(before)), frames, SETTINGS, CPU)
    assert content(once) == content(again) == content(travelled)
    assert once.losses[:1] == before.losses
    assert len(once.losses) == 2


def test_torch_s_own_generator_is_left_alone(frames: TrainingFrames) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    trained(frames, 1)
    assert torch.equal(torch.rand(3), expected)


def test_every_frame_is_shown_once_an_epoch(
    frames: TrainingFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    sizes = []
    original = Pictures.__getitem__

    def noted(self: Pictures, places: np.ndarray) -> torch.Tensor:
        shown.extend(places[: len(places) // 2].tolist())
        sizes.append(len(places) // 2)
        return original(self, places)

    monkeypatch.setattr(Pictures, "__getitem__", noted)
    trained(frames, 1, TrainingSettings(max_epochs=1, batch_size=19))
    assert sorted(shown) == list(range(80))
    assert sizes == [16] * 5


def test_fewer_frames_than_a_batch(frames: TrainingFrames) -> None:
    settings = TrainingSettings(max_epochs=1, batch_size=4096)
    assert math.isfinite(trained(frames, 1, settings).losses[0])


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (None, "was not written by this version"),
        ({"coreframe": '{"kind": "simclr 0"}'}, "was not written by this version"),
        ({"coreframe": "no JSON"}, "cannot be read as a checkpoint"),
        ({"coreframe": "[]"}, "cannot be read as a checkpoint"),
        ({"coreframe": f'{{"kind": "{KIND}"}}'}, "cannot be read as a checkpoint"),
    ],
)
def test_what_is_no_checkpoint(
    metadata: dict[str, str] | None, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.safetensors"
    save_file(new_network(0).state_dict(), file, metadata)
    with pytest.raises(UsageError, match=sentence):
        Checkpoint.read(str(tmp_path))
    save_file({"other": torch.zeros(1)}, file, metadata)
    with pytest.raises(UsageError, match=r"was not written|cannot be read"):
        Checkpoint.read(str(tmp_path))


def test_checkpoint_round_trip(frames: TrainingFrames, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(content(trained(frames, 1)))
    read = Checkpoint.read(str(tmp_path))
    assert (read.input_px, read.epochs, read.frames) == (32, 1, 80)
    assert read.to_bytes() == (tmp_path / "checkpoint.safetensors").read_bytes()
    assert (
        Checkpoint.read(str(tmp_path / "checkpoint.safetensors")).fingerprint()
        == read.fingerprint()
    )
