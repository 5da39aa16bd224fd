"""Quality by entropy bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import Estimate, document_weights
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.panel import SETTING, Array, Panel, build_panel

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
    parts = [
        [measure, side, *cell.key, cell.bucket, cell.entropy, cell.mean.value, *cell.mean.interval(), *cell.counts]
        for measure in measures
        for side in ("encoder", "decoder")
        for cell in bucket_means(panel, weights, panel.quality(measure), side, ["encoder", "decoder", *SETTING])
    ]
    return pd.DataFrame(parts, columns=TABLE)


@dataclass(frozen=True)
class Cell:
    """A mean over the passages of one entropy bucket and some compressors.

    Attributes:
        key: what the compressors have in common.
        bucket: from 0, the least surprising.
        entropy: mean nll in it, nats per token.
        mean: of the values.
        counts: passages, on average over compressors, and compressors.
    """

    key: tuple[object, ...]
    bucket: int
    entropy: float
    mean: Estimate
    counts: tuple[float, int]


def bucket_means(panel: Panel, weights: Array, values: Array, side: str, keys: list[str]) -> Iterator[Cell]:
    """Means of ``values`` [P, C] by bucket of the entropy of ``side``, for each group of compressors alike in ``keys``.

    Compressors of a group are averaged, each by the buckets of its own model.
    """
    bucket, entropy = panel.values(f"{side}_bucket"), panel.values(f"{side}_nll")
    numbers = np.unique(bucket)
    members_of = [(bucket == number).astype(np.float64) for number in numbers]
    means = np.array([member_means(member, values, weights) for member in members_of])
    for key, members in panel.compressors.groupby(keys, sort=True):
        index = members.index.to_numpy()
        for place, number in enumerate(numbers):
            member = members_of[place][:, index]
            if member.any():
                yield Cell(
                    key=key,
                    bucket=int(number),
                    entropy=float((member * entropy[:, index]).sum() / member.sum()),
                    mean=Estimate.of(means[place, index].mean(0)),
                    counts=(member.sum() / len(index), len(index)),
                )


def member_means(member: Array, values: Array, weights: Array) -> Array:
    """Mean of each column of ``values`` [P, C] over its members [P, C] under weights [P, 1 + B]: [C, 1 + B]."""
    size = member.T @ weights
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(size > 0, (member * values).T @ weights / np.where(size > 0, size, 1.0), np.nan)
