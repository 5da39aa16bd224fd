"""The table of claim C1: correlation and slope of every compressor, of every pair, and over all."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contextpress.analysis.findings import clusters, document_freedom
from contextpress.analysis.inference import Effect, combine, mean_over, over_pairs, scatter_of_runs
from contextpress.analysis.panel import COMPRESSOR, Panel
from contextpress.analysis.ranked import Ranked
from contextpress.analysis.slopes import Slopes

TABLE = [
    *COMPRESSOR,
    "domain",
    "scope",
    "rho",
    "ci95_low",
    "ci95_high",
    "p_value",
    "standardised_slope",
    "slope_ci95_low",
    "slope_ci95_high",
    "slope",
    "passages",
    "clusters",
]


def claim_table(panel: Panel, ranked: Ranked, slopes: Slopes, effect: Effect) -> pd.DataFrame:
    """One row per scope of every compressor, of every pair (settings and seeds "all"), and over all (all keys "all").

    Scopes: ``domain``, one domain alone; ``within``, ranks within domain, all domains; ``pooled``, ranks over all
    passages, domains ignored; ``within, other pairs``, over all, generalised to other encoders and decoders.
    Intervals of a compressor are of documents; those of a pair or over all hold the scatter of training runs as well.
    """
    rows: list[list[object]] = []
    every = (len(panel.passages), clusters(panel))
    scopes = [
        (name, "domain", ranked.domains[index], slopes.standardised[index], slopes.raw[index], _size(panel, index))
        for index, name in enumerate(panel.domains)
    ]
    scopes.append(("all", "within", ranked.within, slopes.standardised[-1], slopes.raw[-1], every))
    nothing = np.full_like(slopes.pooled, np.nan)
    scopes.append(("all", "pooled", ranked.pooled, slopes.pooled, nothing, every))
    for key, members in _groups(panel):
        compressors = panel.compressors.iloc[members]
        alone = key[-1] != "all"
        for domain, scope, rho, standardised, raw, size in scopes:
            scatter = [None if alone else scatter_of_runs(v[members], compressors) for v in (rho, standardised)]
            one, two = (
                combine(mean_over(values[members]), noise, document_freedom(panel))
                for values, noise in zip((rho, standardised), scatter, strict=True)
            )
            slope = mean_over(raw[members])[0]
            if key[0] == "all" and scope == "within":
                one = effect
            numbers = [one.value, *one.interval(), one.p_two_sided(), two.value, *two.interval(), slope, *size]
            rows.append([*key, domain, scope, *numbers])
    wide = over_pairs(ranked.within, panel.compressors)
    ends = [wide.value, *wide.interval(), wide.p_two_sided()]
    rows.append([*["all"] * len(COMPRESSOR), "all", "within, other pairs", *ends, *[np.nan] * 4, *every])
    return pd.DataFrame(rows, columns=TABLE)


def _groups(panel: Panel) -> list[tuple[tuple[object, ...], list[int]]]:
    """Key and compressors of every row: each alone, each pair, all."""
    compressors = panel.compressors
    alone = [(key, [index]) for index, key in enumerate(compressors[COMPRESSOR].itertuples(index=False, name=None))]
    pairs = [
        ((*pair, *["all"] * (len(COMPRESSOR) - 2)), list(rows.index))
        for pair, rows in compressors.groupby(["encoder", "decoder"], sort=True)
    ]
    return [*alone, *pairs, (("all",) * len(COMPRESSOR), list(compressors.index))]


def _size(panel: Panel, index: int) -> tuple[int, int]:
    rows = panel.slices[index]
    return rows.stop - rows.start, len(np.unique(panel.documents[rows]))
