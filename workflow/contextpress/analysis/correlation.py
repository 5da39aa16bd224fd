"""Rank correlations under passage weights, for all bootstrap draws at once.

A bootstrap draw is a vector of weights, so its mid-ranks are cumulative weights along an order that is sorted once:
O(P) per draw instead of a new sort. With whole-number weights every result equals the one on repeated rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from contextpress.analysis.panel import Array


def ranks(values: Array, weights: Array, slices: Sequence[slice]) -> Array:
    """Centred fractional mid-ranks of each passage within its slice.

    Args:
        values: [P].
        weights: [P, B], not negative.
        slices: groups within which to rank: the domains, or one slice for all.

    Returns:
        [P, B] between -1/2 and 1/2; the weighted mean over a slice is 0, so domains are demeaned at once.
    """
    result = np.empty(weights.shape)
    for rows in slices:
        order = np.argsort(values[rows], kind="stable")
        ordered = values[rows][order]
        first = np.r_[True, ordered[1:] != ordered[:-1]]
        sorted_weights = weights[rows][order]
        if first.all():
            above = _running_sum(sorted_weights)
            middle = above - sorted_weights / 2
        else:
            tied = np.add.reduceat(sorted_weights, np.flatnonzero(first), axis=0)
            above = _running_sum(tied)
            middle = (above - tied / 2)[np.cumsum(first) - 1]
        block = np.empty_like(middle)
        with np.errstate(invalid="ignore", divide="ignore"):
            block[order] = middle / above[-1] - 0.5
        result[rows] = block
    return result


def _running_sum(values: Array) -> Array:
    # Row by row: numpy's cumsum along the first axis walks down each column, three times slower.
    result = values.copy()
    for above, row in pairwise(result):
        row += above
    return result


def products(first: Array, second: Array, slices: Sequence[slice]) -> Array:
    """Sums over each slice of ``first`` x ``second``, both [P, B]: [slices, B]."""
    return np.array([np.einsum("pb,pb->b", first[rows], second[rows]) for rows in slices])


def ratio(covariance: Array, first: Array, second: Array) -> Array:
    """Correlation from a covariance and two variances; NaN where a variable does not vary."""
    scale = first * second
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 1e-18, np.clip(covariance / np.sqrt(np.maximum(scale, 1e-300)), -1, 1), np.nan)


def partial(covariances: Array) -> Array:
    """Partial correlation of the first two variables given all others.

    Args:
        covariances: [B, k, k] covariance matrices; k >= 2.

    Returns:
        [B]; NaN where one of the two does not vary beyond the others (one hundred thousandth of its variance).
    """
    own, rest = covariances[:, :2, :2], covariances[:, 2:, 2:]
    left = own
    if rest.shape[1]:
        between = covariances[:, :2, 2:]
        rest = np.where(np.isfinite(rest), rest, 0.0)
        left = own - between @ np.linalg.pinv(rest, rcond=1e-9, hermitian=True) @ between.transpose(0, 2, 1)
    variances, before = np.diagonal(left, axis1=1, axis2=2), np.diagonal(own, axis1=1, axis2=2)
    gone = (variances <= 1e-5 * before).any(axis=1)
    value = ratio(left[:, 0, 1], variances[:, 0], variances[:, 1])
    return np.where(gone, np.nan, value)


def spearman(first: Array, second: Array, weights: Array, slices: Sequence[slice]) -> Array:
    """Weighted Spearman correlation of two variables [P] on each draw: [B]; within the slices, if several."""
    one, two = ranks(first, weights, slices), ranks(second, weights, slices)
    weighted = weights * one
    return ratio((weighted * two).sum(0), (weighted * one).sum(0), (weights * two * two).sum(0))
