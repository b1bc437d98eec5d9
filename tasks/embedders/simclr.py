"""`simclr`: a small convolutional network trained on the corpus itself, by ``coreframe train``.

A residual network of 18 layers (He et al. 2016) for pictures of some 64 px: a 3 x 3 stem instead of
7 x 7, and half the channels. What training adds on top, the projection, is not used for embedding,
as in SimCLR (Chen et al. 2020). Beside the last stage's features, the vector has those of the stage
before, which training has made less forgetful of layout and colour.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from coreframe.tasks.embedders.batches import FixedBatches
from coreframe.tasks.embedders.faster import Network as AnyNetwork
from coreframe.tasks.embedders.faster import Replayed, folded, noise
from coreframe.tasks.embedders.names import SIMCLR
from coreframe.tasks.errors import UsageError
from coreframe.tasks.video.pixels import Framing

KIND = "simclr 1"
"""Format of the checkpoint, and version of what is computed with it."""

CHECKPOINT = "checkpoint.safetensors"

DEFAULT_INPUT_PX = 64
WIDTHS = (32, 64, 128, 256)
DIM = WIDTHS[-2] + WIDTHS[-1]
PROJECTED = 128
"""Numbers of the projection, on which the training's loss is."""


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(inputs, outputs, 3, stride),
            nn.ReLU(inplace=True),
            _convolution(outputs, outputs, 3, 1),
        )
        changes = stride != 1 or inputs != outputs
        self.around = _convolution(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(features) + self.around(features))


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Network(nn.Module):
    """Stem, four stages of two residual blocks each, and the projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(3, WIDTHS[0], 3, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                Residual(inputs, outputs, 1 if inputs == outputs else 2),
                Residual(outputs, outputs, 1),
            )
            for inputs, outputs in zip(WIDTHS[:1] + WIDTHS, WIDTHS, strict=False)
        )
        self.projection = nn.Sequential(
            nn.Linear(WIDTHS[-1], WIDTHS[-1]),
            nn.ReLU(inplace=True),
            nn.Linear(WIDTHS[-1], PROJECTED),
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(n, 3, side, side) float, see :func:`as_pixels`, to (n, PROJECTED)."""
        return self.projection(self._pooled(pixels)[-1])

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """(n, side, side, 3) uint8 RGB to (n, DIM) float32 unit vectors."""
        pooled = self._pooled(as_pixels(images))[-2:]
        return nn.functional.normalize(torch.cat([nn.functional.normalize(p) for p in pooled], 1))

    def _pooled(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Mean features of each stage, (n, its width)."""
        pooled, features = [], self.stem(pixels)
        for stage in self.stages:
            features = stage(features)
            pooled.append(features.mean((2, 3)))
        return pooled


def as_pixels(images: torch.Tensor) -> torch.Tensor:
    """(n, side, side, 3) uint8 RGB to (n, 3, side, side) float32 from -1 to 1, channels last."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(frozen=True)
class Checkpoint:
    """What training leaves behind.

    Attributes:
        network: in evaluation mode, on the CPU.
        input_px: side of the pictures it was trained on.
        epochs: for which it was trained last.
        frames: on which.
    """

    network: Network
    input_px: int
    epochs: int
    frames: int

    def to_bytes(self) -> bytes:
        """The content of a safetensors file; the same for the same checkpoint."""
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        known = {"kind": KIND, "input_px": self.input_px}
        known |= {"epochs": self.epochs, "frames": self.frames}
        # one entry: safetensors writes several in any order
        return save(tensors, {"coreframe": json.dumps(known)})

    def fingerprint(self) -> str:
        """Of the embedder that it makes."""
        return f"simclr-{hashlib.sha256(self.to_bytes()).hexdigest()[:32]}"

    @classmethod
    def read(cls, place: str) -> "Checkpoint":
        """Read one.

        Args:
            place: the file, or the folder that training wrote it to.

        Raises:
            UsageError: there is none, or it is another's.
        """
        path = checkpoint_path(place)
        network = Network()
        try:
            with safe_open(path, "pt") as file:
                known = json.loads((file.metadata() or {}).get("coreframe", "{}"))
                if known.pop("kind", None) != KIND:
                    raise UsageError(
                        f"{path} was not written by this version's `coreframe train`: train anew."
                    )
                names = file.keys()
                network.load_state_dict({name: file.get_tensor(name) for name in names})
            return cls(network.eval(), **known)
        except UsageError:
            raise
        except OSError as error:
            raise UsageError(
                f"no checkpoint at {path} ({error.strerror or 'not found'}): make one with "
                "`coreframe train --store STORE --out FOLDER`."
            ) from error
        except (SafetensorError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{path} cannot be read as a checkpoint of `coreframe train` ({error})."
            ) from error


def checkpoint_path(place: str) -> Path:
    """The file that a place, a file or a folder, stands for."""
    path = Path(place).expanduser().absolute()
    return path / CHECKPOINT if path.is_dir() else path


class SimclrEmbedder:
    """A trained network as :class:`coreframe.tasks.embedders.embedder.Embedder`."""

    dim = DIM

    def __init__(
        self, name: str, input_px: int | None, device: torch.device, batch_size: int
    ) -> None:
        """Load a checkpoint.

        Args:
            name: ``simclr:FILE`` or ``simclr:FOLDER``.
            input_px: None, or the side of the pictures it was trained on.
            device: where it computes.
            batch_size: pictures at once.

        Raises:
            UsageError: there is none, or it was trained on pictures of another size.
        """
        place = name.removeprefix(SIMCLR)
        checkpoint = Checkpoint.read(place)
        if input_px not in (None, checkpoint.input_px):
            raise UsageError(
                f"{place} was trained on pictures of {checkpoint.input_px} px, not {input_px}: "
                "leave --input-size out, or train with it."
            )
        self.framing = Framing(checkpoint.input_px)
        self.fingerprint = checkpoint.fingerprint()
        network, picture = checkpoint.network, noise(checkpoint.input_px)
        if device.type == "cuda":
            network = folded(network, lambda some: some.embed(picture))
        self._embed: AnyNetwork = network.to(device).embed
        if device.type == "cuda":
            self._embed = Replayed(self._embed)
        self._batches = FixedBatches(batch_size)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """See the protocol; unit vectors in float32."""
        return self._batches(self._embed, images)
