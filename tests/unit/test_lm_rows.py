"""Rows to pretrain on: what is shown, what is a label."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from contextpress.lm.rows import IGNORED, copy_rows, plain_rows, restate_rows

BOS, RESTATE = 0, 1


def test_copy_rows_by_hand():
    x = torch.tensor([[10, 11, 12, 13, 14, 15]])
    rows, labels = copy_rows(x, torch.tensor([2]), BOS, RESTATE)
    assert rows.tolist() == [[BOS, 10, 11, RESTATE, 10, 11, RESTATE, 10]]
    assert labels.tolist() == [[IGNORED] * 4 + [10, 11, RESTATE, 10]]


def test_restate_rows_by_hand():
    x = torch.tensor([[10, 11, 12, 13, 14, 15], [20, 21, 22, 23, 24, 25]])
    rows, labels = restate_rows(x, torch.tensor([2, 3]), BOS, RESTATE)
    assert rows[0].tolist() == [BOS, 10, 11, RESTATE, 10, 11, 12, 13]
    assert rows[1].tolist() == [BOS, 20, 21, 22, RESTATE, 20, 21, 22]
    assert labels[0].tolist() == [IGNORED, 10, 11, IGNORED, 10, 11, 12, 13]
    assert labels[1].tolist() == [IGNORED, 20, 21, 22, IGNORED, 20, 21, 22]


def test_plain_rows_by_hand():
    rows, labels = plain_rows(torch.tensor([[10, 11]]), BOS)
    assert rows.tolist() == [[BOS, 10, 11, BOS]]
    assert labels.tolist() == [[IGNORED, 10, 11, IGNORED]]


@given(st.integers(8, 40), st.data())
def test_restate_rows_show_the_beginning_then_the_text(length, data):
    shown = data.draw(st.integers(1, length // 2))
    x = torch.arange(100, 100 + length).unsqueeze(0)
    rows, labels = restate_rows(x, torch.tensor([shown]), BOS, RESTATE)
    row = rows[0].tolist()
    assert row[: shown + 2] == [BOS, *x[0, :shown].tolist(), RESTATE]
    assert row[shown + 2 :] == x[0, : length - shown].tolist()
    marks = (rows == BOS) | (rows == RESTATE)
    assert (labels[marks] == IGNORED).all()
    assert (labels[~marks] == rows[~marks]).all()


@given(st.integers(8, 40), st.data())
def test_copy_rows_label_only_what_was_shown_before(length, data):
    shown = data.draw(st.integers(1, length // 2))
    x = torch.arange(100, 100 + length).unsqueeze(0)
    rows, labels = copy_rows(x, torch.tensor([shown]), BOS, RESTATE)
    for place, label in enumerate(labels[0].tolist()):
        if label != IGNORED:
            assert label in rows[0, :place].tolist()
    assert (labels != IGNORED).sum() == length - shown
