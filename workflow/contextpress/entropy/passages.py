"""Scores of passages that need no model, and what is made of those that a model gave."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

NATS_PER_BIT = math.log(2)


def unigram_entropy(ids: Sequence[NDArray[np.integer]], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean -ln of each passage's tokens' frequencies, nats per token; [passages].

    Args:
        ids: token ids per passage.
        counts: how often each entry of the vocabulary occurs in the training text, [vocabulary]; one is added to
            each, so that no token is impossible.
    """
    surprise = -np.log((counts + 1) / (counts + 1).sum())
    return np.array([surprise[np.asarray(row)].mean() for row in ids])


def zlib_bits_per_byte(text: str) -> float:
    """Size of the text after zlib at its strongest, in bits per byte of UTF-8; header and checksum not counted."""
    raw = text.encode()
    packed = zlib.compressobj(level=9, wbits=-15)
    return 8 * len(packed.compress(raw) + packed.flush()) / len(raw)


def bucket_edges(reference: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Where the quantile buckets of ``reference`` meet, [count - 1]."""
    return np.quantile(reference, np.arange(1, count) / count)


def buckets(nll: pd.Series, edges: NDArray[np.float64]) -> NDArray[np.int32]:
    """Bucket of each value: 0 (least surprising) to the number of ``edges``."""
    return np.searchsorted(edges, nll.to_numpy(), side="right").astype(np.int32)
