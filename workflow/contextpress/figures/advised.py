"""Advice on a text as a picture: predicted quality along it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D

from contextpress.figures.spec import Style
from contextpress.figures.style import COLOURS, GREY, MARKERS, PALE, label, legend, sheet, styled, titled
from contextpress.runtime.files import replacing


def plot(advice: Any, scale: float, path: Path) -> None:  # noqa: ANN401 - a room knows no command
    """Draw every ratio in a panel: prediction and interval of every window, the target, windows without a prediction.

    Args:
        advice: see ``commands.advise.Advice``.
        scale: highest value of the measure.
        path: of the PNG.

    Raises:
        UserError: see ``replacing``.
    """
    style = Style()
    with styled(style):
        figure, rows = sheet(style.page, 0.9 + 1.5 * len(advice.met), len(advice.met), 1, share_y=True)
        for place, ((here,), ratio) in enumerate(zip(rows, advice.met, strict=True)):
            here.axhline(scale * advice.target, color=GREY, linewidth=0.8)
            for chunk in advice.chunks:
                ends = (chunk.start, chunk.start + chunk.tokens)
                if chunk.outside is None:
                    mean, low, high = chunk.predicted[ratio]
                    here.vlines(sum(ends) / 2, low, high, colors=COLOURS[place % len(COLOURS)], linewidth=0.9)
                    here.plot(
                        sum(ends) / 2, mean, color=COLOURS[place % len(COLOURS)], marker=MARKERS[place % len(MARKERS)]
                    )
                else:
                    here.axvspan(*ends, color=PALE, linewidth=0)
            here.set_xlim(0, advice.tokens)
            here.set_ylim(0, scale)
            here.set_ylabel(label(advice.measure).replace(" (", "\n("))
            titled(here, place, f"Ratio {ratio}: {advice.met[ratio]} of {len(advice.chunks)} windows meet the target")
        rows[-1][0].set_xlabel("Token of the text")
        handles = [
            Line2D([], [], color=COLOURS[0], marker="o", label=f"prediction, {advice.level * 100:g} % interval"),
            Line2D([], [], color=GREY, linewidth=0.8, label="target"),
            Line2D([], [], color=PALE, linewidth=6, label="outside of what the study saw"),
        ]
        legend(figure, handles)
        with replacing(path) as draft:
            figure.savefig(draft, format="png", metadata={"Software": None})
