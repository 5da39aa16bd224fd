"""Which of a model's weights learn: none, all, or a low-rank update."""

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
