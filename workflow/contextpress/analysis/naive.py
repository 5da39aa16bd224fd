"""The analysis that a careful reader fears: every row of the observations taken as independent of every other.

Passages of one document, the same passage under many compressors, and compressors that share a language model all
count as new evidence. Kept for comparison, in the calibration: it shows what the clustering is for.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from contextpress.analysis.correlation import partial
from contextpress.analysis.decoder_entropy import controls_of
from contextpress.analysis.gap import gap_of, with_gap
from contextpress.analysis.grid import effects_of, residuals
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import Effect
from contextpress.analysis.panel import SETTING, Array, Panel


def naive(panel: Panel, spec: ClaimsSpec) -> dict[str, Effect]:
    """The effects of C1, C2 and C3 (Spearman within domain, the same given the controls, slope) with naive errors."""
    one = [panel.values(spec.c1.predictor), panel.quality(spec.c1.measure)]
    two = [panel.values(spec.c2.predictor), panel.quality(spec.c2.measure), *controls_of(panel, spec)]
    return {"C1": _correlation(panel, one), "C2": _correlation(panel, two), "C3": _slope(panel, spec)}


def _correlation(panel: Panel, columns: list[Array]) -> Effect:
    """Rank correlation within domain of the first two given the others, all rows in one; error as if independent."""
    ranked = [np.concatenate([_ranks(column[rows]) for rows in panel.slices]) for column in columns]
    value = float(partial(np.cov(ranked)[None])[0])
    freedom = len(ranked[0]) - len(columns)
    return Effect(value, math.sqrt((1 - value**2) / freedom), freedom)


def _ranks(values: Array) -> Array:
    ranks = stats.rankdata(values)
    return (ranks - ranks.mean()) / len(ranks)


def _slope(panel: Panel, spec: ClaimsSpec) -> Effect:
    """Least squares of every row on the gap, with effects of encoder, decoder, setting and domain."""
    told, column = with_gap(panel)
    cells = told.compressors
    labels = [cells["encoder"], cells["decoder"], cells[SETTING].astype(str).agg("/".join, axis=1)]
    own = residuals(gap_of(told, column), np.hstack([effects_of(label) for label in labels]))
    quality = told.quality(spec.c3.measure)
    centred = np.concatenate([quality[rows] - quality[rows].mean() for rows in told.slices])
    square = float(own @ own) * len(centred)
    value = float((centred @ own).sum() / square)
    left = residuals(centred.mean(0), np.hstack([effects_of(label) for label in labels]))
    total = float(np.square(centred - centred.mean(0) + left - value * own).sum())
    freedom = centred.size - sum(label.nunique() for label in labels) - len(told.domains)
    return Effect(value, math.sqrt(total / freedom / square), freedom)
