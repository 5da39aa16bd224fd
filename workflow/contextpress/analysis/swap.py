"""The decoder-swap design: one encoder and one passage, read by several decoders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from contextpress.analysis import correlation
from contextpress.analysis.inference import Effect, combine, mean_over, scatter_of_runs
from contextpress.analysis.panel import SETTING, Array, Panel

SWAP = ["encoder", *SETTING, "seed"]


@dataclass(frozen=True)
class Swap:
    """Decoder-swap estimates; the last axis is 1 + B.

    What a decoder gives to its block (one encoder, setting and seed) is kept apart: the block's estimate is the mean
    over its decoders, and training runs of encoders and decoders can be told from each other.

    Attributes:
        compressors: K rows with the columns SWAP and decoder, block by block.
        block: [K] number of the block.
        correlation: [K, 1 + B] of the residuals.
        slope: [K, 1 + B] quality per unit of entropy.
    """

    compressors: pd.DataFrame
    block: Array
    correlation: Array
    slope: Array

    def effect(self, values: Array, document_freedom: float) -> Effect:
        """The mean over blocks of ``correlation`` or ``slope``."""
        return combine(mean_over(values), scatter_of_runs(values, self.compressors), document_freedom)

    def blocks(self, values: Array) -> list[tuple[tuple[object, ...], Array]]:
        """Key and estimate [1 + B] of every block."""
        rows = self.compressors.groupby(self.block, sort=True)
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
    kept, blocks, correlations, slopes = [], [], [], []
    regions = panel.slices if per_domain else [slice(0, len(panel.passages))]
    for number, (_, members) in enumerate(panel.compressors.groupby(SWAP, sort=True)):
        index = members.index.to_numpy()
        if len(index) < 2:
            continue
        x, y = (values[:, index] - values[:, index].mean(1, keepdims=True) for values in (predictor, quality))
        sums = np.zeros((3, len(index), weights.shape[1]))
        for rows in regions:
            turned = weights[rows].T
            total = turned.sum(1)[:, None]
            for place, (one, two) in enumerate(((x, y), (x, x), (y, y))):
                product = turned @ (one[rows] * two[rows])
                sums[place] += (product - (turned @ one[rows]) * (turned @ two[rows]) / total).T
        cross, x_square, y_square = len(index) * sums[0], sums[1].sum(0), sums[2].sum(0)
        # The block's own value, shared out among its decoders by what they give to the sum of products.
        whole = correlation.ratio(sums[0].sum(0), x_square, y_square)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlations.append(np.where(np.isfinite(whole), cross / np.sqrt(x_square * y_square), np.nan))
            slopes.append(np.where(x_square > 1e-15, cross / np.where(x_square > 0, x_square, 1.0), np.nan))
        kept.append(members[[*SWAP, "decoder"]])
        blocks += [number] * len(index)
    if not kept:
        return None
    compressors = pd.concat(kept, ignore_index=True)
    return Swap(compressors, np.array(blocks), np.concatenate(correlations), np.concatenate(slopes))
