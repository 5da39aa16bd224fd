"""Merging language models of one shape: a weighted mean of their weights, without any training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from contextpress.lm.spec import MergeRule
from contextpress.runtime.errors import UserError

SAME = ("model_type", "num_attention_heads", "rope_parameters")  # of the config: what shapes of weights do not tell


def coefficients(norms: Sequence[float]) -> list[float]:
    """Shares of several weights in their merger, by NAN (Si et al., arXiv 2505.16148): 1 / norm, made to sum to 1.

    The paper argues from least squares that shares should follow how much of a task the weights hold, and estimates
    that by the inverse of their norm. Norms are of the weights themselves (our reading), not of what they differ in
    from a common start, so that models without one can be merged too.

    Args:
        norms: Frobenius norm of each. Weights that are all zero have all of it, in equal parts: the limit of the rule.
    """
    inverse = [1 / norm for norm in norms] if all(norms) else [float(norm == 0) for norm in norms]
    return [each / sum(inverse) for each in inverse]


@torch.no_grad()
def merge(models: Sequence[PreTrainedModel], names: Sequence[str], rule: MergeRule) -> dict[str, list[float]]:
    """Put the weighted mean of all ``models`` into the first of them, in float64 and rounded once.

    A weight that a model uses twice (tied embeddings) counts once.

    Args:
        models: of one kind and shape.
        names: of the models, for the error.
        rule: average (equal shares), nan_tensors (``coefficients`` of each weight tensor alone), nan_model (of all
            weights of a model as one vector).

    Returns:
        By weight, the share of each model.

    Raises:
        UserError: if the models differ in kind or shape; names the first difference.
    """
    _refuse_unequal(models, names)
    weights = [dict(model.named_parameters()) for model in models]
    norms = {name: [float(own[name].double().norm()) for own in weights] for name in weights[0]}
    if rule == "nan_tensors":
        shares = {name: coefficients(each) for name, each in norms.items()}
    else:
        whole = [sum(norm**2 for norm in own) ** 0.5 for own in zip(*norms.values(), strict=True)]
        shares = dict.fromkeys(norms, coefficients(whole if rule == "nan_model" else [1.0] * len(models)))
    for name, target in weights[0].items():
        parts = (share * own[name].double() for share, own in zip(shares[name], weights, strict=True))
        target.copy_(torch.stack(list(parts)).sum(0))
    return shares


def _refuse_unequal(models: Sequence[PreTrainedModel], names: Sequence[str]) -> None:
    first, *others = zip(models, names, strict=True)
    for model, name in others:
        which = f"models {first[1]} and {name} cannot be merged"
        for key in SAME:
            one, two = (getattr(each.config, key, None) for each in (first[0], model))
            if one != two:
                raise UserError(f"{which}: {key} is {one} in the first, {two} in the second")
        shapes, own = ({key: list(p.shape) for key, p in each.named_parameters()} for each in (first[0], model))
        for key in sorted(shapes.keys() | own.keys()):
            if shapes.get(key) != own.get(key):
                one, two = (found.get(key, "not there") for found in (shapes, own))
                raise UserError(f"{which}: the shape of weight {key} is {one} in the first, {two} in the second")
