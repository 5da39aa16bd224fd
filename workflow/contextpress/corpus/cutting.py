"""Cutting text into documents, ordering them and splitting them, by hash alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from contextpress.corpus.spec import Cut
from contextpress.runtime.errors import UserError

SPLITS = ("train", "validation", "test")
SHORTEST = 200  # characters: what is left of a file below this is too short for a passage


@dataclass(frozen=True)
class Document:
    """A text of one source, before it has a domain, a number and a split."""

    source: str
    text: str
    entropy_rate: float | None = None  # nats per word


def position(source: str) -> float:
    """A number in [0, 1) from the hash of a source's name: its place in the order, and its split."""
    return int.from_bytes(hashlib.blake2b(source.encode(), digest_size=8).digest()) / 2**64


def split_of(source: str, cut: Cut) -> str:
    """The split of a source, by hash: the same in every domain and beside any other sources."""
    place = int.from_bytes(hashlib.blake2b(source.encode(), digest_size=8, person=b"split").digest()) / 2**64
    if place < cut.test:
        return "test"
    return "validation" if place < cut.test + cut.validation else "train"


def pack(units: Iterable[str], characters: int, joint: str) -> Iterator[str]:
    """Join consecutive units of one source into texts of at most about ``characters`` characters.

    A unit that is longer by itself is cut, at a line break where one is near.
    """
    text = ""
    for unit in units:
        for piece in _pieces(unit, characters):
            if text and len(text) + len(joint) + len(piece) > characters:
                yield text
                text = piece
            else:
                text = text + joint + piece if text else piece
    if text:
        yield text


def _pieces(unit: str, characters: int) -> Iterator[str]:
    while len(unit) > characters:
        end = max(unit.rfind("\n", characters // 2, characters), unit.rfind(" ", characters - 100, characters)) + 1
        end = end or characters
        yield unit[:end].rstrip()
        unit = unit[end:]
    if unit.strip():
        yield unit


def splits(sources: Mapping[str, Iterable[str]], cut: Cut) -> dict[str, str]:
    """The split of every source of every domain.

    A split that the hash leaves empty in a domain, as happens with few sources, takes the training source of that
    domain that comes first by hash, in all domains at once: a source never straddles two splits.

    Args:
        sources: the sources of each domain.
        cut: the shares.

    Raises:
        UserError: if a domain has too few sources to fill the three splits.
    """
    found = {source: split_of(source, cut) for names in sources.values() for source in names}
    for domain, names in sources.items():
        ordered = sorted(set(names), key=lambda source: (position(source), source))
        for split in ("test", "validation"):
            training = [source for source in ordered if found[source] == "train"]
            if all(found[source] != split for source in ordered) and len(training) > 1:
                found[training[0]] = split
        missing = [split for split in SPLITS if split not in {found[source] for source in ordered}]
        if missing:
            raise UserError(
                f"domain {domain} has {len(ordered)} sources, which leaves no text for {' and '.join(missing)}; "
                "give it more text or more files (at least three)"
            )
    return found
