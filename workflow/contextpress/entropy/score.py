"""Scores of tokens under a language model."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import PreTrainedModel

from contextpress.runtime.device import rows_at_once

# Logits of this many numbers are held at a time, whatever the vocabulary and length: on a GPU 512 MiB in float32, on
# CPU what its caches hold. One thread scored 13,600 tokens a second so, and 7,600 with 512 MiB (4 layers, width 192,
# 2,048 words).
LOGITS_AT_ONCE = {"cpu": 1 << 21, "cuda": 1 << 27}
FEWEST_POSITIONS = 512  # in one pass all the same: with fewer, reading the weights takes longer than multiplying


@torch.inference_mode()
def score_tokens(model: PreTrainedModel, ids: Tensor, bos: int) -> dict[str, Tensor]:
    """Score every token of each row given the tokens before it; the first one after an explicit <bos>.

    Computed in float32, whatever the training precision was, so that a passage's score does not depend on what it is
    batched with.

    Args:
        model: causal language model.
        ids: token ids, [rows, length].
        bos: id of the beginning-of-sequence token.

    Returns:
        ``nll`` and ``predictive_entropy`` in nats and ``rank`` (1 = most likely), each [rows, length].
    """
    held = _positions(model)
    positions = max(FEWEST_POSITIONS, held)
    rows = max(1, min(rows_at_once(model.device, ids.shape[1]), positions // ids.shape[1]))
    # Made beforehand: small results kept between large intermediate ones would leave the memory full of holes.
    found = {
        "nll": torch.empty(ids.shape),
        "predictive_entropy": torch.empty(ids.shape),
        "rank": torch.empty(ids.shape, dtype=torch.int64),
    }
    for start in range(0, len(ids), rows):
        part = slice(start, start + rows)
        for name, scores in _score(model, ids[part].to(model.device), bos, held).items():
            found[name][part] = scores
    return found


def log_probabilities(model: PreTrainedModel, ids: Tensor, bos: int) -> Tensor:
    """Ln p of every vocabulary entry at every position of ``ids`` [rows, length]: [rows, length, vocabulary]."""
    return torch.log_softmax(_logits(model, ids, bos).float(), dim=-1)


def _logits(model: PreTrainedModel, ids: Tensor, bos: int) -> Tensor:
    marked = torch.cat([ids.new_full((len(ids), 1), bos), ids[:, :-1]], dim=1)
    logits: Tensor = model(input_ids=marked, use_cache=False).logits
    return logits


def _positions(model: PreTrainedModel) -> int:
    """How many positions have as many logits as are held at a time."""
    logits = LOGITS_AT_ONCE.get(model.device.type, LOGITS_AT_ONCE["cuda"])
    return max(1, logits // int(model.get_output_embeddings().weight.shape[0]))


def _score(model: PreTrainedModel, ids: Tensor, bos: int, held: int) -> dict[str, Tensor]:
    # In parts: with a large vocabulary every number that is made of all logits would be too many for the caches.
    logits, true = (tensor.flatten(0, 1).split(held) for tensor in (_logits(model, ids, bos), ids.unsqueeze(-1)))
    parts = [_of_tokens(torch.log_softmax(part.float(), dim=-1), own) for part, own in zip(logits, true, strict=True)]
    return {name: torch.cat([part[name] for part in parts]).view_as(ids) for name in parts[0]}


def _of_tokens(log_p: Tensor, ids: Tensor) -> dict[str, Tensor]:
    """The scores of tokens ``ids`` [n, 1] of which a model says ``log_p`` [n, vocabulary], which is used up."""
    true = log_p.gather(-1, ids)
    entropy = -log_p.exp().mul_(log_p).sum(-1)
    # As float32, which counts exactly to 2^24: to count booleans torch first makes integers of 8 bytes of them.
    better = log_p.gt_(true).sum(-1).long()
    return {"nll": -true.squeeze(-1), "predictive_entropy": entropy, "rank": better + 1}


@torch.inference_mode()
def divergence(
    p_model: PreTrainedModel, q_model: PreTrainedModel, ids: Tensor, bos: int, lengths: Tensor | None = None
) -> tuple[float, float]:
    """Mean token KL(p || q) and KL(q || p) in nats on the passages ``ids`` [rows, length].

    Of models of one family the larger may have more places for words than their tokenizer has words. What both have
    is compared, each taken to add up to 1.

    Args:
        p_model: causal language model.
        q_model: another one with the same tokenizer.
        ids: token ids, [rows, length].
        bos: id of the beginning-of-sequence token.
        lengths: tokens of each row that count, from the first on, [rows]; by default all.
    """
    forward, backward = 0.0, 0.0
    lengths = torch.full((len(ids),), ids.shape[1]) if lengths is None else lengths
    for chunk, counted in zip(ids.split(64), lengths.split(64), strict=True):
        p, q = _comparable(*(log_probabilities(model, chunk.to(model.device), bos) for model in (p_model, q_model)))
        ends = torch.arange(ids.shape[1]) >= counted[:, None]
        for log_p in (p, q):
            log_p[ends.to(log_p.device)] = -math.log(log_p.shape[-1])  # the same in both: nothing is added
        forward += float((p.exp() * (p - q)).sum(dtype=torch.float64))
        backward += float((q.exp() * (q - p)).sum(dtype=torch.float64))
    return forward / int(lengths.sum()), backward / int(lengths.sum())


def _comparable(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    words = min(p.shape[-1], q.shape[-1])
    one, two = (x if x.shape[-1] == words else torch.log_softmax(x[..., :words], dim=-1) for x in (p, q))
    return one, two
