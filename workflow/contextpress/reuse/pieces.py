"""How a text of any length is cut into what a compressor takes: whole windows, or one shorter piece."""

from __future__ import annotations

from typing import NamedTuple


class Piece(NamedTuple):
    """A stretch of a text that is pressed by itself.

    Attributes:
        start: its first token, counted in the text.
        tokens: how many of the text's tokens it reads.
        kept: how many of them, from the first on, the text takes from its reconstruction.
        slots: memory vectors it is pressed into.
    """

    start: int
    tokens: int
    kept: int
    slots: int


def pieces(tokens: int, window: int, ratio: int) -> list[Piece]:
    """Cut a text of ``tokens`` tokens, at least one.

    Compressors are trained to the end, and measured, on whole windows. So the last window ends with the text, and what
    it shares with the one before is taken from it, where it stands at the beginning. At window 4 and ratio 2::

        text       x_0 x_1 x_2 x_3 x_4 x_5
        piece 0    [-------------]                kept: x_0 x_1
        piece 1            [-------------]        kept: all

    A text shorter than a window is one piece, of one vector for each ``ratio`` tokens begun.
    """
    if tokens < window:
        return [Piece(0, tokens, tokens, -(-tokens // ratio))]
    starts = [*range(0, tokens - window, window), tokens - window]
    ends = [*starts[1:], tokens]
    return [Piece(start, window, end - start, window // ratio) for start, end in zip(starts, ends, strict=True)]
