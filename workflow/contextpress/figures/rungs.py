"""The controls: texts that are less and less like language, and memory that is not the passage's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.analysis.bootstrap import Estimate
from contextpress.analysis.observations import CONTROLS
from contextpress.figures.block import bar, block, counts, intervals, mean, weights_of
from contextpress.figures.spec import MeasureFigure
from contextpress.figures.style import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    Drawing,
    counted,
    label,
    legend,
    nothing,
    sheet,
    short,
    titled,
)
from contextpress.tokens.passages import VARIANTS, sampled

SAID = {
    "normal": "normal",
    "words_shuffled": "words\nshuffled",
    "reversed": "reversed",
    "ids_plus_1": "ids + 1",
    "random_ids": "random\nids",
    "": "its own",
    "shuffled": "another\npassage's",
    "zeroed": "zeroed",
    "truncated": "first tokens\nas text",
}


def draw(observations: pd.DataFrame, spec: MeasureFigure) -> Drawing:
    """Left the ladder of texts, right the controls of memory on normal text; a line per ratio."""
    # Every point of both panels holds the same passages: those that were also disturbed.
    climbed = observations[(observations["variant"] != "normal") | sampled(observations)]
    normal = block(climbed, spec.sample, unused=True)
    if normal.compressors.empty:
        return nothing(spec.style.page, "there is no normal text")
    ratios = sorted(normal.compressors["ratio"].unique())
    figure, (axes,) = sheet(spec.style.page, 2.9, 1, 2, share_y=True, ratios=[5, 4])
    left: dict[str, dict[int, Estimate]] = {}
    passages = 0
    for variant in VARIANTS:
        panel = block(climbed, spec.sample, variant=variant, unused=True)
        if not panel.compressors.empty:
            passages = max(passages, len(panel.passages))
            weights, quality = weights_of(panel, spec.sample), panel.quality(spec.measure)
            left[variant] = _by_ratio(panel.compressors["ratio"], quality, weights)
    weights = weights_of(normal, spec.sample)
    right = {}
    for memory in ("", *CONTROLS):
        quality = normal.values(f"{spec.measure}_{memory}" if memory else spec.measure)
        turned = -quality if spec.measure == "nll" else quality
        right[memory] = _by_ratio(normal.compressors["ratio"], turned, weights)
    titled(axes[0], 0, "Text, read from its own memory")
    titled(axes[1], 1, "Normal text, by what the decoder is given")
    if left:
        _lines(axes[0], left, ratios, joined=True)
        axes[0].set_xlabel("Text")
    _lines(axes[1], right, ratios, joined=False)
    axes[1].set_xlabel("Memory")
    axes[0].set_ylabel(label(spec.measure))
    if not left:
        axes[0].set_xticks([])
        axes[0].text(0.5, 0.5, "no text was disturbed", ha="center", transform=axes[0].transAxes, color=GREY)
    legend(figure, [_look(index, ratio) for index, ratio in enumerate(ratios)])
    caption = (
        f"{short(spec.measure)} by ratio, mean over compressors, also those that ignore their memory. (a) The control "
        f"ladder: the same {counted(passages, 'passage')} as they are, with words shuffled, tokens reversed, token ids "
        f"raised by one, and random ids. (b) The same passages as they are, with their own memory, with another "
        f"passage's of the same domain, with zeros, and with the first tokens as text in place of as many memory "
        f"vectors. "
        f"{counts(normal)}. {intervals(spec.sample)}."
    )
    return Drawing(figure, caption)


def _by_ratio(ratio: pd.Series, quality: np.ndarray, weights: np.ndarray) -> dict[int, Estimate]:
    return {
        int(value): mean(quality, weights, np.flatnonzero((ratio == value).to_numpy()).tolist())
        for value in sorted(ratio.unique())
    }


def _lines(axes: Axes, groups: dict[str, dict[int, Estimate]], ratios: list[int], *, joined: bool) -> None:
    for index, ratio in enumerate(ratios):
        found = [(place, group[ratio]) for place, group in enumerate(groups.values()) if ratio in group]
        shift = 0.24 * ((index + 0.5) / len(ratios) - 0.5)
        look = _look(index, ratio)
        axes.errorbar(
            [place + shift for place, _ in found],
            [estimate.value for _, estimate in found],
            yerr=np.array([bar(estimate) for _, estimate in found]).T,
            color=look.get_color(),
            marker=look.get_marker(),
            markerfacecolor=look.get_markerfacecolor(),
            linestyle=LINES[index % len(LINES)] if joined else "none",
            linewidth=0.8,
            elinewidth=0.9,
        )
    axes.set_xticks(range(len(groups)), [SAID[name] for name in groups])
    axes.set_xlim(-0.5, len(groups) - 0.5)


def _look(index: int, ratio: int) -> Line2D:
    colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
    fill = colour if index % 2 == 0 else "white"
    line = LINES[index % len(LINES)]
    return Line2D([], [], color=colour, marker=marker, markerfacecolor=fill, linestyle=line, label=f"ratio {ratio}")
