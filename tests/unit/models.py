"""Tiny random language models of several families."""

from __future__ import annotations

import torch
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

WIDTH, VOCABULARY = 32, 61
# Wide initial weights: with the usual 0.02 a random model repeats one token for ever, which tests little.
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "initializer_range": 0.4,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
FAMILIES = ("llama", "llama-grouped", "qwen2", "gpt-neox")


def tiny(family: str, seed: int = 0, dtype: torch.dtype = torch.float32, **changes: object) -> PreTrainedModel:
    """A random model of two layers, the same one for the same arguments, in eval mode."""
    shape = {**SHAPE, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family == "gpt-neox":
            model = GPTNeoXForCausalLM(GPTNeoXConfig(**shape))
        elif family == "qwen2":
            model = Qwen2ForCausalLM(Qwen2Config(**shape, num_key_value_heads=2))
        else:
            model = LlamaForCausalLM(LlamaConfig(**shape, num_key_value_heads=2 if family == "llama-grouped" else 4))
    return model.to(dtype).eval()
