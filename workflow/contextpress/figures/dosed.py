"""The dose-response: text of known entropy rate, what models measure of it, and how well it is reconstructed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.figures.spec import TableFigure
from contextpress.figures.style import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    Drawing,
    counted,
    interval,
    label,
    legend,
    nothing,
    number,
    sheet,
    short,
    titled,
)

SIDES = ("encoder", "decoder")


def draw(table: pd.DataFrame, finding: dict[str, Any], spec: TableFigure) -> Drawing:
    """Left measured entropy, right quality, both against the true rate; the marker says how text was generated."""
    if table.empty:
        return nothing(spec.style.page, "no compressor that uses its memory read text of known entropy")
    families, measure = sorted(table["family"].unique()), finding["measure"]
    figure, (axes,) = sheet(spec.style.page, 3.0, 1, 2)
    highest = float(table["true_rate"].max()) * 1.04
    axes[0].plot([0, highest], [0, highest], color=GREY, linewidth=0.8, zorder=1)
    for place, side in enumerate(SIDES):
        # Encoders and decoders may be the same models: side by side, or one would hide the other.
        _points(axes[0], table[table["measure"] == f"{side}_nll"], families, place, (place - 0.5) * 0.015 * highest)
    quality = table[table["measure"] == measure]
    if measure == "nll":  # the label says that it is turned
        ends = {"ci95_low": -quality["ci95_high"], "ci95_high": -quality["ci95_low"]}
        quality = quality.assign(estimate=-quality["estimate"], **ends)
    ratios = sorted(quality["ratio"].unique())
    for place, ratio in enumerate(ratios, start=len(SIDES)):
        part = quality[quality["ratio"] == ratio]
        _points(axes[1], part, families, place)
        joined, look = part[part["family"] == finding["family"]], _look(place, "")
        axes[1].plot(joined["true_rate"], joined["estimate"], color=look.get_color(), linestyle=look.get_linestyle())
    titled(axes[0], 0, "What models measure")
    titled(axes[1], 1, "How well it is reconstructed")
    axes[0].set_ylabel("Measured entropy (nats per token)")
    axes[1].set_ylabel(label(measure))
    for here in axes:
        here.set_xlabel("True entropy rate (nats per token)")
        here.set_xlim(0, highest)
    said = [*(f"{side} entropy" for side in SIDES), *(f"ratio {ratio:g}" for ratio in ratios)]
    handles = [_look(place, text) for place, text in enumerate(said)]
    handles.append(Line2D([], [], color=GREY, linewidth=0.8, label="true rate"))
    for marker, family in zip(MARKERS, families, strict=False):
        handles.append(Line2D([], [], color=GREY, marker=marker, linestyle="none", label=family))
    legend(figure, handles)
    return Drawing(figure, _caption(table, finding))


def _points(axes: Axes, part: pd.DataFrame, families: list[str], place: int, shift: float = 0.0) -> None:
    look = _look(place, "")
    for marker, family in zip(MARKERS, families, strict=False):
        here = part[part["family"] == family]
        bars = np.abs(here[["ci95_low", "ci95_high"]].to_numpy().T - here["estimate"].to_numpy())
        axes.errorbar(
            here["true_rate"] + shift,
            here["estimate"],
            yerr=np.nan_to_num(bars),
            color=look.get_color(),
            marker=marker,
            markerfacecolor=look.get_markerfacecolor(),
            linestyle="none",
            elinewidth=0.9,
        )


def _look(place: int, text: str) -> Line2D:
    """Of a side of the left panel, whose points no line joins, or of a ratio, which come after the sides."""
    colour = COLOURS[place % len(COLOURS)]
    line = LINES[(place - len(SIDES)) % len(LINES)] if place >= len(SIDES) else "none"
    fill = colour if place % 2 == 0 else "white"
    return Line2D([], [], color=colour, marker=MARKERS[0], markerfacecolor=fill, linestyle=line, label=text)


def _caption(table: pd.DataFrame, finding: dict[str, Any]) -> str:
    counts, family, measure = finding["sample"], finding["family"], finding["measure"]
    text = (
        "Text generated at a known entropy rate, a point per domain. (a) Entropy under encoders and decoders, "
        "drawn a little left and right of the rate, and the rate itself (line): what lies above it is what the models "
        "do not know of the source. "
        f"(b) {short(measure)} by ratio, the tokens per memory vector held fixed; a line joins the domains of one "
        "family. "
    )
    if family:
        found = {ratio: scopes[family] for ratio, scopes in finding["ratios"].items()}
        slopes = {ratio: response["measures"][measure]["slope"] for ratio, response in found.items()}
        said = [f"{interval(slope['value'], slope['ci95'], 3)} at ratio {ratio}" for ratio, slope in slopes.items()]
        domains = len(next(iter(found.values()))["domains"])
        excess = [f"{number(finding['entropy'][side]['excess']['value'])} ({side})" for side in SIDES]
        text += (
            f"Slope per nat over {counted(domains, 'domain')} ({family}): {', '.join(said)}. Mean excess in nats per "
            f"token: {', '.join(excess)}. "
        )
    return text + (
        f"{counted(counts['passages'], 'passage')} of {counted(finding['clusters'], 'document')} in "
        f"{counted(table['domain'].nunique(), 'domain')}; {counted(counts['compressors'], 'compressor')}. Intervals: "
        "95 %, bootstrap of documents and scatter of training runs."
    )
