"""The models that are timed, and how much work they are given."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

BOS, RESTATE, PAD = 0, 1, 2  # ids of the special tokens; all others are ordinary


@dataclass(frozen=True)
class Shape:
    """A Llama-shaped model with tied embeddings and random weights, and the size of a step.

    Attributes:
        name: as in the table.
        layers, width, heads, kv_heads, head_width, intermediate, vocabulary: of the model.
        window: tokens per passage.
        ratio: tokens per memory vector.
        batch: passages per training step.
        row: tokens per row of language-model pretraining.
        rows: rows per step of it.
        steps: optimiser steps in one timed run of training.
        checked: optimiser steps over which two loss curves are compared.
        scored: passages that are scored in one timed run.
        decoded: passages that are reconstructed in one timed run.
        crammed: passages that are crammed side by side.
        cram_steps: optimiser steps of cramming.
        threads: CPU threads; 0 stands for all cores.
    """

    name: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    intermediate: int
    vocabulary: int
    window: int
    ratio: int
    batch: int
    row: int
    rows: int
    steps: int
    checked: int
    scored: int
    decoded: int
    crammed: int
    cram_steps: int
    threads: int


SHAPES = {
    shape.name: shape
    for shape in (
        Shape(
            name="tiny",  # for the test of the harness
            layers=2,
            width=32,
            heads=4,
            kv_heads=2,
            head_width=16,
            intermediate=48,
            vocabulary=64,
            window=8,
            ratio=4,
            batch=4,
            row=12,
            rows=8,
            steps=2,
            checked=3,
            scored=6,
            decoded=6,
            crammed=3,
            cram_steps=4,
            threads=1,
        ),
        Shape(
            name="study",  # the default study's models, by one thread, as its jobs have
            layers=2,
            width=192,
            heads=6,
            kv_heads=6,
            head_width=32,
            intermediate=512,
            vocabulary=2048,
            window=32,
            ratio=4,
            batch=32,
            row=96,
            rows=48,
            steps=4,
            checked=6,
            scored=512,
            decoded=240,
            crammed=64,
            cram_steps=30,
            threads=1,
        ),
        Shape(
            name="slice",  # four layers of a model like Qwen3-0.6B
            layers=4,
            width=1024,
            heads=16,
            kv_heads=8,
            head_width=128,
            intermediate=3072,
            vocabulary=151_936,
            window=64,
            ratio=4,
            batch=8,
            row=96,
            rows=8,
            steps=1,
            checked=2,
            scored=8,
            decoded=8,
            crammed=16,
            cram_steps=4,
            threads=0,
        ),
    )
}
SHAPES["0.6B"] = replace(  # all its layers: on a GPU
    SHAPES["slice"],
    name="0.6B",
    layers=28,
    window=128,
    batch=32,
    row=512,
    rows=16,
    steps=4,
    scored=128,
    decoded=64,
    crammed=32,
)


def language_model(shape: Shape, device: torch.device, attention: str, seed: int = 0) -> LlamaForCausalLM:
    """A model with random weights: the same ones for the same shape and seed."""
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_width,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=BOS,
        eos_token_id=None,
        pad_token_id=None,
        use_cache=False,
        attn_implementation=attention,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).to(device)


def tokens(shape: Shape, rows: int, length: int, seed: int = 0) -> Tensor:
    """Ordinary ids [rows, length], by Zipf's law: few are frequent, as in text, so that there is something to learn."""
    generator = torch.Generator().manual_seed(seed)
    ordinary = shape.vocabulary - PAD - 1
    weights = 1 / torch.arange(3.0, ordinary + 3)
    return PAD + 1 + torch.multinomial(weights, rows * length, replacement=True, generator=generator).view(rows, length)
