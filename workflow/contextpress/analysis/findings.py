"""What a test of a claim hands on: effect, p-value, counts, details, and the rule of its verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import Estimate
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.panel import Array, Panel

Verdict = Literal["supported", "contradicted", "inconclusive"]
# From a p-value of this claim to the same p-value corrected for the rest of the family.
Adjust = Callable[[float | None], float | None]
Judge = Callable[[Adjust, float], tuple[Verdict, str]]

UNKNOWN = Estimate(math.nan, np.full(1, math.nan))


@dataclass(frozen=True)
class Result:
    """A tested claim, before the family is corrected.

    Attributes:
        claim: C1, C2 or C3.
        statement: the claim in one sentence.
        effect_name: what ``effect`` is, with its unit.
        effect: the primary estimate.
        p_value: of the test that the claim stands on; None if it could not be done.
        rows: observations used.
        clusters: documents (or source files) used.
        rule: how the verdict follows.
        judge: the rule itself.
        details: everything else worth knowing.
        tables: rows for the tables, by file name.
    """

    claim: str
    statement: str
    effect_name: str
    effect: Estimate
    p_value: float | None
    rows: int
    clusters: int
    rule: str
    judge: Judge
    details: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


def too_little(panel: Panel, spec: ClaimsSpec) -> str | None:
    """Why a panel cannot carry a claim, or None if it can."""
    seeds = panel.compressors["seed"].nunique()
    documents = clusters(panel)
    if panel.compressors.empty:
        return "no compressor of the study uses its memory and fits the hypothesis"
    if len(panel.passages) < spec.min_passages:
        return f"{len(panel.passages)} passages; at least {spec.min_passages} are needed"
    if documents < spec.min_documents:
        return f"{documents} clusters ({spec.cluster}); at least {spec.min_documents} are needed"
    if seeds < spec.min_seeds:
        return f"{seeds} training seed(s); at least {spec.min_seeds} are needed"
    return None


def clusters(panel: Panel) -> int:
    """Number of documents (or source files) in a panel."""
    return len(np.unique(panel.documents))


def sample(panel: Panel) -> dict[str, Any]:
    """Counts of a panel, for a finding."""
    sizes = {
        name: {"passages": rows.stop - rows.start, "clusters": len(np.unique(panel.documents[rows]))}
        for name, rows in zip(panel.domains, panel.slices, strict=True)
    }
    return {
        "compressors": len(panel.compressors),
        "passages": len(panel.passages),
        "seeds": sorted(int(seed) for seed in panel.compressors["seed"].unique()),
        "domains": sizes,
        "left_out": panel.left_out,
    }


def training_error(values: Array, compressors: pd.DataFrame) -> tuple[float, float]:
    """Error of a mean over compressors that comes from having trained each model only a few times.

    Compressors that share a language model are not independent. The values are averaged per encoder and seed; what
    these averages scatter around their encoder's mean is the noise of a training run, and gives the error of the
    overall mean with sum(seeds - 1) degrees of freedom. The same by decoder; the larger error is returned.

    Args:
        values: [C] an estimate per compressor, such as its correlation.
        compressors: C rows with encoder, decoder or both, and seed.

    Returns:
        The standard error and its degrees of freedom; (NaN, 0) with one seed.
    """
    found = [(math.nan, 0.0)]
    for side in compressors.columns.intersection(["encoder", "decoder"]):
        frame = compressors[[side, "seed"]].assign(value=values)
        means = frame.dropna().groupby([side, "seed"])["value"].mean()
        around = means - means.groupby(level=0).transform("mean")
        freedom = len(means) - means.index.get_level_values(0).nunique()
        if freedom > 0:
            error = math.sqrt(float(np.square(around).sum()) / freedom / len(means))
            found.append((error, float(freedom)))
    return max(found, key=lambda pair: -1.0 if math.isnan(pair[0]) else pair[0])


def mean_over(values: Array) -> Array:
    """Mean over compressors of [C, 1 + B], leaving out those whose value on the data is unknown: [1 + B]."""
    usable = values[np.isfinite(values[:, 0])]
    if not len(usable):
        return np.full(values.shape[1], np.nan)
    known = np.isfinite(usable)
    with np.errstate(invalid="ignore"):
        return np.where(known, usable, 0.0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)


def finite(value: object) -> Any:  # noqa: ANN401 - what JSON has
    """A value as JSON can hold it: NaN and infinity become null, numbers keep six digits."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(f"{float(value):.6g}") if math.isfinite(value) else None
    return value
