"""The grid of claim C3 taken apart: what belongs to the encoder, what to the decoder, and what to the pair."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.figures.spec import TableFigure
from contextpress.figures.style import COLOURS, GREY, MARKERS, Drawing, interval, legend, nothing, sheet, titled

PARTS = {"encoder": "Encoder effect", "decoder": "Decoder effect", "interaction": "Interaction"}
SLOPES = {
    "encoder_slope": "encoder's own data",
    "decoder_slope": "decoder's own data",
    "gap_slope": "gap between the two",
}


def draw(table: pd.DataFrame, spec: TableFigure) -> Drawing:
    """Three panels on one scale: encoder effects, decoder effects and interactions, a marker per setting."""
    parts = table[table["effect"].isin(list(PARTS)) & (table["ratio"].astype(str) != "all")]
    if parts.empty:
        return nothing(spec.style.page, "no pair has a gap")
    settings = list(parts[["readout", "ratio"]].drop_duplicates().itertuples(index=False, name=None))
    sizes = [parts.loc[parts["effect"] == part, "name"].nunique() for part in PARTS]
    figure, (axes,) = sheet(spec.style.page, 2.9, 1, 3, share_y=True, ratios=[max(3, size) for size in sizes])
    for place, (part, title) in enumerate(PARTS.items()):
        titled(axes[place], place, title)
        _points(axes[place], parts[parts["effect"] == part], settings)
    axes[0].set_ylabel("Quality, less the grand mean")
    axes[0].set_xlabel("Encoder")
    axes[1].set_xlabel("Decoder")
    axes[2].set_xlabel("Encoder x decoder")
    several = len({readout for readout, _ in settings}) > 1
    handles = [
        Line2D(
            [],
            [],
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            label=_called(readout, ratio, several),
        )
        for i, (readout, ratio) in enumerate(settings)
    ]
    legend(figure, handles)
    whole = table[(table["ratio"].astype(str) == "all") & table["estimate"].notna()]
    told = []
    for effect, what in SLOPES.items():
        name = "design" if effect == "gap_slope" else "replaced"
        for row in whole[(whole["effect"] == effect) & (whole["name"] == name)].to_dict("records"):
            ends = [None if pd.isna(row[end]) else row[end] for end in ("ci95_low", "ci95_high")]
            told.append(f"{what} {interval(row['estimate'], ends, 4)}")
    slopes = f" Quality per sixth of replaced data, each given the others: {'; '.join(told)}." if told else ""
    caption = (
        "Two-way decomposition of mean quality on the encoder x decoder grid, domains weighted equally, seeds "
        "averaged: an effect of the encoder alone, one of the decoder alone, and what is left to the pair, which is "
        f"where a gap between their data shows.{slopes} Intervals: 95 %, bootstrap of documents and scatter of seeds."
    )
    return Drawing(figure, caption)


def _points(axes: Axes, rows: pd.DataFrame, settings: list[tuple[object, object]]) -> None:
    names = list(rows["name"].drop_duplicates())
    for index, (readout, ratio) in enumerate(settings):
        here = rows[(rows["readout"] == readout) & (rows["ratio"] == ratio)].set_index("name").reindex(names)
        value = here["estimate"].to_numpy(dtype=np.float64)
        bars = np.nan_to_num(np.abs(here[["ci95_low", "ci95_high"]].to_numpy(dtype=np.float64).T - value))
        shift = 0.3 * ((index + 0.5) / len(settings) - 0.5)
        axes.errorbar(
            np.arange(len(names)) + shift,
            value,
            yerr=bars,
            color=COLOURS[index % len(COLOURS)],
            marker=MARKERS[index % len(MARKERS)],
            linestyle="none",
            elinewidth=0.9,
        )
    axes.axhline(0, color=GREY, linewidth=0.5, zorder=0)
    axes.set_xticks(range(len(names)), [name.replace(" x ", "\nx ") for name in names])
    axes.set_xlim(-0.5, len(names) - 0.5)


def _called(readout: object, ratio: object, several: bool) -> str:
    return f"{str(readout).replace('_', ' ')}, ratio {ratio}" if several else f"ratio {ratio}"
