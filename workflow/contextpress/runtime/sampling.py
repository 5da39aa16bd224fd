"""Drawing rows to train on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def endless(rows: Tensor, count: int, generator: torch.Generator) -> Callable[[], Tensor]:
    """Draw ``count`` rows at a time without replacement, in a new order each time they are used up."""
    order = torch.empty(0, dtype=torch.long)

    def draw() -> Tensor:
        nonlocal order
        while len(order) < count:
            order = torch.cat([order, torch.randperm(len(rows), generator=generator)])
        chosen, order = order[:count], order[count:]
        return rows[chosen]

    return draw
