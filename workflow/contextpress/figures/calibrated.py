"""The calibration as a picture: false positives and coverage of the claims' tests, and of the naive analysis."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.analysis.spec import ALLOWED, COVERED, LEVEL
from contextpress.figures.spec import TableFigure
from contextpress.figures.style import COLOURS, GREY, INK, PALE, Drawing, legend, sheet, titled

LOOKS = {"clustered": ("o", COLOURS[0], "clustered (ours)"), "naive": ("s", COLOURS[1], "naive: rows independent")}
KINDS = {
    "encoder": "encoder effect planted",
    "decoder": "decoder effect planted",
    "both": "both planted",
    "bound": "at the bound",
    "gap": "gap planted",
    "none": "nothing planted",
}


def draw(table: pd.DataFrame, spec: TableFigure) -> Drawing:
    """Left the rates at which true null hypotheses are rejected, right the share of intervals that hold the truth."""
    figure, (axes,) = sheet(spec.style.page, 2.7, 1, 2)
    rates, covered = (table[table["quantity"] == name] for name in ("false_positive_rate", "coverage"))
    axes[0].axvspan(LEVEL - ALLOWED, LEVEL + ALLOWED, color=PALE, linewidth=0)
    axes[0].axvline(LEVEL, color=GREY, linewidth=0.5)
    _points(axes[0], rates, lambda row: f"{row['claim']} {row['verdict']}\n({KINDS[row['kind']]})")
    axes[0].set_xscale("log")
    axes[0].set_xlim(0.008, 1.1)
    axes[0].set_xticks([0.01, 0.05, 0.2, 1], ["1 %", "5 %", "20 %", "100 %"])
    axes[0].minorticks_off()
    axes[0].set_xlabel("Rejected, though true")
    titled(axes[0], 0, "False positives")
    axes[1].axvspan(COVERED, 1, color=PALE, linewidth=0)
    axes[1].axvline(1 - LEVEL, color=GREY, linewidth=0.5)
    _points(axes[1], covered, lambda row: f"{row['claim']}\n({KINDS[row['kind']]})")
    axes[1].set_xlim(-0.02, 1.02)
    axes[1].set_xlabel("95 % intervals that hold the truth")
    titled(axes[1], 1, "Coverage")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=name)
        for marker, colour, name in LOOKS.values()
    ]
    legend(figure, handles)
    studies = rates["studies"]
    count = f"{studies.min():,}" if len(set(studies)) == 1 else f"{studies.min():,} to {studies.max():,}"
    caption = (
        f"Tests of the claims on simulated studies with known truth. (a) Share of {count} studies in which the test "
        f"behind a verdict rejects a true null hypothesis at {LEVEL * 100:g} %; the band is what is allowed. (b) Share "
        f"of 95 % intervals that hold the planted effect; the band starts at {COVERED * 100:g} %. The naive analysis "
        f"takes every passage under every compressor as independent. Bars: 95 % intervals of a share."
    )
    return Drawing(figure, caption)


def _points(axes: Axes, rows: pd.DataFrame, called: Callable[[dict[Hashable, Any]], str]) -> None:
    names = list(dict.fromkeys(called(row) for row in rows.to_dict("records")))
    for shift, (analysis, (marker, colour, _)) in zip((-0.12, 0.12), LOOKS.items(), strict=True):
        for row in rows[rows["analysis"] == analysis].to_dict("records"):
            place = names.index(called(row)) + shift
            bars = np.array([[row["share"] - row["ci95_low"]], [row["ci95_high"] - row["share"]]]).clip(0)
            axes.errorbar(row["share"], place, xerr=bars, marker=marker, color=colour, ecolor=INK, elinewidth=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
