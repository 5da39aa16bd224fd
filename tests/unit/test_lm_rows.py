"""Rows to pretrain on: what is shown, what is a label, what a position holds."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from contextpress.lm.rows import (
    IGNORED,
    NOTHING,
    draw_lengths,
    in_turn,
    plain_rows,
    restated_rows,
    superpose,
)

BOS, RESTATE = 0, 1


def test_restated_rows_by_hand():
    x = torch.tensor([[10, 11, 12, 13, 14, 15, 16, 17], [20, 21, 22, 23, 24, 25, 26, 27]])
    rows = restated_rows(x, torch.tensor([2, 4]), torch.tensor([1, 2]), 2, BOS, RESTATE)
    first, second = rows.ids.tolist()
    plain = [BOS, 10, 11, RESTATE, 10, 11, 12, 13, 14, 15]
    assert first == [[token, NOTHING] for token in plain]
    assert second[:3] == [[BOS, NOTHING], [20, 21], [22, 23]]
    assert second[3:] == [[token, NOTHING] for token in (RESTATE, 20, 21, 22, 23, 24, 25)]
    assert rows.labels[0].tolist() == [IGNORED] * 4 + [10, 11, 12, 13, 14, 15]
    assert rows.labels[1].tolist() == [IGNORED] * 4 + [20, 21, 22, 23, 24, 25]


def test_plain_rows_by_hand():
    rows = plain_rows(torch.tensor([[10, 11]]), 2, BOS)
    assert rows.ids.tolist() == [[[BOS, NOTHING], [10, NOTHING], [11, NOTHING], [BOS, NOTHING]]]
    assert rows.labels.tolist() == [[IGNORED, 10, 11, IGNORED]]


@given(st.sampled_from([1, 2, 4]), st.integers(1, 5), st.integers(0, 9))
def test_restated_rows_show_each_token_once_and_restate_it_in_order(group, many, more):
    shown = 4 * many
    x = torch.arange(100, 100 + 2 * shown + more).unsqueeze(0)
    rows = restated_rows(x, torch.tensor([shown]), torch.tensor([group]), 4, BOS, RESTATE)
    vectors = shown // group
    pressed = rows.ids[0, 1 : 1 + vectors]
    assert pressed[pressed != NOTHING].tolist() == x[0, :shown].tolist()
    assert rows.ids[0, 1 + vectors, 0] == RESTATE
    written = rows.ids[0, 2 + vectors :, 0]
    assert written.tolist() == x[0, : len(written)].tolist() == rows.labels[0, 2 + vectors :].tolist()
    assert (rows.labels[0, : 2 + vectors] == IGNORED).all()


@given(st.sampled_from([1, 2, 4]), st.integers(1, 5))
def test_of_random_ids_only_what_was_shown_is_a_label(group, many):
    shown = 4 * many
    x = torch.arange(100, 100 + 3 * shown).unsqueeze(0)
    args = (x, torch.tensor([shown]), torch.tensor([group]), 4, BOS, RESTATE)
    labels = restated_rows(*args, language=False).labels[0]
    assert labels[labels != IGNORED].tolist() == x[0, :shown].tolist()
    assert (restated_rows(*args).labels[0] != IGNORED).sum() == 3 * shown - shown // group


@given(st.integers(1, 40), st.integers(0, 2**31))
def test_what_is_shown_fits_its_groups(rows, seed):
    lengths = draw_lengths(rows, 19, (1, 2, 4), torch.Generator().manual_seed(seed))
    groups = in_turn((1, 2, 4), rows)
    assert len(lengths) == len(groups) == rows
    assert (lengths % groups == 0).all() and (lengths >= 4).all() and (lengths <= 19).all()


def test_superpose_turns_each_token_by_its_place():
    table = torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]])
    made = superpose(table, torch.tensor([[[0, NOTHING], [0, 1], [1, 0]]]))
    assert made[0, 0].tolist() == [1, 2, 3, 4]
    assert torch.allclose(made[0, 1], torch.tensor([31.0, 42.0, 13.0, 24.0]) / 2**0.5)
    assert torch.allclose(made[0, 2], torch.tensor([13.0, 24.0, 31.0, 42.0]) / 2**0.5)


def test_superpose_learns_every_token_it_holds():
    table = torch.randn(5, 8, requires_grad=True)
    superpose(table, torch.tensor([[[1, 2], [3, NOTHING]]])).sum().backward()
    assert (table.grad.abs().sum(1) > 0).tolist() == [False, True, True, True, False]
