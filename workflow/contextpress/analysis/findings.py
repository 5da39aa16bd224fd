"""What a test of a claim hands on: effect, p-value, counts, details, and the rule of its verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import Effect, combine, mean_over, scatter_of_runs
from contextpress.analysis.panel import Array, Panel

Verdict = Literal["supported", "contradicted", "inconclusive"]
# From a p-value of this claim to the same p-value corrected for the rest of the family.
Adjust = Callable[[float | None], float | None]
Judge = Callable[[Adjust, float], tuple[Verdict, str]]


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
    effect: Effect
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


def document_freedom(panel: Panel) -> float:
    """Degrees of freedom of what is averaged over documents within domain."""
    return float(clusters(panel) - len(panel.slices))


def over_runs(panel: Panel, values: Array) -> Effect:
    """Mean over compressors of [C, 1 + B], with the errors of documents and of training runs."""
    return combine(mean_over(values), scatter_of_runs(values, panel.compressors), document_freedom(panel))


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


def by_seed(panel: Panel, values: Array) -> dict[str, float]:
    """Mean over the compressors [C, 1 + B] of each seed, on the data."""
    seeds = panel.compressors["seed"].to_numpy()
    return {str(seed): float(mean_over(values[seeds == seed])[0]) for seed in np.unique(seeds)}


def spread(values: Array) -> dict[str, object]:
    """How an estimate [C] differs between compressors."""
    known = values[np.isfinite(values)]
    if not len(known):
        return {"known": 0}
    return {
        "known": len(known),
        "lowest": known.min(),
        "highest": known.max(),
        "standard_deviation": known.std(ddof=1) if len(known) > 1 else math.nan,
        "share_negative": float((known < 0).mean()),
    }


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
