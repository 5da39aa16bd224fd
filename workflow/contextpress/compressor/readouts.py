"""Read-outs: how an encoder's hidden states become a fixed number of memory states.

A read-out says what the encoder reads (``inputs``) and which of its states are the memory (``select``).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MemoryTokens(nn.Module):
    """Trained tokens at the end of the input, whose last states are the memory (ICAE, arXiv 2307.06945).

    encoder reads   <bos> x_1 ... x_L  m_1 ... m_S
    memory                             h_1 ... h_S
    """

    def __init__(self, slots: int, ratio: int, embedding: Tensor) -> None:
        """Start every memory token at the mean of ``embedding`` [vocabulary, width], plus noise of its spread."""
        super().__init__()
        self.ratio = ratio
        mean, spread = embedding.float().mean(0), embedding.float().std(0)
        self.tokens = nn.Parameter(mean + spread * torch.randn(slots, embedding.shape[1]).to(embedding.device))

    def inputs(self, embedded: Tensor) -> Tensor:
        """[batch, 1 + L, width] -> [batch, 1 + L + S, width]; a passage shorter than the window has fewer slots."""
        used = self.tokens[: (embedded.shape[1] - 1) // self.ratio].to(embedded.dtype)
        return torch.cat([embedded, used.expand(len(embedded), -1, -1)], dim=1)

    def select(self, states: Tensor) -> Tensor:
        """[batch, 1 + L + S, width] -> [batch, S, width]."""
        return states[:, -((states.shape[1] - 1) // (self.ratio + 1)) :]


class MeanPool(nn.Module):
    """The mean of each group of ``ratio`` neighbouring states.

    encoder reads   <bos> x_1 x_2 x_3 x_4 ...
    memory          mean(h_1, h_2), mean(h_3, h_4), ...      at ratio 2
    """

    def __init__(self, slots: int, ratio: int, embedding: Tensor) -> None:
        """Only ``ratio`` is needed: this read-out has no parameters of its own."""
        super().__init__()
        self.ratio = ratio

    def inputs(self, embedded: Tensor) -> Tensor:
        """[batch, 1 + L, width], unchanged."""
        return embedded

    def select(self, states: Tensor) -> Tensor:
        """[batch, 1 + L, width] -> [batch, S, width]."""
        return states[:, 1:].unflatten(1, (-1, self.ratio)).mean(2)


READOUTS: dict[str, type[MemoryTokens | MeanPool]] = {"memory_tokens": MemoryTokens, "mean_pool": MeanPool}
