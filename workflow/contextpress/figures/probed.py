"""The probe as a picture: answers from memory against the quality of the words, over compressors and over records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from contextpress.analysis.answer_tables import NONE
from contextpress.figures.spec import TableFigure
from contextpress.figures.style import (
    COLOURS,
    GREY,
    INK,
    LINES,
    MARKERS,
    PALE,
    Drawing,
    counted,
    interval,
    label,
    legend,
    nothing,
    number,
    sheet,
    short,
    titled,
)

SAID = {"text": "full text", "nothing": "no record", "majority": "usual answer"}


def draw(table: pd.DataFrame, finding: dict[str, Any], spec: TableFigure) -> Drawing:
    """Left a point for each pair and setting, right for each range of quality of single records."""
    whole = table[(table["questions"] == "all") & (table["bucket"] == "all")]
    if whole.empty:
        return nothing(spec.style.page, f"no answers: {finding['reason']}")
    measure = finding["measure_of_words"]
    figure, ((pairs, records),) = sheet(spec.style.page, 3.0, 1, 2, share_y=True)
    points, every = whole[(whole["encoder"] != "all") & (whole["arm"] == NONE)], whole[whole["ratio"] == "all"].iloc[0]
    helped = whole[whole["arm"] != NONE]
    settings = list(points.groupby(["readout", "ratio", "decoder_training"], sort=False))
    handles = [_pairs(pairs, rows, place) for place, (_, rows) in enumerate(settings)]
    if len(helped):
        handles += pairs.plot(helped["words"], helped["memory"], "x", color=INK, markersize=4, label="with help")
    _records(records, pd.DataFrame(finding["by_quality"]))
    for axes in (pairs, records):
        for line, base in zip(LINES[1:], SAID, strict=False):
            axes.axhline(every[base], color=GREY, linewidth=0.8, linestyle=line, zorder=1)
        axes.set_xlabel(label(measure))
        axes.set_ylim(-0.02, 1.02)
    pairs.set_ylabel("Questions answered (share)")
    titled(pairs, 0, "Pairs of encoder and decoder")
    titled(records, 1, "Single records")
    lines = [
        Line2D([], [], color=GREY, linewidth=0.8, linestyle=line, label=said)
        for line, said in zip(LINES[1:], SAID.values(), strict=False)
    ]
    legend(figure, [*handles, *lines])
    return Drawing(figure, _caption(finding, every, measure))


def _pairs(axes: Axes, rows: pd.DataFrame, place: int) -> Line2D:
    ends = rows[["ci95_low", "ci95_high"]].to_numpy(dtype=float).T
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    axes.errorbar(
        rows["words"],
        rows["memory"],
        yerr=np.nan_to_num(np.abs(ends - rows["memory"].to_numpy())),
        color=colour,
        marker=marker,
        linestyle="none",
        elinewidth=0.6,
    )
    first = rows.iloc[0]
    said = f"{first['readout'].replace('_', ' ')}, ratio {first['ratio']}"
    return Line2D([], [], color=colour, marker=marker, linestyle="none", label=said)


def _records(axes: Axes, bins: pd.DataFrame) -> None:
    known = bins[[None not in ends for ends in bins["ci95"]]]
    if len(known):
        low, high = zip(*known["ci95"], strict=True)
        axes.fill_between(known["quality"], low, high, color=PALE, linewidth=0)
    axes.plot(bins["quality"], bins["value"], color=INK, marker="o")


def _caption(finding: dict[str, Any], every: pd.Series, measure: str) -> str:
    rho, sample = finding["correlation"], finding["sample"]
    told = {name: interval(rho[name]["value"], rho[name]["ci95"]) for name in ("over_records", "over_compressors")}
    lost = finding["accuracy"]["lost"]
    return (
        f"Questions about held-out records, answered by greedy decoding from the record's memory, against "
        f"{short(measure)} of the record's reconstruction from the same memory. (a) Means of each pair, all seeds; "
        f"bars hold documents and training runs. Crosses, if any: pairs helped by an arm of mitigation. (b) Tenths of "
        f"all records by quality, all compressors; the band holds documents. Lines: the same questions after the full "
        f"text, after no record, and by the answer that is "
        f"most frequent in the training documents (the usual one). Spearman correlation of answers with quality over "
        f"records, within a compressor, {told['over_records']}; over the means of "
        f"{counted(rho['over_compressors']['compressors'], 'compressor')} {told['over_compressors']} (documents only). "
        f"Where the words that tell the answer are not reproduced, {number(lost['memory']['value'])} are answered, "
        f"after no record {number(lost['nothing']['value'])}. {counted(sample['passages'], 'record')} with "
        f"{number(every['asked'], 0)} questions. Intervals: 95 %."
    )
