"""Claim C3 as a picture: quality of every encoder-decoder pair, and what the gap between their data costs."""

from __future__ import annotations

import math
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from contextpress.analysis.bootstrap import Estimate
from contextpress.analysis.gap import SIXTHS, cell_means
from contextpress.analysis.hypotheses import DataGap
from contextpress.analysis.panel import Array, Panel
from contextpress.figures.block import UNUSED, bar, block, counts, intervals, weights_of
from contextpress.figures.spec import ClaimFigure, Sample
from contextpress.figures.style import (
    COLOURS,
    GREY,
    INK,
    Drawing,
    empty,
    interval,
    nothing,
    number,
    sheet,
    short,
    titled,
)

MAP = "cividis"
ACROSS = 3


def draw(observations: pd.DataFrame, finding: dict[str, Any], spec: ClaimFigure) -> Drawing:
    """A heat map per ratio, all on one scale of colour, and a panel of quality by gap."""
    hypothesis = DataGap.read(finding["hypothesis"])
    panel = block(observations, spec.sample, hypothesis.decoder_training, unused=True)
    if panel.compressors.empty:
        return nothing(spec.style.page, "no compressor fits the hypothesis")
    compressors = panel.compressors
    ones = np.ones((len(panel.passages), 1))
    quality = cell_means(panel, ones, panel.quality(hypothesis.measure)).mean(0)[:, 0]
    cells = compressors.assign(quality=quality).groupby(["ratio", "encoder", "decoder"], as_index=False)
    table = cells.agg(quality=("quality", "mean"), used=("memory_used", "all"))
    ratios = sorted(compressors["ratio"].unique())
    columns = 2 if len(ratios) == 3 else min(ACROSS, len(ratios) + 1)
    rows = math.ceil((len(ratios) + 1) / columns)
    height = 2.4 if columns == ACROSS else 3.2
    figure, axes = sheet(spec.style.page, 0.15 + height * rows, rows, columns)
    scale = Normalize(table["quality"].min(), table["quality"].max())
    for place, ratio in enumerate(ratios):
        here = axes[place // columns][place % columns]
        titled(here, place, f"{short(hypothesis.measure)}, ratio {ratio}")
        _heat(
            here, table[table["ratio"] == ratio], _order(compressors, "encoder"), _order(compressors, "decoder"), scale
        )
    last = axes[len(ratios) // columns][len(ratios) % columns]
    titled(last, len(ratios), "Quality by gap")
    told = _gap(last, block(observations, spec.sample, hypothesis.decoder_training), hypothesis, finding, spec.sample)
    for spare in range(len(ratios) + 1, rows * columns):
        axes[spare // columns][spare % columns].axis("off")
    mark = "" if table["used"].all() else " A dagger marks pairs with a compressor that ignores its memory."
    caption = (
        f"{short(hypothesis.measure)} of every encoder-decoder pair by ratio, domains weighted equally, seeds "
        f"averaged, and by the gap between the two models' data.{mark} {told} Slope, effects removed: "
        f"{interval(finding['effect'], finding['ci95'], 4)} per {(finding.get('details') or {}).get('unit', 'unit')}. "
        f"{counts(panel)}. {intervals(spec.sample)}; those with effects removed also hold the noise of training."
    )
    return Drawing(figure, caption)


def _order(compressors: pd.DataFrame, side: str) -> list[str]:
    """Names of the models of one side, by how much of their data was replaced."""
    named = compressors[[side, f"{side}_replaced"]].drop_duplicates(side)
    return [str(name) for name in named.sort_values([f"{side}_replaced", side])[side]]


def _heat(axes: Axes, table: pd.DataFrame, encoders: list[str], decoders: list[str], scale: Normalize) -> None:
    cells = table.set_index(["encoder", "decoder"])
    colours = mpl.colormaps[MAP]
    square = table.pivot_table(index="encoder", columns="decoder", values="quality")
    values = square.reindex(index=encoders, columns=decoders).to_numpy(dtype=np.float64)
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, norm=scale, aspect="equal", interpolation="nearest")
    digits = 1 if scale.vmax is not None and scale.vmax >= 10 else 2
    small = mpl.rcParams["font.size"] - (1 if len(decoders) <= 4 else 2)
    for row, encoder in enumerate(encoders):
        for column, decoder in enumerate(decoders):
            if (encoder, decoder) in cells.index:
                red, green, blue, _ = colours(scale(values[row, column]))
                # Relative luminance, WCAG 2.1: black on light cells, white on dark ones.
                light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
                said = number(float(values[row, column]), digits) + (
                    "" if cells.loc[(encoder, decoder), "used"] else "†"
                )
                ink = "black" if light > 0.18 else "white"
                axes.text(column, row, said, ha="center", va="center", color=ink, fontsize=small)
    axes.set_xticks(range(len(decoders)), decoders)
    axes.set_yticks(range(len(encoders)), encoders)
    axes.set_xlabel("Decoder pretrained on")
    axes.set_ylabel("Encoder pretrained on")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _gap(axes: Axes, panel: Panel, hypothesis: DataGap, finding: dict[str, Any], sample: Sample) -> str:
    """Draw quality by gap; returns what the caption says of it."""
    gap, unit = _gaps(panel)
    known = np.isfinite(gap)
    axes.set_box_aspect(1)  # as the heat maps
    names = np.unique(np.round(gap[known], 6))
    if len(names) < 2:
        reason = UNUSED if panel.compressors.empty else "fewer than two gaps"
        empty(axes, fill(reason, 24))
        return f"The last panel has nothing to show: {reason}."
    axes.set_xlabel(unit)
    panel, gap = panel.only(known), gap[known]
    # [C, 1 + B]: a compressor's quality, the domains weighted equally.
    cells = cell_means(panel, weights_of(panel, sample), panel.quality(hypothesis.measure)).mean(0)
    levels = {
        float(key.split()[1]): value for key, value in ((finding.get("details") or {}).get("gap_levels") or {}).items()
    }
    if not levels or len(names) > SIXTHS:
        axes.set_ylabel(short(hypothesis.measure))
        ratios = panel.compressors["ratio"].to_numpy()
        for index, ratio in enumerate(np.unique(ratios)):
            some = ratios == ratio
            axes.plot(gap[some], cells[some, 0], "os^D"[index % 4], color=COLOURS[index], label=f"ratio {ratio}")
        _legend_below(axes)
        return "The last panel shows every compressor; encoder and decoder effects are not removed there."
    axes.set_ylabel(f"{short(hypothesis.measure)}, change from gap {names[0]:g}")
    axes.axhline(0, color=GREY, linewidth=0.5)
    raw = [_change(cells, gap, names[0], name) for name in names[1:]]
    shift = 0.02 * float(np.ptp(names))
    axes.errorbar(
        names + shift,
        [0, *(estimate.value for estimate in raw)],
        yerr=np.array([(0, 0), *(bar(estimate) for estimate in raw)]).T,
        color=COLOURS[1],
        marker="s",
        markerfacecolor="white",
        linestyle=(0, (4, 1.5)),
        elinewidth=0.9,
        label="raw means",
    )
    kept = [(name, levels[name]) for name in sorted(levels) if levels[name]["value"] is not None]
    values = np.array([0.0, *(value["value"] for _, value in kept)])
    ends = np.array([(0.0, 0.0), *((value["ci95"][0], value["ci95"][1]) for _, value in kept)], dtype=np.float64)
    axes.errorbar(
        np.array([names[0], *(name for name, _ in kept)]) - shift,
        values,
        yerr=np.nan_to_num(np.abs(ends.T - values)),
        color=INK,
        marker="o",
        elinewidth=0.9,
        label="effects removed",
    )
    axes.set_xticks(names, [f"{name:g}" for name in names])
    _legend_below(axes)
    return (
        "The last panel gives the change from the smallest gap, as raw means and with the main effects of encoder and "
        "decoder removed."
    )


def _legend_below(axes: Axes) -> None:
    # Beside the data no corner is surely free: intervals can reach anywhere.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def _gaps(panel: Panel) -> tuple[Array, str]:
    design = panel.compressors["gap_design"].to_numpy(dtype=np.float64) * SIXTHS
    if np.isfinite(design).any() or panel.compressors.empty:
        return design, "Gap (sixths of data replaced)"
    divergence = panel.compressors["gap_kl_encoder_decoder"].to_numpy(dtype=np.float64)
    return divergence, "Gap (KL, nats per token)"


def _change(cells: Array, gap: Array, lowest: float, level: float) -> Estimate:
    at, base = np.isclose(gap, level), np.isclose(gap, lowest)
    return Estimate.of(cells[at].mean(0) - cells[base].mean(0))
