"""Tables of the encoder x decoder grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from contextpress.analysis.bootstrap import Estimate
from contextpress.analysis.findings import document_freedom
from contextpress.analysis.grid import decompose, residuals
from contextpress.analysis.inference import Effect, Scatter, combine, of_seeds
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


def effect_table(
    panel: Panel,
    every: Array,
    estimates: dict[str, Effect],
    unit: str,
    gaps: Sequence[tuple[str, str, Effect, str]],
) -> pd.DataFrame:
    """Effects with intervals, over all settings and for each.

    Rows, by ``effect``: ``gap_slope`` and ``naive_slope`` for each measure of the gap (an estimate is empty where the
    gap is a sum of encoder and decoder effects); ``gap_level`` (against the smallest gap) and ``gap_step``;
    ``encoder_slope`` and ``decoder_slope`` in the replaced share of their own data, given the gap; then the two-way
    decomposition into ``grand_mean``, ``encoder``, ``decoder`` and ``interaction``.

    Intervals hold documents and training, but those of ``naive_slope``, and of all with a single seed: documents alone.

    Args:
        panel: C compressors.
        every: [C, 1 + B] cell means, over domains.
        estimates: levels and steps.
        unit: of the gap.
        gaps: rows of the gap's measures.
    """
    everything = ["all"] * len(SETTING)
    rows: list[list[object]] = [[*everything, effect, name, *_numbers(value), per] for effect, name, value, per in gaps]
    for key, estimate in estimates.items():
        effect, _, name = key.partition(" ")
        if effect != "gap_slope":
            rows.append([*everything, effect, name, *_numbers(estimate), "quality"])
    for effect, estimate in main_slopes(panel, every).items():
        rows.append([*everything, effect, "replaced", *_numbers(estimate), f"quality per {unit}"])
    for setting, members in [(everything, panel.compressors), *panel.settings()]:
        for effect, name, estimate in _decomposition(members, every, document_freedom(panel)):
            rows.append([*setting, effect, name, *_numbers(estimate), "quality"])
    return pd.DataFrame(rows, columns=TABLE_EFFECTS)


def main_slopes(panel: Panel, every: Array) -> dict[str, Effect]:
    """Slopes of quality per sixth of replaced data of the encoder and of the decoder, both given the gap.

    Least squares on cell means [C, 1 + B], with a mean of its own for every setting and seed; the scatter of training
    is that of the seeds' own slopes. Nothing where replaced shares are unknown, or do not tell the three apart.
    """
    names = ["encoder_replaced", "decoder_replaced", "gap_design"]
    shares = panel.compressors[names].to_numpy(dtype=np.float64) * 6
    if not np.isfinite(shares).all():
        return {}
    blocks = panel.compressors.groupby([*SETTING, "seed"], sort=True).ngroup().to_numpy()
    seeds = panel.compressors["seed"].to_numpy()

    def fit(index: npt.NDArray[np.intp]) -> Array | None:
        own = residuals(shares[index], np.eye(blocks.max() + 1)[blocks[index]])
        return np.linalg.pinv(own) @ every[index] if np.linalg.matrix_rank(own, tol=1e-6) == len(names) else None

    whole, parts = fit(np.arange(len(seeds))), [fit(np.flatnonzero(seeds == seed)) for seed in np.unique(seeds)]
    if whole is None:
        return {}
    return {
        f"{side}_slope": combine(whole[place], of_seeds([p[place] for p in parts if p is not None]), freedom)
        for place, side in enumerate(("encoder", "decoder"))
        if (freedom := document_freedom(panel))
    }


def _decomposition(members: pd.DataFrame, every: Array, freedom: float) -> Iterator[tuple[str, str, Effect]]:
    """Effect, name and estimate of the grand mean, of every encoder, decoder and cell; settings and seeds averaged."""
    whole = _parts(members, every)
    parts = [_parts(rows, every) for _, rows in members.groupby("seed", sort=True)]
    found = {key: of_seeds([part[key] for part in parts if key in part]) for key in whole}
    rows, columns = members["encoder"].nunique() - 1, members["decoder"].nunique() - 1
    free = {"encoder": rows, "decoder": columns, "interaction": rows * columns}
    for key, values in whole.items():
        # Effects of one kind scatter alike; they sum to zero, so that fewer of them than there are are free.
        alike = [scatter for (kind, _), scatter in found.items() if kind == key[0] and scatter is not None]
        scatter = None
        if alike:
            total = sum(one.total for one in alike) / len(alike)
            documents = sum(one.documents for one in alike) / len(alike)
            scatter = Scatter(total, documents, alike[0].freedom * max(1, free.get(key[0], 1)))
        yield *key, combine(values, scatter, freedom)


def _parts(members: pd.DataFrame, every: Array) -> dict[tuple[str, str], Array]:
    groups = list(members.groupby(["encoder", "decoder"], sort=True))
    cells = np.array([every[rows.index.to_numpy()].mean(0) for _, rows in groups])
    # The decomposition is linear: apply it to unit vectors once, then to all draws.
    index = pd.MultiIndex.from_tuples([pair for pair, _ in groups], names=["encoder", "decoder"])
    columns = [decompose(pd.Series(unit_vector, index=index)) for unit_vector in np.eye(len(index))]
    found = {}
    for part in ("grand_mean", "encoder_effect", "decoder_effect", "interaction"):
        values = np.array([column[part].to_numpy() for column in columns]).T @ cells
        for name, draws in _named(part, index, values).items():
            found[part.removesuffix("_effect"), name] = draws
    return found


def _named(part: str, index: pd.MultiIndex, values: Array) -> dict[str, Array]:
    if part == "grand_mean":
        return {"all": values[0]}
    if part == "interaction":
        return {f"{encoder} x {decoder}": row for (encoder, decoder), row in zip(index, values, strict=True)}
    labels = index.get_level_values(0 if part == "encoder_effect" else 1)
    places = list(labels)
    return {str(label): values[places.index(label)] for label in dict.fromkeys(places)}


def _numbers(estimate: Effect) -> list[float | None]:
    return [estimate.value, *estimate.interval(), estimate.p_two_sided()]
