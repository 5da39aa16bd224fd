"""What an exchange of models does to quality, seed by seed: another encoder or decoder, a larger or a smaller one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd

from contextpress.analysis.panel import SETTING, Array, Panel


def spreads(panel: Panel, means: Array, members: pd.DataFrame | None = None) -> dict[int, tuple[Array, Array]]:
    """By seed, the standard deviation of quality over decoders and over encoders, the other and the domain fixed.

    Variances are averaged over domains, settings and the model that is fixed. Only models that serve as both count, in
    settings and seeds that have all their pairs.

    Args:
        panel: C compressors.
        means: [D, C, 1 + B] cell means.
        members: some of the compressors; by default all.

    Returns:
        [1 + B] each.
    """
    rows = panel.compressors if members is None else members
    both = sorted(set(rows["encoder"]) & set(rows["decoder"]))
    found: dict[int, list[tuple[Array, Array]]] = {}
    for _, block in rows.groupby([*SETTING, "seed"], sort=True):
        pairs = zip(block["encoder"], block["decoder"], strict=True)
        at = dict(zip(pairs, block.index.to_list(), strict=True))
        if len(both) < 2 or any(pair not in at for pair in product(both, both)):
            continue
        cells = means[:, np.array([[at[encoder, decoder] for decoder in both] for encoder in both])]
        found.setdefault(int(block["seed"].iloc[0]), []).append(
            (cells.var(axis=2, ddof=1).mean((0, 1)), cells.var(axis=1, ddof=1).mean((0, 1)))
        )
    return {
        seed: (np.sqrt(np.mean([one for one, _ in parts], axis=0)), np.sqrt(np.mean([two for _, two in parts], axis=0)))
        for seed, parts in found.items()
    }


def corners(panel: Panel, every: Array, sizes: Mapping[str, Mapping[str, float]]) -> dict[int, dict[str, Array]]:
    """By seed, the mean quality [1 + B] of "small, small", "small, large", ...: size of encoder, of decoder.

    Averaged over settings, two sizes, and two data (replaced shares), wherever all four pairs were trained.

    Args:
        panel: C compressors.
        every: [C, 1 + B] cell means, over domains.
        sizes: parameters by side and name.
    """
    rows = panel.compressors.assign(
        **{f"{side}_size": panel.compressors[side].map(dict(sizes[side])) for side in ("encoder", "decoder")},
        place=np.arange(len(panel.compressors)),
    ).dropna(subset=["encoder_replaced", "decoder_replaced"])
    values = sorted({*rows["encoder_size"], *rows["decoder_size"]})
    found: dict[int, list[dict[str, Array]]] = {}
    for _, block in rows.groupby([*SETTING, "seed", "encoder_replaced", "decoder_replaced"], sort=True):
        at = {(row["encoder_size"], row["decoder_size"]): row["place"] for row in block.to_dict("records")}
        for small, large in product(values, values):
            named = {"small": small, "large": large}
            four = {f"{one}, {two}": (named[one], named[two]) for one, two in product(named, repeat=2)}
            if small < large and all(pair in at for pair in four.values()):
                parts = found.setdefault(int(block["seed"].iloc[0]), [])
                parts.append({name: every[at[pair]] for name, pair in four.items()})
    return {
        seed: {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}
        for seed, parts in found.items()
    }
