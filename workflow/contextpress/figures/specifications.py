"""The specification curve of claim C1: its effect under every choice of measure, entropy, read-out and ratio."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.figures.spec import TableFigure
from contextpress.figures.style import COLOURS, GREY, INK, Drawing, counted, legend, nothing, sheet, short, titled

# What the interval says, and how it is drawn.
SIGNS = {-1: ("interval below zero", COLOURS[0]), 0: ("interval holds zero", GREY), 1: ("above zero", COLOURS[3])}
NAMES = {
    "within": "ranks within domain",
    "pooled": "ranks over all domains",
    "encoder_nll": "encoder, nats per token",
    "encoder_bits_per_byte": "encoder, bits per byte",
    "encoder_predictive_entropy": "encoder, predictive entropy",
    "unigram_entropy": "unigram counts, no model",
    "zlib_bits_per_byte": "zlib, no model",
}
CHOICES = ("scope", "predictor", "measure", "readout", "ratio")


def draw(table: pd.DataFrame, spec: TableFigure) -> Drawing:
    """Above the effects in order, with intervals; below the choices that each of them stands for, as dots."""
    every = table[table["claim"] == "C1"]
    rows = every.dropna(subset=["effect", "ci95_low"]).sort_values("effect", kind="stable").reset_index(drop=True)
    if rows.empty:
        return nothing(spec.style.page, "no specification of C1 could be estimated")
    rows = rows.assign(readout=rows["readout"].astype(str), ratio=rows["ratio"].astype(str))
    options = {name: _options(rows, every, name) for name in CHOICES}
    options = {name: values for name, values in options.items() if len(set(values) - {"all"}) > 1}
    lines = sum(map(len, options.values())) + len(options) - 1
    figure, panels = sheet(spec.style.page, 2.4 + 0.14 * lines, 2, 1, heights=[2.2, 0.14 * lines + 0.2])
    above, below = panels[0][0], panels[1][0]
    sign = np.where(rows["ci95_high"] < 0, -1, np.where(rows["ci95_low"] > 0, 1, 0))
    place = np.arange(len(rows))
    for value, (_, colour) in SIGNS.items():
        some = sign == value
        above.vlines(
            place[some], rows["ci95_low"][some], rows["ci95_high"][some], color=colour, linewidth=0.5, alpha=0.6
        )
        above.plot(place[some], rows["effect"][some], linestyle="none", marker=".", markersize=2.5, color=colour)
    declared = rows["declared"].to_numpy(dtype=bool)
    above.plot(place[declared], rows["effect"][declared], linestyle="none", marker="D", color=INK, markersize=5)
    above.axhline(0, color=GREY, linewidth=0.5)
    above.set_ylabel("Spearman correlation")
    above.set_xticks([])
    above.set_xlim(-1, len(rows))
    titled(above, 0, "Encoder entropy and quality, each specification")
    _dots(below, rows, options, sign)
    titled(below, 1, "What was chosen")
    handles = [Line2D([], [], color=colour, marker=".", label=name) for name, colour in SIGNS.values()]
    handles.append(Line2D([], [], color=INK, marker="D", linestyle="none", label="declared"))
    legend(figure, handles)
    lost = len(every) - len(rows)
    caption = (
        f"Specification curve of C1: {counted(len(rows), 'estimate')} of the Spearman correlation between entropy of a "
        f"passage and quality of its reconstruction, in order, each with its 95 % interval (documents and training "
        f"runs); below, the choices it stands for. {int((sign < 0).sum())} intervals lie below zero, "
        f"{int((sign > 0).sum())} above. The diamond is the declared specification, which alone decides the verdict. "
        f"Information retained is made of the decoder's own entropy. "
        + (f"{lost} more could not be estimated, since the measure does not vary. " if lost else "")
        + "Those of C2 and C3 are in the same table (specification.csv)."
    )
    return Drawing(figure, caption)


def _options(rows: pd.DataFrame, every: pd.DataFrame, name: str) -> list[str]:
    """The values of a choice, in the order of the table; settings as "2", "4", "all"."""
    found = [str(value) for value in every[name].drop_duplicates() if str(value) in set(rows[name])]
    return sorted(found, key=lambda value: (value == "all", found.index(value)))


def _dots(axes: Axes, rows: pd.DataFrame, options: dict[str, list[str]], sign: np.ndarray) -> None:
    ticks, labels, height = [], [], 0.0
    colours = {value: colour for value, (_, colour) in SIGNS.items()}
    for name, values in options.items():
        for value in values:
            here = np.flatnonzero((rows[name] == value).to_numpy())
            axes.scatter(
                here, np.full(len(here), height), s=9, marker="|", linewidths=0.5, c=[colours[sign[i]] for i in here]
            )
            ticks.append(height)
            labels.append(_called(name, value))
            height += 1
        height += 0.6
    axes.set_yticks(ticks, labels)
    axes.invert_yaxis()
    axes.set_xlim(-1, len(rows))
    axes.set_xlabel("Specifications, by effect")
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _called(choice: str, value: str) -> str:
    if choice == "ratio":
        return "all ratios" if value == "all" else f"ratio {value}"
    if choice == "readout":
        return "all read-outs" if value == "all" else value.replace("_", " ")
    return NAMES.get(value) or short(value)
