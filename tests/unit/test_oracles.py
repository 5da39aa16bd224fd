"""Scores and greedy text against other people's code, on the same model: minicons, lm-eval, transformers' generate.

The model is a random one, made here. CONTEXTPRESS_TEST_MODEL may name the folder of a pretrained one with its
tokenizer; everything is then tried on that as well. Nothing is fetched: a connection is an error.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch

from contextpress.entropy.score import score_tokens
from contextpress.lm.folder import load_model, save_model
from contextpress.reconstruction.greedy import reconstruct
from contextpress.tokens.tokenizer import load_tokenizer, train_tokenizer
from tests.unit.models import tiny

WINDOW = 24
STORY = (
    "Once upon a time there was a little girl who had a red ball. She liked to play with it in the garden, and every "
    "day her friend Tom came to see her. One day the ball rolled away, down the hill and into the river! They ran "
    "after it, but it was gone. Tom said: do not be sad, we can look for it. So they walked along the river until it "
    "was dark, and there, under an old tree, was the ball."
)
# From a single word to several windows; the scorers are given them in one batch, padded.
TEXTS = ["Once", "Tom said: do not be sad.", STORY[:120], STORY]
PRETRAINED = os.environ.get("CONTEXTPRESS_TEST_MODEL")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a test asks for a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module", params=["made here", *([PRETRAINED] if PRETRAINED else [])])
def loaded(request, tmp_path_factory):
    """A model and its tokenizer, loaded from their folder as a study loads them."""
    folder = Path(request.param)
    if request.param == "made here":
        folder = tmp_path_factory.mktemp("model")
        train_tokenizer([STORY] * 3, 320).save_pretrained(folder)
        save_model(tiny("llama-grouped", vocab_size=320, bos_token_id=0, initializer_range=0.2), folder)
    return load_model(folder, torch.device("cpu")), load_tokenizer(folder)


def _ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _nll(model, tokens, before):
    """Of each token, given those before it and the token ``before`` them all."""
    return score_tokens(model, torch.tensor([tokens]), before)["nll"][0]


def test_nll_and_rank_of_every_token_are_those_of_minicons(loaded):
    from minicons.scorer import IncrementalLMScorer
    from transformers import BatchEncoding

    model, tokenizer = loaded
    bos = tokenizer.bos_token_id
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.bos_token  # else minicons adds one, to the model as well
    scorer = IncrementalLMScorer(model, "cpu", tokenizer=tokenizer)
    rows = [_ids(tokenizer, text) for text in TEXTS]
    length = 1 + max(map(len, rows))
    assert min(map(len, rows)) < WINDOW < 2 * WINDOW < length
    spare = [length - 1 - len(row) for row in rows]
    padded = {
        "input_ids": torch.tensor([[bos, *row, *[bos] * more] for row, more in zip(rows, spare, strict=True)]),
        "attention_mask": torch.tensor([[1] * (length - more) + [0] * more for more in spare]),
    }
    prepared = scorer.prepare_text(BatchEncoding(padded))
    theirs, ranks = scorer.compute_stats(prepared, rank=True, return_tensors=True)
    for row, score, rank in zip(rows, theirs, ranks, strict=True):
        ours = score_tokens(model, torch.tensor([row]), bos)
        torch.testing.assert_close(ours["nll"][0], -score, atol=1e-4, rtol=0)
        assert ours["rank"][0].tolist() == rank


def test_nll_of_whole_texts_is_lm_evals_rolling_one(loaded):
    """lm-eval's windows: the first after <bos>, the next after the last token of the one before, the last filled up."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model, tokenizer = loaded
    bos = tokenizer.bos_token_id
    judge = HFLM(
        model,
        tokenizer=tokenizer,
        device="cpu",
        max_length=WINDOW,
        batch_size=3,
        add_bos_token=False,
        prefix_token_id=bos,
    )
    requests = [Instance("loglikelihood_rolling", {}, (text,), number) for number, text in enumerate(TEXTS)]
    found = judge.loglikelihood_rolling(requests, disable_tqdm=True)
    windows = 0
    for text, theirs in zip(TEXTS, found, strict=True):
        ids = _ids(tokenizer, text)
        ours = float(_nll(model, ids[:WINDOW], bos).double().sum())
        for start in range(WINDOW, len(ids), WINDOW):
            own = min(WINDOW, len(ids) - start)  # tokens of this window that were not scored yet
            row = ids[start + own - WINDOW : start + own]
            ours += float(_nll(model, row, ids[start + own - WINDOW - 1])[-own:].double().sum())
            windows += 1
        assert -theirs / len(ids) == pytest.approx(ours / len(ids), abs=1e-4)
    assert windows >= 3


def test_greedy_text_is_that_of_generate(loaded):
    model, tokenizer = loaded
    exact = load_model(model.name_or_path, torch.device("cpu")).double()  # no two tokens within rounding
    ids = torch.tensor(_ids(tokenizer, STORY))
    rows = ids[: len(ids) // WINDOW * WINDOW].view(-1, WINDOW)
    prefix, reference = exact.get_input_embeddings()(rows[:-1]).detach(), rows[1:]
    found = reconstruct(exact, prefix, reference).ids
    expected = exact.generate(
        inputs_embeds=prefix,
        attention_mask=torch.ones(prefix.shape[:2], dtype=torch.long),
        max_new_tokens=WINDOW,
        min_new_tokens=WINDOW,
        do_sample=False,
        pad_token_id=tokenizer.bos_token_id,
    )
    assert torch.equal(found, expected)
