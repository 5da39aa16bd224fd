"""Rank correlations under passage weights, for all bootstrap draws at once.

A bootstrap draw is a vector of weights, so its mid-ranks are cumulative weights along an order that is sorted once:
O(P) per draw instead of a new sort. With whole-number weights every result equals the one on repeated rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from contextpress.analysis.panel import Array


class Ranker:
    """Ranks of columns under one block of draws.

    The work space is kept from column to column: to ask the system for megabytes costs more than to sum them up.
    """

    def __init__(self, weights: Array, slices: Sequence[slice]) -> None:
        """Rank under ``weights`` [P, B], not negative, within ``slices``: the domains, or one slice for all."""
        self.weights, self.slices = weights, slices
        longest, draws = max((rows.stop - rows.start for rows in slices), default=0), weights.shape[1]
        self._running, self._middle = np.zeros((longest + 1, draws)), np.empty((longest, draws))

    def ranks(self, values: Array, result: Array | None = None) -> Array:
        """Centred fractional mid-ranks of each passage within its slice.

        Args:
            values: [P].
            result: [P, B] to write to; a new array by default.

        Returns:
            [P, B] between -1/2 and 1/2; the weighted mean over a slice is 0, so domains are demeaned at once.
        """
        if result is None:
            result = np.empty(self.weights.shape)
        for rows in self.slices:
            own = values[rows]
            order = np.argsort(own, kind="stable")
            running = self._running[: len(own) + 1]
            np.take(self.weights[rows], order, axis=0, out=running[1:], mode="clip")
            # Row by row: numpy's cumsum along the first axis walks down each column, three times slower.
            for before, row in pairwise(running[1:]):
                row += before
            # The middle between what lies below a value and what lies below the next larger one: ties share it.
            ordered = own[order]
            first = np.r_[True, ordered[1:] != ordered[:-1]]
            places = np.flatnonzero(first)
            middle = self._middle[: len(places)]
            if len(places) == len(own):
                np.add(running[:-1], running[1:], out=middle)
            else:
                np.add(running[places], running[np.r_[places[1:], len(own)]], out=middle)
            with np.errstate(invalid="ignore", divide="ignore"):
                middle *= 0.5 / running[-1]
            middle -= 0.5
            group = np.empty_like(order)
            group[order] = np.cumsum(first) - 1
            np.take(middle, group, axis=0, out=result[rows], mode="clip")
        return result


def ranks(values: Array, weights: Array, slices: Sequence[slice]) -> Array:
    """The ranks of one column [P] under ``weights`` [P, B]; see ``Ranker``."""
    return Ranker(weights, slices).ranks(values)


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
