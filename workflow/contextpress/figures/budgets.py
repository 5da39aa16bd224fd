"""Memory budgets as a picture: quality against vectors per passage, and what following entropy gains."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.analysis.budget import BEST, DECODER, ENCODER, POOLED, PREDICTED, RANDOM, UNIFORM, WITHIN
from contextpress.figures.spec import TableFigure
from contextpress.figures.style import (
    COLOURS,
    GREY,
    INK,
    LINES,
    MARKERS,
    Drawing,
    LineStyle,
    counted,
    interval,
    label,
    legend,
    nothing,
    sheet,
    short,
    titled,
)

LOOKS: dict[str, tuple[str, str, LineStyle]] = {
    UNIFORM: (INK, "", "-"),
    ENCODER: (COLOURS[0], MARKERS[0], LINES[0]),
    DECODER: (COLOURS[1], MARKERS[1], LINES[1]),
    RANDOM: (GREY, MARKERS[4], LINES[2]),
    PREDICTED: (COLOURS[2], MARKERS[2], LINES[3]),
    BEST: (COLOURS[5], MARKERS[3], LINES[4]),
}


def draw(table: pd.DataFrame, finding: dict[str, Any], spec: TableFigure) -> Drawing:
    """Quality by budget, gain over the uniform budget by budget, and gain by domain at the budget that decides."""
    if finding["verdict"] == "not available":
        return nothing(spec.style.page, f"no memory budgets: {finding['reason']}")
    measure, middle = finding["hypothesis"]["measure"], finding["details"]["budget"]
    pooled = table[table["scope"] == POOLED]
    ways = [way for way in LOOKS if way in set(pooled["sharing"])]
    figure, (axes,) = sheet(spec.style.page, 3.1, 1, 3, ratios=(1, 1, 1.1))
    for way in ways:
        colour, marker, line = LOOKS[way]
        rows = pooled[pooled["sharing"] == way]
        axes[0].plot(rows["budget"], rows["quality"], color=colour, marker=marker, linestyle=line)
    axes[0].set_ylabel(label(measure))
    titled(axes[0], 0, "Quality")
    judged = [way for way in ways if way not in (UNIFORM, BEST)]
    reach = float(pooled["budget"].diff().loc[pooled["budget"].diff() > 0].min())
    for place, way in enumerate(judged):
        _gains(axes[1], pooled[pooled["sharing"] == way], (place - (len(judged) - 1) / 2) * reach / 12, way)
    titled(axes[1], 1, "Gain over uniform")
    for axis in axes[:2]:
        axis.set_xlabel("Vectors per passage, mean")
    axes[1].axhline(0, color=INK, linewidth=0.6)
    _by_domain(axes[2], table[table["budget"] == middle], judged)
    titled(axes[2], 2, f"At {middle:g} vectors")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=line, label="upper bound" if way == BEST else way)
        for way, (colour, marker, line) in ((way, LOOKS[way]) for way in ways)
    ]
    legend(figure, handles)
    sizes = " or ".join(str(size) for size in finding["details"]["vectors_on_offer"])
    sample = finding["details"]["sample"]
    caption = (
        f"{short(measure)} when a fixed total of memory vectors is shared out among passages, {sizes} to each. "
        f"(a) By the mean number of vectors. (b) What each way of sharing gains over the uniform budget at equal total "
        f"memory; the upper bound, which knows the qualities beforehand, is left out here. (c) The same at "
        f"{middle:g} vectors per passage, by domain: with one total for all passages, and with a total for each "
        f"domain. Following the encoder's entropy gains "
        f"{interval(finding['effect'], finding['ci95'], 4)}: {finding['verdict']} by the rule of the finding. Bars: "
        f"95 % intervals over documents and training runs. {counted(sample['passages'], 'passage')} of "
        f"{counted(finding['clusters'], 'document')}, {counted(finding['details']['banks'], 'bank')} of compressors."
    )
    return Drawing(figure, caption)


def _gains(axes: Axes, rows: pd.DataFrame, shift: float, way: str) -> None:
    colour, marker, line = LOOKS[way]
    errors = [rows["gain"] - rows["gain_ci95_low"], rows["gain_ci95_high"] - rows["gain"]]
    axes.errorbar(
        rows["budget"] + shift, rows["gain"], yerr=errors, color=colour, marker=marker, linestyle=line, elinewidth=0.7
    )


def _by_domain(axes: Axes, rows: pd.DataFrame, ways: list[str]) -> None:
    scopes = list(dict.fromkeys(rows["scope"]))
    for place, way in enumerate(ways):
        colour, marker, _ = LOOKS[way]
        own = rows[rows["sharing"] == way]
        errors = [own["gain"] - own["gain_ci95_low"], own["gain_ci95_high"] - own["gain"]]
        heights = [scopes.index(scope) + (place - (len(ways) - 1) / 2) * 0.18 for scope in own["scope"]]
        axes.errorbar(own["gain"], heights, xerr=errors, color=colour, marker=marker, linestyle="none", elinewidth=0.7)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.axhline(scopes.index(WITHIN) + 0.5, color=GREY, linewidth=0.5)
    axes.set_yticks(range(len(scopes)), scopes)
    axes.invert_yaxis()
    axes.set_xlabel("Gain over uniform")
