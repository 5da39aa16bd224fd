"""Quality by entropy bucket."""

from __future__ import annotations

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import Estimate, document_weights
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.panel import SETTING, Array, build_panel

TABLE = [
    "measure",
    "side",
    "encoder",
    "decoder",
    *SETTING,
    "bucket",
    "entropy",
    "quality",
    "ci95_low",
    "ci95_high",
    "passages",
    "seeds",
]


def by_bucket(observations: pd.DataFrame, spec: ClaimsSpec) -> pd.DataFrame:
    """Mean quality in each bucket of the encoder's and of the decoder's entropy, per pair and setting.

    Seeds are averaged: a bucket is of each seed's own model. ``entropy`` is the mean nll in the bucket, nats per
    token; ``passages`` their number, on average over seeds; intervals are of documents. Compressors that ignore their
    memory are left out.
    """
    panel = build_panel(observations, spec)
    if panel.compressors.empty:
        return pd.DataFrame(columns=TABLE)
    weights = document_weights(panel.documents, panel.slices, spec.draws, np.random.default_rng(spec.seed))
    measures = dict.fromkeys([spec.c1.measure, spec.c2.measure, spec.c3.measure, *spec.also_measures])
    parts = []
    for measure in measures:
        quality = panel.quality(measure)
        for side in ("encoder", "decoder"):
            bucket, entropy = panel.values(f"{side}_bucket"), panel.values(f"{side}_nll")
            for key, members in panel.compressors.groupby(["encoder", "decoder", *SETTING], sort=True):
                index = members.index.to_numpy()
                for number in np.unique(bucket[:, index]):
                    member = (bucket[:, index] == number).astype(np.float64)
                    estimate = Estimate.of(_mean(member, quality[:, index], weights))
                    inside = float((member * entropy[:, index]).sum() / member.sum())
                    count = member.sum() / len(index)
                    parts.append(
                        [
                            measure,
                            side,
                            *key,
                            int(number),
                            inside,
                            estimate.value,
                            *estimate.interval(),
                            count,
                            len(index),
                        ]
                    )
    return pd.DataFrame(parts, columns=TABLE)


def _mean(member: Array, quality: Array, weights: Array) -> Array:
    """Mean over seeds of each seed's mean in the bucket: [1 + B], from [P, S] columns and weights [P, 1 + B]."""
    size = member.T @ weights
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, (member * quality).T @ weights / np.where(size > 0, size, 1.0), np.nan).mean(0)
