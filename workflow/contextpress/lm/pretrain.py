"""Pretraining from scratch: a warm-up on copying random ids, then next-token prediction on a mixture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from contextpress.lm.rows import IGNORED, copy_rows, draw_lengths, plain_rows, restate_rows
from contextpress.lm.spec import CopyWarmup, Pretraining, Shape
from contextpress.runtime.device import attention_kernel
from contextpress.runtime.fit import fit
from contextpress.runtime.history import History


def new_model(shape: Shape, vocabulary: int, bos: int, device: torch.device) -> LlamaForCausalLM:
    """A randomly initialised Llama-shaped model with tied embeddings; draws from torch's global generator."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=bos,
        eos_token_id=None,
        pad_token_id=None,
        use_cache=False,
        attn_implementation=attention_kernel(device),
    )
    return LlamaForCausalLM(config).to(device)


def next_token_loss(model: PreTrainedModel, rows: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy, nats per labelled token, of ``rows`` [rows, length] against ``labels`` of the same shape.

    Only the labelled positions meet the output matrix.
    """
    hidden = model.get_decoder()(input_ids=rows[:, :-1], use_cache=False).last_hidden_state
    targets = labels[:, 1:]
    chosen = targets != IGNORED
    logits = model.get_output_embeddings()(hidden[chosen])
    return cross_entropy(logits.float(), targets[chosen])


def warm_up(model: PreTrainedModel, spec: CopyWarmup, ordinary: Tensor, bos: int, restate: int, seed: int) -> History:
    """Teach ``model`` to copy: uniform random draws from the ids ``ordinary`` [n], loss on the copy alone."""
    generator = torch.Generator().manual_seed(seed)
    device = model.device

    def loss_of(step: int) -> Tensor:
        draws = torch.randint(len(ordinary), (spec.schedule.batch, spec.row), generator=generator)
        lengths = draw_lengths(len(draws), spec.row // 2, generator)
        rows, labels = copy_rows(ordinary[draws], lengths, bos, restate)
        return next_token_loss(model, rows.to(device), labels.to(device))

    return fit(
        "copy warm-up", model, loss_of, spec.schedule, spec.schedule.steps * spec.schedule.batch * (spec.row + 1)
    )


def pretrain(
    model: PreTrainedModel, spec: Pretraining, windows: Tensor, bos: int, restate: int, seed: int, name: str
) -> History:
    """Train ``model`` on ``windows`` [n, row] of token ids, in a new random order each time they are used up."""
    generator = torch.Generator().manual_seed(seed)
    batch, device = spec.schedule.batch, model.device
    restated = round(spec.restate_share * batch)
    order = torch.empty(0, dtype=torch.long)

    def loss_of(step: int) -> Tensor:
        nonlocal order
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(len(windows), generator=generator)])
        chosen, order = order[:batch], order[batch:]
        text = windows[chosen].long()
        lengths = draw_lengths(restated, spec.row // 2, generator)
        parts = [restate_rows(text[:restated], lengths, bos, restate), plain_rows(text[restated:], bos)]
        rows, labels = (torch.cat(part) for part in zip(*parts, strict=True))
        return next_token_loss(model, rows.to(device), labels.to(device))

    return fit(name, model, loss_of, spec.schedule, spec.schedule.steps * batch * (spec.row + 1))
