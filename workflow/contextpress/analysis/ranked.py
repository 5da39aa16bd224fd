"""Rank correlations of every compressor of a panel, on the data and on every draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contextpress.analysis import correlation
from contextpress.analysis.bootstrap import chunks
from contextpress.analysis.panel import Array, Panel


@dataclass(frozen=True)
class Ranked:
    """Spearman correlations of a predictor with quality; the last axis is 1 + B: the data, then the draws.

    Attributes:
        within: [C, 1 + B] of ranks within the domain, all domains together.
        pooled: [C, 1 + B] of ranks over all passages; empty if not asked for.
        domains: [D, C, 1 + B] of each domain alone.
        partial: [C, 1 + B] within domain, given the controls; empty without controls.
        collinearity: [C, 1 + B] within domain, of predictor and first control.
    """

    within: Array
    pooled: Array
    domains: Array
    partial: Array
    collinearity: Array


def varying(panel: Panel, columns: Sequence[Array]) -> list[Array]:
    """Those of some [P, C] columns that vary within a domain: others have no rank to hold constant."""
    return [
        column
        for column in columns
        if any(np.ptp(column[rows], axis=0).max(initial=0) > 0 for rows in panel.slices if rows.stop > rows.start)
    ]


def rank_correlations(
    panel: Panel,
    weights: Array,
    predictor: Array,
    quality: Array,
    controls: Sequence[Array] = (),
    *,
    pooled: bool = False,
) -> Ranked:
    """Correlate ``predictor`` with ``quality``, both [P, C], under ``weights`` [P, 1 + B]; controls are [P, C]."""
    count, draws = len(panel.compressors), weights.shape[1]
    within, marginal, collinear = (np.full((count, draws), np.nan) for _ in range(3))
    partials = np.full((count, draws), np.nan)
    domains = np.full((len(panel.slices), count, draws), np.nan)
    everything = [slice(0, len(panel.passages))]
    at = 0
    for block in chunks(weights):
        cache = _Ranks(block, panel.slices)
        whole = _Ranks(block, everything)
        place = slice(at, at + block.shape[1])
        at = place.stop
        for index in range(count):
            columns = [column[:, index] for column in (predictor, quality, *controls)]
            # [k, k, D, b] sums of products; symmetric, so only the upper half is computed.
            sums = np.empty((len(columns), len(columns), len(panel.slices), block.shape[1]))
            for row, first in enumerate(columns):
                for other, second in enumerate(columns[row:], start=row):
                    sums[row, other] = sums[other, row] = cache.product(first, second, keep=1 not in (row, other))
            domains[:, index, place] = correlation.ratio(sums[0, 1], sums[0, 0], sums[1, 1])
            total = sums.sum(axis=2)
            within[index, place] = correlation.ratio(total[0, 1], total[0, 0], total[1, 1])
            if controls:
                partials[index, place] = correlation.partial(total.transpose(2, 0, 1))
                collinear[index, place] = correlation.ratio(total[0, 2], total[0, 0], total[2, 2])
            if pooled:
                x, y = columns[:2]
                cross, square = (whole.product(first, y, keep=False)[0] for first in (x, y))
                marginal[index, place] = correlation.ratio(cross, whole.product(x, x, keep=True)[0], square)
            cache.forget(columns[1])
            whole.forget(columns[1])
    empty = np.empty((0, draws))
    return Ranked(
        within=within,
        pooled=marginal if pooled else empty,
        domains=domains,
        partial=partials if controls else empty,
        collinearity=collinear if controls else empty,
    )


class _Ranks:
    """Ranks under one block of draws. Compressors share encoders and decoders, so their columns recur."""

    def __init__(self, weights: Array, slices: Sequence[slice]) -> None:
        self.weights, self.slices = weights, slices
        self.known: dict[bytes, tuple[Array, Array]] = {}
        self.sums: dict[tuple[bytes, bytes], Array] = {}

    def product(self, first: Array, second: Array, *, keep: bool) -> Array:
        """[D, b] weighted sums of products of the ranks of two columns; ``keep`` those that will be asked for again."""
        names = (first.tobytes(), second.tobytes())
        if names in self.sums:
            return self.sums[names]
        weighted = self._ranks(names[0], first)[1]
        result = correlation.products(weighted, self._ranks(names[1], second)[0], self.slices)
        if keep:
            self.sums[names] = result
        return result

    def forget(self, column: Array) -> None:
        """Drop the ranks of a column that will not come again."""
        self.known.pop(column.tobytes(), None)

    def _ranks(self, name: bytes, column: Array) -> tuple[Array, Array]:
        if name not in self.known:
            ranks = correlation.ranks(column, self.weights, self.slices)
            self.known[name] = (ranks, self.weights * ranks)
        return self.known[name]
