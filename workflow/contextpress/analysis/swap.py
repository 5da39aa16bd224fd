"""The decoder-swap design: one encoder and one passage, read by several decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from contextpress.analysis import correlation
from contextpress.analysis.inference import Effect, combine, mean_over, scatter_of_runs
from contextpress.analysis.panel import SETTING, Array, Codes, Panel

SWAP = ["encoder", *SETTING, "seed"]


@dataclass(frozen=True)
class Swap:
    """Decoder-swap estimates; the last axis is 1 + B.

    What a decoder gives to its block (one encoder, setting and seed) is kept apart: the block's estimate is the mean
    over its decoders, and training runs of encoders and decoders can be told from each other.

    Attributes:
        compressors: K rows with the columns SWAP and decoder, block by block; their index is that of the panel.
        block: [K] number of the block.
        correlation: [K, 1 + B] of the residuals.
        slope: [K, 1 + B] quality per unit of entropy.
    """

    compressors: pd.DataFrame
    block: Codes
    correlation: Array
    slope: Array

    def only(self, members: Sequence[int]) -> Swap | None:
        """The blocks made of ``members`` of the panel, which must hold a block whole; None if there are none."""
        keep = self.compressors.index.isin(members)
        if not keep.any():
            return None
        return Swap(self.compressors[keep], self.block[keep], self.correlation[keep], self.slope[keep])

    def effect(self, values: Array, document_freedom: float) -> Effect:
        """The mean over blocks of ``correlation`` or ``slope``."""
        return combine(mean_over(values), scatter_of_runs(values, self.compressors), document_freedom)

    def blocks(self, values: Array) -> list[tuple[tuple[object, ...], Array]]:
        """Key and estimate [1 + B] of every block."""
        rows = self.compressors.reset_index(drop=True).groupby(self.block, sort=True)
        return [(tuple(part[SWAP].iloc[0]), values[list(part.index)].mean(0)) for _, part in rows]


def decoder_swap(panel: Panel, weights: Array, predictor: Array, quality: Array, *, per_domain: bool) -> Swap | None:
    """Regress quality on decoder entropy with passage and decoder effects, within one encoder, setting and seed.

    Both variables are demeaned over decoders within each passage, then over passages within each decoder (and domain);
    as every passage meets every decoder, that is the two-way within transformation, and the slope is the
    least-squares slope with a dummy per passage and per decoder (Wooldridge 2010, ch. 10).

    Args:
        panel: P passages, C compressors.
        weights: [P, 1 + B].
        predictor: [P, C] decoder entropy.
        quality: [P, C].
        per_domain: let a decoder be better in one domain than in another.

    Returns:
        None if no block has two decoders.
    """
    blocks = [rows.index.to_numpy() for _, rows in panel.compressors.groupby(SWAP, sort=True) if len(rows) > 1]
    if not blocks:
        return None
    order = np.concatenate(blocks)
    sizes = np.array([len(block) for block in blocks])
    number, starts = np.repeat(np.arange(len(blocks)), sizes), np.cumsum(sizes) - sizes
    x, y = (_around_block(values[:, order], number, starts, sizes) for values in (predictor, quality))
    cross, x_square, y_square = (np.zeros((len(order), weights.shape[1])) for _ in range(3))
    for rows in panel.slices if per_domain else [slice(0, len(panel.passages))]:
        total = weights[rows].sum(0)
        one, two = x[rows].T, y[rows].T
        # All blocks in one product of matrices.
        mean_x, mean_y = one @ weights[rows], two @ weights[rows]
        cross += (one * two) @ weights[rows] - mean_x * mean_y / total
        x_square += (one * one) @ weights[rows] - mean_x**2 / total
        y_square += (two * two) @ weights[rows] - mean_y**2 / total
    # The block's own value, shared out among its decoders by what they give to the sum of products.
    whole, x_whole, y_whole = (np.add.reduceat(values, starts, axis=0) for values in (cross, x_square, y_square))
    share = cross * sizes[number, None]
    known = np.isfinite(correlation.ratio(whole, x_whole, y_whole))[number]
    x_whole, y_whole = x_whole[number], y_whole[number]
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.where(known, share / np.sqrt(x_whole * y_whole), np.nan)
        slopes = np.where(x_whole > 1e-15, share / np.where(x_whole > 0, x_whole, 1.0), np.nan)
    return Swap(panel.compressors.loc[order, [*SWAP, "decoder"]], number, correlations, slopes)


def _around_block(values: Array, number: Codes, starts: Codes, sizes: Codes) -> Array:
    """[P, K] less the mean over the decoders of a block."""
    return values - (np.add.reduceat(values, starts, axis=1) / sizes)[:, number]
