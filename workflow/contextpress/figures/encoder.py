"""Claim C1 as a picture: encoder entropy and quality of every passage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.analysis.hypotheses import EncoderEntropy
from contextpress.analysis.inference import mean_over
from contextpress.analysis.panel import Array, Panel
from contextpress.analysis.ranked import rank_correlations
from contextpress.figures.block import UNUSED, block, counts
from contextpress.figures.spec import ClaimFigure
from contextpress.figures.style import (
    COLOURS,
    MARKERS,
    Drawing,
    interval,
    label,
    legend,
    nothing,
    number,
    sheet,
    short,
    titled,
    wide,
)

ACROSS = 3
ROOM = 0.12  # share of an axis that is added for the note above the points


def draw(observations: pd.DataFrame, finding: dict[str, Any], spec: ClaimFigure) -> Drawing:
    """One panel per encoder, one point per passage, one fitted line per domain."""
    hypothesis = EncoderEntropy.read(finding["hypothesis"])
    panel = block(observations, spec.sample, hypothesis.decoder_training)
    if panel.compressors.empty:
        return nothing(spec.style.page, UNUSED)
    encoders = sorted(panel.compressors["encoder"].unique())
    columns = min(ACROSS, len(encoders))
    rows = math.ceil(len(encoders) / columns)
    figure, axes = sheet(wide(spec.style, columns), 0.6 + 2.1 * rows, rows, columns, share_y=True)
    for place, encoder in enumerate(encoders):
        here = axes[place // columns][place % columns]
        part = panel.only((panel.compressors["encoder"] == encoder).to_numpy())
        entropy, quality = part.values(hypothesis.predictor), part.quality(hypothesis.measure)
        _scatter(here, panel, entropy.mean(1), quality.mean(1))
        within, pooled = _correlations(part, entropy, quality)
        here.annotate(
            f"ρ within domain {number(within)}\nρ pooled {number(pooled)}",
            (0.97, 0.97),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize="small",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )
        titled(here, place, f"Encoder {encoder}")
        here.set_xlabel(label(hypothesis.predictor))
        here.margins(y=0.12)
        if place % columns == 0:
            here.set_ylabel(label(hypothesis.measure))
    bottom, top = axes[0][0].get_ylim()
    axes[0][0].set_ylim(bottom, top + ROOM * (top - bottom))
    for spare in range(len(encoders), rows * columns):
        axes[spare // columns][spare % columns].axis("off")
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, label=domain)
        for domain, (colour, marker) in looks(panel.domains).items()
    ]
    legend(figure, handles)
    pooled_finding = (finding["details"].get("pooled") or {}) if finding.get("details") else {}
    caption = (
        f"{short(hypothesis.measure)} against entropy under the encoder. A point is a passage, averaged over the "
        f"decoders, ratios and seeds of that encoder; lines are least squares within a domain. ρ: Spearman "
        f"correlation, mean over the compressors of the panel. Over all compressors ρ within domain is "
        f"{interval(finding['effect'], finding['ci95'])}, pooled "
        f"{interval(pooled_finding.get('value'), pooled_finding.get('ci95', [None, None]))} "
        f"(95 % intervals: bootstrap of documents; within domain also the scatter between training seeds). "
        f"{counts(panel)}."
    )
    return Drawing(figure, caption)


def looks(domains: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each domain."""
    return {name: (COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(domains)}


def _scatter(axes: Axes, panel: Panel, x: Array, y: Array) -> None:
    styles = looks(panel.domains)
    # Domains in turn would bury the first ones: points are drawn in a mixed but fixed order, lines on top.
    for first in range(4):
        for domain, rows in zip(panel.domains, panel.slices, strict=True):
            colour, marker = styles[domain]
            some = slice(rows.start + first, rows.stop, 4)
            axes.scatter(x[some], y[some], s=7, marker=marker, color=colour, alpha=0.5, linewidths=0)
    for domain, rows in zip(panel.domains, panel.slices, strict=True):
        if np.ptp(x[rows]) > 0:
            slope, start = np.polyfit(x[rows], y[rows], 1)
            ends = np.quantile(x[rows], [0.02, 0.98])
            axes.plot(ends, start + slope * ends, color="white", linewidth=2.6, solid_capstyle="round")
            axes.plot(ends, start + slope * ends, color=styles[domain][0], linewidth=1.4)
            axes.plot(ends[0], start + slope * ends[0], color=styles[domain][0], marker=styles[domain][1], markersize=4)


def _correlations(panel: Panel, entropy: Array, quality: Array) -> tuple[float | None, float | None]:
    ranked = rank_correlations(panel, np.ones((len(panel.passages), 1)), entropy, quality, pooled=True)
    values = (float(mean_over(found)[0]) for found in (ranked.within, ranked.pooled))
    within, pooled = (value if math.isfinite(value) else None for value in values)
    return within, pooled
