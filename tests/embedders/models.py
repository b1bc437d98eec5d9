"""Small Hugging Face models with random weights, saved as those of the hub are."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as hf

SIDE_PX = 32
SQUARE = {"height": SIDE_PX, "width": SIDE_PX}
MIDDLE = {"size": {"shortest_edge": 40}, "crop_size": SQUARE}

VIT = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": SIDE_PX,
    "patch_size": 8,
    "initializer_range": 0.3,  # so large that what a picture shows matters
}
CONV = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
SWIN = {
    "image_size": SIDE_PX,
    "patch_size": 4,
    "embed_dim": 12,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "window_size": 4,
    "initializer_range": 0.3,
}
TEXT = {
    "vocab_size": 16,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 16,
}

Vectors = Callable[[Any, torch.Tensor], torch.Tensor]


def pooled(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    return model(pixel_values=pixels).pooler_output.flatten(1)


def class_token(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    return model(pixel_values=pixels).last_hidden_state[:, 0]


def image_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    features = model.get_image_features(pixel_values=pixels)
    return features if torch.is_tensor(features) else features.pooler_output


def image_embeds(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    return model(pixel_values=pixels).image_embeds


@dataclass(frozen=True)
class Example:
    """A model as its authors would save it, and what transformers' users take as its vectors."""

    make: Callable[[], Any]
    vectors: Vectors
    processor: str = "ViTImageProcessorPil"
    settings: dict[str, Any] = field(default_factory=lambda: {"size": SQUARE})

    def save(self, folder: Path) -> None:
        torch.manual_seed(1)
        model = self.make()
        for name, weights in model.named_parameters():
            if "lambda" in name or "layer_scale" in name:  # next to nothing before training
                torch.nn.init.constant_(weights, 0.5)
        model.save_pretrained(folder)
        self.image_processor().save_pretrained(folder)

    def image_processor(self) -> Any:
        return getattr(hf, self.processor)(**self.settings)


CLIP = "CLIPImageProcessorPil", MIDDLE

EXAMPLES = {
    "clip": Example(
        lambda: hf.CLIPModel(hf.CLIPConfig(vision_config=VIT, text_config=TEXT, projection_dim=12)),
        image_features,
        *CLIP,
    ),
    "clip_vision_model": Example(
        lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**VIT)), pooled, *CLIP
    ),
    "clip_vision_model with projection": Example(
        lambda: hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(**VIT, projection_dim=12)),
        image_embeds,
        *CLIP,
    ),
    "convnext": Example(
        lambda: hf.ConvNextModel(hf.ConvNextConfig(**CONV)),
        pooled,
        "ConvNextImageProcessorPil",
        {"size": {"shortest_edge": SIDE_PX}, "crop_pct": 0.875},
    ),
    "convnextv2": Example(
        lambda: hf.ConvNextV2ForImageClassification(hf.ConvNextV2Config(**CONV)),
        lambda model, pixels: pooled(model.convnextv2, pixels),
        "ConvNextImageProcessorPil",
        {"size": {"shortest_edge": 384}},
    ),
    "deit": Example(
        lambda: hf.DeiTForImageClassification(hf.DeiTConfig(**VIT)),
        lambda model, pixels: class_token(model.deit, pixels),
        "DeiTImageProcessorPil",
        {"size": {"height": 40, "width": 40}, "crop_size": SQUARE},
    ),
    "dinov2": Example(
        lambda: hf.Dinov2Model(hf.Dinov2Config(**VIT)), pooled, "BitImageProcessorPil", MIDDLE
    ),
    "dinov2_with_registers": Example(
        lambda: hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**VIT)),
        pooled,
        "BitImageProcessorPil",
        MIDDLE,
    ),
    "dinov3_convnext": Example(
        lambda: hf.DINOv3ConvNextModel(hf.DINOv3ConvNextConfig(**CONV)), pooled
    ),
    "dinov3_vit": Example(lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**VIT)), pooled),
    "resnet": Example(
        lambda: hf.ResNetModel(hf.ResNetConfig(**CONV, embedding_size=8, layer_type="basic")),
        pooled,
        "ConvNextImageProcessorPil",
        {"size": {"shortest_edge": SIDE_PX}, "crop_pct": 0.875},
    ),
    "siglip": Example(
        lambda: hf.SiglipModel(hf.SiglipConfig(vision_config=VIT, text_config=TEXT)),
        image_features,
        "SiglipImageProcessorPil",
    ),
    "siglip_vision_model": Example(
        lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**VIT)),
        pooled,
        "SiglipImageProcessorPil",
    ),
    "swin": Example(lambda: hf.SwinModel(hf.SwinConfig(**SWIN)), pooled),
    "swinv2": Example(lambda: hf.Swinv2Model(hf.Swinv2Config(**SWIN)), pooled),
    "vit": Example(
        lambda: hf.ViTForImageClassification(hf.ViTConfig(**VIT)),
        lambda model, pixels: class_token(model.vit, pixels),
    ),
}


def rewrite(path: Path, **settings: Any) -> None:
    """Change settings of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
