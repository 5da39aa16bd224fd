"""Rows to pretrain on: running text, and texts that are shown first and then restated.

What is shown may be pressed: one vector stands for ``n`` neighbouring tokens. Such rows teach a decoder to take several
tokens out of one vector, which it must do later with memory. What a vector holds is fixed by arithmetic, not
learned, so no encoder has a part in it.

A row is written as token ids [rows, length, places]. A position holds one token at place 0, or a group of tokens at
places 0 .. n-1; places not in use hold ``NOTHING``. ``superpose`` makes the input embeddings.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

IGNORED = -100
NOTHING = -1


class Rows(NamedTuple):
    """Rows of a batch.

    Attributes:
        ids: token ids, int64 [rows, length, places], or ``NOTHING``.
        labels: the token at each position, or ``IGNORED`` where it must not be learned, int64 [rows, length].
    """

    ids: Tensor
    labels: Tensor


def restated_rows(
    x: Tensor, lengths: Tensor, groups: Tensor, places: int, bos: int, restate: int, *, language: bool = True
) -> Rows:
    """Rows that show the beginning of a text, then the text from its beginning: n + 2 positions.

        <bos> x_1       ... x_k       <restate> x_1 ... x_k x_k+1 ...      groups of 1
        <bos> x_1 + x_2 ... x_k-1 + x_k <restate> x_1 ... x_k x_k+1 ...    groups of 2: k / 2 vectors

    Such a row teaches reading where the text was shown and language where it is new; labels begin after <restate>.
    Lengths differ from row to row:
    with one length for all, a model learns to look back by a fixed distance, and has no use for that skill when it
    meets memory of another length.

    Args:
        x: token ids, [rows, n].
        lengths: k of each row, [rows]; vectors and k together at most n.
        groups: tokens per vector of what is shown, [rows]; each divides its k and is at most ``places``.
        places: most tokens that a position may hold.
        bos: id of <bos>.
        restate: id of <restate>.
        language: whether what follows x_k is a label too; not for random ids, which nothing foretells.
    """
    length, position = x.shape[1], torch.arange(x.shape[1] + 2)
    size, vectors = groups.unsqueeze(1), (lengths // groups).unsqueeze(1)
    place = torch.arange(places)
    shown = (position >= 1) & (position <= vectors)
    source = (position - 1).unsqueeze(-1) * size.unsqueeze(-1) + place
    group = x.unsqueeze(1).expand(-1, length + 2, -1).gather(2, source.clamp(0, length - 1))
    in_use = shown.unsqueeze(-1) & (place < size.unsqueeze(-1))
    text = x.gather(1, (position - vectors - 2).clamp(0, length - 1))
    text = torch.where(position == vectors + 1, restate, text).masked_fill(position == 0, bos)
    ids = torch.where(in_use, group, NOTHING)
    ids[:, :, 0] = torch.where(shown, ids[:, :, 0], text)
    new = position > vectors + 1 + lengths.unsqueeze(1)
    return Rows(ids, text.masked_fill((position <= vectors + 1) | (new & (not language)), IGNORED))


def plain_rows(x: Tensor, places: int, bos: int) -> Rows:
    """Rows of running text, filled up to the length of the others: n + 2 positions.

    <bos> x_1 ... x_n <bos>      the closing <bos> is no label
    """
    marks = x.new_full((len(x), 1), bos)
    rows = torch.cat([marks, x, marks], dim=1)
    ids = torch.nn.functional.pad(rows.unsqueeze(-1), (0, places - 1), value=NOTHING)
    labels = rows.clone()
    labels[:, [0, -1]] = IGNORED
    return Rows(ids, labels)


def draw_lengths(rows: int, longest: int, groups: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """How much of each row is shown, [rows]: uniform on the multiples of the largest group up to ``longest``."""
    largest = max(groups)
    return torch.randint(1, longest // largest + 1, (rows,), generator=generator) * largest


def in_turn(groups: tuple[int, ...], rows: int) -> Tensor:
    """How each row is pressed, [rows]: the groups one after the other, again and again."""
    return torch.tensor(groups).repeat(-(-rows // len(groups)))[:rows]


def superpose(table: Tensor, ids: Tensor) -> Tensor:
    """Input embeddings of rows: of one token its own, of a group a sum in which the order can be told.

    The token at place j of a group is turned by j / places of the width before it is added (binding by permutation:
    Kanerva, Cognitive Computation 1, 2009); the sum of n is divided by sqrt(n), to keep the length of one.

    Args:
        table: embeddings, [vocabulary, width].
        ids: [rows, length, places], or ``NOTHING``.

    Returns:
        [rows, length, width].
    """
    used = ids != NOTHING
    total = torch.nn.functional.embedding(ids[:, :, 0], table)
    pressed = used[:, :, 1:].any(-1)  # few positions hold more than one token
    rest, there = ids[pressed], used[pressed]
    turn = table.shape[1] // ids.shape[2]
    extra = torch.zeros(len(rest), table.shape[1], dtype=total.dtype, device=total.device)
    for j in range(1, ids.shape[2]):
        turned = torch.nn.functional.embedding(rest[:, j].clamp(min=0), table).roll(j * turn, dims=-1)
        extra = extra + turned * there[:, j : j + 1]
    return total.masked_scatter(pressed.unsqueeze(-1), (total[pressed] + extra) * there.sum(-1, keepdim=True).rsqrt())
