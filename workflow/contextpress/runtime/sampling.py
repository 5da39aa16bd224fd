"""Drawing rows to train on. A draw follows from a seed and a step alone, so that a resumed training needs no more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor


def generator_at(seed: int, *place: int | str) -> torch.Generator:
    """A generator for one place of a training (a step, a turn of some rows), independent of all others."""
    digest = hashlib.sha256(repr((seed, *place)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:4]))  # torch's generator takes 32 bits


def endless(rows: Tensor, count: int, seed: int, name: str) -> Callable[[int], Tensor]:
    """Draw ``count`` rows at each step without replacement, in a new order each time they are used up.

    Args:
        rows: to draw from, [n, ...].
        count: rows at each step.
        seed: of the orders.
        name: of the rows, where one training draws from several under one seed.

    Returns:
        The rows of a step, [count, ...]; steps can be asked for in any order.
    """

    @lru_cache(maxsize=2)
    def order(turn: int) -> Tensor:
        return torch.randperm(len(rows), generator=generator_at(seed, name, turn))

    def draw(step: int) -> Tensor:
        start, stop = step * count, (step + 1) * count
        chosen = torch.empty(0, dtype=torch.long)
        while start < stop:
            turn, first = divmod(start, len(rows))
            part = order(turn)[first : first + stop - start]
            chosen, start = torch.cat([chosen, part]), start + len(part)
        return rows[chosen]

    return draw
