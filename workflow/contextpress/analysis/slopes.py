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
    """

    raw: Array
    standardised: Array


def within_domain(panel: Panel, weights: Array, predictor: Array, quality: Array) -> Slopes:
    """Slopes of ``quality`` [P, C] on ``predictor`` [P, C] under ``weights`` [P, 1 + B]."""
    moments = []
    for rows in panel.slices:
        # Centred first: the variance of small differences from large means loses digits otherwise.
        x = predictor[rows] - predictor[rows].mean(0)
        y = quality[rows] - quality[rows].mean(0)
        turned = weights[rows].T
        total = turned.sum(1)[:, None]
        mean_x, mean_y = turned @ x / total, turned @ y / total
        moments.append(
            (
                (turned @ (x * y) - total * mean_x * mean_y).T,
                (turned @ (x * x) - total * mean_x**2).T,
                (turned @ (y * y) - total * mean_y**2).T,
            )
        )
    stacked = np.array(moments)  # [D, 3, C, 1 + B]
    both = np.concatenate([stacked, stacked.sum(0, keepdims=True)])
    cross, x_square, y_square = both[:, 0], both[:, 1], both[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = np.where(x_square > 1e-15, cross / np.where(x_square > 0, x_square, 1.0), np.nan)
    return Slopes(raw, correlation.ratio(cross, x_square, y_square))
