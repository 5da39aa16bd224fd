"""Tiny random language models of several families, and a compressor of two of them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from contextpress.compressor.folder import build, parts_of, save_compressor
from contextpress.compressor.spec import Architecture, CompressorSpec, Curriculum
from contextpress.lm.folder import save_model
from contextpress.runtime.schedule import Schedule
from contextpress.tokens.tokenizer import train_tokenizer

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


def end_only(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer without a token for the beginning, as Qwen's is."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|endoftext|>", clean_up_tokenization_spaces=False)


def tiny_study(results: Path, name: str = "tried", seed: int = 0, **architecture: object) -> Path:
    """The folder of a compressor in a study that was never run: tiny models, new parts and weights at random.

    Window 8, ratio 4.
    """
    words = train_tokenizer(["a few words to train on, and some more of them"] * 5, 280)
    words.save_pretrained(results / "tokens/tokenizer")
    for place, model in enumerate(("one", "two")):
        save_model(tiny("llama", seed=seed + place, vocab_size=280), results / "lm" / model)
    spec = CompressorSpec(
        name=name,
        encoder="one",
        decoder="two",
        architecture=Architecture(**({"readout": "mean_pool", "ratio": 4} | architecture)),
        objective="autoencoding",
        continuation_weight=0.5,
        schedule=Schedule(steps=1, batch=1, learning_rate=0.1),
        curriculum=Curriculum(),
        window=8,
        domains={"prose": 1.0},
        seed=0,
    )
    parts = parts_of(results / "lm/one", results / "lm/two", results / "tokens/tokenizer")
    torch.manual_seed(seed)
    made = build(spec, parts, torch.device("cpu"))
    with torch.no_grad():
        for p in made.parameters():
            if p.requires_grad:
                p.add_(0.05 * torch.randn_like(p))
    save_compressor(made, spec, parts, results / "compressors" / name)
    return results / "compressors" / name
