"""Language models on disk: ordinary Hugging Face folders, identified by a hash of their weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from contextpress.runtime import seals
from contextpress.runtime.device import attention_kernel
from contextpress.runtime.files import filling, reading, sha256
from contextpress.runtime.hub import loading, located

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_model(model: PreTrainedModel, folder: Path) -> None:
    """Save config and weights (safetensors, one file)."""
    with filling(folder) as drafts:
        model.save_pretrained(drafts, max_shard_size="1TB")
        seals.seal(drafts / WEIGHTS)


def load_model(path: str | Path, device: torch.device, revision: str | None = None) -> PreTrainedModel:
    """Load a causal LM in float32 by path or hub id, in evaluation mode. Safetensors only; no code is run.

    Raises:
        UserError: if there is no such model, it is not a causal LM, or a file is damaged.
    """
    if isinstance(path, Path):
        with reading(path / WEIGHTS, "safetensors"):
            seals.check(path / WEIGHTS)
    with loading("model", path):
        model = AutoModelForCausalLM.from_pretrained(
            **located("model", path, revision, CONFIG),
            dtype=torch.float32,
            attn_implementation=attention_kernel(device),
            use_safetensors=True,
        )
    return model.to(device).eval()


def weights_hash(folder: Path) -> str:
    """What identifies a saved model: the sha256 of its weights."""
    return sha256(folder / WEIGHTS)
