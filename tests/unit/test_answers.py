"""Answers from memory and without it: against plain generation, and what the decoder reads."""

import pytest
import torch

from contextpress.compressor.model import Compressor
from contextpress.compressor.spec import Architecture
from contextpress.reconstruction.answers import answer, contexts
from contextpress.runtime.errors import UserError
from tests.unit.models import VOCABULARY, tiny

OTHERS = torch.tensor([1, 2, 0])


def _compressor(readout: str = "mean_pool") -> Compressor:
    torch.manual_seed(0)
    return Compressor(tiny("llama"), tiny("llama", seed=1), Architecture(readout=readout, ratio=2), 8, 0, 1).eval()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(2, VOCABULARY, (3, 8), generator=torch.Generator().manual_seed(0))


def test_each_source_of_answers_is_what_it_says(ids):
    compressor = _compressor()
    with torch.inference_mode():
        memory, start = compressor.compress(ids), compressor.embed(torch.zeros(3, 1, dtype=torch.long))
        read = contexts(compressor, ids, OTHERS)
    assert list(read) == ["memory", "shuffled", "text", "nothing"]
    torch.testing.assert_close(read["memory"], torch.cat([start, memory], dim=1))  # no <restate>
    torch.testing.assert_close(read["shuffled"], torch.cat([start, memory[OTHERS]], dim=1))
    torch.testing.assert_close(read["text"], torch.cat([start, compressor.embed(ids)], dim=1))
    torch.testing.assert_close(read["nothing"], start[:1])


def test_answers_are_those_of_plain_generation(ids):
    compressor = _compressor()
    draw = torch.Generator().manual_seed(1)
    # Questions and answers of several lengths, out of order; the true answers steer nothing.
    which = [2, 0, 1, 1, 0, 2, 2]
    prompts, true = (
        [torch.randint(2, VOCABULARY, (size,), generator=draw).int().numpy() for size in sizes]
        for sizes in ((3, 5, 3, 1, 5, 3, 3), (2, 4, 2, 3, 4, 6, 2))
    )
    with torch.inference_mode():
        for read in contexts(compressor, ids, OTHERS).values():
            own = which if len(read) > 1 else [0] * len(which)
            made, cost = answer(compressor, read, own, prompts, true, batch=2)
            for place, prompt, wanted, got in zip(own, prompts, true, made, strict=True):
                asked = compressor.embed(torch.from_numpy(prompt)[None])
                inputs = torch.cat([read[place : place + 1], asked], dim=1)
                plain = compressor.decoder.generate(
                    inputs_embeds=inputs,
                    attention_mask=torch.ones(inputs.shape[:2], dtype=torch.long),
                    max_new_tokens=len(wanted),
                    min_new_tokens=len(wanted),
                    do_sample=False,
                )
                assert got == plain[0].tolist()
            assert cost.passes > 0


def test_memory_of_keys_and_values_is_asked_too(ids):
    """The question follows it as any text does: restated, it is what the decoder would write of the question."""
    compressor = _compressor("kv_prefix")
    with torch.inference_mode():
        read = contexts(compressor, ids, OTHERS)["memory"]
        prefix = compressor.prefix(compressor.compress(ids))
        torch.testing.assert_close(read, prefix[:, :-1])
        # <restate> asked as a question is the prefix of a reconstruction.
        compressor.decoder.get_input_embeddings().weight[1] = compressor.restate
        made, _ = answer(compressor, read, [0, 1, 2], [[1]] * 3, ids.tolist(), batch=3)
        predicted = compressor.logits(prefix, ids).argmax(-1)
        assert [row[0] for row in made] == predicted[:, 0].tolist()


def test_what_the_decoder_cannot_read_is_told(ids):
    compressor = _compressor()
    with (
        torch.inference_mode(),
        pytest.raises(UserError, match=r"question of 505 tokens and its answer of 2, after 9"),
    ):
        answer(compressor, contexts(compressor, ids, OTHERS)["text"], [0], [[3] * 505], [[4, 5]], batch=2)
