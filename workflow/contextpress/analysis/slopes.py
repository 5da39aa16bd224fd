"""Least-squares slopes within domain, for every compressor and draw, from weighted moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from contextpress.analysis import correlation
from contextpress.analysis.panel import Array, Panel


@dataclass(frozen=True)
class Slopes:
    """Slopes of quality on a predictor; the last axis is 1 + B: the data, then the draws.

    Attributes:
        raw: [D + 1, C, 1 + B] quality per unit of the predictor: each domain alone, then all, domains demeaned.
        standardised: the same in standard deviations of both, the deviations taken within domain.
        pooled: [C, 1 + B] standardised, domains ignored.
    """

    raw: Array
    standardised: Array
    pooled: Array


def within_domain(panel: Panel, weights: Array, predictor: Array, quality: Array) -> Slopes:
    """Slopes of ``quality`` [P, C] on ``predictor`` [P, C] under ``weights`` [P, 1 + B]."""
    alone = [moments(predictor[rows], quality[rows], weights[rows]) for rows in panel.slices]
    everything = moments(predictor, quality, weights)
    stacked = np.array(alone)  # [D, 3, C, 1 + B]
    both = np.concatenate([stacked, stacked.sum(0, keepdims=True)])
    cross, x_square, y_square = both[:, 0], both[:, 1], both[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = np.where(x_square > 1e-15, cross / np.where(x_square > 0, x_square, 1.0), np.nan)
    return Slopes(raw, correlation.ratio(cross, x_square, y_square), correlation.ratio(*everything))


def moments(predictor: Array, quality: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Sums of products around the weighted means: of both, of the predictor, of quality; [C, 1 + B] each."""
    # Centred first: the variance of small differences from large means loses digits otherwise.
    x, y = predictor - predictor.mean(0), quality - quality.mean(0)
    turned = weights.T
    total = turned.sum(1)[:, None]
    mean_x, mean_y = turned @ x / total, turned @ y / total
    return (
        (turned @ (x * y) - total * mean_x * mean_y).T,
        (turned @ (x * x) - total * mean_x**2).T,
        (turned @ (y * y) - total * mean_y**2).T,
    )
