"""The measured rows as a table and as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.harness import Row
from contextpress.figures.spec import Style
from contextpress.figures.style import COLOURS, GREY, INK, MARKERS, Drawing, legend, save, sheet, styled
from contextpress.report import markdown

GROWTH = "growth"


def table(rows: Sequence[Row]) -> str:
    """All rows in Markdown, by machine."""
    parts = ["# Results of `make bench`", "Written by the command; see README.md for what was timed against what."]
    for where in sorted({(row.machine, row.device) for row in rows}):
        here = [row for row in rows if (row.machine, row.device) == where]
        parts.append(f"Machine: {where[0]}; device: {where[1]}.")
        speeds = [row for row in here if not row.name.startswith(GROWTH)]
        growths = [row for row in here if row.name.startswith(GROWTH)]
        if speeds:
            head = ["benchmark", "shape", "baseline", "unit", "ours", "theirs", "ratio [least, most]", "aim", "equal"]
            head += ["threads", "dtype", "MiB ours / theirs"]
            cells = [_cells(row) for row in speeds]
            parts.append(markdown.table(head, cells, numbers=["ours", "theirs", "ratio [least, most]"]))
        if growths:
            head = ["benchmark", "shape", "over", "exponent [least, most]", "aim"]
            cells = [
                [row.name, row.shape, row.unit.split(" over ")[1], _ratio(row), row.wanted or ""] for row in growths
            ]
            parts.append(markdown.table(head, cells, numbers=["exponent [least, most]"]))
        notes = [f"{row.name}, {row.shape}, against {row.against}: {row.note}" for row in here if row.note]
        if notes:
            parts.append(markdown.bullets(notes))
    return "\n\n".join(parts) + "\n"


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Ratios of all speeds, with their spread and the ratio aimed at, as results.pdf, .svg and .png."""
    speeds = [row for row in rows if not row.name.startswith(GROWTH)]
    style = Style()
    with styled(style):
        figure, panels = sheet(style.page, 0.6 + 0.19 * max(1, len(speeds)), 1, 1)
        axes = panels[0][0]
        shapes = list(dict.fromkeys(row.shape for row in speeds))
        for place, row in enumerate(speeds):
            mark = shapes.index(row.shape)
            axes.plot(row.spread, [place, place], color=COLOURS[mark], linewidth=1.2)
            label = row.shape if row.shape not in shapes[:mark] and place == _first(speeds, row.shape) else None
            axes.plot(row.ratio, place, MARKERS[mark], color=COLOURS[mark], label=label)
            if row.wanted:
                axes.plot(
                    float(row.wanted.removeprefix(">= ")), place, "|", color=INK, markersize=9, markeredgewidth=1.2
                )
        axes.axvline(1, color=GREY, linewidth=0.8)
        axes.set_xscale("log")
        axes.set_yticks(range(len(speeds)), [f"{row.name} / {row.against}" for row in speeds])
        axes.tick_params(axis="y", labelsize=style.font_size - 2, length=0)
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("ours / baseline (bar: aim)")
        legend(figure, axes.get_legend_handles_labels()[0])
        paths = (folder / f"results.{kind}" for kind in ("pdf", "svg", "png", "txt"))
        save(Drawing(figure, _caption(rows)), *paths)


def _caption(rows: Sequence[Row]) -> str:
    machines = sorted({f"{row.machine}, {row.device}" for row in rows})
    said = "Rate of contextpress over that of the baseline: median and range of the repeats; bar: the ratio aimed at."
    return f"{said} Measured on: {'; '.join(machines)}."


def _first(rows: Sequence[Row], shape: str) -> int:
    return next(place for place, row in enumerate(rows) if row.shape == shape)


def _cells(row: Row) -> list[str]:
    said = "" if row.equal is None else f"{'yes' if row.equal else 'NO'} ({row.difference:.1g})"
    memory = " / ".join(f"{value:,.0f}" for value in row.peak_memory_mib)
    return [
        *(row.name, row.shape, row.against, row.unit, _number(row.ours), _number(row.baseline), _ratio(row)),
        *(row.wanted or "", said, str(row.threads), row.dtype, memory),
    ]


def _ratio(row: Row) -> str:
    return f"{row.ratio:.2f} [{row.spread[0]:.2f}, {row.spread[1]:.2f}]"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
