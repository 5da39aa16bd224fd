"""The calibration as a picture: false positives and coverage of the claims' tests, and of the naive analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.analysis.spec import ALLOWED, COVERED, LEVEL
from contextpress.figures.spec import TableFigure
from contextpress.figures.style import COLOURS, GREY, INK, PALE, Drawing, legend, sheet, titled

LOOKS = {"clustered": ("o", COLOURS[0], "clustered (ours)"), "naive": ("s", COLOURS[1], "naive: rows independent")}
KINDS = {
    "encoder": "encoder planted",
    "decoder": "decoder planted",
    "both": "both planted",
    "bound": "at the bound",
    "gap": "gap planted",
    "none": "nothing planted",
}
LEAST = 0.008  # where the axes of shares begin; smaller ones are drawn there


def draw(table: pd.DataFrame, spec: TableFigure) -> Drawing:
    """Left the rates at which true null hypotheses are rejected, right the share of intervals that miss the truth."""
    figure, (axes,) = sheet(spec.style.page, 2.6, 1, 2)
    rates, covered = (table[table["quantity"] == name] for name in ("false_positive_rate", "coverage"))
    missed = covered.assign(
        share=1 - covered["share"], ci95_low=1 - covered["ci95_high"], ci95_high=1 - covered["ci95_low"]
    )
    panels = (
        (
            rates,
            "{claim} {verdict}, {kind}",
            (LEVEL - ALLOWED, LEVEL + ALLOWED),
            "False positives",
            "Rejected, but true",
        ),
        (missed, "{claim}, {kind}", (LEAST, 1 - COVERED), "Coverage", "95 % intervals that miss the truth"),
    )
    for place, (here, (rows, name, allowed, title, said)) in enumerate(zip(axes, panels, strict=True)):
        here.axvspan(*allowed, color=PALE, linewidth=0)
        here.axvline(LEVEL, color=GREY, linewidth=0.5)
        _points(here, rows, name)
        here.set_xscale("log")
        here.set_xlim(LEAST, 1.15)
        here.set_xticks([0.01, 0.05, 0.2, 1], ["1 %", "5 %", "20 %", "100 %"])
        here.minorticks_off()
        here.set_xlabel(said)
        titled(here, place, title)
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="none", label=name)
        for marker, colour, name in LOOKS.values()
    ]
    legend(figure, handles)
    caption = (
        f"Tests of the claims on simulated studies with known truth. (a) Share of {_count(rates['studies'])} studies "
        f"in which the test behind a verdict rejects a true null hypothesis at {LEVEL * 100:g} %. (b) Share of 95 % "
        f"intervals, of {_count(covered['studies'])}, that miss the true effect. Lines: {LEVEL * 100:g} %; grey: what "
        f"is allowed. The naive analysis takes every passage under every compressor as independent. Bars: 95 % "
        f"intervals of a share."
    )
    return Drawing(figure, caption)


def _count(studies: pd.Series) -> str:
    return f"{studies.min():,}" if len(set(studies)) == 1 else f"{studies.min():,} to {studies.max():,}"


def _points(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    keys = zip(*(rows[key].astype(str) for key in ("claim", "verdict", "kind")), strict=True)
    called = [name.format(claim=claim, verdict=verdict, kind=KINDS[kind]) for claim, verdict, kind in keys]
    names = list(dict.fromkeys(called))
    for shift, (analysis, (marker, colour, _)) in zip((-0.14, 0.14), LOOKS.items(), strict=True):
        for label, row in zip(called, rows.to_dict("records"), strict=True):
            if row["analysis"] == analysis:
                share, low, high = (max(LEAST, row[key]) for key in ("share", "ci95_low", "ci95_high"))
                bars = np.array([[share - low], [high - share]]).clip(0)
                place = names.index(label) + shift
                axes.errorbar(share, place, xerr=bars, marker=marker, color=colour, ecolor=INK, elinewidth=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
