"""Generated text whose entropy rate is known in closed form, in nats per word.

It calibrates a model's entropy against the truth, and lets entropy be set instead of observed. Words are short and
common, with one space between; a document begins at a random state, or at the beginning of a sentence.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from contextpress.corpus.cutting import Document
from contextpress.corpus.spec import Grammar, Markov, UniformWords
from contextpress.corpus.words import ADJECTIVES, ADVERBS, NOUNS, VERBS, WORDS


@dataclass(frozen=True)
class WordSource:
    """A source of words: how it was made, its entropy rate (nats per word), and a sampler of about n words."""

    label: str
    entropy_rate: float
    sample: Callable[[np.random.Generator, int], list[str]]


def documents(
    domain: Markov | Grammar | UniformWords, characters: int, document_characters: int, seed: int
) -> Iterator[Document]:
    """Documents of about ``document_characters`` characters, ``characters`` in all."""
    source = word_source(domain, seed)
    total = 0
    for number in range(-(-characters // document_characters)):
        name = f"{source.label}/{number:06d}"
        # No word is shorter than two letters: enough words to fill the document, then cut at a word.
        words = source.sample(_generator(seed, name), document_characters // 3 + 1)
        text = " ".join(words)
        if len(text) > document_characters:
            text = text[: text.rfind(" ", 0, document_characters + 1)]
        total += len(text)
        if total > characters:
            return
        yield Document(name, text, source.entropy_rate)


def word_source(domain: Markov | Grammar | UniformWords, seed: int) -> WordSource:
    """The source that a domain's values describe."""
    if isinstance(domain, Markov):
        return markov(domain.order, domain.words, domain.entropy, seed)
    if isinstance(domain, Grammar):
        return grammar(domain.templates, domain.choices)
    return uniform(domain.words)


def uniform(words: int) -> WordSource:
    """Words drawn independently, each as likely: ln(words) nats per word."""

    def sample(chance: np.random.Generator, count: int) -> list[str]:
        return [WORDS[index] for index in chance.integers(words, size=count).tolist()]

    return WordSource(f"uniform/words={words}", math.log(words), sample)


def tempered(outcomes: int, entropy: float) -> NDArray[np.float64]:
    """Probabilities, falling with the rank, of ``outcomes`` outcomes with exactly the wanted entropy in nats.

    Zipf's law raised to the power that gives the entropy: p(rank) is proportional to rank ** -power. The power is
    found by bisection, to the precision of float64.
    """
    logs = np.log(np.arange(1, outcomes + 1, dtype=np.float64))

    def law(power: float) -> NDArray[np.float64]:
        weights = np.exp(-power * logs)
        return weights / weights.sum()

    low, high = 0.0, 1.0
    while entropy_of(law(high)) > entropy:
        low, high = high, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if entropy_of(law(middle)) > entropy else (low, middle)
    return law(high if entropy < math.log(outcomes) else 0.0)


def entropy_of(probabilities: NDArray[np.float64]) -> float:
    """Shannon entropy in nats."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def markov(order: int, words: int, entropy: float, seed: int) -> WordSource:
    """A chain in which the last ``order`` words decide the probabilities of the next.

    In every context the next word's probabilities are the same numbers, dealt to other words, so every step has the
    wanted entropy and so has the chain. They are dealt as a Latin square over the oldest word of the context, so that
    in the long run all contexts are as likely, whatever the entropy: levels differ in nothing but their rate.

        context (a, b, c), rank r of the probability  ->  word  symbols[(rows[a] + columns[r]) mod words]

    with rows, columns and symbols three random permutations that depend on the later words (b, c) and the seed. Each
    word is then the r-th most likely after (a, b, c) for exactly one a: what flows into (b, c, word) adds up to 1.
    The most likely words of a chain of order 1 form one cycle through all words, so that a rate near 0 does not mean
    the same two words again and again.
    """
    law = tempered(words, entropy)
    steps = law.cumsum()
    label = f"markov/order={order},words={words},entropy={entropy:g},seed={seed}"

    def sample(chance: np.random.Generator, count: int) -> list[str]:
        state = tuple(chance.integers(words, size=order).tolist())
        ranks = np.minimum(np.searchsorted(steps, chance.random(count), side="right"), words - 1)
        found: list[int] = []
        for rank in ranks.tolist():
            state = (*state[1:], int(follow(state)[rank]))
            found.append(state[-1])
        return [WORDS[index] for index in found]

    follow = _follower(words, seed)
    return WordSource(label, entropy_of(law), sample)


def transition_matrix(order: int, words: int, entropy: float, seed: int) -> NDArray[np.float64]:
    """Probability of each next word in each context, shape (words ** order, words); rows in lexical order."""
    law, follow = tempered(words, entropy), _follower(words, seed)
    rows = np.zeros((words**order, words))
    for row, state in zip(rows, product(range(words), repeat=order), strict=True):
        row[follow(state)] = law
    return rows


def _follower(words: int, seed: int) -> Callable[[tuple[int, ...]], NDArray[np.int64]]:
    """For a context, the words in the order of their probability; made when first met."""

    @cache
    def permutations(later: tuple[int, ...]) -> tuple[NDArray[np.int64], ...]:
        chance = _generator(seed, f"markov context {later} of {words}")
        rows, columns, cycle = (chance.permutation(words) for _ in range(3))
        most_likely, symbols = np.empty_like(cycle), np.empty_like(cycle)
        most_likely[cycle] = np.roll(cycle, -1)
        symbols[(rows + columns[0]) % words] = most_likely
        return rows, columns, symbols

    @cache
    def follow(state: tuple[int, ...]) -> NDArray[np.int64]:
        rows, columns, symbols = permutations(state[1:])
        return symbols[(rows[state[0]] + columns) % words]

    return follow


# Every sentence ends with a full stop and the classes share no word with each other or with what is written out, so
# a sentence can be read in one way only: the entropy of the text is that of the choices.
TEMPLATES = (
    "the ADJECTIVE NOUN VERB the NOUN.",
    "every NOUN ADVERB VERB its NOUN.",
    "when the NOUN VERB a NOUN, it VERB ADVERB.",
    "this NOUN VERB that ADJECTIVE NOUN ADVERB.",
    "nobody VERB a NOUN that VERB the ADJECTIVE NOUN.",
    "if a NOUN is ADJECTIVE, no NOUN VERB it.",
)
CLASSES = {"NOUN": NOUNS, "VERB": VERBS, "ADJECTIVE": ADJECTIVES, "ADVERB": ADVERBS}


def slot_of(word: str) -> tuple[str, str] | None:
    """The class and the punctuation of a template's slot, or None for a word that is written out."""
    name = word.rstrip(".,")
    return (name, word[len(name) :]) if name in CLASSES else None


def grammar(templates: int, choices: int) -> WordSource:
    """Sentences: a template, each as likely, and for each of its slots one of ``choices`` words, each as likely.

    Sentences are independent, so the rate is the mean entropy of a sentence over its mean number of words:
    (ln templates + mean slots * ln choices) / mean words.
    """
    sentences = [template.split() for template in TEMPLATES[:templates]]
    words = sum(map(len, sentences)) / templates
    slots = sum(slot_of(word) is not None for sentence in sentences for word in sentence) / templates
    rate = (math.log(templates) + slots * math.log(choices)) / words
    return WordSource(f"grammar/templates={templates},choices={choices}", rate, partial(_sentences, sentences, choices))


def _sentences(sentences: list[list[str]], choices: int, chance: np.random.Generator, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        for word in sentences[chance.integers(len(sentences))]:
            slot = slot_of(word)
            found.append(CLASSES[slot[0]][chance.integers(choices)] + slot[1] if slot else word)
    return found


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.blake2b(f"{seed} {name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest)))
