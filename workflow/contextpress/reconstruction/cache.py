"""The key-value cache of a decoding that guesses: wrong guesses are written over."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache

Ids = NDArray[np.int64]


class SlotCache(Cache):
    """Keys and values of every row at the slot of their position, so that a wrong guess is simply written over.

    A query at position p sees the slots 0..p of its row and no others. Two rows with 3 positions of prefix; row 0 has
    written two tokens, row 1 one; both are fed their last token and two guesses (``q``)::

        slot    0  1  2  3  4  5  6  7
        row 0   P  P  P  a  q  q  q  .      queries at positions 4, 5, 6
        row 1   P  P  P  q  q  q  x  .      queries at positions 3, 4, 5; x: a wrong guess of an earlier pass

        mask of row 0           mask of row 1
        q4  1 1 1 1 1 . . .     q3  1 1 1 1 . . . .
        q5  1 1 1 1 1 1 . .     q4  1 1 1 1 1 . . .
        q6  1 1 1 1 1 1 1 .     q5  1 1 1 1 1 1 . .     x stays unseen until position 6 is fed, which writes it over

    The last slot takes what is guessed beyond the end of the text: no query that counts stands there.
    """

    def __init__(self, rows: int, slots: int) -> None:
        super().__init__(layers=[])  # holds its own tensors; transformers sees an empty cache, hence plain causal
        self.capacity, self.slots = rows, slots
        self.rows, self.used = slice(0, 0), 0
        self.positions: Tensor | None = None
        self.stored: list[tuple[Tensor, Tensor]] = []  # keys and values of each layer [rows, heads, slots, head width]

    def point(self, rows: slice, used: int, positions: Tensor | None = None) -> None:
        """Say where the next pass writes.

        Args:
            rows: the rows it computes.
            used: slots that some query of it may see.
            positions: [rows, width]; None for a first pass, which fills the slots 0..used-1.
        """
        self.rows, self.used, self.positions = rows, used, positions

    def mask(self, dtype: torch.dtype) -> Tensor | None:
        """What each query of the next pass sees, [rows, 1, width, used]: 0 where it does, else the lowest number."""
        if self.positions is None:
            return None  # plain causal
        hidden = torch.arange(self.used, device=self.positions.device) > self.positions[:, None, :, None]
        return torch.zeros(hidden.shape, dtype=dtype, device=hidden.device).masked_fill_(hidden, torch.finfo(dtype).min)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Store the keys and values of one layer; called by the model.

        Args:
            key_states: [rows, heads, width, head width].
            value_states: likewise.
            layer_idx: the layer.

        Returns:
            keys and values of the slots in use, [rows, heads, used, head width].
        """
        while len(self.stored) <= layer_idx:
            # Zeros, not whatever the memory held: a hidden slot with a NaN in it would still spoil the sum.
            self.stored.append((self._empty(key_states), self._empty(value_states)))
        keys, values = self.stored[layer_idx]
        return self._write(keys, key_states), self._write(values, value_states)

    def move(self, sources: Ids, targets: Ids) -> None:
        """Copy rows to the places of others."""
        for tensor in (tensor for layer in self.stored for tensor in layer):
            tensor[torch.from_numpy(targets)] = tensor[torch.from_numpy(sources)]

    def _empty(self, like: Tensor) -> Tensor:
        return like.new_zeros(self.capacity, like.shape[1], self.slots, like.shape[3])

    def _write(self, stored: Tensor, new: Tensor) -> Tensor:
        rows = stored[self.rows]
        if self.positions is None:
            rows[:, :, : self.used] = new
        else:
            rows[torch.arange(len(rows), device=new.device)[:, None], :, self.positions] = new.transpose(1, 2)
        return rows[:, :, : self.used]
