"""Correction of p-values for several tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np


def adjusted(p_values: Mapping[str, float | None], correction: Literal["holm", "bh"]) -> dict[str, float | None]:
    """Adjusted p-values of a declared family.

    Args:
        p_values: one per member; None for a test that could not be done. It stays a member and counts as 1: a family
            does not shrink because the data were too few.
        correction: Holm (1979, step-down Bonferroni, family-wise error) or BH (Benjamini and Hochberg 1995, false
            discovery rate).
    """
    names = list(p_values)
    if not names:
        return {}
    raw = np.array([1.0 if (p := p_values[name]) is None else p for name in names])
    order = np.argsort(raw, kind="stable")
    count, ordered = len(raw), raw[order]
    steps = np.arange(1, count + 1)
    if correction == "holm":
        stepped = np.maximum.accumulate(ordered * (count - steps + 1))
    else:
        stepped = np.minimum.accumulate((ordered * count / steps)[::-1])[::-1]
    result = np.empty(count)
    result[order] = np.minimum(stepped, 1.0)
    return {name: None if p_values[name] is None else float(value) for name, value in zip(names, result, strict=True)}
