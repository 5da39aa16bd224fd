"""Connectors: from the encoder's states to vectors that the decoder takes for token embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Connector(nn.Module):
    """Base: maps by ``body``, then sets the length of each vector to a learned multiple of an embedding's.

    A decoder expects inputs of the size of its token embeddings. Without this the first steps of training are spent
    on finding it.
    """

    def __init__(self, body: nn.Module, embedding: Tensor) -> None:
        """``embedding`` [vocabulary, width]: the decoder's, for the length of its rows."""
        super().__init__()
        self.body = body
        length = embedding.float().pow(2).mean(1).sqrt().mean()
        self.gain = nn.Parameter(torch.full((embedding.shape[1],), float(length), device=embedding.device))

    def forward(self, states: Tensor) -> Tensor:
        """[batch, S, encoder width] -> [batch, S, decoder width]."""
        mapped = self.body(states).float()
        return mapped * torch.rsqrt(mapped.pow(2).mean(-1, keepdim=True) + 1e-6) * self.gain


def linear(encoder_width: int, decoder_width: int) -> nn.Module:
    """One matrix."""
    return nn.Linear(encoder_width, decoder_width)


def mlp(encoder_width: int, decoder_width: int) -> nn.Module:
    """Two matrices with a GELU between them, the inner size twice the larger width."""
    inner = 2 * max(encoder_width, decoder_width)
    return nn.Sequential(nn.Linear(encoder_width, inner), nn.GELU(), nn.Linear(inner, decoder_width))


CONNECTORS = {"linear": linear, "mlp": mlp}
