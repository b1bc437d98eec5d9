"""Words as vectors: those of transformers, in the space of the pictures; the rest is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from coreframe.tasks.embedders.embedder import EmbedderSpec, embed_images, load_embedder
from coreframe.tasks.embedders.text import text_vectors
from coreframe.tasks.errors import UsageError
from coreframe.tasks.lattice import quantise
from tests.embedders.models import EXAMPLES, SIDE_PX, rewrite
from tests.embedders.text_models import (
    clip_tokenizer,
    features,
    save_clip,
    save_siglip,
    siglip_tokenizer,
)
from tests.videos import scenes

WORDS = ["a red car", "rain", "a dog at night 7"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    folder = tmp_path_factory.mktemp("text")
    return {
        "clip": (folder / "clip", save_clip(folder / "clip")),
        "siglip": (folder / "siglip", save_siglip(folder / "siglip")),
    }


def embedded(folder: Path, words: list[str], input_px: int | None = None) -> np.ndarray:
    own = load_embedder(EmbedderSpec(f"hf:{folder}", input_px, batch_size=1))
    return text_vectors(f"hf:{folder}", own.framing.side_px, own.fingerprint, words)


def expected(name: str, model: Any, words: list[str]) -> np.ndarray:
    found = []
    for text in words:
        if name == "clip":
            given = dict(clip_tokenizer()(text, return_tensors="pt"))
        else:
            padded = siglip_tokenizer()(
                text, padding="max_length", max_length=20, return_tensors="pt"
            )
            given = {"input_ids": padded["input_ids"]}
        with torch.inference_mode():
            found.append(features(model.get_text_features(**given)))
    return quantise(torch.cat(found)).numpy()


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_both_towers_are_those_of_transformers(name: str, models: dict[str, Any]) -> None:
    folder, model = models[name]
    ours = embedded(folder, WORDS)
    assert ours.dtype == np.int16
    assert np.abs(ours - expected(name, model, WORDS)).max() <= 1  # of 4000
    assert np.abs(ours[0].astype(int) - ours[1]).max() > 100, "the tower is deaf, as is this test"

    picture = scenes(0, SIDE_PX, SIDE_PX)
    own = load_embedder(EmbedderSpec(f"hf:{folder}", batch_size=1))
    found = embed_images(own, [picture], torch.device("cpu"))
    processor = EXAMPLES[name].image_processor()
    pixels = processor([picture], do_resize=False, do_center_crop=False, return_tensors="pt")[
        "pixel_values"
    ]
    with torch.inference_mode():
        image = quantise(features(model.get_image_features(pixel_values=pixels))).numpy()
    assert np.abs(found - image).max() <= 1
    assert found.shape[1] == ours.shape[1]


def test_words_are_read_as_the_towers_were_trained(models: dict[str, Any]) -> None:
    """In lower case; SigLIP's filled up to the full length, each whatever its company."""
    for name, (folder, _) in models.items():
        small, large = embedded(folder, ["a red car"]), embedded(folder, ["A Red CAR"])
        assert np.array_equal(small, large), name
        alone = np.concatenate([embedded(folder, [text]) for text in WORDS])
        assert np.array_equal(embedded(folder, WORDS), alone), name
    folder, model = models["siglip"]
    short = siglip_tokenizer()("rain", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        unfilled = quantise(features(model.get_text_features(input_ids=short))).numpy()
    assert np.abs(embedded(folder, ["rain"]) - unfilled).max() > 100


def test_another_input_size_asks_the_same_words(models: dict[str, Any]) -> None:
    folder, _ = models["clip"]
    assert np.array_equal(embedded(folder, WORDS, 2 * SIDE_PX), embedded(folder, WORDS))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dinov2", "is of type dinov2, which has no text tower. CLIP and SigLIP"),
        ("clip_vision_model with projection", "is the image tower alone. CLIP and SigLIP"),
        ("siglip_vision_model", "is the image tower alone. CLIP and SigLIP"),
        ("clip", "has no tokenizer that can be read"),
    ],
)
def test_models_that_know_no_words_are_refused(name: str, sentence: str, tmp_path: Path) -> None:
    EXAMPLES[name].save(tmp_path)
    with pytest.raises(UsageError, match=sentence):
        embedded(tmp_path, WORDS)


@pytest.mark.parametrize("name", ["descriptor-3", "descriptor", "simclr:/some/folder"])
def test_embedders_of_other_kinds_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="CLIP and SigLIP models know words"):
        text_vectors(name, 64, "", WORDS)


def test_what_else_cannot_be_right_is_refused(models: dict[str, Any], tmp_path: Path) -> None:
    for folder, _ in models.values():
        with pytest.raises(UsageError, match=r"tokens long, and .* reads 20: say it"):
            embedded(folder, ["word after word after word"])
    folder = shutil.copytree(models["clip"][0], tmp_path / "clip")
    with pytest.raises(UsageError, match="when it was hf-before, and now it is hf-"):
        text_vectors(f"hf:{folder}", SIDE_PX, "hf-before", WORDS)
    siglip_tokenizer().save_pretrained(folder)
    with pytest.raises(UsageError, match="is not the one that the model was trained with"):
        embedded(folder, WORDS)
    rewrite(folder / "tokenizer_config.json", tokenizer_class="SiglipTokenizer")
    with pytest.raises(UsageError, match="needs two more packages: pip install sentencepiece"):
        embedded(folder, WORDS)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Nothing"}))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UsageError, match="has no tokenizer that can be read"):
        embedded(folder, WORDS)
