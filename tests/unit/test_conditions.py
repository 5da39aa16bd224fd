"""What the decoder is given in place of a passage."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contextpress.compressor.model import Compressor
from contextpress.compressor.spec import Architecture
from contextpress.reconstruction import conditions
from contextpress.reconstruction.conditions import other_passages, readings, reconstruct
from contextpress.reconstruction.greedy import stepwise
from contextpress.reconstruction.metrics import teacher_forced
from tests.unit.models import VOCABULARY, tiny


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4)), min_size=4, max_size=40))
def test_another_passage_of_the_same_group_each_used_once(rows):
    groups = pd.Series([f"{domain}/normal" for domain, _ in rows])
    documents = pd.Series([f"{domain}/{document}" for domain, document in rows])
    others = other_passages(groups, documents).tolist()
    assert sorted(others) == list(range(len(rows)))
    for place, other in enumerate(others):
        assert groups[place] == groups[other]
        if (groups == groups[place]).sum() > 1:
            assert place != other


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30)), max_size=6), st.integers(2, 12))
def test_blocks_hold_all_passages_and_leave_none_of_a_group_alone(runs, most):
    groups = pd.Series([name for name, count in runs for _ in range(count)], dtype=object)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conditions, "BLOCK", most)
        sizes = conditions.blocks(groups)
    assert sum(sizes) == len(groups)
    assert max(sizes) <= most
    if len(groups) <= most:
        assert sizes == [len(groups)]
    ends = np.cumsum(sizes)
    neighbours = (groups != groups.shift()).cumsum()
    for end, size in zip(ends, sizes, strict=True):
        for run, count in neighbours.iloc[end - size : end].value_counts().items():
            # Of two or more passages of a run there are always two, but where blocks have room for hardly more.
            assert count > 1 or (neighbours == run).sum() == 1 or most < 4


def test_the_other_passage_is_of_another_document_where_there_is_one():
    documents = pd.Series(["d1", "d1", "d2", "d2", "d3", "d3"])
    others = other_passages(pd.Series(["a"] * 6), documents)
    assert all(documents[place] != documents[int(other)] for place, other in enumerate(others))


def _compressor(ratio: int, dtype: torch.dtype = torch.float32, readout: str = "memory_tokens") -> Compressor:
    torch.manual_seed(0)
    architecture = Architecture(readout=readout, ratio=ratio)
    return Compressor(tiny("llama"), tiny("llama", seed=1), architecture, 8, 0, 1).to(dtype).eval()


@pytest.mark.parametrize("ratio", [2, 4])
def test_each_condition_gives_the_decoder_what_it_says(ratio):
    compressor = _compressor(ratio)
    ids = torch.randint(2, VOCABULARY, (3, 8))
    memory = compressor.compress(ids)
    places, inner = {}, {}
    for reading in readings(compressor, memory, ids, torch.tensor([1, 2, 0]), sample=torch.tensor([0, 2])):
        for condition, (read, which) in reading.readers.items():
            places[condition], inner[condition] = read.tolist(), reading.prefixes[which][:, 1:-1]
    assert places == {"real": [0, 1, 2], "shuffled": [0, 1, 2], "zeroed": [0, 2], "truncated": [0, 2]}
    torch.testing.assert_close(inner["real"], memory)
    torch.testing.assert_close(inner["shuffled"], memory[[1, 2, 0]])
    torch.testing.assert_close(inner["zeroed"], torch.zeros_like(memory[:2]))
    torch.testing.assert_close(inner["truncated"], compressor.embed(ids[[0, 2], : 8 // ratio]))


# In float64: two first choices never tie.
@pytest.mark.parametrize(("passages", "batch"), [(1, 4), (90, 16)])
@pytest.mark.parametrize("readout", ["memory_tokens", "kv_prefix"])
def test_decoding_each_prefix_once_is_decoding_every_condition(readout, passages, batch, monkeypatch):
    monkeypatch.setattr(Compressor, "embed", lambda self, ids: self.decoder.get_input_embeddings()(ids))
    compressor = _compressor(2, torch.float64, readout)
    ids = torch.randint(2, VOCABULARY, (passages, 8))
    others, sample = torch.arange(passages).roll(1), torch.arange(0, passages, 2)
    with torch.inference_mode():
        memory = compressor.compress(ids)
        plain = {
            "real": compressor.prefix(memory),
            "shuffled": compressor.prefix(memory[others]),
            "zeroed": compressor.prefix(torch.zeros_like(memory)),
            "truncated": compressor.framed(compressor.embed(ids[:, :4])),
        }
        found = list(reconstruct(compressor, ids, others, sample, batch))
        for condition, places, done in found:
            prefix, texts = plain[condition][places], ids[places]
            written, _ = stepwise(compressor.decoder, prefix, 8)
            nll, accuracy = teacher_forced(compressor.logits(prefix, texts), texts)
            assert done.ids.tolist() == written.tolist()
            torch.testing.assert_close(done.nll, nll)
            torch.testing.assert_close(done.accuracy, accuracy)
    assert {condition for condition, _, _ in reconstruct(compressor, ids, others, sample[:0], batch)} == {
        "real",
        "shuffled",
    }
    positions = {condition: done.cost.positions for condition, _, done in found}
    assert positions.keys() == plain.keys()
    # No row is decoded for them, but for the one of zeros: prefixes of 6 positions, texts of 7 (the last is not fed).
    assert positions["shuffled"] <= passages * (6 + 7)
    assert positions["zeroed"] <= len(sample) * 7 + 3 * 6 + 2 * 7
