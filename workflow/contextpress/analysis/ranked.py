"""Rank correlations of every compressor of a panel, on the data and on every draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contextpress.analysis import correlation
from contextpress.analysis.bootstrap import chunks
from contextpress.analysis.panel import Array, Panel


@dataclass(frozen=True)
class Question:
    """What to correlate with what; the arrays are [P, C].

    Attributes:
        predictor: of quality.
        quality: it is ranked once for all questions about the same values.
        controls: held constant in the partial correlation.
        pooled: correlate ranks over all passages as well.
        domains: correlate in each domain alone as well.
    """

    predictor: Array
    quality: Array
    controls: Sequence[Array] = ()
    pooled: bool = False
    domains: bool = False


@dataclass(frozen=True)
class Ranked:
    """Spearman correlations of a predictor with quality; the last axis is 1 + B: the data, then the draws.

    Attributes:
        within: [C, 1 + B] of ranks within the domain, all domains together.
        pooled: [C, 1 + B] of ranks over all passages; empty if not asked for.
        domains: [D, C, 1 + B] of each domain alone; empty if not asked for.
        partial: [C, 1 + B] within domain, given the controls; empty without controls.
        collinearity: [C, 1 + B] within domain, of predictor and first control.
    """

    within: Array
    pooled: Array
    domains: Array
    partial: Array
    collinearity: Array

    @classmethod
    def of(cls, question: Question, domains: int, draws: int) -> Ranked:
        """Room for the answer to a question."""
        width = question.quality.shape[1]
        controlled = width if question.controls else 0
        return cls(
            within=np.full((width, draws), np.nan),
            pooled=np.full((width if question.pooled else 0, draws), np.nan),
            domains=np.full((domains if question.domains else 0, width, draws), np.nan),
            partial=np.full((controlled, draws), np.nan),
            collinearity=np.full((controlled, draws), np.nan),
        )


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
    return correlate(panel, weights, [Question(predictor, quality, controls, pooled)])[0]


def correlate(panel: Panel, weights: Array, questions: Sequence[Question]) -> list[Ranked]:
    """Answer several questions under ``weights`` [P, 1 + B] at once, so that each column is ranked once."""
    found = [Ranked.of(question, len(panel.slices), weights.shape[1]) for question in questions]
    qualities = {question.quality.tobytes(): question.quality for question in questions}
    everything = [slice(0, len(panel.passages))]
    at = 0
    for block in chunks(weights):
        within, whole = _Ranks(block, panel.slices), _Ranks(block, everything)
        place = slice(at, at + block.shape[1])
        at = place.stop
        for name, quality in qualities.items():
            asked = [pair for pair in zip(questions, found, strict=True) if pair[0].quality.tobytes() == name]
            pooled = any(question.pooled for question, _ in asked)
            for index in range(quality.shape[1]):
                within.take(quality[:, index])
                if pooled:
                    whole.take(quality[:, index])
                for question, ranked in asked:
                    _within(question, ranked, within, index, place)
                    if question.pooled:
                        x = question.predictor[:, index]
                        cross, square = whole.with_quality(x)[0], whole.product(x, x)[0]
                        ranked.pooled[index, place] = correlation.ratio(cross, square, whole.square[0])
    return found


def _within(question: Question, ranked: Ranked, ranks: _Ranks, index: int, place: slice) -> None:
    """Fill in the correlations within domain of one compressor, in one block of draws."""
    others = [column[:, index] for column in (question.predictor, *question.controls)]
    # [k, k, D, b] sums of products of predictor, quality, controls; symmetric.
    sums = np.empty((len(others) + 1, len(others) + 1, *ranks.square.shape))
    sums[1, 1] = ranks.square
    places = [0, *range(2, len(others) + 1)]
    for row, first in zip(places, others, strict=True):
        sums[row, 1] = sums[1, row] = ranks.with_quality(first)
        for column, second in zip(places, others, strict=True):
            if column >= row:
                sums[row, column] = sums[column, row] = ranks.product(first, second)
    if question.domains:
        ranked.domains[:, index, place] = correlation.ratio(sums[0, 1], sums[0, 0], sums[1, 1])
    total = sums.sum(axis=2)
    ranked.within[index, place] = correlation.ratio(total[0, 1], total[0, 0], total[1, 1])
    if question.controls:
        ranked.partial[index, place] = correlation.partial(total.transpose(2, 0, 1))
        ranked.collinearity[index, place] = correlation.ratio(total[0, 2], total[0, 0], total[2, 2])


class _Ranks:
    """Ranks under one block of draws: of the quality in hand, and of all predictors and controls met so far.

    Compressors share encoders and decoders, so that the columns of the latter recur.
    """

    def __init__(self, weights: Array, slices: Sequence[slice]) -> None:
        self._ranker = correlation.Ranker(weights, slices)
        self._known: dict[bytes, Array] = {}
        self._sums: dict[tuple[bytes, bytes], Array] = {}
        self._quality, self._weighted = np.empty(weights.shape), np.empty(weights.shape)
        self.square = np.empty((len(slices), weights.shape[1]))  # [D, b] of quality

    def take(self, quality: Array) -> None:
        """Have a column of quality in hand."""
        self._ranker.ranks(quality, self._quality)
        np.multiply(self._ranker.weights, self._quality, out=self._weighted)
        self.square = correlation.products(self._weighted, self._quality, self._ranker.slices)

    def with_quality(self, column: Array) -> Array:
        """[D, b] weighted sums of products of the ranks of a column and of the quality in hand."""
        return correlation.products(self._weighted, self._ranks(column), self._ranker.slices)

    def product(self, first: Array, second: Array) -> Array:
        """[D, b] weighted sums of products of the ranks of two columns that recur."""
        names = (first.tobytes(), second.tobytes())
        if names not in self._sums:
            weighted = self._ranker.weights * self._ranks(first)
            self._sums[names] = correlation.products(weighted, self._ranks(second), self._ranker.slices)
        return self._sums[names]

    def _ranks(self, column: Array) -> Array:
        name = column.tobytes()
        if name not in self._known:
            self._known[name] = self._ranker.ranks(column)
        return self._known[name]
