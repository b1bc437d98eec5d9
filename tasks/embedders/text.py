"""Words as vectors: the text towers of `hf:` models, in the space of their image towers.

CLIP and SigLIP were trained so that a picture and words that describe it get similar vectors. The
words' tower comes from the same files as the pictures', and those are in the store's fingerprint.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from coreframe.tasks.embedders.huggingface import (
    FILES,
    family_of,
    fetched_folder,
    fingerprint_of,
    load_model,
    require_packages,
)
from coreframe.tasks.embedders.names import HUGGINGFACE, WITH_TEXT, refuse_wordless
from coreframe.tasks.embedders.preparation import Preparation, first_line, read_json
from coreframe.tasks.embedders.quiet import quiet
from coreframe.tasks.errors import UsageError
from coreframe.tasks.lattice import quantise

VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")
"""A tokenizer has one of them, or several."""

TOKENIZER_FILES = (
    *VOCABULARIES,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)
"""What is fetched from the hub beside the image tower's files once words are asked for."""

SENTENCEPIECE_TOKENIZER = "SiglipTokenizer"
"""That of the first SigLIP models, which leaves punctuation out; its files need two packages."""


@dataclass(frozen=True)
class TextFamily:
    """How the text towers of one type of model are loaded, and what they are given."""

    model_class: str
    output: str
    as_trained: bool = False
    """Whether it saw lower case only, texts filled up to the full length, and no mask that says
    which tokens are filling: so do SigLIP's authors. CLIP's text ends at its end token."""


TEXT_FAMILIES = {
    "clip": TextFamily("CLIPTextModelWithProjection", "text_embeds"),
    "siglip": TextFamily("SiglipTextModel", "pooler_output", as_trained=True),
}
"""By `model_type`; what `get_text_features` gives, without the image tower in memory."""


def text_vectors(
    name: str, input_px: int, fingerprint: str, texts: Sequence[str]
) -> NDArray[np.int16]:
    """Embed words as an embedder's pictures are.

    Args:
        name: the embedder's, as the store has it.
        input_px: side of the pictures that the store's were given.
        fingerprint: the embedder's, as the store has it.
        texts: the words, each for itself.

    Returns:
        (len(texts), dim) int16 lattice, computed on the CPU in float32.

    Raises:
        UsageError: it has no text tower, cannot be had, or is not the one of that fingerprint.
    """
    refuse_wordless(name)
    require_packages()
    place = name.removeprefix(HUGGINGFACE)
    folder = fetched_folder(place, (*FILES, *TOKENIZER_FILES))
    config = read_json(place, folder / "config.json")
    family = _text_family(place, config)
    preparation = Preparation.read(place, folder)
    if preparation.framing.side_px != input_px:
        preparation = preparation.with_side(input_px)
    found = fingerprint_of(folder, family_of(place, config), preparation)
    if found != fingerprint:
        raise UsageError(
            f"the store was made with {name} when it was {fingerprint}, and now it is {found}: "
            "bring its earlier files back, or search by frame:."
        )
    text_config = _text_config(folder)
    tokens = _tokens(place, folder, family, text_config, texts)
    model = load_model(place, folder, family.model_class, {"config": text_config})
    with torch.inference_mode():
        vectors = torch.cat([getattr(model(**one), family.output) for one in tokens])
        lattice = quantise(torch.nn.functional.normalize(vectors.float()))
    return lattice.numpy()


def _text_family(place: str, config: Any) -> TextFamily:
    kind = config.get("model_type")
    if kind in TEXT_FAMILIES:
        return TEXT_FAMILIES[kind]
    why = f"is of type {kind}, which has no text tower"
    if kind in ("clip_vision_model", "siglip_vision_model"):
        why = "is the image tower alone"
    raise UsageError(f"text: {place} {why}. {WITH_TEXT}")


def _text_config(folder: Path) -> Any:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    text = config.text_config
    if hasattr(config, "projection_dim"):  # the size of the towers' common space is both's
        text.projection_dim = config.projection_dim
    return text


def _tokens(
    place: str, folder: Path, family: TextFamily, config: Any, texts: Sequence[str]
) -> list[dict[str, torch.Tensor]]:
    """What the tower is given, of each text.

    Raises:
        UsageError: there is no tokenizer, it is another model's, or a text is too long.
    """
    tokenizer, most_tokens, found = _tokenizer(place, folder), config.max_position_embeddings, []
    for text in texts:
        if family.as_trained:
            one = tokenizer(
                text.lower(), padding="max_length", max_length=most_tokens, return_tensors="pt"
            )
            given = {"input_ids": one["input_ids"]}
        else:
            one = tokenizer(text, return_tensors="pt")
            given = {"input_ids": one["input_ids"], "attention_mask": one["attention_mask"]}
        ids = given["input_ids"]
        if ids.shape[1] > most_tokens:
            raise UsageError(
                f"text:{text} is {ids.shape[1]} tokens long, and {place} reads {most_tokens}: say "
                "it in fewer words."
            )
        unending = not family.as_trained and tokenizer.eos_token_id not in ids
        if unending or int(ids.max()) >= config.vocab_size:
            raise UsageError(
                f"text: the tokenizer beside {place} is not the one that the model was trained "
                "with: fetch the whole model again."
            )
        found.append(given)
    return found


def _tokenizer(place: str, folder: Path) -> Any:
    from transformers import AutoTokenizer

    why = "there is none"
    # without any of them transformers makes one that knows no word
    if any((folder / name).is_file() for name in VOCABULARIES):
        _require_tokenizer_packages(place, folder)
        try:
            with quiet():
                return AutoTokenizer.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
        except Exception as error:  # transformers raises whatever its readers do
            why = first_line(error)
    raise UsageError(
        f"text: {place} has no tokenizer that can be read ({why}). Save it beside the model with "
        "`save_pretrained`, or fetch the whole model again."
    )


def _require_tokenizer_packages(place: str, folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    if not path.is_file():
        return
    if read_json(place, path).get("tokenizer_class") != SENTENCEPIECE_TOKENIZER:
        return
    try:
        import_module("sentencepiece")
        import_module("google.protobuf")
    except ImportError as error:
        raise UsageError(
            f"text: the tokenizer of {place} needs two more packages: pip install sentencepiece "
            "protobuf."
        ) from error
