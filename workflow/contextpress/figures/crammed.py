"""The cramming bound: what one decoder can be told, and what compressors tell it, by entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from contextpress.analysis.cramming import CRAMMED
from contextpress.figures.block import bucket_axis
from contextpress.figures.spec import CrammingFigure
from contextpress.figures.style import (
    COLOURS,
    LINES,
    MARKERS,
    Drawing,
    counted,
    interval,
    legend,
    nothing,
    sheet,
    titled,
)

SHOWN = {
    "tokens_exact": ("Tokens", "Tokens reproduced\n(greedy, from the start)"),
    "nats_per_vector": ("Nats per vector", "Nats held per vector"),
}
Memory = tuple[str, int]  # read-out and ratio


def draw(table: pd.DataFrame, finding: dict[str, Any], spec: CrammingFigure) -> Drawing:
    """Above tokens reproduced, below nats per vector; left by the decoder's entropy, right by the encoder's."""
    together = table[table["decoder"] == "all"]
    if together.empty:
        return nothing(spec.style.page, "no passage was crammed that every compressor read")
    memories = sorted({*together[["readout", "ratio"]].itertuples(index=False, name=None)}, key=_order)
    figure, axes = sheet(spec.style.page, 4.6, len(SHOWN), 2)
    for row, (measure, (title, said)) in enumerate(SHOWN.items()):
        axes[row][1].sharey(axes[row][0])
        if measure == "nats_per_vector":
            _wide_range(axes[row][0], together[together["measure"] == measure])
        for column, side in enumerate(("decoder", "encoder")):
            here = axes[row][column]
            part = together[(together["measure"] == measure) & (together["side"] == side)]
            _lines(here, part, memories)
            titled(here, 2 * row + column, f"{title}, by {side} entropy")
            bucket_axis(here, int(together["bucket"].max()) + 1)
            here.set_xlabel(f"{side.capitalize()} entropy bucket")
        axes[row][0].set_ylabel(said)
    vectors = together.drop_duplicates(["readout", "ratio"]).set_index(["readout", "ratio"])["vectors"]
    legend(figure, [_look(place, memory, int(vectors[memory])) for place, memory in enumerate(memories)])
    return Drawing(figure, _caption(finding))


def _wide_range(axes: Axes, part: pd.DataFrame) -> None:
    """A scale for crammed and trained memory, which differ manyfold: logarithmic where all is above zero."""
    lowest = part[["value", "ci95_low"]].min().min()
    if lowest > 0:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:  # a compressor may tell less than nothing
        axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))


def _lines(axes: Axes, part: pd.DataFrame, memories: list[Memory]) -> None:
    for place, (readout, ratio) in enumerate(memories):
        points = part[(part["readout"] == readout) & (part["ratio"] == ratio)].sort_values("bucket")
        ends = points[["ci95_low", "ci95_high"]].to_numpy().T
        bars = np.nan_to_num(np.abs(ends - points["value"].to_numpy()))
        look = _look(place, (readout, ratio), 0)
        axes.errorbar(
            points["bucket"] + 1 + 0.24 * ((place + 0.5) / len(memories) - 0.5),
            points["value"],
            yerr=bars,
            color=look.get_color(),
            marker=look.get_marker(),
            markerfacecolor=look.get_markerfacecolor(),
            linestyle=look.get_linestyle(),
            linewidth=1.0,
            elinewidth=0.8,
        )


def _order(memory: Memory) -> tuple[bool, str, int]:
    readout, ratio = memory
    return readout != CRAMMED, readout, -ratio


def _look(place: int, memory: Memory, vectors: int) -> Line2D:
    colour, marker, crammed = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], memory[0] == CRAMMED
    return Line2D(
        [],
        [],
        color=colour,
        marker=marker,
        markerfacecolor=colour if crammed else "white",
        linestyle=LINES[0] if crammed else LINES[1],
        label=f"{memory[0].replace('_', ' ')}, {counted(vectors, 'vector')}",
    )


def _caption(finding: dict[str, Any]) -> str:
    fewest = min(finding["vectors"], key=int)
    found = finding["vectors"][fewest]
    sample, of_tokens = found["sample"], found["correlations"]["tokens_exact"]
    rho = {
        side: interval(of_tokens[side]["partial"]["value"], of_tokens[side]["partial"]["ci95"])
        for side in ("decoder", "encoder")
    }
    documents = sum(domain["clusters"] for domain in sample["domains"].values())
    return (
        "What memory holds of a passage: crammed, that is optimised for this one passage against the frozen decoder, "
        "without an encoder; and made by the trained compressors, with many more vectors for the same passage. Means "
        "by quantile bucket of the passage's entropy under decoder and encoder, over all decoders, encoders and seeds. "
        "Nats held: what the decoder's surprise falls by when it reads the memory, in (c) and (d) per vector. Partial "
        f"Spearman correlation, within domain, of tokens reproduced from {counted(int(fewest), 'crammed vector')} with "
        f"decoder entropy (given the encoder's) {rho['decoder']}, with encoder entropy (given the decoder's) "
        f"{rho['encoder']}. {counted(sample['passages'], 'passage')} of {counted(documents, 'document')} in "
        f"{counted(len(sample['domains']), 'domain')}. Intervals: 95 %, percentile bootstrap of documents within "
        "domain."
    )
