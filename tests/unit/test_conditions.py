"""What the decoder is given in place of a passage."""

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contextpress.compressor.model import Compressor
from contextpress.compressor.spec import Architecture
from contextpress.reconstruction.conditions import other_passages, prefix_of
from contextpress.reconstruction.table import CONDITIONS
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


def test_the_other_passage_is_of_another_document_where_there_is_one():
    documents = pd.Series(["d1", "d1", "d2", "d2", "d3", "d3"])
    others = other_passages(pd.Series(["a"] * 6), documents)
    assert all(documents[place] != documents[int(other)] for place, other in enumerate(others))


@pytest.mark.parametrize("ratio", [2, 4])
def test_each_condition_gives_the_decoder_what_it_says(ratio):
    torch.manual_seed(0)
    architecture = Architecture(readout="memory_tokens", ratio=ratio)
    compressor = Compressor(tiny("llama"), tiny("llama", seed=1), architecture, 8, 0, 1).eval()
    ids = torch.randint(2, VOCABULARY, (3, 8))
    others = torch.tensor([1, 2, 0])
    memory = compressor.compress(ids)
    inner = {c: prefix_of(c, compressor, memory, ids, others)[:, 1:-1] for c in CONDITIONS}
    torch.testing.assert_close(inner["real"], memory)
    torch.testing.assert_close(inner["shuffled"][0], memory[1])
    assert not inner["zeroed"].any()
    torch.testing.assert_close(inner["truncated"], compressor.embed(ids[:, : 8 // ratio]))
    with pytest.raises(ValueError, match="unknown condition"):
        prefix_of("none", compressor, memory, ids, others)
