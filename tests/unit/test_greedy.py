from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from contextpress.reconstruction.cache import SlotCache
from contextpress.reconstruction.greedy import _align, _width, reconstruct, stepwise
from contextpress.reconstruction.metrics import teacher_forced
from contextpress.runtime.errors import UserError
from tests.unit.models import FAMILIES, VOCABULARY, WIDTH, tiny


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def memory(rows: int, length: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(rows, length, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def generate(model: PreTrainedModel, prefix: Tensor, length: int) -> Tensor:
    mask = torch.ones(prefix.shape[:2], dtype=torch.long)
    return model.generate(
        inputs_embeds=prefix,
        attention_mask=mask,
        max_new_tokens=length,
        min_new_tokens=length,
        do_sample=False,
        pad_token_id=0,
    )


def spoiled(ids: Tensor, share: float, seed: int, shift: int = 0) -> Tensor:
    """A reference near the greedy text: some tokens replaced, and moved by ``shift`` from the middle on."""
    source = torch.Generator().manual_seed(seed)
    other = torch.randint(VOCABULARY, ids.shape, generator=source)
    ids = torch.where(torch.rand(ids.shape, generator=source) < share, other, ids)
    half = ids.shape[1] // 2
    return torch.cat([ids[:, :half], ids[:, half:].roll(shift, dims=1)], dim=1)


# In float64 the top two of ~10^5 random rows of logits never come within rounding, on no machine.
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    family=st.sampled_from(FAMILIES),
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 16),
    start=st.integers(1, 9),
    length=st.integers(1, 64),
    share=st.sampled_from([0.0, 0.03, 0.3, 1.0]),
    shift=st.sampled_from([0, 0, 1, -2]),
    batch=st.sampled_from([1, 3, 5, 64]),
    overhead=st.sampled_from([0, 32, 1000]),
)
def test_ids_are_those_of_generate(family, seed, rows, start, length, share, shift, batch, overhead):
    model, prefix = tiny(family, seed % 7, torch.float64), memory(rows, start, seed, torch.float64)
    expected = generate(model, prefix, length)
    result = reconstruct(model, prefix, spoiled(expected, share, seed, shift), batch=batch, overhead=overhead)
    assert torch.equal(result.ids, expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_ids_are_those_of_generate_in_float32(family, attention, share):
    model, prefix = tiny(family), memory(12, 6)
    model.set_attn_implementation(attention)
    expected = generate(model, prefix, 24)
    assert len(expected.unique()) > VOCABULARY // 4  # else a constant would pass
    assert torch.equal(reconstruct(model, prefix, spoiled(expected, share, 1)).ids, expected)
    assert torch.equal(stepwise(model, prefix, 24)[0], expected)


@pytest.mark.parametrize(("rows", "length"), [(64, 32), (64, 1), (65, 2), (4, 256), (1, 255)])
@pytest.mark.parametrize("share", [0.02, 1.0])
def test_large_batches_and_long_texts(rows, length, share):
    model, prefix = tiny("llama", dtype=torch.float64), memory(rows, 9, dtype=torch.float64)
    expected = generate(model, prefix, length)
    assert torch.equal(reconstruct(model, prefix, spoiled(expected, share, 2)).ids, expected)


def test_each_architecture_reads_its_prefix():
    for family in FAMILIES:
        first, second = (stepwise(tiny(family), memory(1, 4, seed), 12)[0] for seed in (0, 1))
        assert not torch.equal(first, second)


def test_a_right_reference_takes_one_pass_per_batch():
    model, prefix = tiny("llama"), memory(10, 5)
    reference, _ = stepwise(model, prefix, 20)
    assert reconstruct(model, prefix, reference).cost.passes == 1
    cost = reconstruct(model, prefix, reference, batch=4).cost
    assert (cost.passes, cost.positions) == (3, 10 * (5 + 20 - 1))


def test_one_wrong_token_takes_one_more_pass():
    model, prefix = tiny("llama"), memory(1, 5)
    reference, _ = stepwise(model, prefix, 20)
    reference[0, 7] = (reference[0, 7] + 1) % VOCABULARY
    result = reconstruct(model, prefix, reference, overhead=10**6)
    assert result.cost.passes == 2
    assert (result.ids != reference).nonzero().tolist() == [[0, 7]]


def test_a_hopeless_reference_costs_no_more_than_steps_and_the_first_pass():
    model, prefix = tiny("llama", dtype=torch.float64), memory(8, 5, dtype=torch.float64)
    ids, steps = stepwise(model, prefix, 30)
    result = reconstruct(model, prefix, (ids + 1) % VOCABULARY, overhead=32)
    assert torch.equal(result.ids, ids)
    assert result.cost.passes <= steps.passes
    assert result.cost.positions <= steps.positions + 1.2 * 8 * 29


def test_rows_that_finish_make_room():
    model, prefix = tiny("llama", dtype=torch.float64), memory(40, 5, dtype=torch.float64)
    ids, _ = stepwise(model, prefix, 24)
    reference = ids.clone()
    reference[::4] = (reference[::4] + 1) % VOCABULARY  # every fourth row must be stepped
    result = reconstruct(model, prefix, reference, batch=8, overhead=0)
    assert torch.equal(result.ids, ids)
    # Five batches of eight, one after the other, would step 23 times each.
    assert result.cost.passes < 80


def test_the_first_pass_is_the_teacher_forced_evaluation():
    model, prefix = tiny("gpt-neox"), memory(7, 5)
    reference = spoiled(stepwise(model, prefix, 16)[0], 0.1, 3)
    result = reconstruct(model, prefix, reference, batch=3)
    inputs = torch.cat([prefix, model.get_input_embeddings()(reference)], dim=1)
    with torch.no_grad():
        nll, accuracy = teacher_forced(model(inputs_embeds=inputs).logits[:, 4:-1], reference)
    torch.testing.assert_close(result.nll, nll)
    torch.testing.assert_close(result.accuracy, accuracy)
    wrong = (result.ids != reference).int()
    first = torch.where(wrong.any(1), wrong.argmax(1), 16)
    assert (result.accuracy * 16 + 1e-4 >= first).all()


def test_end_of_text_neither_stops_a_row_nor_is_written_unless_asked_for():
    model, prefix = tiny("llama", dtype=torch.float64), memory(6, 5, dtype=torch.float64)
    plain, _ = stepwise(model, prefix, 20)
    end = int(plain[0, 3])
    model.generation_config.eos_token_id = [end, VOCABULARY - 1]
    expected = generate(model, prefix, 20)
    assert not (expected == end).any()
    assert torch.equal(reconstruct(model, prefix, plain).ids, expected)
    assert torch.equal(stepwise(model, prefix, 20)[0], expected)
    assert torch.equal(reconstruct(model, prefix, expected, suppressed=[]).ids, plain)
    # What may be written does not touch how likely the reference is.
    assert torch.equal(reconstruct(model, prefix, plain).nll, reconstruct(model, prefix, plain, suppressed=[]).nll)


def test_refuses_what_it_cannot_decode():
    prefix, reference = memory(2, 5), torch.zeros(2, 8, dtype=torch.long)
    with pytest.raises(ValueError, match="train mode"):
        reconstruct(tiny("llama").train(), prefix, reference)
    with pytest.raises(ValueError, match="do not fit"):
        reconstruct(tiny("llama"), prefix[:1], reference)
    model = tiny("qwen2", use_sliding_window=True, sliding_window=8, max_window_layers=0)
    with pytest.raises(UserError, match="window: 8"):
        reconstruct(model, prefix, reference)


def test_a_query_sees_its_own_past_only():
    cache = SlotCache(rows=2, slots=8)
    cache.point(slice(0, 2), used=7, positions=torch.tensor([[4, 5, 6], [3, 4, 5]]))
    seen = cache.mask(torch.float32)[:, 0] == 0
    assert seen.int().tolist() == [
        [[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1, 1]],
        [[1, 1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1, 0]],
    ]


@pytest.mark.parametrize(
    ("written", "shift", "place"),
    [
        ("abde", 0, 5),  # lost c
        ("abxcd", 0, 4),  # put x in
        ("abx", 0, 3),  # x stands for c
        ("bcx", 1, 4),  # the former alignment holds
        ("xf", 0, 2),  # one token says nothing
        ("abcd", 0, 4),
    ],
)
def test_realigns_with_the_last_tokens_written(written, shift, place):
    row = np.full((1, 6), -1)
    row[0, : len(written)] = [ord(letter) for letter in written]
    reference = np.array([[ord(letter) for letter in "abcdef"]])
    assert _align(row, np.array([len(written)]), reference, np.array([shift])) == [place]


def test_drafts_are_long_where_they_are_right_and_single_where_they_are_not():
    remaining = np.array([20, 20])
    assert _width(np.array([0.0, 0.0]), remaining, overhead=1000) == 1
    assert _width(np.array([1.0, 1.0]), remaining, overhead=10) == 20
    assert _width(np.array([1.0, 1.0]), np.array([3, 20]), overhead=1) == 3
    widths = [_width(np.array([rate, rate]), remaining, overhead=10) for rate in (0.1, 0.5, 0.8, 0.99)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]
