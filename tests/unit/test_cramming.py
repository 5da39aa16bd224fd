"""Memory optimised passage by passage: no passage changes another, and what is reported is what the decoder writes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import GenerationConfig

from contextpress.cli import main
from contextpress.compressor.reading import prefix
from contextpress.entropy.score import score_tokens
from contextpress.lm.folder import save_model
from contextpress.reconstruction.cramming import Crammed, Decoder, cram
from contextpress.reconstruction.greedy import stepwise
from contextpress.reconstruction.spec import CrammingConfig
from contextpress.reconstruction.table import CRAMMED
from contextpress.runtime.tables import read_table, write_table
from contextpress.tokens.passages import PASSAGES
from contextpress.tokens.tokenizer import train_tokenizer
from tests.unit.models import VOCABULARY, tiny

BOS, RESTATE = 0, 1


def spec(**changes: object) -> CrammingConfig:
    return CrammingConfig(**{"passages": 1, "steps": 40, "learning_rate": 0.5} | changes)


def decoder(family: str = "llama") -> Decoder:
    model = tiny(family).requires_grad_(False)
    return Decoder(model, BOS, model.get_input_embeddings().weight[RESTATE])


def passages(rows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randint(2, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


class Slots(nn.Module):
    """A decoder that reads token i out of vector i, and writes token 0 where there is none: S vectors, S tokens."""

    def __init__(self, vectors: int, vocabulary: int = 12) -> None:
        super().__init__()
        self.vectors = vectors
        self.table = nn.Embedding.from_pretrained(torch.eye(vocabulary))
        self.out = nn.Linear(vocabulary, vocabulary, bias=False)
        self.out.weight = nn.Parameter(torch.eye(vocabulary), requires_grad=False)
        self.generation_config = GenerationConfig()

    def get_input_embeddings(self) -> nn.Module:
        return self.table

    def get_output_embeddings(self) -> nn.Module:
        return self.out

    def get_decoder(self):
        def run(inputs_embeds: Tensor, use_cache: bool) -> SimpleNamespace:
            # <restate>, after <bos> and the vectors, predicts the first token.
            none, first = torch.zeros_like(inputs_embeds), self.vectors + 1
            hidden = torch.cat([none[:, :1].expand(-1, first, -1), inputs_embeds[:, 1:first], none], dim=1)
            hidden = hidden[:, : inputs_embeds.shape[1]]
            return SimpleNamespace(last_hidden_state=hidden)

        return run


def slots(vectors: int) -> Decoder:
    model = Slots(vectors)
    return Decoder(model, BOS, model.table.weight[RESTATE])


# -- what is held


@pytest.mark.parametrize("vectors", [1, 3, 5])
@pytest.mark.parametrize("batch", [2, 9])
def test_a_decoder_of_known_capacity_is_filled_and_not_overfilled(vectors, batch):
    ids = torch.randint(2, 12, (7, 6), generator=torch.Generator().manual_seed(vectors))
    done = cram(slots(vectors), ids, vectors, spec(steps=60, batch=batch))
    assert done.exact.tolist() == [vectors] * 7
    assert done.correct.tolist() == [vectors] * 7
    assert done.steps.tolist() == [60] * 7  # the rest cannot be told, and was tried


def test_a_passage_that_fits_ends_early():
    ids = torch.randint(2, 12, (7, 6), generator=torch.Generator().manual_seed(3))
    done = cram(slots(6), ids, 6, spec(steps=500, batch=3))
    assert done.exact.tolist() == [6] * 7
    assert done.aim.tolist() == [6] * 7
    assert (done.steps < 200).all()


def test_the_token_that_ends_a_text_is_never_written():
    known, ids = slots(6), torch.tensor([[3, 4, 5, 6, 7, 8]])
    known.model.generation_config.eos_token_id = 5
    assert cram(known, ids, 6, spec(steps=100)).exact.tolist() == [2]


@pytest.mark.parametrize("family", ["llama", "gpt-neox"])
def test_greedy_decoding_writes_the_exact_prefix_and_no_more(family):
    reader, ids = decoder(family), passages(6, 8)
    done = cram(reader, ids, 2, spec(steps=120))
    assert done.exact.max() > 2  # else nothing is tried
    wrote, _ = stepwise(reader.model, prefix(reader.model, done.memory, BOS, reader.restate), 8)
    assert (wrote == ids).long().cumprod(1).sum(1).tolist() == done.exact.tolist()
    assert (done.exact <= done.correct).all()


def test_nats_are_those_of_a_forward_pass_in_float64():
    reader, ids = decoder(), passages(5, 8)
    done = cram(reader, ids, 2, spec())
    model = tiny("llama").double().requires_grad_(False)
    embedded = model.get_input_embeddings()
    for row in range(5):
        text = embedded(ids[row])[:-1]
        marks = embedded(torch.tensor([BOS, RESTATE]))
        with_memory = torch.cat([marks[:1], done.memory[row].double(), marks[1:], text])
        without = torch.cat([marks[:1], text])
        sums = []
        for read in (without, with_memory):
            logits = model(inputs_embeds=read[None]).logits[0, -8:]
            nll = [float(-torch.log_softmax(logits[place], -1)[ids[row, place]]) for place in range(8)]
            sums.append(sum(nll[: done.aim[row]]))
        assert float(done.nats[row]) == pytest.approx(sums[0] - sums[1], abs=1e-3)


def test_without_memory_a_passage_is_as_surprising_as_the_entropy_room_says():
    reader, ids = decoder(), passages(4, 8)
    nll = nn.functional.cross_entropy(reader.read_alone(ids).transpose(1, 2), ids, reduction="none")
    torch.testing.assert_close(nll, score_tokens(reader.model, ids, BOS)["nll"])


# -- no passage changes another


def assert_alike(together: Crammed, reader: Decoder, ids: Tensor, vectors: int, plan: CrammingConfig) -> None:
    for row in range(len(ids)):
        alone = cram(reader, ids[row : row + 1], vectors, plan)
        for name in ("aim", "exact", "correct", "steps"):
            assert getattr(together, name)[row] == getattr(alone, name)[0], name
        torch.testing.assert_close(together.memory[row], alone.memory[0], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(together.nats[row], alone.nats[0], atol=1e-3, rtol=1e-3)


@settings(max_examples=10)
@given(st.integers(0, 50), st.integers(1, 8), st.sampled_from([1, 2]))
def test_a_passage_is_crammed_alike_alone_and_in_any_batch(seed, batch, vectors):
    # Few steps: rounding differs between batch sizes, and many steps would carry it on.
    reader, ids, plan = decoder(), passages(4, 6, seed), spec(steps=6, batch=batch)
    assert_alike(cram(reader, ids, vectors, plan), reader, ids, vectors, plan)


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_passages_that_join_later_are_crammed_as_those_that_began(batch):
    ids = torch.randint(2, 12, (8, 3), generator=torch.Generator().manual_seed(5))
    reader, plan = slots(3), spec(steps=60, learning_rate=0.1, batch=batch)
    together = cram(reader, ids, 3, plan)
    assert len(together.steps.unique()) > 3  # some end early, so that others join at other ages
    assert_alike(together, reader, ids, 3, plan)


def test_the_decoder_is_left_as_it_was():
    reader = decoder()
    before = {name: tensor.clone() for name, tensor in reader.model.state_dict().items()}
    cram(reader, passages(2, 4), 1, spec(steps=5))
    assert all(torch.equal(tensor, before[name]) for name, tensor in reader.model.state_dict().items())
    assert all(parameter.grad is None for parameter in reader.model.parameters())


@pytest.mark.parametrize("steps", [1, 7])
def test_more_steps_never_hold_less(steps):
    reader, ids = decoder(), passages(5, 6)
    few, more = (cram(reader, ids, 1, spec(steps=count)) for count in (steps, 3 * steps))
    assert (few.exact <= more.exact).all()
    assert (few.steps <= steps).all()


# -- the step


def test_the_step_writes_a_table_of_a_sample_of_the_test_passages(tmp_path):
    words = train_tokenizer(["a few words to train on"] * 5, 270)
    words.save_pretrained(tmp_path / "words")
    save_model(tiny("llama", vocab_size=len(words)), tmp_path / "model")
    frame = pd.DataFrame(
        {
            "passage_id": [f"{domain}/{n}" for domain in "ab" for n in range(4)],
            "document_id": "d",
            "domain": [domain for domain in "ab" for _ in range(4)],
            "source": "s",
            "split": ["validation", "test", "test", "test"] * 2,
            "variant": "normal",
            "start": 0,
            "text": "text",
            "token_ids": list(np.random.default_rng(0).integers(2, 260, (8, 4)).astype(np.int32)),
            "bytes": 4,
            "entropy_rate": np.nan,
        }
    )
    write_table(tmp_path / "passages.parquet", frame, PASSAGES)
    line = json.dumps({"decoder": "D1-s0", "passages": 2, "vectors": [1, 2], "steps": 3})
    paths = {"decoder": "model", "tokenizer": "words", "passages": "passages.parquet"}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(tmp_path / path))]
    for name in ("one", "two"):
        out = ["--output", str(tmp_path / f"{name}.parquet"), "--record", str(tmp_path / "record.json")]
        assert main(["reconstruction", "cram", "--spec", line, *options, *out]) == 0
    table = read_table(tmp_path / "one.parquet", CRAMMED)
    assert table["passage_id"].tolist() == ["a/1", "a/2", "b/1", "b/2"] * 2
    assert table["vectors"].tolist() == [1] * 4 + [2] * 4
    assert set(table["decoder"]) == {"D1-s0"}
    assert (table["steps"] <= 3).all()
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert json.loads((tmp_path / "record.json").read_text())["positions"] > 0
