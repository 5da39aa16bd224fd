"""The predictor of quality as a picture: what it predicts of what was held out, and what was observed."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from contextpress.figures.spec import TableFigure
from contextpress.figures.style import (
    COLOURS,
    GREY,
    INK,
    MARKERS,
    PALE,
    Drawing,
    counted,
    label,
    legend,
    nothing,
    number,
    sheet,
    short,
    titled,
    wide,
)


def draw(finding: dict[str, Any], spec: TableFigure) -> Drawing:
    """One panel for each way of holding out, one point for each tenth of the predictions, and the diagonal."""
    if finding["predictor"] is None:
        return nothing(spec.style.page, f"no predictor: {finding['reason']}")
    measure = finding["measure"]
    panels = finding["validation"][measure]
    scale = finding["predictor"]["measures"][measure]["scale"]
    figure, (axes,) = sheet(wide(spec.style, len(panels)), 3.0, 1, len(panels), share_y=True)
    for place, (here, (name, found)) in enumerate(zip(axes, panels.items(), strict=True)):
        _tenths(here, found["tenths"], place)
        here.plot([0, scale], [0, scale], color=GREY, linewidth=0.8, zorder=1)
        here.set_xlim(0, scale)
        here.set_ylim(0, scale)
        here.set_aspect("equal")
        here.set_xlabel("Predicted")
        titled(here, place, f"Held-out {name}")
        here.text(0.04, 0.96, _note(found), transform=here.transAxes, va="top", fontsize="small")
    axes[0].set_ylabel(f"Observed: {label(measure)}")
    handles = [
        Line2D([], [], color=INK, marker="o", linestyle="none", label="mean of a tenth"),
        Line2D([], [], color=INK, linewidth=0.8, label="middle 80 % observed"),
        Patch(color=PALE, label="80 % prediction interval"),
        Line2D([], [], color=GREY, linewidth=0.8, label="as predicted"),
    ]
    legend(figure, handles)
    sample = finding["sample"]
    caption = (
        f"{short(measure)} of passages that had no part in the fit, against what the predictor says of them by "
        f"entropy, gap and ratio. A point is a tenth of the predictions, from the lowest to the highest: mean observed "
        f"against mean predicted. Bars hold the middle 80 % of what was observed in it, the pale band is the mean of "
        f"its 80 % prediction intervals. Held out are {' or '.join(panels)}. Notes: R², and the share of what was "
        f"observed that lies within the intervals of each level. Calibrated on held-out documents by the rule of the "
        f"finding: {'yes' if finding['answer'] == 'calibrated' else 'no'}. {counted(sample['passages'], 'passage')} of "
        f"{counted(finding['clusters'], 'document')} under {counted(sample['compressors'], 'compressor')}."
    )
    return Drawing(figure, caption)


def _note(found: dict[str, Any]) -> str:
    lines = [f"{one['level'] * 100:g} %: {number(100 * one['coverage'], 1)} %" for one in found["levels"]]
    return "\n".join([f"R² {number(found['r2'])}", *lines])


def _tenths(axes: Axes, tenths: list[dict[str, Any]], place: int) -> None:
    predicted, observed = ([one[name] for one in tenths] for name in ("predicted", "observed"))
    low, high = zip(*(one["interval80"] for one in tenths), strict=True)
    axes.fill_between(predicted, low, high, color=PALE, linewidth=0)
    axes.vlines(
        predicted,
        [one["observed_p10"] for one in tenths],
        [one["observed_p90"] for one in tenths],
        colors=INK,
        linewidth=0.8,
    )
    axes.plot(predicted, observed, color=COLOURS[place], marker=MARKERS[place], linestyle="none")
