"""The corpora D1 to D6: natural text, of which 0 to 5 sixths are replaced by formal text."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from contextpress.runtime.errors import UserError

RANDOM = "random"  # no text at all: uniform random tokens, the control of a model that knows no language
SIXTHS = {f"D{number}": number - 1 for number in range(1, 7)}


def replaced(name: str) -> Fraction:
    """The share of natural text that corpus ``name`` replaces: 0 for D1 to 5/6 for D6.

    Raises:
        UserError: if there is no such corpus.
    """
    if name not in SIXTHS:
        raise UserError(f"corpus {name!r} is not known; one of {', '.join(SIXTHS)} is wanted")
    return Fraction(SIXTHS[name], 6)


def mixture_shares(name: str, natural: Sequence[str], formal: Sequence[str]) -> dict[str, Fraction]:
    """The share of each domain in corpus ``name``: equal within the natural block, equal within the formal block.

    Domains without a share, such as the formal ones of D1, are left out. The shares add up to exactly 1.

    Raises:
        UserError: if the corpus is not known, a block that is needed is empty, or a domain is named twice.
    """
    share = replaced(name)
    domains = [*natural, *formal]
    twice = sorted({domain for domain in domains if domains.count(domain) > 1})
    if twice:
        raise UserError(f"corpus {name}: {', '.join(twice)} is named twice among its natural and formal domains")
    shares: dict[str, Fraction] = {}
    for block, names, part in (("natural", natural, 1 - share), ("formal", formal, share)):
        if part and not names:
            raise UserError(f"corpus {name} is {part} {block} text, and no {block} domain is named")
        if part:
            shares.update(dict.fromkeys(names, part / len(names)))
    return shares


def mixture_weights(name: str, natural: Sequence[str], formal: Sequence[str]) -> dict[str, float]:
    """``mixture_shares`` as numbers: each the nearest float to its fraction."""
    return {domain: float(share) for domain, share in mixture_shares(name, natural, formal).items()}
