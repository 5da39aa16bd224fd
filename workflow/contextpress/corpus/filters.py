"""What is kept of a text: the prose filter, the code filter, and the removal of near-duplicates."""

# ruff: noqa: SIM905 - a list of words reads best as words
from __future__ import annotations

import hashlib
import math
import re
import zlib
from collections import Counter

import numpy as np
from numpy.typing import NDArray

NEAR = 0.6  # Jaccard similarity of word 3-shingles from which two units count as the same text

Shingles = NDArray[np.uint64]

_STOP_WORDS = frozenset(
    """a about after all also an and any are as at be because been before being between both but by can could did do
    does each either for from had has have how however if in instead into is it its may might more most must no not
    of on one only or other our out over same should since so some such than that the their them then there these
    they this those through to too two under unless until up use used using very was we were what when where whether
    which while who will with within without would you your""".split()
)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_TOKEN = re.compile(r"\w+")
_ROLE = re.compile(r":(?:[A-Za-z_]+:)?[A-Za-z_+-]+:`([^`]*)`")
_TARGET = re.compile(r"([^<`]*?)\s*<[^<>`]*>")


def unwrapped(text: str) -> str:
    """``text`` without the roles and back-ticks of reStructuredText: what they mark is kept."""
    text = _ROLE.sub(lambda match: _TARGET.sub(r"\1", match[1]).lstrip("~!") or match[1], text)
    text = re.sub(r"``([^`]*)``", r"\1", text)
    return re.sub(r"`([^`]*)`_{0,2}", lambda match: _TARGET.sub(r"\1", match[1]) or match[1], text)


def is_prose(text: str) -> bool:
    """Whether a paragraph, on one line, reads as running English.

    It has 12 words and 80 characters or more, starts with a capital and ends like a sentence; 88 % or more of its
    characters are letters and spaces, and 28 % or more of its words are stop words.
    """
    if len(text) < 80 or not text[0].isupper() or text[-1] not in ".!?:)]":
        return False
    words = _WORD.findall(text)
    if len(words) < 12 or sum(map(len, words)) + text.count(" ") < 0.88 * len(text):
        return False
    return sum(word.lower() in _STOP_WORDS for word in words) >= 0.28 * len(words)


def is_source(text: str) -> bool:
    """Whether a block of lines reads as written source: no line over 300 characters, at least 40 % letters."""
    dense = "".join(text.split())
    if len(dense) < 40 or max(map(len, text.splitlines())) > 300:
        return False
    return sum(map(str.isalpha, dense)) >= 0.4 * len(dense)


def shingles(text: str) -> Shingles:
    """The distinct word 3-shingles of a text as 64-bit hashes, sorted, shape (n,).

    Words are compared without case. A text of one or two words is one shingle.
    """
    words = [zlib.crc32(word.encode()) for word in _TOKEN.findall(text.lower())]
    words += [0] * (3 - len(words))
    codes = np.array(words, dtype=np.uint64)
    mixed = _mix(_mix(codes[:-2]) + codes[1:-1])
    return np.unique(_mix(mixed + codes[2:]))


def _mix(codes: Shingles) -> Shingles:
    # The finaliser of SplitMix64: a fixed bijection, so the order of shingles is the same on every machine.
    codes = (codes + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    codes = (codes ^ (codes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    codes = (codes ^ (codes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return codes ^ (codes >> np.uint64(31))


def jaccard(first: Shingles, second: Shingles) -> float:
    """Shared shingles over all shingles of two sorted sets, 0 to 1."""
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)


class NearDuplicates:
    """Remembers units, and refuses one whose similarity to a remembered one reaches the threshold. Exact.

    Two sets of sizes a <= b with Jaccard similarity t or more share at least ceil(t b) shingles. So, with all sets
    sorted alike, they share k of the first n - ceil(t n) + k of each, for any k up to ceil(t b): prefix filtering
    (Chaudhuri et al. 2006) as extended by Wang et al. 2012. Only those are indexed and looked up; units that share k
    are then compared in full.
    """

    _K = 4  # with 1, chance matches of common phrases are most of the work

    def __init__(self, threshold: float = NEAR) -> None:
        self.threshold = threshold
        self._units: list[frozenset[int]] = []
        self._wanted: list[int] = []  # k of each unit; less than _K for the shortest
        self._holders: dict[int, list[int]] = {}  # shingle -> the remembered units that have it in their prefix

    def add(self, unit: Shingles) -> bool:
        """Remember ``unit`` and return True, or return False if it is near to a remembered one."""
        codes: list[int] = unit.tolist()
        shared = math.ceil(self.threshold * len(codes))
        wanted = min(self._K, shared)
        prefix = codes[: len(codes) - shared + wanted]
        found: Counter[int] = Counter()
        for code in prefix:
            found.update(self._holders.get(code, ()))
        members = frozenset(codes)
        for other, count in found.items():
            if count >= min(wanted, self._wanted[other]) and self._near(members, self._units[other]):
                return False
        for code in prefix:
            self._holders.setdefault(code, []).append(len(self._units))
        self._units.append(members)
        self._wanted.append(wanted)
        return True

    def _near(self, first: frozenset[int], second: frozenset[int]) -> bool:
        shared = len(first & second)
        return shared >= self.threshold * (len(first) + len(second) - shared)


class Duplicates:
    """Remembers units, and refuses one that is equal to a remembered one."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def add(self, text: str) -> bool:
        """Remember ``text`` and return True, or return False if it is known."""
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True
