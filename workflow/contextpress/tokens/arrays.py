"""Token arrays on disk: one domain's training split as one run of ids and where its documents begin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from contextpress.runtime import seals
from contextpress.runtime.files import reading, replacing

IdArray = NDArray[np.unsignedinteger]
TYPES = {"U16": np.uint16, "U32": np.uint32, "I64": np.int64}  # of the arrays that are written here
AT_ONCE = 1 << 20  # numbers of an array that are counted together


def save_arrays(path: Path, **arrays: NDArray) -> None:
    """Write arrays under their names as safetensors."""
    with replacing(path) as draft:
        save_file(arrays, draft)
        seals.seal(draft)


def load_arrays(path: Path) -> dict[str, NDArray]:
    """All arrays of a safetensors file, mapped: what is not asked for is not read. They cannot be written to.

    Raises:
        UserError: see ``reading``.
    """
    with reading(path, "safetensors"):
        seals.check(path)
        with path.open("rb") as file:
            header, start = seals.header_of(file), file.tell()
        header.pop(seals.METADATA, None)
        numbers = np.memmap(path, np.uint8, "r", offset=start)
        return {
            name: numbers[slice(*found["data_offsets"])].view(TYPES[found["dtype"]]).reshape(found["shape"])
            for name, found in header.items()
        }


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


def counts(ids: IdArray, vocabulary: int) -> NDArray[np.int64]:
    """How often each entry of the vocabulary occurs, [vocabulary]."""
    parts = (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))
    return sum((np.bincount(part, minlength=vocabulary) for part in parts), np.zeros(vocabulary, dtype=np.int64))


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
