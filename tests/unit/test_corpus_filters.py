"""The prose filter, and the removal of near-duplicates against a brute-force comparison."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contextpress.corpus.filters import Duplicates, NearDuplicates, is_prose, is_source, jaccard, shingles, unwrapped

SENTENCE = "The result is an array that has the same shape as the input and it is always a copy of the data."


def similarity(first: str, second: str) -> float:
    """Jaccard similarity of word 3-shingles, by sets of words."""

    def triples(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)} or {tuple(words)}

    a, b = triples(first), triples(second)
    return len(a & b) / len(a | b)


def test_a_sentence_is_prose() -> None:
    assert is_prose(SENTENCE)


@pytest.mark.parametrize(
    "text",
    [
        SENTENCE[:70] + ".",  # short
        SENTENCE[0].lower() + SENTENCE[1:],  # begins inside a sentence
        SENTENCE[:-1],  # does not end
        "Array axis ndarray dtype float matrix solver sparse vector kernel tensor gradient module buffer layer index.",
        SENTENCE[:-1] + " 0.123 == x[1:2] != {3: 4} + foo(bar) >= 17 ** 3.",  # symbols
    ],
)
def test_what_is_not_prose(text: str) -> None:
    assert not is_prose(text)


def test_marks_of_restructured_text_are_unwrapped() -> None:
    text = (
        "See :func:`~numpy.dot`, :class:`the array <numpy.ndarray>`, ``axis``, `axis` and `the guide <https://x.y>`_."
    )
    assert unwrapped(text) == "See numpy.dot, the array, axis, axis and the guide."


def test_a_block_of_numbers_is_not_source() -> None:
    assert is_source("def area(width, height):\n    return width * height\n\nprint(area(2, 3))")
    assert not is_source("1.0, 2.0, 3.0, 4.0\n" * 10)
    assert not is_source("def area(width, height): return " + "width * " * 50 + "height")


words = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30).map(" ".join)


@given(words, words)
def test_shingle_similarity_is_that_of_word_triples(first: str, second: str) -> None:
    assert jaccard(shingles(first), shingles(second)) == pytest.approx(similarity(first, second))


@settings(max_examples=200)
@given(st.data())
def test_near_duplicates_are_what_brute_force_finds(data: st.DataObject) -> None:
    base = data.draw(st.lists(words, min_size=1, max_size=5))
    texts = []
    for text in base:  # and edited copies, so that similarities lie around the threshold
        texts.append(text)
        for _ in range(data.draw(st.integers(0, 3))):
            edited = text.split()
            edited[data.draw(st.integers(0, len(edited) - 1))] = data.draw(st.sampled_from("xyz"))
            texts.append(" ".join(edited))
    kept: list[str] = []
    for text in texts:
        if all(similarity(text, other) < 0.6 for other in kept):
            kept.append(text)
    near = NearDuplicates(0.6)
    assert [text for text in texts if near.add(shingles(text))] == kept
    assert all(similarity(a, b) < 0.6 for a, b in combinations(kept, 2))


def test_near_duplicates_in_long_texts() -> None:
    chance = np.random.default_rng(0)
    near, kept = NearDuplicates(0.6), []
    vocabulary = [f"w{i}" for i in range(40)]
    for _ in range(60):
        text = " ".join(chance.choice(vocabulary, size=200))
        edited = text.split()
        for place in chance.choice(200, size=int(chance.integers(1, 40)), replace=False):
            edited[place] = "z"
        for candidate in (text, " ".join(edited)):
            unique = all(similarity(candidate, other) < 0.6 for other in kept)
            assert near.add(shingles(candidate)) == unique
            if unique:
                kept.append(candidate)
    assert 60 < len(kept) < 120  # both outcomes were met


def test_shingles_are_the_same_on_every_machine() -> None:
    assert shingles("the quick brown fox").tolist() == [12708853114708517160, 16978188064735981951]


def test_duplicates_are_exact() -> None:
    seen = Duplicates()
    assert [seen.add(text) for text in ("1 2 3", "1 2 4", "1 2 3")] == [True, True, False]
