"""Language models on disk: ordinary Hugging Face folders."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from contextpress.runtime import seals
from contextpress.runtime.device import attention_kernel
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import filling, reading
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
        UserError: if there is no such model, it cannot be loaded, lacks weights, or a file is damaged.
    """
    where = located("model", path, revision, CONFIG)
    if isinstance(path, Path):
        with reading(path / WEIGHTS, "safetensors"):
            seals.check(path / WEIGHTS)
    with loading("model", path, f"{CONFIG} and {WEIGHTS} of a causal language model"):
        model, found = AutoModelForCausalLM.from_pretrained(
            **where,
            dtype=torch.float32,
            attn_implementation=attention_kernel(device),
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # told below, by name
            output_loading_info=True,
        )
    # Transformers draws at random what it does not find.
    if found["missing_keys"]:
        raise UserError(f"model {path} cannot be loaded: its weights lack {min(found['missing_keys'])}")
    if found["mismatched_keys"]:
        name, has, wanted = min(found["mismatched_keys"])
        raise UserError(
            f"model {path} cannot be loaded: its weight {name} has shape {list(has)}, {CONFIG} wants {list(wanted)}"
        )
    return model.to(device).eval()


@torch.inference_mode()
def sees_ahead(model: PreTrainedModel, vocabulary: int) -> bool:
    """Whether what ``model`` says of a place changes, or is no number, when a token after it is changed.

    Encoders such as BERT load as language models without a word, and would be told the tokens they are to predict.
    """
    ids = torch.arange(8, device=model.device)[None] % vocabulary
    other = ids.clone()
    other[:, -1] = (other[:, -1] + 1) % vocabulary
    one, two = (model(input_ids=each).logits[:, :-1] for each in (ids, other))
    # Not for equality: rounding may depend on the neighbours in a batch, as in mixtures of experts.
    return not (one - two).abs().max() <= 1e-5 * one.abs().max()
