"""What the decoder is given in place of a passage: its memory, or a control."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from contextpress.compressor.model import Compressor
from contextpress.reconstruction import greedy
from contextpress.reconstruction.greedy import Cost, Reconstruction
from contextpress.runtime.device import rows_at_once

# Passages whose memory is held at a time.
BLOCK = 8192


@dataclass(frozen=True)
class Reading:
    """Prefixes of the decoder, and who reads them. What a prefix makes the decoder write is the same for every reader.

    Attributes:
        prefixes: rows of the decoder's input before the text, [prefixes, S + 2, width or wider]; none comes twice.
        readers: by condition, the places of the passages read, and for each of them the place of its prefix.
    """

    prefixes: Tensor
    readers: dict[str, tuple[Tensor, Tensor]]


def readings(compressor: Compressor, memory: Tensor, ids: Tensor, others: Tensor, sample: Tensor) -> Iterator[Reading]:
    """The distinct prefixes of the four conditions; those that real and shuffled read are the same ones.

        real         <bos> z_1 ... z_S  <restate>
        shuffled     <bos> z'_1 .. z'_S <restate>      z' of another passage of the same domain
        zeroed       <bos> 0   ... 0    <restate>      one for all passages
        truncated    <bos> x_1 ... x_S  <restate>      the passage's first tokens, as text

    Args:
        compressor: gives slots and embeddings.
        memory: of each passage, [passages, S, features].
        ids: of each passage, [passages, window].
        others: for each passage the place of another one, [passages].
        sample: places of the passages that zeroed and truncated are read for.
    """
    every, own = (torch.arange(count, device=ids.device) for count in (len(ids), len(sample)))
    yield Reading(compressor.prefix(memory), {"real": (every, every), "shuffled": (every, others)})
    if not len(sample):
        return
    yield Reading(compressor.prefix(torch.zeros_like(memory[:1])), {"zeroed": (sample, torch.zeros_like(own))})
    first = compressor.embed(ids[sample, : compressor.slots])
    yield Reading(compressor.framed(first), {"truncated": (sample, own)})


def reconstruct(
    compressor: Compressor,
    ids: Tensor,
    others: Tensor,
    sample: Tensor,
    batch: int,
    read: Tensor | None = None,
    lengths: Tensor | None = None,
) -> Iterator[tuple[str, Tensor, Reconstruction]]:
    """What the decoder writes and predicts under each condition, each distinct prefix decoded once.

    Args:
        compressor: in eval mode.
        ids: of each passage, [passages, window]; what the decoder is to write.
        others: for each passage the place of another one, [passages].
        sample: places of the passages that zeroed and truncated are read for; both are left out if there are none.
        batch: passages decoded side by side.
        read: what the encoder reads of each passage, where its tokens are others, [passages, n].
        lengths: how many of a passage's ``ids`` are its own, from the first on, [passages]; by default all. As many of
            what is written count; nll and accuracy are of those.

    Yields:
        a condition, the places of its passages, and their reconstruction; its cost is what it added to those before.
    """
    read = ids if read is None else read
    rows = rows_at_once(ids.device, 1 + read.shape[1] + compressor.slots)
    memory = torch.cat([compressor.compress(chunk) for chunk in read.split(rows)])
    for reading in readings(compressor, memory, ids, others, sample):
        first, _ = next(iter(reading.readers.values()))
        reference = ids[first[: len(reading.prefixes)]]
        decoded = greedy.reconstruct(compressor.decoder, reading.prefixes, reference, batch=batch)
        cost = decoded.cost
        for condition, (places, which) in reading.readers.items():
            own = torch.equal(which, torch.arange(len(which), device=ids.device))
            if lengths is None and own and torch.equal(ids[places], reference):
                nll, accuracy = decoded.nll, decoded.accuracy
            else:
                counted = None if lengths is None else lengths[places]
                nll, accuracy, more = _scored(compressor, reading.prefixes, which, ids[places], counted)
                cost = Cost(cost.passes + more.passes, cost.positions + more.positions)
            yield condition, places, Reconstruction(decoded.ids[which], nll, accuracy, cost)
            cost = Cost()


def _scored(
    compressor: Compressor, prefixes: Tensor, which: Tensor, ids: Tensor, lengths: Tensor | None
) -> tuple[Tensor, Tensor, Cost]:
    """``greedy.score``, of passages of one length at a time."""
    if lengths is None:
        return greedy.score(compressor.decoder, prefixes, which, ids)
    nll, accuracy = (torch.empty(len(ids), device=ids.device) for _ in range(2))
    cost = Cost()
    for length in lengths.unique().tolist():
        rows = torch.nonzero(lengths == length).squeeze(1)
        nll[rows], accuracy[rows], more = greedy.score(compressor.decoder, prefixes, which[rows], ids[rows, :length])
        cost = Cost(cost.passes + more.passes, cost.positions + more.positions)
    return nll, accuracy, cost


def blocks(groups: pd.Series) -> list[int]:
    """Sizes of the blocks that passages are reconstructed in, at most ``BLOCK``: together those of all passages.

    A passage meets the memory of another one of its block. So each run of neighbours of one group is divided into
    equal parts, none of which is a mere rest, and small parts share a block.
    """
    parts: list[int] = []
    for _, run in groups.groupby((groups != groups.shift()).cumsum()):
        count = -(-len(run) // BLOCK)
        parts += [len(run) // count + (place < len(run) % count) for place in range(count)]
    sizes = [0]
    for part in parts:
        if sizes[-1] + part > BLOCK:
            sizes.append(0)
        sizes[-1] += part
    return sizes


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
