"""Token arrays on disk: one domain's training split as one run of ids and where its documents begin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from contextpress.runtime import seals
from contextpress.runtime.files import reading, replacing

IdArray = NDArray[np.unsignedinteger]


def save_arrays(path: Path, **arrays: NDArray) -> None:
    """Write arrays under their names as safetensors."""
    with replacing(path) as draft:
        save_file(arrays, draft)
        seals.seal(draft)


def load_arrays(path: Path) -> dict[str, NDArray]:
    """Read all arrays of a safetensors file.

    Raises:
        UserError: see ``reading``.
    """
    with reading(path, "safetensors"):
        seals.check(path)
        return load_file(path)


def narrow(ids: list[int], vocabulary: int) -> IdArray:
    """Ids in the smallest unsigned type that holds the vocabulary."""
    return np.asarray(ids, dtype=np.uint16 if vocabulary <= 1 << 16 else np.uint32)


def windows(ids: IdArray, offsets: NDArray[np.int64], length: int) -> IdArray:
    """Consecutive windows that do not overlap and stay inside one document: [windows, length].

    Args:
        ids: the documents' tokens one after the other, [tokens].
        offsets: start of each document and the end of the last, [documents + 1].
        length: tokens per window; what is left at the end of a document is dropped.
    """
    counts = np.diff(offsets) // length
    starts = np.repeat(offsets[:-1], counts) + length * _arange_each(counts)
    return ids[starts[:, None] + np.arange(length)]


def share_out(total: int, weights: dict[str, float]) -> dict[str, int]:
    """Divide ``total`` rows by ``weights``, so that the parts add up to it exactly (largest remainders)."""
    exact = {name: total * weight / sum(weights.values()) for name, weight in weights.items()}
    parts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: parts[name] - exact[name])
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def _arange_each(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, .., c-1 for each count c, one after the other."""
    total = int(counts.sum())
    return np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
