"""Rows of tokens to pretrain on."""

from __future__ import annotations

import torch
from torch import Tensor

IGNORED = -100


def copy_rows(x: Tensor, lengths: Tensor, bos: int, restate: int) -> tuple[Tensor, Tensor]:
    """Rows that show a text again and again: input and label rows, [rows, n + 2] each.

        <bos> x_1 ... x_k <restate> x_1 ... x_k <restate> x_1 ...      as long as the row is

    ``k`` differs from row to row. With one length for all, a model learns to look back by a fixed distance, and has
    no use for that skill when it meets memory of another length. Labels leave out the first showing.

    Args:
        x: token ids, [rows, n].
        lengths: k of each row, [rows], at most n.
        bos: id of <bos>.
        restate: id of <restate>.
    """
    period = lengths.unsqueeze(1) + 1
    place = torch.arange(x.shape[1] + 1).expand(len(x), -1) % period
    marks = x.new_full((len(x), 1), restate)
    body = torch.cat([x, marks], dim=1).gather(1, torch.where(place == period - 1, x.shape[1], place))
    rows = torch.cat([x.new_full((len(x), 1), bos), body], dim=1)
    first = torch.arange(rows.shape[1]).unsqueeze(0) <= period
    return rows, rows.masked_fill(first, IGNORED)


def restate_rows(x: Tensor, shown: Tensor, strides: Tensor, bos: int, restate: int) -> tuple[Tensor, Tensor]:
    """Rows that show the beginning of a text, whole or thinned, and then the text: input and label rows, [rows, n + 2].

        stride 1    <bos> x_1 x_2 x_3 ... x_k <restate> x_1 x_2 ... x_k x_k+1 ...
        stride 2    <bos> x_2 x_4 x_6 ... x_k <restate> x_1 x_2 ... x_k x_k+1 ...

    A thinned text is what memory is: fewer vectors than tokens, in the order of the text. What is thinned is no
    language, so it carries no labels; all else does.

    Args:
        x: token ids, [rows, n].
        shown: tokens shown before <restate>, [rows]; shown x (stride + 1) is at most n.
        strides: every how many tokens one is shown, [rows].
        bos: id of <bos>.
        restate: id of <restate>.
    """
    k, stride = shown.unsqueeze(1), strides.unsqueeze(1)
    place = torch.arange(x.shape[1] + 1).expand(len(x), -1)
    source = torch.where(place < k, (place + 1) * stride - 1, place - k - 1)
    marks = x.new_full((len(x), 1), restate)
    body = torch.cat([x, marks], dim=1).gather(1, torch.where(place == k, x.shape[1], source))
    rows = torch.cat([x.new_full((len(x), 1), bos), body], dim=1)
    labels = rows.clone()
    labels[:, 0] = IGNORED
    labels.scatter_(1, k + 1, IGNORED)  # that a <restate> follows cannot be known
    thinned = (torch.arange(rows.shape[1]) <= k) & (stride > 1)
    return rows, labels.masked_fill(thinned, IGNORED)


def plain_rows(x: Tensor, bos: int) -> tuple[Tensor, Tensor]:
    """Rows of running text, filled up to the length of the others: input and label rows, [rows, n + 2] each.

    <bos> x_1 ... x_n <bos>      the closing <bos> is no label
    """
    marks = x.new_full((len(x), 1), bos)
    rows = torch.cat([marks, x, marks], dim=1)
    labels = rows.clone()
    labels[:, [0, -1]] = IGNORED
    return rows, labels


def draw_lengths(rows: int, longest: int, generator: torch.Generator) -> Tensor:
    """Lengths of repeated texts, [rows], uniform on 4 .. ``longest``."""
    return torch.randint(min(4, longest), longest + 1, (rows,), generator=generator)
