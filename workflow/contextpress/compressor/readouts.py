"""Read-outs: how an encoder's hidden states become a fixed number of memory states.

A read-out says what the encoder reads, at which positions (``inputs``), and which of its states are the memory
(``select``). The states are those after the last layer or, with ``key_values``, the keys and values of every layer.

How fast a frozen decoder learns to read them differs. In one trial (D1 and D1, one seed, ratio 4, 200 steps, no
curriculum) held-out prose came to a token accuracy of 0.69 with mean_pool, 0.50 with interleaved, 0.35 with
memory_tokens, and 0.31 with memory tokens whose positions follow those of the text. kv_prefix came to 0.90; but at
one ratio it hands on more numbers than the others, here eight times as many.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Inputs(NamedTuple):
    """What an encoder reads.

    Attributes:
        embedded: input embeddings, [batch, n, width].
        positions: position ids, int64 [n]. A memory token takes that of the last token of its group (Enhanced Position
            Layout, Zhao et al., arXiv 2409.14364): so it starts near what it is to hold, wherever it stands, and text
            keeps the distances of pretraining.
    """

    embedded: Tensor
    positions: Tensor


class MemoryTokens(nn.Module):
    """Trained tokens at the end of the input, whose last states are the memory (ICAE, arXiv 2307.06945).

    encoder reads   <bos> x_1 x_2 x_3 x_4  m_1 m_2       at ratio 2
    at position       0    1   2   3   4    2   4
    memory                                 h_1 h_2
    """

    key_values = False

    def __init__(self, slots: int, embedding: Tensor) -> None:
        """Start every memory token at the mean of ``embedding`` [vocabulary, width], plus noise of its spread."""
        super().__init__()
        self.tokens = nn.Parameter(_typical(slots, embedding))

    def inputs(self, embedded: Tensor, group: int) -> Inputs:
        """[batch, 1 + L, width] -> [batch, 1 + L + S, width]; a passage shorter than the window has fewer slots."""
        text = torch.arange(embedded.shape[1], device=embedded.device)
        ends = text[group::group]
        used = self.tokens[: len(ends)].to(embedded.dtype).expand(len(embedded), -1, -1)
        return Inputs(torch.cat([embedded, used], dim=1), torch.cat([text, ends]))

    def select(self, states: Tensor, group: int) -> Tensor:
        """[batch, 1 + L + S, width] -> [batch, S, width]."""
        return states[:, -((states.shape[1] - 1) // (group + 1)) :]


class Interleaved(nn.Module):
    """A trained token after each group of neighbours, whose last states are the memory.

    encoder reads   <bos> x_1 x_2  m  x_3 x_4  m         at ratio 2
    at position       0    1   2   2   3   4   4
    memory                        h_1         h_2

    A causal encoder's h_i holds nothing of later groups. One token serves all places, as the beacons of Activation
    Beacon do (Zhang et al., arXiv 2401.03462).
    """

    key_values = False

    def __init__(self, slots: int, embedding: Tensor) -> None:
        """Start the memory token at the mean of ``embedding`` [vocabulary, width], plus noise of its spread."""
        super().__init__()
        self.token = nn.Parameter(_typical(1, embedding))

    def inputs(self, embedded: Tensor, group: int) -> Inputs:
        """[batch, 1 + L, width] -> [batch, 1 + L + S, width]."""
        batch, length, _ = embedded.shape
        slots = (length - 1) // group
        groups = embedded[:, 1:].unflatten(1, (slots, group))
        tokens = self.token.to(embedded.dtype).expand(batch, slots, 1, -1)
        places = torch.arange(1, length, device=embedded.device).view(slots, group)
        return Inputs(
            torch.cat([embedded[:, :1], torch.cat([groups, tokens], dim=2).flatten(1, 2)], dim=1),
            torch.cat([places.new_zeros(1), torch.cat([places, places[:, -1:]], dim=1).flatten()]),
        )

    def select(self, states: Tensor, group: int) -> Tensor:
        """[batch, 1 + L + S, width] -> [batch, S, width]."""
        return states[:, group + 1 :: group + 1]


class KeyValuePrefix(Interleaved):
    """The keys and values of interleaved tokens in every layer, which the decoder reads as its own.

    That memory is handed on so, not as embeddings, is 500xCompressor's (Li et al., arXiv 2408.03094); its tokens stand
    at the end.
    """

    key_values = True


class MeanPool(nn.Module):
    """The mean of each group of neighbouring states.

    encoder reads   <bos> x_1 x_2 x_3 x_4 ...
    memory          mean(h_1, h_2), mean(h_3, h_4), ...      at ratio 2
    """

    key_values = False

    def __init__(self, slots: int, embedding: Tensor) -> None:
        """This read-out has no parameters."""
        super().__init__()

    def inputs(self, embedded: Tensor, group: int) -> Inputs:
        """[batch, 1 + L, width], unchanged."""
        return Inputs(embedded, torch.arange(embedded.shape[1], device=embedded.device))

    def select(self, states: Tensor, group: int) -> Tensor:
        """[batch, 1 + L, width] -> [batch, S, width]."""
        return states[:, 1:].unflatten(1, (-1, group)).mean(2)


def _typical(count: int, embedding: Tensor) -> Tensor:
    """Random vectors that look like rows of ``embedding`` [vocabulary, width]: [count, width], float32."""
    mean, spread = embedding.float().mean(0), embedding.float().std(0)
    return mean + spread * torch.randn(count, embedding.shape[1]).to(embedding.device)


ReadOut = MemoryTokens | Interleaved | MeanPool
READOUTS: dict[str, type[ReadOut]] = {
    "memory_tokens": MemoryTokens,
    "interleaved": Interleaved,
    "kv_prefix": KeyValuePrefix,
    "mean_pool": MeanPool,
}
