"""Language models on disk: ordinary Hugging Face folders."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from contextpress.runtime.device import attention_kernel
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import filling
from contextpress.runtime.hub import located

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_model(model: PreTrainedModel, folder: Path) -> None:
    """Save config and weights (safetensors, one file)."""
    with filling(folder) as drafts:
        model.save_pretrained(drafts, max_shard_size="1TB")


def load_model(path: str | Path, device: torch.device, revision: str | None = None) -> PreTrainedModel:
    """Load a causal LM in float32 by path or hub id, in evaluation mode. Safetensors only; no code is run.

    Raises:
        UserError: if there is no such model, or it is not a causal LM.
    """
    try:
        model = AutoModelForCausalLM.from_pretrained(
            **located("model", path, revision, CONFIG),
            dtype=torch.float32,
            attn_implementation=attention_kernel(device),
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        raise UserError(f"model {path} cannot be loaded: {str(error).splitlines()[0]}") from None
    return model.to(device).eval()
