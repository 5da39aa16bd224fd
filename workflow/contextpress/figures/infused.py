"""Knowledge infusion: what each dose of the decoder's corpus gains and loses, by size of the encoder."""

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

PANELS = (
    ("gained", "Quality gained", "{measure} beyond longer training"),
    ("lost", "Own text lost", "Rise of its nll (nats per token)"),
    ("learned", "The decoder's text learned", "Fall of its nll (nats per token)"),
)


def draw(table: pd.DataFrame, finding: dict[str, Any], spec: TableFigure) -> Drawing:
    """Three panels over the tokens infused; a vertical line is the collapse point of a size."""
    whole = table.iloc[[0]][["encoder", "decoder"]].merge(table)
    given = whole[whole["dose"] > 0]
    if given["gained"].isna().all():
        return nothing(spec.style.page, finding["reason"])
    figure, (axes,) = sheet(spec.style.page, 2.7, 1, len(PANELS))
    sizes, doses = list(dict.fromkeys(given["size"])), sorted(set(given["tokens"]))
    for place, (name, title, called) in enumerate(PANELS):
        here = axes[place]
        here.axhline(0, color=GREY, linewidth=0.6, zorder=0)
        for number, size in enumerate(sizes):
            _curve(here, given[given["size"] == size], name, number, len(sizes))
            tokens = finding["collapse"][size]["tokens"]
            if tokens is not None:
                here.axvline(tokens, color=COLOURS[number], linewidth=0.8, linestyle=LINES[2], zorder=0)
        here.set_xscale("log")
        here.set_xticks(doses, [f"{tokens / 1000:.2g}" for tokens in doses])
        here.set_xticks([], minor=True)
        here.set_xlabel("Thousand tokens infused")
        here.set_ylabel(called.format(measure=short(finding["measure"])))
        titled(here, place, title)
    axes[1].axhline(finding["tolerance"], color=GREY, linewidth=0.8, linestyle=LINES[1], zorder=0)
    handles = [Line2D([], [], label=f"encoder {size}", **_look(number)) for number, size in enumerate(sizes)]
    handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=LINES[2], label="collapse point"))
    handles.append(Line2D([], [], color=GREY, linewidth=0.8, linestyle=LINES[1], label="tolerance"))
    legend(figure, handles)
    return Drawing(figure, _caption(whole, finding))


def _curve(axes: Axes, rows: pd.DataFrame, name: str, number: int, sizes: int) -> None:
    value, low, high = (rows[key].to_numpy(dtype=np.float64) for key in (name, f"{name}_low", f"{name}_high"))
    # Sizes have the same doses: a little apart, or one would hide the other.
    tokens = rows["tokens"].to_numpy(dtype=np.float64) * 1.06 ** (number - (sizes - 1) / 2)
    axes.errorbar(
        tokens, value, yerr=np.nan_to_num(np.stack([value - low, high - value])), elinewidth=0.9, **_look(number)
    )


def _look(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number], "marker": MARKERS[number], "linestyle": LINES[0] if number == 0 else LINES[1]}


def _caption(whole: pd.DataFrame, finding: dict[str, Any]) -> str:
    first = whole.iloc[0]
    pairs = f"{first['encoder']} to {first['decoder']}" if first["encoder"] != "all" else "all pairs"
    said = []
    for size, found in finding["collapse"].items():
        if found["tokens"] is None:
            said.append(f"none up to {found['largest_dose']:,} tokens ({size})")
        else:
            said.append(f"after {found['tokens_before']:,} and up to {found['tokens']:,} tokens ({size})")
    return (
        f"An encoder's pretraining goes on with a share of its decoder's mixture, in rising doses ({pairs}). Every "
        "dose costs as much as longer training of the compressor, the zero of (a). (b) Rise of the nll of held-out "
        "text of the encoder's own mixture; past the tolerance it counts as collapsed. (c) Fall of that of the "
        f"decoder's mixture. Collapse point: {'; '.join(said)}. Best dose of the smallest size: "
        f"{interval(finding['effect'], finding['ci95'], 3)} {short(finding['measure'])}. Intervals: 95 %, bootstrap of "
        f"documents and scatter of training runs. {counted(int(first['n']), 'passage')} of "
        f"{counted(int(first['documents']), 'document')}, {counted(int(first['seeds']), 'seed')}."
    )
