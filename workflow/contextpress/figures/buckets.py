"""Quality by quantile bucket of encoder entropy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from contextpress.analysis.buckets import by_bucket
from contextpress.figures.block import UNUSED, as_claims, block, counts, intervals
from contextpress.figures.spec import MeasureFigure
from contextpress.figures.style import COLOURS, INK, LINES, MARKERS, Drawing, label, legend, nothing, sheet, short, titled, wide

ACROSS = 3


def draw(observations: pd.DataFrame, spec: MeasureFigure) -> Drawing:
    """One panel per encoder, one line per decoder and ratio; buckets side by side from least to most surprising."""
    panel = block(observations, spec.sample)
    if panel.compressors.empty:
        return nothing(spec.style.page, UNUSED)
    table = by_bucket(observations, as_claims(spec.sample, spec.measure))
    table = table[table["side"] == "encoder"]
    encoders, decoders, ratios = (sorted(table[name].unique()) for name in ("encoder", "decoder", "ratio"))
    columns = min(ACROSS, len(encoders))
    rows = math.ceil(len(encoders) / columns)
    figure, axes = sheet(wide(spec.style, columns), 0.6 + 2.0 * rows, rows, columns, share_y=True)
    lines = [(decoder, ratio) for decoder in decoders for ratio in ratios]
    for place, encoder in enumerate(encoders):
        here = axes[place // columns][place % columns]
        for index, (decoder, ratio) in enumerate(lines):
            part = table[(table["encoder"] == encoder) & (table["decoder"] == decoder) & (table["ratio"] == ratio)]
            part = part.groupby("bucket", as_index=False)[["quality", "ci95_low", "ci95_high"]].mean()
            # Side by side, so that intervals do not hide each other.
            x = part["bucket"] + 1 + 0.36 * ((index + 0.5) / len(lines) - 0.5)
            bars = np.abs(part[["ci95_low", "ci95_high"]].to_numpy().T - part["quality"].to_numpy())
            colour, marker = _look(decoders.index(decoder))
            here.errorbar(
                x,
                part["quality"],
                yerr=bars,
                color=colour,
                marker=marker,
                linestyle=LINES[ratios.index(ratio) % len(LINES)],
                markerfacecolor=colour if ratios.index(ratio) % 2 == 0 else "white",
                elinewidth=0.7,
                linewidth=1.0,
            )
        titled(here, place, f"Encoder {encoder}")
        last = int(table["bucket"].max()) + 1
        here.set_xticks(range(1, last + 1), ["1\nlowest", *map(str, range(2, last)), f"{last}\nhighest"])
        here.set_xlabel("Encoder entropy bucket")
        if place % columns == 0:
            here.set_ylabel(label(spec.measure))
    for spare in range(len(encoders), rows * columns):
        axes[spare // columns][spare % columns].axis("off")
    handles = [
        Line2D([], [], color=_look(i)[0], marker=_look(i)[1], linestyle="none", label=f"decoder {decoder}")
        for i, decoder in enumerate(decoders)
    ]
    handles += [
        Line2D(
            [],
            [],
            color=INK,
            linestyle=LINES[i % len(LINES)],
            marker="o",
            markerfacecolor=INK if i % 2 == 0 else "white",
            label=f"ratio {ratio}",
        )
        for i, ratio in enumerate(ratios)
    ]
    legend(figure, handles)
    caption = (
        f"{short(spec.measure)} by quantile bucket of the passage's entropy under the encoder (buckets over all "
        f"domains together, so they also differ in domain; 1 is the least surprising), for every encoder-decoder pair; "
        f"line style and fill tell the ratio, seeds are averaged. {counts(panel)}. {intervals(spec.sample)}."
    )
    return Drawing(figure, caption)


def _look(index: int) -> tuple[str, str]:
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
