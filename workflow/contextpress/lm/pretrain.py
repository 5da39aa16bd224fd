"""Pretraining from scratch: a warm-up on restating random ids, then next-token prediction on a mixture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from contextpress.lm.rows import IGNORED, Rows, draw_lengths, in_turn, plain_rows, restated_rows, superpose
from contextpress.lm.spec import Pretraining, Shape, WarmupSpec
from contextpress.runtime.checkpoint import Checkpoint
from contextpress.runtime.device import attention_kernel
from contextpress.runtime.fit import fit
from contextpress.runtime.history import History
from contextpress.runtime.objective import Inputs, Objective
from contextpress.runtime.sampling import endless, generator_at


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


def next_token_loss(model: PreTrainedModel, rows: Rows) -> Tensor:
    """Mean cross-entropy of ``rows``, nats per labelled token. Only the labelled positions meet the output matrix."""
    table = model.get_input_embeddings().weight
    hidden = model.get_decoder()(inputs_embeds=superpose(table, rows.ids[:, :-1]), use_cache=False).last_hidden_state
    targets = rows.labels[:, 1:]
    chosen = targets != IGNORED
    logits = model.get_output_embeddings()(hidden[chosen])
    return cross_entropy(logits.float(), targets[chosen])


class NextToken(Objective):
    """``next_token_loss`` as what is minimised."""

    def __init__(self, model: PreTrainedModel) -> None:
        """``model`` is trained."""
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy of the two parts of ``Rows``, nats per labelled token."""
        return next_token_loss(self.model, Rows(ids, labels))

    def labelled(self, *inputs: Tensor | int) -> int:
        """Labelled tokens of ids and labels."""
        labels = inputs[1]
        assert isinstance(labels, Tensor)
        return int((labels[:, 1:] != IGNORED).sum())


def warm_up(
    model: PreTrainedModel,
    spec: WarmupSpec,
    ordinary: Tensor,
    bos: int,
    restate: int,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Teach ``model`` to restate uniform random draws from the ids ``ordinary`` [n], shown in the spec's groups."""
    groups, schedule, seed = spec.groups, spec.warmup.schedule, spec.shape.seed
    generator = generator_at(seed, "lengths")
    rows, steps, places = schedule.batch, schedule.steps, max(groups)
    pressed = in_turn(groups, rows)
    # One length a step, so that no row waits for a longer one. Short texts first: what is to be found is how to look
    # back, and few vectors are sooner searched than many.
    longest = [max(places, round(min(1.0, 1.5 * (step + 1) / steps) * spec.warmup.longest)) for step in range(steps)]
    lengths = [int(draw_lengths(1, most, groups, generator)) for most in longest]

    def inputs_of(step: int) -> Inputs:
        shown = torch.full((rows,), lengths[step])
        drawn = _random(ordinary, rows, 2 * lengths[step], generator_at(seed, step))
        return restated_rows(drawn, shown, pressed, places, bos, restate, language=False)

    tokens = rows * sum(2 * length + 1 for length in lengths)
    return fit("copy warm-up", NextToken(model), inputs_of, schedule, tokens, checkpoint)


def pretrain(
    model: PreTrainedModel,
    spec: Pretraining,
    groups: tuple[int, ...],
    windows: Tensor,
    ordinary: Tensor,
    bos: int,
    restate: int,
    seed: int,
    name: str,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train ``model`` on ``windows`` [n, row] of token ids, in a new random order each time they are used up.

    Part of the rows restate their text, and part restates draws from the ids ``ordinary`` [n], shown in ``groups``.
    """
    batch, places = spec.schedule.batch, max(groups)
    restated, random = round(spec.restate_share * batch), spec.random_rows
    texts = endless(windows, spec.text_rows, seed, "texts")

    def inputs_of(step: int) -> Inputs:
        generator = generator_at(seed, step)
        text = texts(step).long()
        drawn = _random(ordinary, random, spec.row, generator)
        lengths = draw_lengths(restated + random, spec.row // 2, groups, generator)
        parts = [
            restated_rows(text[:restated], lengths[:restated], in_turn(groups, restated), places, bos, restate),
            restated_rows(drawn, lengths[restated:], in_turn(groups, random), places, bos, restate, language=False),
            plain_rows(text[restated:], places, bos),
        ]
        return tuple(torch.cat(part) for part in zip(*parts, strict=True))

    tokens = spec.schedule.steps * batch * (spec.row + 1)
    return fit(name, NextToken(model), inputs_of, spec.schedule, tokens, checkpoint)


def _random(ordinary: Tensor, rows: int, length: int, generator: torch.Generator) -> Tensor:
    return ordinary[torch.randint(len(ordinary), (rows, length), generator=generator)]
