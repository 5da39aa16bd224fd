"""Scores: hand-computed, independent of batching, and aligned."""

import math
import zlib

import numpy as np
import pandas as pd
import pytest
import torch

from contextpress.entropy.passages import bucket_edges, buckets, unigram_entropy, zlib_bits_per_byte
from contextpress.entropy.score import divergence, score_tokens
from contextpress.entropy.scores import PASSAGE_SCORES
from contextpress.entropy.steps import perplexity
from contextpress.runtime.tables import write_table
from contextpress.tokens.passages import PASSAGES
from tests.unit.models import VOCABULARY, tiny

BOS = 0


def passages(rows, length, seed=0):
    return torch.randint(1, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt-neox"])
def test_nll_is_that_of_one_token_at_a_time_in_float64(family):
    model, ids = tiny(family), passages(3, 7)
    scores = score_tokens(model, ids, BOS)
    exact = tiny(family, dtype=torch.float64)
    for row in range(3):
        for place in range(7):
            seen = torch.cat([torch.tensor([BOS]), ids[row, :place]]).unsqueeze(0)
            p = torch.softmax(exact(input_ids=seen).logits[0, -1], -1).detach()
            true = p[ids[row, place]]
            assert scores["nll"][row, place].item() == pytest.approx(-math.log(true), abs=1e-4)
            entropy = -(p * p.log()).sum().item()
            assert scores["predictive_entropy"][row, place].item() == pytest.approx(entropy, abs=1e-4)
            assert scores["rank"][row, place].item() == 1 + int((p > true).sum())


def test_a_score_does_not_depend_on_its_batch():
    model, ids = tiny("llama"), passages(33, 16)
    together = score_tokens(model, ids, BOS)["nll"]
    alone = torch.cat([score_tokens(model, row.unsqueeze(0), BOS)["nll"] for row in ids])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_divergence_of_known_distributions():
    model, ids = tiny("llama"), passages(4, 9)
    same = divergence(model, model, ids, BOS)
    assert same == pytest.approx((0, 0), abs=1e-7)
    other = tiny("llama", seed=1)
    forward, backward = divergence(model, other, ids, BOS)
    assert forward > 0.01
    assert divergence(other, model, ids, BOS) == pytest.approx((backward, forward))
    marked = torch.cat([torch.full((4, 1), BOS), ids[:, :-1]], 1)
    p, q = (torch.log_softmax(m(input_ids=marked).logits.double(), -1) for m in (model, other))
    assert forward == pytest.approx(torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum").item() / 36)


def test_unigram_entropy_by_hand():
    counts = np.array([7, 0, 1])  # with one added to each: 8, 1, 2 of 11
    found = unigram_entropy([np.array([0, 1]), np.array([2])], counts)
    assert found == pytest.approx([(math.log(11 / 8) + math.log(11)) / 2, math.log(11 / 2)])


def test_zlib_counts_the_compressed_text_alone():
    text = "abcabcabc" * 40
    framed = len(zlib.compress(text.encode(), 9))
    assert zlib_bits_per_byte(text) == pytest.approx(8 * (framed - 6) / len(text))
    assert zlib_bits_per_byte("é") == pytest.approx(8 * (len(zlib.compress("é".encode(), 9)) - 6) / 2)


def test_buckets_are_quantiles_of_the_reference():
    reference = pd.Series(np.arange(100.0))
    found = buckets(pd.Series([-5.0, 0.0, 30.0, 99.0, 1e9]), bucket_edges(reference, 5))
    assert found.tolist() == [0, 0, 1, 4, 4]
    assert np.bincount(buckets(reference, bucket_edges(reference, 5))).tolist() == [20] * 5


def test_perplexity_is_of_the_test_passages_of_each_domain(tmp_path):
    passages = pd.DataFrame(
        {
            "passage_id": list("abcd"),
            "document_id": "d",
            "domain": ["x", "x", "y", "x"],
            "source": "s",
            "split": ["test", "test", "test", "validation"],
            "variant": "normal",
            "start": 0,
            "text": "t",
            "token_ids": [[1, 2]] * 4,
            "bytes": 1,
            "entropy_rate": None,
        }
    )
    scores = pd.DataFrame(
        {
            "passage_id": list("abcd"),
            "model": "m",
            "nll": [1.0, 2.0, 0.5, 9.0],
            "bits_per_byte": [2.0, 4.0, 1.0, 9.0],
            "predictive_entropy": 1.0,
            "top1": 0.5,
            "bucket": 0,
        }
    )
    write_table(tmp_path / "p.parquet", passages, PASSAGES)
    write_table(tmp_path / "s.parquet", scores, PASSAGE_SCORES)
    perplexity(passages=tmp_path / "p.parquet", scores=[tmp_path / "s.parquet"], output=tmp_path / "o.csv")
    found = pd.read_csv(tmp_path / "o.csv").set_index("domain")
    assert found["passages"].to_dict() == {"x": 2, "y": 1}
    assert found["perplexity"].to_dict() == pytest.approx({"x": math.exp(1.5), "y": math.exp(0.5)}, rel=1e-5)
    assert found["bits_per_byte"].to_dict() == {"x": 3.0, "y": 1.0}
