"""Memory shared out: so many vectors to each passage, of the numbers on offer, and exactly so many in all."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from contextpress.analysis.panel import Array, Codes

UNDECIDED = 64  # passages that are weighed against one another at first; more where that is not shown to be enough
_TINY = 1e-12


def water_filled(need: Array, low: float, high: float, total: float) -> Array:
    """Shares clip(level x need, low, high) that add up to ``total``; the level is found by bisection.

    The water-filling of Cover and Thomas (2006, "Elements of information theory", 9.4) with a floor and a ceiling: a
    common level, and as much to each as it asks for at that level.

    Args:
        need: [P] not negative; here the nats of a passage.
        low: least share.
        high: largest share.
        total: between P x low and P x high.

    Returns:
        [P] shares, not yet whole numbers.

    Raises:
        ValueError: if no shares add up to ``total``.
    """
    if not len(need) * low - _TINY <= total <= len(need) * high + _TINY:
        raise ValueError(f"{len(need)} shares of {low:g} to {high:g} do not add up to {total:g}")
    asked = np.maximum(need, _TINY)  # who asks for nothing is served when all others are full
    level = _bisected(0.0, high / float(asked.min()), lambda level: np.clip(level * asked, low, high).sum() < total)
    return np.clip(level * asked, low, high)


def allocate(cost: Array, sizes: Codes, total: int) -> Codes:
    """What each passage gets, so that the sizes add up to ``total`` exactly and the costs to as little as can be.

    A price per vector (a Lagrange multiplier, found by bisection) decides for most passages. Those that it leaves
    nearly undecided share what remains by dynamic programming. A passage that would pay more for another choice than
    the whole solution pays above the price's lower bound cannot have that choice in a better solution; where some
    passage left out pays less, more are let in. So the result is exact.

    Args:
        cost: [P, K] of each passage at each size.
        sizes: [K] rising.
        total: sum that is wanted.

    Returns:
        [P] places in ``sizes``. Of equal solutions always the same one.

    Raises:
        ValueError: if the sizes of P passages cannot add up to ``total``.
    """
    price = _price(cost, sizes, total)
    priced = cost + price * sizes
    chosen = priced.argmin(1)
    regret = priced - priced.min(1, keepdims=True)
    second = np.partition(regret, 1, axis=1)[:, 1] if len(sizes) > 1 else np.full(len(cost), np.inf)
    order = np.argsort(second, kind="stable")
    count = min(UNDECIDED, len(cost))
    while True:
        weighed, settled = order[:count], order[count:]
        left = int(total - sizes[chosen[settled]].sum())
        found = _shared(regret[weighed], sizes, left)
        if found is not None:
            paid = float(regret[weighed, found].sum())
            if not len(settled) or paid <= second[settled[0]] + _TINY:
                chosen[weighed] = found
                return chosen.astype(np.int64)
        elif not len(settled):
            raise ValueError(f"{len(cost)} passages with {_listed(sizes)} vectors each cannot have {total} in all")
        count = min(2 * count, len(cost))


def nearest_total(sizes: Codes, count: int, wanted: float) -> int:
    """The sum of ``count`` of the sizes that is nearest to ``wanted``; of two the smaller one."""
    unit = _unit(sizes)
    reached = 1  # bit n: n units above the least sum can be had
    for _ in range(count):
        raised = 0
        for size in sizes:
            raised |= reached << int((size - sizes[0]) // unit)
        reached = raised
    sums = (place for place in range(reached.bit_length()) if reached >> place & 1)
    return min((int(count * sizes[0] + place * unit) for place in sums), key=lambda found: (abs(found - wanted), found))


def _price(cost: Array, sizes: Codes, total: int) -> float:
    """The price per vector at which passages that choose for themselves take about ``total``."""
    if len(sizes) < 2:
        return 0.0
    steepest = float(np.abs(np.diff(cost, axis=1) / np.diff(sizes)).max(initial=0.0)) + 1
    return _bisected(-steepest, steepest, lambda price: sizes[(cost + price * sizes).argmin(1)].sum() > total)


def _bisected(below: float, above: float, is_below: Callable[[float], bool]) -> float:
    """The least number from ``below`` to ``above`` of which ``is_below`` is not true, to the last digit of a float."""
    while below < (middle := (below + above) / 2) < above:
        below, above = (middle, above) if is_below(middle) else (below, middle)
    return above


def _shared(cost: Array, sizes: Codes, total: int) -> Codes | None:
    """The cheapest choices [P] whose sizes add up to ``total``, by dynamic programming; None if there are none."""
    unit = _unit(sizes)
    states, rest = divmod(total - len(cost) * int(sizes[0]), unit)
    if states < 0 or rest:
        return None
    steps = ((sizes - sizes[0]) // unit).tolist()
    best = np.full(states + 1, np.inf)
    best[0] = 0.0
    taken = np.zeros((len(cost), states + 1), dtype=np.int64)
    for place, own in enumerate(cost):
        tried = np.full((len(sizes), states + 1), np.inf)
        for choice, step in enumerate(steps):
            if step <= states:
                tried[choice, step:] = best[: states + 1 - step] + own[choice]
        taken[place] = tried.argmin(0)
        best = tried.min(0)
    if not math.isfinite(best[states]):
        return None
    found = np.empty(len(cost), dtype=np.int64)
    for place in range(len(cost) - 1, -1, -1):
        found[place] = taken[place, states]
        states -= steps[found[place]]
    return found


def _unit(sizes: Codes) -> int:
    """The largest number of vectors of which all differences are multiples."""
    return math.gcd(*(int(size - sizes[0]) for size in sizes)) or 1


def _listed(sizes: Codes) -> str:
    return " or ".join(str(size) for size in sizes)
