"""What the decoder is given in place of a passage: its memory, or a control."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from contextpress.compressor.model import Compressor


def prefix_of(condition: str, compressor: Compressor, memory: Tensor, ids: Tensor, others: Tensor) -> Tensor:
    """The decoder's input embeddings before the text, [passages, S + 2, width].

        real         <bos> z_1 ... z_S  <restate>
        zeroed       <bos> 0   ... 0    <restate>
        shuffled     <bos> z'_1 .. z'_S <restate>      z' of another passage of the same domain
        truncated    <bos> x_1 ... x_S  <restate>      the passage's first tokens, as text

    Args:
        condition: one of the four.
        compressor: gives slots and embeddings.
        memory: of each passage, [passages, S, width].
        ids: of each passage, [passages, window].
        others: for each passage the place of another one, [passages].
    """
    if condition == "real":
        return compressor.prefix(memory)
    if condition == "zeroed":
        return compressor.prefix(torch.zeros_like(memory))
    if condition == "shuffled":
        return compressor.prefix(memory[others])
    if condition == "truncated":
        return compressor.prefix(compressor.embed(ids[:, : compressor.slots]))
    raise ValueError(f"unknown condition {condition}")


def other_passages(groups: pd.Series, documents: pd.Series) -> Tensor:
    """For each passage the place of another one of its group, of another document wherever the group has one.

    Each group, ordered by document, is turned by half its length: no passage keeps its own memory, and each memory
    is used once.
    """
    places = np.arange(len(groups))
    others = places.copy()
    for _, members in pd.Series(places).groupby(groups.to_numpy(), sort=True):
        ordered = members.to_numpy()[np.argsort(documents.to_numpy()[members], kind="stable")]
        others[ordered] = np.roll(ordered, len(ordered) // 2)
    return torch.from_numpy(others)
