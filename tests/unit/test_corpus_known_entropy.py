"""Sources of known entropy: the closed form against independent computations and against samples."""

import math
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextpress.corpus import known_entropy
from contextpress.corpus.known_entropy import CLASSES, TEMPLATES, entropy_of, slot_of, tempered, transition_matrix
from contextpress.corpus.spec import Grammar, Markov, UniformWords
from contextpress.corpus.words import WORDS
from contextpress.runtime.spec import Spec

LEVELS = (0.01, 0.5, 1.0, 1.5, 2.0, 2.5, math.log(16))


@given(st.integers(2, 400), st.floats(0.001, 1.0))
def test_tempered_laws_have_the_wanted_entropy(outcomes: int, share: float) -> None:
    wanted = share * math.log(outcomes)
    law = tempered(outcomes, wanted)
    assert law.sum() == pytest.approx(1, abs=1e-12)
    assert abs(entropy_of(law) - wanted) < 1e-9
    assert (np.diff(law) <= 1e-15).all()


def stationary(matrix: np.ndarray, order: int, words: int) -> np.ndarray:
    """Long-run probability of each context, by the eigenvector of the chain of contexts."""
    contexts = list(product(range(words), repeat=order))
    number = {context: i for i, context in enumerate(contexts)}
    chain = np.zeros((len(contexts), len(contexts)))
    for i, context in enumerate(contexts):
        for word in range(words):
            chain[i, number[(*context[1:], word)]] += matrix[i, word]
    values, vectors = np.linalg.eig(chain.T)
    vector = np.real(vectors[:, np.argmin(abs(values - 1))])
    return vector / vector.sum()


@pytest.mark.parametrize(("order", "words"), [(1, 16), (2, 8), (3, 4)])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_the_rate_is_the_stationary_one(order: int, words: int, share: float) -> None:
    wanted = share * math.log(words)
    matrix = transition_matrix(order, words, wanted, seed=3)
    assert np.allclose(matrix.sum(axis=1), 1)
    weights = stationary(matrix, order, words)
    rate = sum(weight * entropy_of(row) for weight, row in zip(weights, matrix, strict=True))
    assert rate == pytest.approx(wanted, abs=1e-9)
    assert known_entropy.markov(order, words, wanted, 3).entropy_rate == pytest.approx(wanted, abs=1e-9)
    assert np.allclose(weights, words**-order, atol=1e-6)  # words are as likely at every level


@pytest.mark.parametrize("wanted", LEVELS)
def test_samples_have_the_rate(wanted: float) -> None:
    source = known_entropy.markov(1, 16, wanted, seed=0)
    words = source.sample(np.random.default_rng(0), 60_000)
    pairs, firsts = Counter(pairwise(words)), Counter(words[:-1])
    total = len(words) - 1
    plug_in = -sum(count / total * math.log(count / firsts[first]) for (first, _), count in pairs.items())
    assert plug_in == pytest.approx(wanted, abs=0.02)


def test_text_near_zero_visits_all_words() -> None:
    words = known_entropy.markov(1, 64, 1e-6, seed=0).sample(np.random.default_rng(0), 128)
    assert set(words[:64]) == set(words[64:]) == set(WORDS[:64])


def test_a_chain_of_order_two_needs_both_words() -> None:
    source = known_entropy.markov(2, 8, 0.5, seed=0)
    words = source.sample(np.random.default_rng(0), 60_000)

    def conditional(order: int) -> float:
        grams = Counter(zip(*(words[i:] for i in range(order + 1)), strict=False))
        contexts = Counter()
        for gram, count in grams.items():
            contexts[gram[:-1]] += count
        total = sum(grams.values())
        return -sum(count / total * math.log(count / contexts[gram[:-1]]) for gram, count in grams.items())

    assert conditional(2) == pytest.approx(0.5, abs=0.02)
    assert conditional(1) > 1.5


@pytest.mark.parametrize(("templates", "choices"), [(1, 1), (3, 1), (6, 2), (4, 3)])
def test_the_rate_of_the_grammar_by_enumeration(templates: int, choices: int) -> None:
    law: Counter[str] = Counter()
    lengths = 0.0
    for template in TEMPLATES[:templates]:
        options = []
        for word in template.split():
            slot = slot_of(word)
            options.append([CLASSES[slot[0]][i] + slot[1] for i in range(choices)] if slot else [word])
        sentences = [" ".join(sentence) for sentence in product(*options)]
        for sentence in sentences:
            law[sentence] += 1 / templates / len(sentences)
        lengths += len(options) / templates
    assert sum(law.values()) == pytest.approx(1)
    assert all(sentence.count(".") == 1 and sentence.endswith(".") for sentence in law)  # ends can be seen
    rate = -sum(share * math.log(share) for share in law.values()) / lengths
    assert known_entropy.grammar(templates, choices).entropy_rate == pytest.approx(rate, abs=1e-9)


def test_classes_of_the_grammar_share_no_word() -> None:
    fixed = {word for template in TEMPLATES for word in template.split() if slot_of(word) is None}
    words = [word for names in CLASSES.values() for word in names]
    assert len(set(words)) == len(words)
    assert not fixed & set(words)


def test_words_are_distinct_and_short() -> None:
    assert len(set(WORDS)) == len(WORDS) >= 400
    assert all(word.isalpha() and word.islower() and 2 <= len(word) <= 10 for word in WORDS)


@pytest.mark.parametrize(
    ("domain", "rate"),
    [
        (Markov(name="m", order=2, words=32, entropy=1.25), 1.25),
        (UniformWords(name="u", words=100), math.log(100)),
        (Grammar(name="g", templates=1, choices=10), 4 * math.log(10) / 6),
    ],
    ids=["markov", "uniform", "grammar"],
)
def test_documents(domain: Spec, rate: float) -> None:
    first, again = (list(known_entropy.documents(domain, 20_000, 1000, 5)) for _ in range(2))
    other = list(known_entropy.documents(domain, 20_000, 1000, 6))
    assert first == again
    assert {document.text for document in first}.isdisjoint(document.text for document in other)
    assert all(900 < len(document.text) <= 1000 for document in first)
    assert all(document.entropy_rate == pytest.approx(rate, abs=1e-9) for document in first)
    assert 18_000 < sum(len(document.text) for document in first) <= 20_000
    assert len({document.source for document in first}) == len(first)


def test_uniform_words_are_uniform() -> None:
    words = known_entropy.uniform(50).sample(np.random.default_rng(0), 100_000)
    counts = np.array(list(Counter(words).values()))
    assert len(counts) == 50
    assert ((counts - 2000) ** 2 / 2000).sum() < 90  # chi squared with 49 degrees: 99.97 %
