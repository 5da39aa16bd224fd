"""Loss by step of every training of a study."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contextpress.analysis.panel import Array
from contextpress.figures.spec import LearningCurvesFigure
from contextpress.figures.style import COLOURS, LINES, Drawing, LineStyle, counted, empty, nothing, sheet, titled

POINTS = 150  # more cannot be told apart in print, and a file of a hundred curves stays small
WINDOW = 0.01  # share of a training that one point of its curve averages
LOOKS: dict[bool, tuple[str, LineStyle, str]] = {
    True: (COLOURS[0], "-", "same data"),
    False: (COLOURS[1], (0, (4, 1.5)), "different data"),
}


def draw(compressors: list[pd.DataFrame], models: list[pd.DataFrame], spec: LearningCurvesFigure) -> Drawing:
    """Above the compressors, a panel per ratio; below the language models."""
    if not any(len(history) for history in [*compressors, *models]):
        return nothing(spec.style.page, "nothing was trained")
    ratios = sorted({curve.ratio for curve in spec.compressors})
    figure, (upper, lower) = sheet(spec.style.page, 4.4, 2, len(ratios))
    for place, ratio in enumerate(ratios):
        here = upper[place]
        if place:
            here.sharey(upper[0])
        # The few matched ones last, on top.
        for matched in (False, True):
            for curve, history in zip(spec.compressors, compressors, strict=True):
                if curve.ratio == ratio and curve.matched == matched and len(history):
                    colour, line, _ = LOOKS[matched]
                    here.plot(*smooth(history), color=colour, linestyle=line, linewidth=0.8, alpha=0.8)
        titled(here, place, f"Compressors, ratio {ratio}")
        _labelled(here)
    kinds = [kind for kind in LOOKS if any(curve.matched == kind for curve in spec.compressors)]
    handles = [Line2D([], [], color=LOOKS[kind][0], linestyle=LOOKS[kind][1], label=LOOKS[kind][2]) for kind in kinds]
    upper[-1].legend(handles=handles, title="Encoder and decoder pretrained on", loc="best")
    below = _merged(figure, lower)
    names = list(dict.fromkeys(curve.model for curve in spec.models))
    for model, history in zip(spec.models, models, strict=True):
        if len(history):
            index = names.index(model.model)
            known = model.model in below.get_legend_handles_labels()[1]
            name = None if known else model.model
            below.plot(
                *smooth(history),
                color=COLOURS[index % len(COLOURS)],
                linestyle=LINES[index % len(LINES)],
                linewidth=0.9,
                label=name,
            )
    titled(below, len(ratios), "Language models, pretraining")
    if below.get_legend_handles_labels()[0]:
        _labelled(below)
        below.legend(loc="best", ncols=3)
    else:
        empty(below, "loaded, not trained here")
    trained = sum(len(history) > 0 for history in models)
    caption = (
        f"Training loss by optimiser step, each point the mean over {WINDOW * 100:g} % of the training. Above: "
        f"{counted(len(spec.compressors), 'compressor')} by ratio, those whose encoder and decoder were pretrained on "
        f"the same data and the others; the loss is that of reconstructing a passage from its memory, so a plateau is "
        f"a decoder that does not read its memory yet. Below: {counted(trained, 'language model')} in pretraining; "
        f"seeds share a line style."
    )
    return Drawing(figure, caption)


def smooth(history: pd.DataFrame) -> tuple[Array, Array]:
    """Steps and losses of a curve: means of a moving window, about POINTS of them."""
    steps, losses = history["step"].to_numpy(dtype=np.float64), history["loss"].to_numpy(dtype=np.float64)
    width = max(1, round(WINDOW * len(losses)))
    sums = np.cumsum(np.r_[0.0, losses])
    means = (sums[width:] - sums[:-width]) / width
    chosen = np.unique(np.linspace(0, len(means) - 1, min(POINTS, len(means))).round().astype(int))
    return (steps[: len(means)] + (width - 1) / 2)[chosen], means[chosen]


def _merged(figure: Figure, row: list[Axes]) -> Axes:
    """One panel in the place of a whole row."""
    place = row[0].get_subplotspec()
    if place is None or len(row) == 1:
        return row[0]
    for axes in row:
        axes.remove()
    return figure.add_subplot(place.get_gridspec()[place.rowspan.start, :])


def _labelled(axes: Axes) -> None:
    axes.set_xlabel("Step")
    axes.set_ylabel("Loss (nats per token)")
    axes.set_ylim(bottom=0)
