"""`hf:`: image models of the Hugging Face hub, or of a folder, as frame embedders.

Weights are read from safetensors files only: pickled ones can run any code. Pictures are prepared
as the model's own `preprocessor_config.json` says; the decoder's scaler brings them to size, the
rest is done on the device. Vectors depend, in their last bits, on the machine, the device and the
number of threads, as those of every neural network do.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from coreframe.tasks.embedders.batches import FixedBatches
from coreframe.tasks.embedders.faster import Network, Replayed, folded, noise
from coreframe.tasks.embedders.names import HUGGINGFACE, is_folder
from coreframe.tasks.embedders.preparation import (
    PROCESSOR,
    WHOLE_PROCESSOR,
    Normaliser,
    Preparation,
    first_line,
    read_json,
)
from coreframe.tasks.embedders.quiet import quiet
from coreframe.tasks.errors import UsageError
from coreframe.tasks.scale import MAX_DIM

VERSION = "1"

FILES = (
    "config.json",
    PROCESSOR,
    WHOLE_PROCESSOR,
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
)
"""All that is fetched from the hub for pictures."""


@dataclass(frozen=True)
class Family:
    """How models of one type are loaded and what of their output is the picture's vector."""

    model_class: str = "AutoModel"
    output: str = "pooler_output"
    interpolates: bool = False
    """Whether positions are learned for one input size, and fitted to another when told to."""
    arguments: tuple[tuple[str, Any], ...] = ()


# The class token, normalised: ViT and DeiT have a pooling layer too, but it is trained with
# few of them, and their classifiers do not use it.
_CLASS_TOKEN = Family("AutoModel", "last_hidden_state", True, (("add_pooling_layer", False),))
_SIGLIP = Family("SiglipVisionModel", interpolates=True)  # pooled by its attention head
_CLIP = Family("CLIPVisionModelWithProjection", "image_embeds", True)  # CLIP's space of cosines
_SWIN = Family(interpolates=True)

FAMILIES = {
    "clip": _CLIP,
    "clip_vision_model": Family("CLIPVisionModel", interpolates=True),
    "convnext": Family(),
    "convnextv2": Family(),
    "deit": _CLASS_TOKEN,
    "dinov2": Family(),
    "dinov2_with_registers": Family(),
    "dinov3_convnext": Family(),
    "dinov3_vit": Family(),
    "resnet": Family(),
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "swin": _SWIN,
    "swinv2": _SWIN,
    "vit": _CLASS_TOKEN,
}
"""By `model_type`. `pooler_output` is what a family's own classifier, or its authors, use."""


class HuggingFaceEmbedder:
    """A pretrained model as :class:`coreframe.tasks.embedders.embedder.Embedder`."""

    def __init__(
        self, name: str, input_px: int | None, device: torch.device, batch_size: int
    ) -> None:
        """Load a model.

        Args:
            name: ``hf:FOLDER``, or ``hf:ID`` or ``hf:ID@REVISION`` of the hub.
            input_px: side of what the network is given; None for the model's own.
            device: where it computes: in float32 on a CPU, on a GPU in bfloat16, or in float16
                where it has none.
            batch_size: pictures at once.

        Raises:
            UsageError: it cannot be had, is no supported image model, lacks weights, or cannot
                take that input size.
        """
        require_packages()
        place = name.removeprefix(HUGGINGFACE)
        self._folder = fetched_folder(place)
        self._family = family_of(place, read_json(place, self._folder / "config.json"))
        self._preparation = Preparation.read(place, self._folder)
        if input_px is not None:
            self._preparation = self._preparation.with_side(input_px)
        self.framing = self._preparation.framing
        self._batches = FixedBatches(batch_size)
        self._device, self._dtype = device, _dtype(device)
        self._resized = input_px is not None
        self._normalised = Normaliser(self._preparation, torch.device("cpu"))
        self._model = load_model(
            place, self._folder, self._family.model_class, _arguments(self._folder, self._family)
        )
        self._network: Network = self._vectors
        if device.type == "cuda":
            pixels = self._normalised(noise(self.framing.side_px))
            self._model = folded(self._model, lambda model: self._output(model, pixels))
            self._normalised = Normaliser(self._preparation, device)
            self._network = Replayed(self._vectors)
        self._model = self._model.to(device, self._dtype, memory_format=torch.channels_last)
        self.dim = self._measure(place)

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights, the pooling and how pictures are prepared; not of the device."""
        return fingerprint_of(self._folder, self._family, self._preparation)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """See the protocol; unit vectors in float32."""
        return torch.nn.functional.normalize(self._batches(self._network, images))

    def _vectors(self, images: torch.Tensor) -> torch.Tensor:
        """(n, side, side, 3) uint8 to (n, dim) float32, of any length."""
        return self._output(self._model, self._normalised(images).to(self._dtype))

    def _output(self, model: Any, pixels: torch.Tensor) -> torch.Tensor:
        arguments: dict[str, Any] = {}
        if self._resized and self._family.interpolates:
            arguments["interpolate_pos_encoding"] = True
        output = model(pixel_values=pixels, **arguments)
        vectors = getattr(output, self._family.output)
        if self._family.output == "last_hidden_state":
            vectors = vectors[:, 0]
        return vectors.flatten(1).float()

    def _measure(self, place: str) -> int:
        """Embed one picture, and say how long its vector is."""
        side = self.framing.side_px
        blank = torch.zeros(1, side, side, 3, dtype=torch.uint8, device=self._device)
        try:
            with torch.inference_mode():
                dim = self._vectors(blank).shape[1]
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{place} cannot embed a picture of {side} x {side} px: {first_line(error)}. Use "
                "another --input-size, or another model."
            ) from error
        if dim > MAX_DIM:
            raise UsageError(
                f"{place} gives {dim:,} numbers a frame, and distances are exact up to "
                f"{MAX_DIM:,}: use another model."
            )
        return dim


def fingerprint_of(folder: Path, family: Family, preparation: Preparation) -> str:
    """See :attr:`HuggingFaceEmbedder.fingerprint`; the weights are those of all towers."""
    digest = hashlib.sha256(f"{VERSION} {family} {preparation}".encode())
    digest.update((folder / "config.json").read_bytes())
    for file in sorted(folder.glob("model*.safetensors")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"hf-{digest.hexdigest()[:32]}"


def require_packages() -> None:
    """Raise UsageError where what models are loaded with is not installed."""
    try:
        import safetensors  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"embedder {HUGGINGFACE}…: the package {error.name} is not installed here. Run: "
            "pip install 'coreframe[hf]'."
        ) from error


def fetched_folder(place: str, files: Sequence[str] = FILES) -> Path:
    """The folder with a model's files; those of the hub are fetched, unless its cache has them."""
    if not place:
        raise UsageError(f"embedder {HUGGINGFACE} names no model: give its id or its folder.")
    if is_folder(place):
        return Path(place).expanduser().absolute()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name, _, revision = place.partition("@")
    by_hand = (
        f"Where the hub can be reached, run `hf download {name} --local-dir FOLDER`, bring the "
        f"folder here and use --embedder {HUGGINGFACE}FOLDER"
    )
    try:
        with quiet():
            return Path(
                snapshot_download(name, revision=revision or None, allow_patterns=list(files))
            )
    except HFValidationError as error:
        raise UsageError(
            f"{place} is neither a folder here nor the name of a model: {first_line(error)}."
        ) from error
    except GatedRepoError as error:
        raise UsageError(
            f"{name} is given only to those who accepted its terms: accept them on its page, then "
            "run `hf auth login`."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UsageError(
            f"{place} is neither a folder here nor a model of the hub that you may read. Look for "
            "a misspelling; for a private model run `hf auth login`."
        ) from error
    except Exception as error:  # whichever of its many the HTTP library raises
        raise UsageError(
            f"{place} is no folder here, and cannot be fetched from the hub "
            f"({first_line(error)}). {by_hand}."
        ) from error


def family_of(place: str, config: Mapping[str, Any]) -> Family:
    """How the pictures' vectors are got from a model of this configuration.

    Raises:
        UsageError: its type is unknown here.
    """
    kind = config.get("model_type")
    if kind == "clip_vision_model" and _CLIP.model_class in (config.get("architectures") or ()):
        return _CLIP
    if kind not in FAMILIES:
        raise UsageError(
            f"{place} is of type {kind}, for which no pooling is known here: use one of "
            f"{', '.join(FAMILIES)}."
        )
    return FAMILIES[kind]


def load_model(place: str, folder: Path, model_class: str, arguments: Mapping[str, Any]) -> Any:
    """Load a model, or a tower of one, whose every weight comes from the files.

    Raises:
        UsageError: it cannot be, or a weight is not there.
    """
    import transformers

    if not (list(folder.glob("model*.safetensors"))):
        raise UsageError(
            f"{place} has no model.safetensors. Pickled weights are not read, since they can run "
            "any code: load it with transformers where you trust it, and save it again with "
            "`save_pretrained`, which writes safetensors."
        )
    try:
        with quiet():
            model, found = getattr(transformers, model_class).from_pretrained(
                folder,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are looked for below
                **arguments,
            )
    except Exception as error:  # transformers raises whatever its readers do
        raise UsageError(f"{place} cannot be loaded: {first_line(error)}.") from error
    lacking = sorted({*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])})
    if lacking:
        raise UsageError(
            f"{place} lacks {len(lacking)} weights that a {model_class} has, {lacking[0]} "
            "the first: save the whole model again, or use another."
        )
    return model.eval()


def _arguments(folder: Path, family: Family) -> dict[str, Any]:
    """What `from_pretrained` is told of a family."""
    if family is not _CLIP:
        return dict(family.arguments)
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if hasattr(config, "vision_config"):  # both towers: the size of their common space is theirs
        vision = config.vision_config
        vision.projection_dim = config.projection_dim
        return {"config": vision}
    return {}


def _dtype(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    return (
        torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    )
