"""What share of the gap each arm closes, beside longer training at the same cost."""

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
    INK,
    LINES,
    MARKERS,
    Drawing,
    counted,
    interval,
    legend,
    nothing,
    sheet,
    short,
    titled,
)

NONE, MATCHED = "none", "matched"
LONGER = "longer"
NAMES = {
    LONGER: "longer training",
    "decoder_lora": "decoder by LoRA",
    "decoder_full": "decoder trained",
    "merge_average": "merged, mean",
    "merge_nan_tensors": "merged, NAN by tensor",
    "merge_nan_model": "merged, NAN by model",
    "debias": "trained on mistakes",
}

# Title, axis, and columns of the table: value and the ends of its interval.
PANELS = (
    ("Closed", "0: no help, 1: matched pair", ("share_closed", "ci95_low", "ci95_high")),
    ("Beyond longer training", "share of the gap", ("beyond_longer", "beyond_low", "beyond_high")),
    ("Left to matched pairs", "share of the gap", ("gap_left", "left_low", "left_high")),
)


def draw(table: pd.DataFrame, finding: dict[str, Any], spec: TableFigure) -> Drawing:
    """Three panels: the share closed, with the two ends; beyond longer training; and what is left of the gap."""
    pairs = table[["encoder", "decoder"]].drop_duplicates()
    whole = table.iloc[[0]][["encoder", "decoder"]].merge(table)
    if whole["share_closed"].isna().all():
        return nothing(spec.style.page, finding["reason"])
    shown = whole[~whole["arm"].isin([NONE, MATCHED])]
    arms = [*shown["arm"]]
    figure, (axes,) = sheet(spec.style.page, 1.2 + 0.24 * len(arms), 1, len(PANELS))
    each = [key for key in pairs.itertuples(index=False, name=None) if len(pairs) > 1][1:]
    for place, (title, said, names) in enumerate(PANELS):
        here = axes[place]
        titled(here, place, title)
        here.set_xlabel(said)
        _bars(here, shown, names)
        for number, (encoder, decoder) in enumerate(each):
            one = table[(table["encoder"] == encoder) & (table["decoder"] == decoder)].set_index("arm").loc[arms]
            here.plot(one[names[0]], np.arange(len(arms)) + 0.26, linestyle="none", **_look(number))
        here.axvline(0, color=GREY, linewidth=0.6, zorder=0)
        here.set_ylim(len(arms) - 0.4, -0.6)
        here.set_yticks(range(len(arms)), [_called(arm) for arm in arms] if place == 0 else [""] * len(arms))
        here.tick_params(axis="y", length=0)
    for here in (axes[0], axes[2]):
        here.axvline(1, color=GREY, linewidth=0.6, zorder=0)
    axes[1].axvline(finding["smallest_share"], color=GREY, linewidth=0.8, linestyle=LINES[2], zorder=0)
    handles = [
        Line2D(
            [], [], color=INK, marker="o", label="all pairs" if each else _pair(*whole.iloc[0][["encoder", "decoder"]])
        )
    ]
    handles += [
        Line2D([], [], linestyle="none", label=_pair(encoder, decoder), **_look(number))
        for number, (encoder, decoder) in enumerate(each)
    ]
    handles.append(Line2D([], [], color=INK, marker="o", markerfacecolor="white", label="matched pair, for comparison"))
    handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=LINES[2], label="smallest share of interest"))
    legend(figure, handles)
    gap, verdict = finding["gap"], finding["verdict"]
    caption = (
        f"Share of the gap in {short(finding['measure'])} that each arm closes: 0 is the mismatched pair without help, "
        f"1 the matched pair without help; the gap is {interval(gap['value'], gap['ci95'], 3)}. Every arm costs the "
        "same in floating-point operations. Large points: all pairs and seeds, with 95 % intervals of documents and "
        "training runs; small ones: each pair. Hollow points are matched pairs trained in an arm's way; (c) is what "
        "separates an arm from them, or where there are none from the matched pairs trained for longer, in units "
        f"of the same gap. {counted(int(whole['n'].iloc[0]), 'passage')} of "
        f"{counted(int(whole['documents'].iloc[0]), 'document')}, {counted(int(whole['seeds'].iloc[0]), 'seed')}. "
        f"That the gap is hard to mitigate is {verdict}: {finding['reason'].replace('_', ' ')}."
    )
    return Drawing(figure, caption)


def _bars(axes: Axes, rows: pd.DataFrame, names: tuple[str, str, str]) -> None:
    value, low, high = (rows[name].to_numpy(dtype=np.float64) for name in names)
    ends = np.nan_to_num(np.stack([value - low, high - value]))
    places = np.arange(len(rows))
    helped = ~rows["arm"].str.startswith(MATCHED).to_numpy()
    for some, fill in ((helped, INK), (~helped, "white")):
        if np.isfinite(value[some]).any():
            axes.errorbar(
                value[some],
                places[some],
                xerr=ends[:, some],
                color=INK,
                marker="o",
                markersize=5,
                markerfacecolor=fill,
                linestyle="none",
                elinewidth=1.0,
                zorder=3,
            )


def _look(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[1 + number % (len(MARKERS) - 1)],
        "markersize": 3.4,
    }


def _pair(encoder: str, decoder: str) -> str:
    return f"{encoder} to {decoder}"


def _called(arm: str) -> str:
    own = arm.removeprefix(f"{MATCHED}_")
    return (NAMES.get(own) or own.replace("_", " ")) + (", matched pair" if own != arm else "")
