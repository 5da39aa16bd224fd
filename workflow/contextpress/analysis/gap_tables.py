"""Tables of the encoder x decoder grid."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import Estimate
from contextpress.analysis.grid import decompose
from contextpress.analysis.panel import SETTING, Array, Panel

TABLE_CELLS = [
    *SETTING,
    "encoder",
    "decoder",
    "seed",
    "domain",
    "gap",
    "quality",
    "ci95_low",
    "ci95_high",
    "grand_mean",
    "encoder_effect",
    "decoder_effect",
    "interaction",
]
TABLE_EFFECTS = [*SETTING, "effect", "name", "estimate", "ci95_low", "ci95_high", "p_value", "unit"]


def cell_table(panel: Panel, means: Array, gap: Array) -> pd.DataFrame:
    """Mean quality of each pair, by domain and over all, in each seed and over all, split into effects.

    Args:
        panel: C compressors.
        means: [D, C, 1 + B] cell means.
        gap: [C].
    """
    parts = []
    for domain, values in [("all", means.mean(0)), *zip(panel.domains, means, strict=True)]:
        for setting, members in panel.settings():
            seeds = [("all", members)]
            if domain == "all":
                seeds += [(str(seed), rows) for seed, rows in members.groupby("seed", sort=True)]
            for seed, rows in seeds:
                part = _cells(rows, values, gap)
                labels = pd.DataFrame([(*setting, seed, domain)] * len(part), columns=[*SETTING, "seed", "domain"])
                parts.append(pd.concat([labels, part], axis=1))
    return pd.concat(parts, ignore_index=True)[TABLE_CELLS]


def _cells(rows: pd.DataFrame, values: Array, gap: Array) -> pd.DataFrame:
    found = []
    for (encoder, decoder), cell in rows.groupby(["encoder", "decoder"], sort=True):
        index = cell.index.to_numpy()
        estimate = Estimate.of(values[index].mean(0))
        found.append([encoder, decoder, gap[index].mean(), estimate.value, *estimate.interval()])
    columns = ["encoder", "decoder", "gap", "quality", "ci95_low", "ci95_high"]
    frame = pd.DataFrame(found, columns=columns)
    effects = decompose(frame.set_index(["encoder", "decoder"])["quality"])
    return pd.concat([frame, effects.reset_index(drop=True)], axis=1)


def effect_table(panel: Panel, every: Array, estimates: dict[str, Estimate], unit: str) -> pd.DataFrame:
    """Effects with intervals: gap slope, levels and steps over all settings, then the decomposition of each setting.

    Intervals of the decomposition hold the trained models fixed: they are of documents alone.

    Args:
        panel: C compressors.
        every: [C, 1 + B] cell means, over domains.
        estimates: slope, levels, steps.
        unit: of the gap.
    """
    rows: list[list[object]] = []
    for key, estimate in estimates.items():
        effect, _, name = key.partition(" ")
        kind = f"quality per {unit}" if effect.endswith("slope") else "quality"
        rows.append([*["all"] * len(SETTING), effect, name or "gap", *_numbers(estimate), kind])
    for setting, members in panel.settings():
        groups = list(members.groupby(["encoder", "decoder"], sort=True))
        cells = np.array([every[rows_.index.to_numpy()].mean(0) for _, rows_ in groups])
        # The decomposition is linear: apply it to unit vectors once, then to all draws.
        index = pd.MultiIndex.from_tuples([pair for pair, _ in groups], names=["encoder", "decoder"])
        columns = [decompose(pd.Series(unit_vector, index=index)) for unit_vector in np.eye(len(index))]
        for part in ("grand_mean", "encoder_effect", "decoder_effect", "interaction"):
            values = np.array([column[part].to_numpy() for column in columns]).T @ cells
            for name, draws in _named(part, index, values).items():
                effect = part.removesuffix("_effect")
                rows.append([*setting, effect, name, *_numbers(Estimate.of(draws)), "quality"])
    return pd.DataFrame(rows, columns=TABLE_EFFECTS)


def _named(part: str, index: pd.MultiIndex, values: Array) -> dict[str, Array]:
    if part == "grand_mean":
        return {"all": values[0]}
    if part == "interaction":
        return {f"{encoder} x {decoder}": row for (encoder, decoder), row in zip(index, values, strict=True)}
    labels = index.get_level_values(0 if part == "encoder_effect" else 1)
    places = list(labels)
    return {str(label): values[places.index(label)] for label in dict.fromkeys(places)}


def _numbers(estimate: Estimate) -> list[float | None]:
    return [estimate.value, *estimate.interval(), estimate.p_two_sided()]
