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
    """Decoder-swap estimates per block (one encoder, setting and seed); the last axis is 1 + B.

    Attributes:
        blocks: K rows with the columns SWAP.
        correlation: [K, 1 + B] of the residuals.
        slope: [K, 1 + B] quality per unit of entropy.
    """

    blocks: pd.DataFrame
    correlation: Array
    slope: Array

    def effect(self, values: Array, document_freedom: float) -> Effect:
        """The mean over blocks of ``correlation`` or ``slope``; the unit of training is the seed.

        All blocks of a seed are read by the same decoder runs, so that encoders of one seed are no replicates.
        """
        scatter = scatter_of_runs(values, self.blocks.assign(encoder="all"))
        return combine(mean_over(values), scatter, document_freedom)


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
        Correlation of the residuals and slope (quality per unit of entropy), [blocks, 1 + B] each; None if no block
        has two decoders.
    """
    kept, correlations, slopes = [], [], []
    regions = panel.slices if per_domain else [slice(0, len(panel.passages))]
    for key, members in panel.compressors.groupby(SWAP, sort=True):
        index = members.index.to_numpy()
        if len(index) < 2:
            continue
        x, y = (values[:, index] - values[:, index].mean(1, keepdims=True) for values in (predictor, quality))
        sums = np.zeros((3, weights.shape[1]))
        for rows in regions:
            turned = weights[rows].T
            total = turned.sum(1)
            for place, (one, two) in enumerate(((x, y), (x, x), (y, y))):
                product = turned @ (one[rows] * two[rows]).sum(1)
                sums[place] += product - ((turned @ one[rows]) * (turned @ two[rows])).sum(1) / total
        kept.append(key)
        correlations.append(correlation.ratio(*sums))
        with np.errstate(invalid="ignore", divide="ignore"):
            slopes.append(np.where(sums[1] > 1e-15, sums[0] / np.where(sums[1] > 0, sums[1], 1.0), np.nan))
    if not kept:
        return None
    return Swap(pd.DataFrame(kept, columns=SWAP), np.array(correlations), np.array(slopes))
