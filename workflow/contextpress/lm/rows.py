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


def restate_rows(x: Tensor, lengths: Tensor, bos: int, restate: int) -> tuple[Tensor, Tensor]:
    """Rows that show the beginning of a text twice and go on: input and label rows, [rows, n + 2] each.

        <bos> x_1 ... x_k <restate> x_1 ... x_k x_k+1 ...      as long as the row is

    Such a row teaches language where it is new and copying where it is not.

    Args:
        x: token ids, [rows, n].
        lengths: k of each row, [rows], at most n / 2.
        bos: id of <bos>.
        restate: id of <restate>.
    """
    k = lengths.unsqueeze(1)
    place = torch.arange(x.shape[1] + 1).expand(len(x), -1)
    source = torch.where(place < k, place, place - k - 1)
    marks = x.new_full((len(x), 1), restate)
    body = torch.cat([x, marks], dim=1).gather(1, torch.where(place == k, x.shape[1], source))
    rows = torch.cat([x.new_full((len(x), 1), bos), body], dim=1)
    labels = rows.clone()
    labels[:, 0] = IGNORED
    labels.scatter_(1, k + 1, IGNORED)  # that a <restate> follows cannot be known
    return rows, labels


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
