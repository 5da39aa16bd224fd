"""Bootstrap over documents, and what is read off its draws: interval, p-value, equivalence.

Passages of one document are not independent, and every compressor is evaluated on the same passages. So documents
are drawn, within their domain, once per draw, and everything is computed again from that draw: an estimate is a
vector whose first entry is the value on the data and whose others are its values on the draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.panel import Array, Codes, Panel

NUMBERS = 400_000  # weights at a time: the ranks of every column that recurs are kept for as long
FEWEST = 0.95  # share of draws that must be computable


def document_weights(documents: Codes, slices: list[slice], draws: int, generator: np.random.Generator) -> Array:
    """Weights of the passages on the data and on each draw.

    Of a domain's n documents n - 1 are drawn with replacement and weighted by n / (n - 1): drawing n would make the
    variance too small by (n - 1) / n (Rao and Wu 1988, "Resampling inference with complex survey data", JASA 83).
    The only document of a domain always stays.

    Args:
        documents: [P] document of each passage.
        slices: passages of each domain.
        draws: number of draws B.
        generator: source of randomness.

    Returns:
        [P, 1 + B]; the first column is all ones.
    """
    weights = np.ones((len(documents), draws + 1))
    for rows in slices:
        names, local = np.unique(documents[rows], return_inverse=True)
        count = len(names)
        if count > 1:
            drawn = generator.multinomial(count - 1, np.full(count, 1 / count), size=draws) * (count / (count - 1))
            weights[rows, 1:] = drawn.T[local]
    return weights


def weights_of(panel: Panel, spec: ClaimsSpec) -> Array:
    """Weights [P, 1 + B] of a panel's passages: the same draws of documents for all claims of a family."""
    return document_weights(panel.documents, panel.slices, spec.draws, np.random.default_rng(spec.seed))


def chunks(weights: Array) -> Iterator[Array]:
    """The weights in contiguous blocks of columns, of at most NUMBERS numbers if a column has no more."""
    width = max(1, NUMBERS // max(1, len(weights)))
    for start in range(0, weights.shape[1], width):
        yield np.ascontiguousarray(weights[:, start : start + width])


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap draws.

    Attributes:
        value: the estimate on the data; NaN if it cannot be computed.
        draws: [B] the estimate on each draw.
    """

    value: float
    draws: Array

    @classmethod
    def of(cls, values: Array) -> Estimate:
        """From a vector [1 + B]: the data first, then the draws."""
        return cls(float(values[0]), values[1:])

    @property
    def known(self) -> bool:
        """Whether value and interval can be given."""
        return bool(np.isfinite(self.value) and np.isfinite(self.draws).mean() >= FEWEST)

    def interval(self, level: float = 0.95) -> tuple[float | None, float | None]:
        """Percentile interval, at places (B + 1) p of the ordered draws, so that it agrees with the p-values."""
        if not self.known:
            return None, None
        tail = (1 - level) / 2
        low, high = np.quantile(self.draws[np.isfinite(self.draws)], [tail, 1 - tail], method="weibull")
        return float(low), float(high)

    def p_two_sided(self) -> float | None:
        """P-value of "zero", by inverting the percentile interval: below 0.05 when the 95 % interval leaves out 0."""
        if not self.known:
            return None
        return min(1.0, 2 * min(self._share_at_most(0.0), self._share_at_least(0.0)))

    # One is added to both counts: a p-value from B draws is never below 1 / (B + 1) (Davison and Hinkley 1997, 4.2).
    def _share_at_most(self, bound: float) -> float:
        finite = self.draws[np.isfinite(self.draws)]
        return float((1 + np.sum(finite <= bound)) / (1 + len(finite)))

    def _share_at_least(self, bound: float) -> float:
        finite = self.draws[np.isfinite(self.draws)]
        return float((1 + np.sum(finite >= bound)) / (1 + len(finite)))

    def report(self) -> dict[str, object]:
        """Value, 95 % interval and p-value for a finding."""
        return {"value": self.value, "ci95": list(self.interval()), "p_value": self.p_two_sided()}
