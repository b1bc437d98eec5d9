"""Small CLIP and SigLIP models with random weights, saved with their tokenizers."""

from pathlib import Path
from typing import Any

import torch
import transformers as hf

from tests.embedders.models import CLIP, SQUARE, VIT

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
START, END = "<|startoftext|>", "<|endoftext|>"

TOWER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 20,
    "initializer_range": 0.3,  # so large that what the words are matters
}


def clip_tokenizer() -> Any:
    words = [START, END, *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    return hf.CLIPTokenizer({word: number for number, word in enumerate(words)}, [])


def siglip_tokenizer() -> Any:
    """SigLIP 2's: of the first SigLIP models it needs packages that are not required here."""
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    return hf.GemmaTokenizer({word: number for number, word in enumerate(words)}, [])


def save_clip(folder: Path) -> "hf.CLIPModel":
    """Save one, and give it as transformers has it."""
    torch.manual_seed(1)
    tokenizer = clip_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = TOWER | ends | {"vocab_size": len(tokenizer)}
    config = hf.CLIPConfig(vision_config=VIT, text_config=text, projection_dim=12)
    processor = getattr(hf, CLIP[0])(**CLIP[1])
    return _saved(hf.CLIPModel(config), folder, tokenizer, processor)


def save_siglip(folder: Path) -> "hf.SiglipModel":
    """Save one, and give it as transformers has it."""
    torch.manual_seed(1)
    tokenizer = siglip_tokenizer()
    text = TOWER | {"vocab_size": len(tokenizer), "projection_size": VIT["hidden_size"]}
    model = hf.SiglipModel(hf.SiglipConfig(vision_config=VIT, text_config=text))
    return _saved(model, folder, tokenizer, hf.SiglipImageProcessorPil(size=SQUARE))


def _saved(model: Any, folder: Path, tokenizer: Any, processor: Any) -> Any:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    return type(model).from_pretrained(folder).eval()


def features(found: Any) -> torch.Tensor:
    """What `get_text_features` and `get_image_features` give, of unit length."""
    return torch.nn.functional.normalize(
        found if torch.is_tensor(found) else found.pooler_output
    ).detach()
