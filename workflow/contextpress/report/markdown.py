"""Pieces of Markdown, and of plain text."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """A table; the columns named in ``numbers`` are set to the right."""
    rule = ["---:" if name in numbers else "---" for name in head]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in (head, rule, *rows))


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, in columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def bullets(items: Sequence[str]) -> str:
    """A list."""
    return "\n".join(f"- {item}" for item in items)


def number(value: float | None) -> str:
    """A number with three digits that matter and a true minus sign."""
    return "not known" if value is None else f"{value:.3g}".replace("-", "−")


def interval(value: float | None, ends: Sequence[float | None]) -> str:
    """``value [low, high]``."""
    if value is None or len(ends) != 2 or None in ends:
        return number(value)
    return f"{number(value)} [{number(ends[0])}, {number(ends[1])}]"


def p_value(value: float | None) -> str:
    """A p-value; small ones as a bound."""
    if value is None:
        return "not known"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """``42 s``, ``12 min``, ``3 h 25 min``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
