"""The control ladder: text that is less and less like language, beside what others published of theirs.

The same passages come in every variant. Reconstruction that survives disturbed text copies tokens; reconstruction that
falls with it leans on what the models know of language.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.findings import clusters, over_runs
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.panel import build_panel
from contextpress.analysis.published import LADDERS
from contextpress.reconstruction.table import MEASURES
from contextpress.tokens.passages import VARIANTS, sampled

THIS_STUDY = "this study"
TABLE = [
    "source",
    "readout",
    "ratio",
    "variant",
    "measure",
    "estimate",
    "ci95_low",
    "ci95_high",
    "passages",
    "clusters",
    "compressors",
]


def ladder(observations: pd.DataFrame, spec: ClaimsSpec) -> pd.DataFrame:
    """Mean of every measure by read-out, ratio and variant, then the published ladders (``source`` says whose).

    Means are over compressors, also those that ignore their memory, in the measure's own direction (nll: less is
    better). Intervals hold documents and training runs. Published rows have neither interval nor counts.
    """
    rows: list[list[object]] = []
    for variant in VARIANTS:
        panel = build_panel(
            _same_passages(observations, variant), spec.model_copy(update={"variants": (variant,)}), unused=True
        )
        if panel.compressors.empty:
            continue
        weights = weights_of(panel, spec)
        for (readout, ratio), members in panel.compressors.groupby(["readout", "ratio"], sort=True):
            index = members.index.to_numpy()
            part = panel.only(np.isin(np.arange(len(panel.compressors)), index))
            counts = [len(panel.passages), clusters(panel), len(index)]
            for measure in MEASURES:
                means = part.values(measure).T @ weights / weights.sum(0)
                effect = over_runs(part, means)
                numbers = [effect.value, *effect.interval(), *counts]
                rows.append([THIS_STUDY, readout, ratio, variant, measure, *numbers])
    nothing = [np.nan] * 5
    rows += [[rung.source, "", rung.ratio, rung.variant, rung.measure, rung.value, *nothing] for rung in LADDERS]
    table = pd.DataFrame(rows, columns=TABLE)
    whole = ["ratio", "passages", "clusters", "compressors"]
    return table.astype(dict.fromkeys(whole, "Int64"))


def _same_passages(observations: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Rows of one variant; of undisturbed text those passages that were also disturbed, if any were."""
    return observations[sampled(observations) if variant == "normal" else observations["variant"] == variant]
