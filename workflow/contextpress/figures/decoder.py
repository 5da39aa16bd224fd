"""Claim C2 as a picture: what decoder entropy still says of quality once encoder entropy is held constant."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from contextpress.analysis import correlation
from contextpress.analysis.hypotheses import DecoderEntropy
from contextpress.analysis.panel import Array, Panel
from contextpress.analysis.ranked import varying
from contextpress.analysis.swap import SWAP
from contextpress.figures.block import UNUSED, bar, block, counts, intervals, mean, weights_of
from contextpress.figures.encoder import looks
from contextpress.figures.spec import ClaimFigure
from contextpress.figures.style import GREY, INK, PALE, Drawing, empty, interval, nothing, sheet, short, titled

BINS = 8
DOMAIN_BINS = 4
NAMES = {"encoder_nll": "encoder entropy", "tokens": "length", "bytes": "length"}


def draw(observations: pd.DataFrame, finding: dict[str, Any], spec: ClaimFigure) -> Drawing:
    """Two panels, the two designs of the claim: partial residuals, and the decoder swap."""
    hypothesis = DecoderEntropy.read(finding["hypothesis"])
    panel = block(observations, spec.sample, hypothesis.decoder_training)
    if panel.compressors.empty:
        return nothing(spec.style.page, UNUSED)
    details = finding.get("details") or {}
    swap = details.get("swap") or {}
    bound = hypothesis.smallest_effect
    x, y = partial_residuals(panel, hypothesis)
    swapped = swap_residuals(panel, hypothesis)
    figure, (axes,) = sheet(spec.style.page, 3.0, 1, 2)
    held = ", ".join(dict.fromkeys(NAMES.get(name, name) for name in hypothesis.controls))
    entropy, quality = short(hypothesis.predictor), short(hypothesis.measure)
    parts = [
        (f"Given {held} and domain", x, y, (finding["effect"], finding["ci95"])),
        ("Decoder swap: same passage, same encoder", *swapped, (swap.get("value"), swap.get("ci95", [None, None]))),
    ]
    for place, (title, first, second, (value, ends)) in enumerate(parts):
        here = axes[place]
        titled(here, place, title)
        if not np.isfinite(first).any():
            empty(here, "no variation beyond the controls" if place == 0 else "needs two decoders per encoder")
            continue
        here.set_xlabel(f"{entropy}, residual rank (SD)" if place == 0 else f"{entropy}, residual (SD)")
        here.set_ylabel(f"{quality}, residual rank (SD)" if place == 0 else f"{quality}, residual (SD)")
        _panel(here, panel, first, second, bound, spec)
        name = "partial ρ" if place == 0 else "r"
        here.annotate(f"{name} = {interval(value, ends)}", (0.97, 0.96), xycoords="axes fraction", ha="right", va="top")
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=4, label=domain)
        for domain, (colour, marker) in looks(panel.domains).items()
    ]
    handles += [
        Line2D([], [], color=INK, marker="o", label="all domains, fitted line"),
        Patch(facecolor=PALE, edgecolor=GREY, linewidth=0.5, label=f"no relationship: slope within ±{bound:g}"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    caption = (
        f"{quality} and {entropy[0].lower()}{entropy[1:]} with the decoder "
        f"{'frozen' if hypothesis.decoder_training == 'frozen' else 'as trained'}. (a) Residuals of within-domain "
        f"ranks given {held}; (b) residuals after passage effects and decoder effects within domain, among "
        f"compressors of one encoder. Both are in standard deviations of the compressor, so the line's slope is the "
        f"mean correlation. Black points: means of {BINS} equal groups; coloured: of {DOMAIN_BINS} groups of one "
        f"domain. The grey wedge holds the slopes that count as no relationship. {counts(panel)}. "
        f"{intervals(spec.sample)}; the note's intervals also hold the scatter between training seeds."
    )
    return Drawing(figure, caption)


def partial_residuals(panel: Panel, hypothesis: DecoderEntropy) -> tuple[Array, Array]:
    """Standardised residuals [P, C] of the ranks of decoder entropy and of quality, given the controls.

    Their product's mean over passages is each compressor's partial Spearman correlation within domain; NaN where the
    controls determine one of the two.
    """
    controls = varying(panel, [panel.values(name) for name in hypothesis.controls])
    x, y, *others = (
        _ranked(panel, v) for v in (panel.values(hypothesis.predictor), _quality(panel, hypothesis), *controls)
    )
    first, second = np.full_like(x, np.nan), np.full_like(y, np.nan)
    for index in range(x.shape[1]):
        design = np.column_stack([np.ones(len(x)), *(column[:, index] for column in others)])
        both = np.column_stack([x[:, index], y[:, index]])
        left = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
        # As in correlation.partial: an encoder that is also the decoder leaves rounding errors, no residuals.
        if (left.var(0) > 1e-5 * both.var(0)).all():
            first[:, index], second[:, index] = (_standard(column) for column in left.T)
    return first, second


def swap_residuals(panel: Panel, hypothesis: DecoderEntropy) -> tuple[Array, Array]:
    """Standardised residuals [P, C] after passage effects and decoder effects within domain, per encoder and seed.

    NaN where an encoder met one decoder only.
    """
    x, y = panel.values(hypothesis.predictor), _quality(panel, hypothesis)
    first, second = np.full_like(x, np.nan), np.full_like(y, np.nan)
    for _, members in panel.compressors.groupby(SWAP, sort=True):
        index = members.index.to_numpy()
        if len(index) < 2:
            continue
        for values, result in ((x, first), (y, second)):
            left = values[:, index] - values[:, index].mean(1, keepdims=True)
            for rows in panel.slices:
                left[rows] -= left[rows].mean(0)
            result[:, index] = _standard(left)
    return first, second


def _panel(axes: Axes, panel: Panel, x: Array, y: Array, bound: float, spec: ClaimFigure) -> None:
    used = np.isfinite(x).all(0)
    x, y = x[:, used], y[:, used]
    weights = weights_of(panel, spec.sample)
    centres, values, bars = [], [], []
    edges = np.quantile(x, np.linspace(0, 1, BINS + 1))
    for low, high in pairwise(edges):
        inside = (x >= low) & (x <= high)
        share = mean(inside.astype(np.float64), weights)
        total = mean(np.where(inside, y, 0.0), weights)
        estimate = type(total)(total.value / share.value, total.draws / share.draws)
        centres.append(float(x[inside].mean()))
        values.append(estimate.value)
        bars.append(bar(estimate))
    reach = float(np.abs(np.quantile(x, [0.005, 0.995])).max())
    ends = np.array([-reach, reach])
    axes.fill_between(ends, -bound * ends, bound * ends, color=PALE, linewidth=0, zorder=0)
    for sign in (-1, 1):
        axes.plot(ends, sign * bound * ends, color=GREY, linewidth=0.5, zorder=0.5)
    axes.axhline(0, color=GREY, linewidth=0.5, zorder=0.5)
    tallest = max(0.3, float(np.abs(values).max() + np.max(bars)))
    for (colour, marker), rows in zip(looks(panel.domains).values(), panel.slices, strict=True):
        groups = np.array_split(np.argsort(x[rows], axis=None, kind="stable"), DOMAIN_BINS)
        points = np.array([(x[rows].flat[group].mean(), y[rows].flat[group].mean()) for group in groups if len(group)])
        axes.plot(*points.T, linestyle="none", color=colour, marker=marker, alpha=0.9, zorder=2)
        tallest = max(tallest, float(np.abs(points[:, 1]).max()))
    slope = float((x * y).mean())
    axes.plot(ends, slope * ends, color=INK, linewidth=1.2, zorder=3)
    axes.errorbar(
        centres, values, yerr=np.array(bars).T, color=INK, marker="o", linestyle="none", elinewidth=0.9, zorder=4
    )
    # Room above for the note.
    axes.set_ylim(-1.15 * tallest, 1.45 * tallest)
    axes.set_xlim(-1.05 * reach, 1.05 * reach)


def _quality(panel: Panel, hypothesis: DecoderEntropy) -> Array:
    return panel.quality(hypothesis.measure)


def _ranked(panel: Panel, values: Array) -> Array:
    ones = np.ones((len(panel.passages), 1))
    return np.hstack([correlation.ranks(column, ones, panel.slices) for column in values.T])


def _standard(values: Array) -> Array:
    spread = values.std()
    return values / spread if spread > 0 else values
