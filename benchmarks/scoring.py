"""Scoring: nats of every token of many passages, from text to numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks.harness import Side
from benchmarks.shapes import BOS, Shape, language_model, tokens
from contextpress.entropy.score import score_tokens
from contextpress.runtime.device import attention_kernel

TOGETHER = 32  # passages that a user of the baselines would score in one batch


def our_scores(shape: Shape, device: torch.device) -> Side:
    """The entropy room's scores: nll, predictive entropy and rank of every token."""
    model = language_model(shape, device, attention_kernel(device)).eval()
    words, texts = tokenizer(shape), _texts(shape)

    def score() -> np.ndarray:
        ids = torch.tensor(words(texts, add_special_tokens=False)["input_ids"])
        return score_tokens(model, ids, BOS)["nll"].double().mean(1).numpy()

    return _side(score, shape)


def minicons(together: int, ranked: bool, shape: Shape, device: torch.device) -> Side:
    """minicons (Misra, arXiv 2203.13112): token_score of so many texts at a time, with or without ranks."""
    from minicons.scorer import IncrementalLMScorer

    model, texts = language_model(shape, device, "sdpa").eval(), _texts(shape)
    scorer = IncrementalLMScorer(model, device=str(device), tokenizer=tokenizer(shape))

    def score() -> np.ndarray:
        found: list[float] = []
        for batch in _batches(texts, together):
            rows = scorer.token_score(batch, surprisal=True, rank=ranked, bos_token=True)
            found += [np.mean([entry[1] for entry in row[1:]]) for row in rows]  # the first is <bos>
        return np.array(found)

    return _side(score, shape)


def lm_eval(batch: int, shape: Shape, device: torch.device) -> Side:
    """lm-evaluation-harness: loglikelihood_rolling, which sums over each text."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model, texts = language_model(shape, device, "sdpa").eval(), _texts(shape)
    scorer = HFLM(model, tokenizer=tokenizer(shape), batch_size=batch, max_length=1024)

    def score() -> np.ndarray:
        asked = [Instance("loglikelihood_rolling", {}, (text,), place) for place, text in enumerate(texts)]
        return -np.array(scorer.loglikelihood_rolling(asked, disable_tqdm=True)) / shape.window

    return _side(score, shape)


def tokenizer(shape: Shape) -> PreTrainedTokenizerFast:
    """One word per id, so that every text has the tokens that it was made of."""
    words = {word: place for place, word in enumerate(["<bos>", "<restate>", "<pad>"])}
    words |= {f"w{place}": place for place in range(len(words), shape.vocabulary)}
    made = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", pad_token="<pad>")


def _texts(shape: Shape) -> list[str]:
    return [" ".join(f"w{token}" for token in row) for row in tokens(shape, shape.scored, shape.window).tolist()]


def _side(score: Callable[[], np.ndarray], shape: Shape) -> Side:
    def run() -> float:
        return shape.window * len(score())

    return Side(run, score())


def _batches(texts: list[str], size: int) -> Iterator[list[str]]:
    for first in range(0, len(texts), size):
        yield texts[first : first + size]
