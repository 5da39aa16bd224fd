"""Quality by quantile bucket of encoder entropy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from contextpress.analysis.buckets import by_bucket
from contextpress.analysis.panel import SETTING
from contextpress.figures.block import UNUSED, as_claims, block, bucket_axis, counts, intervals
from contextpress.figures.spec import MeasureFigure
from contextpress.figures.style import (
    COLOURS,
    INK,
    LINES,
    MARKERS,
    Drawing,
    label,
    legend,
    nothing,
    sheet,
    short,
    titled,
    wide,
)

ACROSS = 3


def draw(observations: pd.DataFrame, spec: MeasureFigure) -> Drawing:
    """One panel per encoder, one line per decoder and ratio; buckets side by side from least to most surprising."""
    panel = block(observations, spec.sample)
    if panel.compressors.empty:
        return nothing(spec.style.page, UNUSED)
    table = by_bucket(observations, as_claims(spec.sample, spec.measure))
    table = table[table["side"] == "encoder"]
    encoders, decoders = (sorted(table[name].unique()) for name in ("encoder", "decoder"))
    table["setting"] = list(table[SETTING].itertuples(index=False, name=None))
    settings = sorted(table["setting"].unique())
    columns = min(ACROSS, len(encoders))
    rows = math.ceil(len(encoders) / columns)
    figure, axes = sheet(wide(spec.style, columns), 0.6 + 2.0 * rows, rows, columns, share_y=True)
    lines = [(decoder, setting) for decoder in decoders for setting in settings]
    for place, encoder in enumerate(encoders):
        here = axes[place // columns][place % columns]
        for index, (decoder, setting) in enumerate(lines):
            pair = (table["encoder"] == encoder) & (table["decoder"] == decoder)
            part = table[pair & (table["setting"] == setting)].sort_values("bucket")
            if part.empty:
                continue
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
                linestyle=LINES[settings.index(setting) % len(LINES)],
                markerfacecolor=colour if settings.index(setting) % 2 == 0 else "white",
                elinewidth=0.7,
                linewidth=1.0,
            )
        titled(here, place, f"Encoder {encoder}")
        bucket_axis(here, int(table["bucket"].max()) + 1)
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
            label=_said(setting, settings),
        )
        for i, setting in enumerate(settings)
    ]
    legend(figure, handles)
    caption = (
        f"{short(spec.measure)} by quantile bucket of the passage's entropy under the encoder (buckets over all "
        f"domains together, so they also differ in domain; 1 is the least surprising), for every encoder-decoder pair; "
        f"line style and fill tell the ratio, seeds are averaged. {counts(panel)}. {intervals(spec.sample)}."
    )
    return Drawing(figure, caption)


def _said(setting: tuple[object, ...], settings: list[tuple[object, ...]]) -> str:
    """What of a setting tells it from the others; its ratio in any case."""
    named = dict(zip(SETTING, setting, strict=True))
    varied = [name for place, name in enumerate(SETTING) if len({other[place] for other in settings}) > 1]
    words = [str(named[name]).replace("_", " ") for name in varied if name != "ratio"]
    return ", ".join([*words, f"ratio {named['ratio']}"])


def _look(index: int) -> tuple[str, str]:
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
