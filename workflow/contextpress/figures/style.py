"""What all figures share: sizes, colours that survive colour-blindness and grey print, labels, and exact files."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from contextpress.figures.spec import Style
from contextpress.runtime.files import replacing, write_text

# Okabe and Ito (2008), without the yellow, which is lost on white paper; in an order of alternating lightness, so
# that neighbours differ in grey print as well. Every colour comes with a marker and a line style of its own.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LineStyle = str | tuple[int, tuple[float, ...]]
LINES: tuple[LineStyle, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)), (0, (8, 2)))
INK, GREY, PALE = "#222222", "#8a8a8a", "#dcdcdc"

LABELS = {
    "nll": "−NLL with memory (nats per token)",
    "accuracy": "Teacher-forced accuracy (share of tokens)",
    "bleu": "BLEU (0 to 100)",
    "rouge_l": "ROUGE-L (0 to 1)",
    "token_f1": "Token F1 (0 to 1)",
    "prefix_match": "Prefix reproduced (share of tokens)",
    "exact_match": "Exact match (share of passages)",
    "chrf": "chrF (0 to 100)",
    "edit_similarity": "Edit similarity (0 to 1)",
    "information_retained": "Information retained (0 to 1)",
    "nll_gain": "NLL gain over shuffled memory (nats per token)",
    "accuracy_gain": "Accuracy gain over shuffled memory",
    "token_f1_gain": "Token F1 gain over shuffled memory",
    "encoder_nll": "Encoder entropy (nats per token)",
    "encoder_bits_per_byte": "Encoder entropy (bits per byte)",
    "encoder_predictive_entropy": "Encoder predictive entropy (nats per token)",
    "decoder_nll": "Decoder entropy (nats per token)",
    "decoder_bits_per_byte": "Decoder entropy (bits per byte)",
    "decoder_predictive_entropy": "Decoder predictive entropy (nats per token)",
}


@dataclass(frozen=True)
class Drawing:
    """A figure and what is written below it."""

    figure: Figure
    caption: str


@contextmanager
def styled(style: Style) -> Iterator[None]:
    """Context in which a figure is drawn and saved."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph that a PDF leaves out
    size = style.font_size
    with mpl.rc_context(
        {
            "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
            "font.size": size,
            "axes.titlesize": size,
            "axes.titlelocation": "left",
            "axes.titlepad": 5,
            "axes.labelsize": size,
            "xtick.labelsize": size - 1,
            "ytick.labelsize": size - 1,
            "legend.fontsize": size - 1,
            "legend.title_fontsize": size - 1,
            "legend.frameon": False,
            "legend.handlelength": 2.6,
            "legend.borderaxespad": 0.2,
            "legend.columnspacing": 1.4,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.6,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "xtick.major.size": 2.5,
            "ytick.major.size": 2.5,
            "lines.linewidth": 1.2,
            "lines.markersize": 3.6,
            "lines.markeredgewidth": 0.5,
            "figure.dpi": 100,
            "savefig.dpi": style.dpi,
            "figure.constrained_layout.w_pad": 0.03,
            "figure.constrained_layout.h_pad": 0.03,
            "pdf.fonttype": 42,  # TrueType: text in the PDF can be selected and searched
            "svg.fonttype": "path",  # the same in every viewer
            "svg.hashsalt": "contextpress",  # else ids are random
        }
    ):
        yield


def save(drawing: Drawing, pdf: Path, svg: Path, png: Path, caption: Path) -> None:
    """Write a drawing; the same drawing gives the same bytes, on any day."""
    # What a writer adds by itself, set to None: dates, and the version of matplotlib, which the run records hold.
    unsaid: dict[str, dict[str, None]] = {
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
    }
    for path, kind in ((pdf, "pdf"), (svg, "svg"), (png, "png")):
        with replacing(path) as draft:
            drawing.figure.savefig(draft, format=kind, metadata=unsaid[kind])
    write_text(caption, drawing.caption.strip() + "\n")


def sheet(
    width: float,
    height: float,
    rows: int,
    columns: int,
    *,
    share_y: bool = False,
    ratios: Sequence[float] | None = None,
    heights: Sequence[float] | None = None,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of ``width`` x ``height`` inches with a grid of panels, all of them or none sharing the y axis.

    ``ratios`` are the relative widths of the columns, ``heights`` those of the rows.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y, width_ratios=ratios, height_ratios=heights)
    return figure, [list(row) for row in axes]


def wide(style: Style, columns: int) -> float:
    """Width in inches of a figure with so many panels side by side: one stands in a column, more need the page."""
    return style.column if columns == 1 else style.page


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend below the panels, in as many columns as there is room for."""
    room = 6 if figure.get_figwidth() > 5 else 3
    lines = math.ceil(len(handles) / room)
    figure.legend(handles=handles, loc="outside lower center", ncols=math.ceil(len(handles) / lines))


def empty(axes: Axes, reason: str) -> None:
    """Leave a panel without data: its title, and why."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set(xlabel="", ylabel="")
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, color=GREY)


def nothing(width: float, reason: str) -> Drawing:
    """What stands in a figure's place where there is nothing to draw: the reason."""
    figure, axes = sheet(width, 1.2, 1, 1)
    axes[0][0].axis("off")
    axes[0][0].text(0.5, 0.5, reason, ha="center", va="center", wrap=True)
    return Drawing(figure, f"Nothing to draw: {reason}.")


def titled(axes: Axes, letter: int, title: str) -> None:
    """Give a panel its letter (0 is a) and its title."""
    axes.set_title(f"({chr(ord('a') + letter)}) {title}")


def label(measure: str) -> str:
    """What a measure or an entropy is called on an axis, with its unit."""
    return LABELS.get(measure, measure)


def short(measure: str) -> str:
    """The same without unit, for running text."""
    return label(measure).split(" (")[0]


def number(value: float | None, digits: int = 2) -> str:
    """A number with a true minus sign."""
    if value is None:
        return "not known"
    said = f"{value:.{digits}f}"
    return said.removeprefix("-") if float(said) == 0 else said.replace("-", "−")


def interval(value: float | None, ends: Sequence[float | None], digits: int = 2) -> str:
    """``value [low, high]``."""
    if value is None or None in ends:
        return number(value, digits)
    return f"{number(value, digits)} [{number(ends[0], digits)}, {number(ends[1], digits)}]"


def counted(count: int, noun: str) -> str:
    """``1 passage``, ``2,160 passages``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
