from __future__ import annotations

import math
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from contextpress.reconstruction.metrics import (
    OF_GREEDY,
    SIGNATURES,
    WORDS,
    bleu,
    chrf,
    edit_similarity,
    measure,
    measure_all,
    prefix_match,
    rouge_l,
    teacher_forced,
    token_f1,
)
from contextpress.reconstruction.table import MEASURES

texts = st.text(st.sampled_from("ab cd.(=+)\n"), max_size=40)
ids = st.lists(st.integers(0, 5), max_size=20)


@pytest.mark.parametrize(
    ("reference", "generated", "f1", "prefix", "edit"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1, 1, 1),
        ([1, 2, 3, 4], [1, 2, 9, 4], 3 / 4, 2 / 4, 3 / 4),
        ([1, 2, 3, 4], [2, 3, 4, 1], 1, 0, 2 / 4),  # same bag; drop 1 in front, add it behind: 2 edits
        ([1, 1, 2, 3], [1, 1, 1, 1], 2 / 4, 2 / 4, 2 / 4),  # the second 1 counts, the third does not
        ([1, 2, 3, 4], [1, 2], 2 * 2 / 6, 2 / 4, 2 / 4),
        ([1, 2], [1, 2, 3, 4], 2 * 2 / 6, 1, 2 / 4),
        ([7], [7], 1, 1, 1),
        ([7], [8], 0, 0, 0),
        ([1, 2, 3], [4, 5, 6], 0, 0, 0),
        ([1, 2], [], 0, 0, 0),
        ([], [], 1, 1, 1),
    ],
)
def test_token_measures_by_hand(reference, generated, f1, prefix, edit):
    assert token_f1(reference, generated) == pytest.approx(f1)
    assert prefix_match(reference, generated) == pytest.approx(prefix)
    assert edit_similarity(reference, generated) == pytest.approx(edit)
    assert measure(reference, generated, "a", "b")["exact_match"] == float(reference == generated)


def test_tokens_are_compared_and_not_the_digits_they_are_written_with():
    # The same digits, no token in common: a measure that walks along the characters of a string says 1.
    reference, generated = [12, 3, 45], [1, 23, 54]
    assert token_f1(list("12345"), list("12354")) == 1
    result = measure(reference, generated, "x", "y")
    assert [result[name] for name in ("token_f1", "prefix_match", "exact_match", "edit_similarity")] == [0, 0, 0, 0]
    # One token of two is wrong; of the five characters of "10000 7" only one would be.
    assert edit_similarity([10000, 7], [10001, 7]) == 0.5
    assert prefix_match([10000, 7], [10001, 7]) == 0


def test_text_is_compared_by_words_and_not_by_characters():
    assert rouge_l("abc", "acb") == 0
    assert rouge_l("one two three", "one three two") == pytest.approx(2 / 3)
    assert bleu("abcdefgh", "abcdefgx") == 0


@given(ids, ids)
def test_token_measures_stay_in_range_and_f1_is_symmetric(reference, generated):
    for function in (token_f1, prefix_match, edit_similarity):
        assert 0 <= function(reference, generated) <= 1
        assert function(reference, reference) == 1
    assert token_f1(reference, generated) == token_f1(generated, reference)
    assert prefix_match(reference, generated) <= token_f1(reference, reference)


@settings(deadline=None)
@given(texts, texts)
def test_text_measures_are_those_of_the_libraries(reference, generated):
    class Tokenizer:
        def tokenize(self, text):
            return WORDS.findall(text)

    assert bleu(reference, generated) == pytest.approx(
        BLEU(effective_order=True).sentence_score(generated, [reference]).score
    )
    assert chrf(reference, generated) == pytest.approx(CHRF().sentence_score(generated, [reference]).score)
    scores = RougeScorer(["rougeL"], tokenizer=Tokenizer()).score(reference, generated)
    assert rouge_l(reference, generated) == pytest.approx(scores["rougeL"].fmeasure)


def test_rouge_agrees_with_the_default_tokenizer_on_plain_words():
    reference, generated = "the cat sat on the mat and slept", "the cat on a mat slept and sat"
    scores = RougeScorer(["rougeL"]).score(reference, generated)
    assert rouge_l(reference, generated) == pytest.approx(scores["rougeL"].fmeasure)


def test_bleu_by_hand():
    # 4 of 5 words, 2 of 4 pairs, 1 of 3 triples, 0 of 2 quadruples (exponential smoothing: 1 / (2 * 2)).
    expected = 100 * math.exp(sum(map(math.log, (4 / 5, 2 / 4, 1 / 3, 1 / 4))) / 4)
    assert bleu("a b c d e", "a b c x e") == pytest.approx(expected)


def test_short_texts_are_scored_on_the_n_grams_they_have():
    assert bleu("yes", "yes") == 100
    assert bleu("yes yes", "yes no") > 0


def test_symbols_count():
    assert rouge_l("+ - * /", "+ - * /") == 1
    assert rouge_l("(a+b)", "(a-b)") == pytest.approx(4 / 5)
    assert RougeScorer(["rougeL"]).score("+ - * /", "+ - * /")["rougeL"].fmeasure == 0  # why not the default


@pytest.mark.parametrize("text", ["", " \n", "x", "a b c d e f", "{};", "é ü"])
def test_equal_texts_score_the_maximum(text):
    result = measure([1], [1], text, text)
    assert (result["bleu"], result["chrf"], result["rouge_l"]) == (100, 100, 1)


@pytest.mark.parametrize(("reference", "generated"), [("a b", ""), ("", "a b"), ("a b", "c d")])
def test_empty_and_disjoint_texts_score_nothing(reference, generated):
    result = measure([1, 2], [3], reference, generated)
    assert (result["bleu"], result["chrf"], result["rouge_l"]) == (0, 0, 0)


def test_a_long_text_is_not_scored_zero():
    words = [f"w{number}" for number in range(3000)]
    assert rouge_l(" ".join(words), " ".join(words[1:])) == pytest.approx(2 * 2999 / 5999)


def test_the_table_has_every_measure_in_order():
    assert set(OF_GREEDY) | {"nll", "accuracy"} == set(MEASURES)
    frame = measure_all([[1, 2], [3]], [[1, 9], [3]], ["a b", "c"], ["a x", "c"])
    assert set(measure([1], [1], "a", "a")) == set(frame.columns) == set(OF_GREEDY)
    assert frame["exact_match"].tolist() == [0, 1]
    assert frame["prefix_match"].tolist() == [0.5, 1]
    assert (frame.dtypes == "float64").all()
    empty = measure_all([], [], [], [])
    assert list(empty.columns) == list(OF_GREEDY)
    assert (empty.dtypes == "float64").all()
    with pytest.raises(ValueError, match="argument"):
        measure_all([[1]], [[1], [2]], ["a"], ["a"])


def test_signatures_tell_version_and_settings():
    assert set(SIGNATURES) <= set(OF_GREEDY)
    assert "eff:yes" in SIGNATURES["bleu"]
    assert "tok:13a" in SIGNATURES["bleu"]
    assert "nc:6|nw:0" in SIGNATURES["chrf"]
    assert WORDS.pattern in SIGNATURES["rouge_l"]
    assert all(":" in signature for signature in SIGNATURES.values())


def test_a_thousand_passages_take_seconds():
    words = [f"w{number % 97}" for number in range(600)]
    reference = [list(range(shift, shift + 128)) for shift in range(300)]
    spoiled = [[token if token % 3 else 0 for token in row] for row in reference]
    as_text = [" ".join(words[token] for token in row) for row in reference]
    as_spoiled = [" ".join(words[token] for token in row) for row in spoiled]
    began = time.process_time()
    measure_all(reference, spoiled, as_text, as_spoiled)
    assert time.process_time() - began < 3  # 0.3 s when measured


def test_teacher_forced_by_hand():
    probabilities = torch.tensor([[[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], [[0.2, 0.5, 0.3], [0.25, 0.5, 0.25]]])
    nll, accuracy = teacher_forced(probabilities.log(), torch.tensor([[0, 1], [1, 1]]))
    torch.testing.assert_close(nll, torch.tensor([-math.log(0.7 * 0.3) / 2, -math.log(0.5 * 0.5) / 2]))
    torch.testing.assert_close(accuracy, torch.tensor([0.5, 1.0]))


def test_teacher_forced_scores_each_prediction_against_its_own_token():
    # The decoder is right everywhere; one place to the left or right it is wrong everywhere.
    targets = torch.tensor([[0, 1, 2, 3, 4, 0]])
    logits = 20 * torch.nn.functional.one_hot(targets, 5).float()
    nll, accuracy = teacher_forced(logits, targets)
    assert accuracy.tolist() == [1]
    assert nll.item() < 1e-6
    for shift in (1, -1):
        nll, accuracy = teacher_forced(logits.roll(shift, dims=1), targets)
        assert accuracy.item() < 0.2
        assert nll.item() > 15
    with pytest.raises(ValueError, match="do not fit"):
        teacher_forced(logits[:, :-1], targets)


def test_teacher_forced_computes_in_float32_and_passage_by_passage():
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 50, 200, generator=source).bfloat16()
    targets = torch.randint(200, (3, 50), generator=source)
    nll, accuracy = teacher_forced(logits, targets)
    assert (nll.dtype, accuracy.dtype) == (torch.float32, torch.float32)
    exact = -logits.double().log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1).mean(-1)
    torch.testing.assert_close(nll.double(), exact, atol=1e-5, rtol=0)
    alone = torch.cat([teacher_forced(logits[i : i + 1], targets[i : i + 1])[0] for i in range(3)])
    assert torch.equal(nll, alone)
