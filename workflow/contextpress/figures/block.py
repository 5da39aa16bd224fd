"""The observations as the figures want them: the block of the claims, its bootstrap weights, and its counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from contextpress.analysis.bootstrap import Estimate, document_weights
from contextpress.analysis.findings import clusters
from contextpress.analysis.hypotheses import ClaimsSpec, DecoderEntropy, EncoderEntropy, Training
from contextpress.analysis.panel import Array, Panel, build_panel
from contextpress.figures.spec import Sample
from contextpress.figures.style import counted

UNUSED = "no compressor of the study uses its memory"


def block(
    observations: pd.DataFrame,
    sample: Sample,
    training: Training = "any",
    *,
    variant: str = "normal",
    unused: bool = False,
) -> Panel:
    """The passages x compressors of a figure; see ``build_panel``."""
    return build_panel(observations, as_claims(sample, variant=variant), training, unused=unused)


def as_claims(sample: Sample, measure: str = "token_f1", variant: str = "normal") -> ClaimsSpec:
    """The specification of the analysis room that takes the same observations and draws."""
    return ClaimsSpec(
        c1=EncoderEntropy(measure=measure),
        c2=DecoderEntropy(measure=measure),
        also_measures=(),
        draws=sample.draws,
        seed=sample.seed,
        cluster=sample.cluster,
        natural_only=sample.natural_only,
        variants=(variant,),
    )


def weights_of(panel: Panel, sample: Sample) -> Array:
    """Bootstrap weights [P, 1 + B] of the passages."""
    return document_weights(panel.documents, panel.slices, sample.draws, np.random.default_rng(sample.seed))


def mean(values: Array, weights: Array, columns: Sequence[int] | None = None) -> Estimate:
    """Mean of ``values`` [P, C], some of its columns or all, over passages and compressors."""
    chosen = values if columns is None else values[:, list(columns)]
    return Estimate.of(chosen.mean(1) @ weights / weights.sum(0))


def bar(estimate: Estimate) -> tuple[float, float]:
    """Lengths of an error bar below and above the estimate; 0 where there is no interval."""
    low, high = estimate.interval()
    if low is None or high is None:
        return 0.0, 0.0
    return max(estimate.value - low, 0.0), max(high - estimate.value, 0.0)


def bucket_axis(axes: Axes, buckets: int) -> None:
    """Ticks of an axis of entropy buckets, numbered from 1."""
    axes.set_xticks(range(1, buckets + 1), ["1\nlowest", *map(str, range(2, buckets)), f"{buckets}\nhighest"])


def counts(panel: Panel) -> str:
    """What a caption says of its sample."""
    compressors = panel.compressors
    pairs = len(compressors[["encoder", "decoder"]].drop_duplicates())
    return (
        f"{counted(len(panel.passages), 'passage')} of {counted(clusters(panel), 'document')} in "
        f"{counted(len(panel.domains), 'domain')}; {counted(len(compressors), 'compressor')} "
        f"({counted(pairs, 'pair')}, {counted(compressors['ratio'].nunique(), 'ratio')}, "
        f"{counted(compressors['seed'].nunique(), 'seed')})"
    )


def intervals(sample: Sample) -> str:
    """What a caption says of intervals of the bootstrap."""
    unit = "documents" if sample.cluster == "document_id" else "source files"
    return f"Intervals: 95 %, percentile bootstrap over {unit} within domain, {sample.draws:,} draws"
