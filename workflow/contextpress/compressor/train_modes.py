"""Which of a model's weights learn: none, all, or a low-rank update.

Low-rank updates are PEFT's. Memory tokens and the row of <restate> are not PEFT's trainable rows but parameters of
their own: PEFT 0.21 puts its rows into a copy of the whole embedding matrix in every pass. Forward and backward of 512
tokens and 128 memory tokens at 151,936 x 1024 took 650 ms so, and 0.7 ms with parameters of their own (median of 7, one
thread).
"""

from __future__ import annotations

from transformers import PreTrainedModel

from contextpress.compressor.spec import LowRank


def set_training(model: PreTrainedModel, training: str, lora: LowRank) -> PreTrainedModel:
    """Set in place which weights of ``model`` require a gradient: frozen, full or lora."""
    model.requires_grad_(training == "full")
    if training == "lora":
        # Only here: the import takes a quarter of a second.
        from peft import LoraConfig, inject_adapter_in_model

        config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", lora_dropout=0.0)
        inject_adapter_in_model(config, model)
    return model.eval() if training == "frozen" else model.train()
