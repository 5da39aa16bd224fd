"""Estimates with two sources of error, documents and training runs, and what is read off them.

The error of documents comes from their bootstrap. What training adds cannot be resampled: percentiles of two or three
seeds are those of two or three numbers. It is a variance component, and the sum of the two is referred to Student's
distribution with the degrees of freedom of Satterthwaite (1946, Biometrics Bulletin 2).

Scatter between training runs holds the noise of documents too: each run misjudges other passages. The bootstrap says
how much of the scatter that is, and only what is beyond it is training; to add the whole scatter to the error of
documents would count that noise twice. What is beyond may be negative by chance and counts as zero then, so that the
test is on the safe side where training adds nothing; where it adds as much as in the default study it rejects 5 % of
true null hypotheses at a level of 5 % (see ``calibration``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from contextpress.analysis.bootstrap import FEWEST
from contextpress.analysis.panel import Array, Codes


@dataclass(frozen=True)
class Effect:
    """A number with a standard error.

    Attributes:
        value: the estimate on the data; NaN if it cannot be computed.
        error: its standard error; NaN if it cannot be known.
        freedom: degrees of freedom of the error.
        documents: the part of the error that comes from documents.
        training: the part that comes from training runs; 0 where the scatter of runs is explained by documents.
    """

    value: float
    error: float
    freedom: float
    documents: float = math.nan
    training: float = math.nan

    @property
    def known(self) -> bool:
        """Whether value and interval can be given."""
        return math.isfinite(self.value) and math.isfinite(self.error) and self.freedom > 0

    def interval(self, level: float = 0.95) -> tuple[float | None, float | None]:
        """Student's interval."""
        if not self.known:
            return None, None
        reach = float(special.stdtrit(self.freedom, (1 + level) / 2)) * self.error
        return self.value - reach, self.value + reach

    def p_two_sided(self) -> float | None:
        """P-value of "zero"."""
        below, above = self.p_below(0.0), self.p_above(0.0)
        return None if below is None or above is None else min(1.0, 2 * min(below, above))

    def p_equivalence(self, bound: float) -> float | None:
        """P-value of two one-sided tests of |effect| >= bound (Schuirmann 1987).

        Below alpha exactly when the interval of level 1 - 2 alpha lies within the bounds.
        """
        above, below = self.p_above(-bound), self.p_below(bound)
        return None if below is None or above is None else max(above, below)

    def p_below(self, bound: float) -> float | None:
        """One-sided p-value: small when the effect is shown to be below ``bound``."""
        if not self.known:
            return None
        if self.error == 0:
            return 0.0 if self.value < bound else 1.0
        return float(special.stdtr(self.freedom, (self.value - bound) / self.error))

    def p_above(self, bound: float) -> float | None:
        """One-sided p-value: small when the effect is shown to be above ``bound``."""
        return Effect(-self.value, self.error, self.freedom).p_below(-bound)

    def report(self) -> dict[str, object]:
        """Value, 95 % interval and p-value for a finding."""
        return {"value": self.value, "ci95": list(self.interval()), "p_value": self.p_two_sided()}

    def sources(self) -> dict[str, object]:
        """Where the error comes from, for a finding."""
        return {
            "standard_error": self.error,
            "of_documents": self.documents,
            "of_training": self.training,
            "degrees_of_freedom": self.freedom if self.known else None,
        }


UNKNOWN = Effect(math.nan, math.nan, 0.0)


@dataclass(frozen=True)
class Scatter:
    """A variance of an estimate, read off the scatter of training runs.

    Attributes:
        total: on the data; it holds the noise of documents too.
        documents: what documents alone make of it on average, from the bootstrap.
        freedom: degrees of freedom of ``total``.
    """

    total: float
    documents: float
    freedom: float


def combine(values: Array, scatter: Scatter | None, document_freedom: float) -> Effect:
    """Put the error of documents and the scatter of training runs together.

    Args:
        values: [1 + B] the estimate on the data and on the draws of documents.
        scatter: None if training runs are held fixed.
        document_freedom: degrees of freedom of the error of documents: their number less that of the domains.
    """
    draws = values[1:][np.isfinite(values[1:])]
    if not math.isfinite(values[0]) or len(draws) < max(2, FEWEST * (len(values) - 1)) or document_freedom <= 0:
        return Effect(float(values[0]), math.nan, 0.0)
    documents = float(draws.var(ddof=1))
    training, uncertain = 0.0, documents**2 / document_freedom
    if scatter is not None and scatter.total > scatter.documents:
        training = scatter.total - scatter.documents
        uncertain += scatter.total**2 / scatter.freedom
    total = documents + training
    freedom = total**2 / uncertain if uncertain > 0 else document_freedom
    return Effect(float(values[0]), math.sqrt(total), freedom, math.sqrt(documents), math.sqrt(training))


def scatter_of_runs(values: Array, compressors: pd.DataFrame) -> Scatter | None:
    """The scatter of training runs as a variance of the mean over compressors.

    The seeds of a pair scatter because its encoder, its decoder and the pair itself were trained anew. Compressors of
    one encoder run share its luck, so the mean's variance is that of encoder runs, plus that of decoder runs, less
    that of pairs, which both of them hold (the two-way cluster variance of Cameron, Gelbach and Miller 2011, J.
    Business & Economic Statistics 29). Each is the scatter of means around their own model's mean over seeds, over
    the number of means. Settings (read-outs, ratios) are averaged before.

    Args:
        values: [C, 1 + B] an estimate per compressor, on the data and on the draws.
        compressors: C rows with encoder, decoder or both, and seed.

    Returns:
        None with one seed.
    """
    usable = np.isfinite(values[:, 0])
    sides = list(compressors.columns.intersection(["encoder", "decoder"]))
    known = np.where(np.isfinite(values[usable]), values[usable], values[usable, :1])
    if not len(known):
        return None
    numbers = {name: _numbers(compressors.loc[usable, name].to_numpy()) for name in [*sides, "seed"]}
    noise = known[:, 1:] - known[:, :1]
    # What documents make of a sum of squares follows from the covariances of the compressors' draws.
    drawn = noise @ noise.T / noise.shape[1] if noise.shape[1] else np.zeros((len(known), len(known)))
    parts = [_around(known[:, 0], drawn, numbers[side], numbers["seed"]) for side in sides]
    if any(part is None for part in parts):
        return None
    found = [part for part in parts if part is not None]
    total, documents = sum(part.total for part in found), sum(part.documents for part in found)
    uncertain = sum(part.total**2 / part.freedom for part in found)
    if len(sides) == 2:
        pairs = _around(known[:, 0], drawn, _both(*(numbers[side] for side in sides)), numbers["seed"])
        if pairs is not None:
            total, documents = total - pairs.total, documents - pairs.documents
    return Scatter(total, documents, total**2 / uncertain if uncertain > 0 else found[0].freedom)


def of_seeds(values: Sequence[Array]) -> Scatter | None:
    """The scatter of the seeds' own estimates [1 + B] as a variance of their mean; None with one seed."""
    if len(values) < 2:
        return None
    stacked = np.array(values)
    noise = stacked[:, 1:] - stacked[:, :1]
    of_documents = float(noise.var(axis=0, ddof=1).mean()) / len(values)
    return Scatter(float(stacked[:, 0].var(ddof=1)) / len(values), of_documents, float(len(values) - 1))


def _around(values: Array, drawn: Array, owners: Codes, seeds: Codes) -> Scatter | None:
    """Scatter of the means of each owner and seed around the owner's mean, over the number of means.

    Args:
        values: [C] on the data.
        drawn: [C, C] mean products of the changes that draws of documents make.
        owners: [C] number of the model, or pair of models, that a compressor belongs to.
        seeds: [C].
    """
    runs = _both(owners, seeds)
    _, first = np.unique(runs, return_index=True)
    freedom = len(first) - len(np.unique(owners))
    if freedom <= 0:
        return None
    means = _mean_by(runs)
    around = means - (_mean_by(_numbers(owners[first])) @ means)[_numbers(owners[first])]
    scale = freedom * len(first)
    total = float(np.square(around @ values).sum())
    return Scatter(total / scale, float(((around @ drawn) * around).sum()) / scale, float(freedom))


def _numbers(labels: npt.NDArray[Any]) -> Codes:
    """Labels as numbers from 0."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _both(one: Codes, two: Codes) -> Codes:
    """Numbers from 0 of the combinations of two."""
    return _numbers(one * (two.max() + 1) + two)


def _mean_by(codes: Codes) -> Array:
    """[G, n] matrix that averages the members of each group."""
    member = np.equal.outer(np.arange(codes.max() + 1), codes).astype(np.float64)
    return member / member.sum(1, keepdims=True)


def over_pairs(values: Array, compressors: pd.DataFrame) -> Effect:
    """The mean over compressors, generalised to other encoders and decoders than those of the study.

    Encoders and decoders are crossed random effects: the variance is that of encoder means, plus that of decoder
    means, less that of pairs, and holds seeds and documents, which differ between them as well; the error of
    documents that all share is added. With three encoders this is an interval of few degrees of freedom.

    Args:
        values: [C, 1 + B].
        compressors: C rows with encoder and decoder.
    """
    usable = np.isfinite(values[:, 0])
    frame, known = compressors.loc[usable].reset_index(drop=True), values[usable, 0]
    whole = mean_over(values)
    if frame["encoder"].nunique() < 2 or frame["decoder"].nunique() < 2:
        return Effect(float(whole[0]), math.nan, 0.0)
    parts = []
    for keys in (["encoder"], ["decoder"], ["encoder", "decoder"]):
        means = pd.Series(known).groupby([frame[key] for key in keys]).mean()
        parts.append((means.var(ddof=1) / len(means), len(means) - 1))
    (one, free_one), (two, free_two), (both, _) = parts
    draws = whole[1:][np.isfinite(whole[1:])]
    total = max(one + two - both, one, two) + (draws.var(ddof=1) if len(draws) > 1 else math.nan)
    freedom = total**2 / (one**2 / free_one + two**2 / free_two) if one + two > 0 else 0.0
    return Effect(float(whole[0]), math.sqrt(total), freedom)


def mean_over(values: Array) -> Array:
    """Mean over compressors of [C, 1 + B], leaving out those whose value on the data is unknown: [1 + B]."""
    usable = values[np.isfinite(values[:, 0])]
    if not len(usable):
        return np.full(values.shape[1], np.nan)
    known = np.isfinite(usable)
    with np.errstate(invalid="ignore"):
        return np.where(known, usable, 0.0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
