"""What is predicted from a fitted predictor: quality of a passage before it is compressed, with an interval.

The fit itself is in ``predictor``; what stands here is all that its users need, and is read back from its finding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.special import expit

from contextpress.analysis.panel import Array
from contextpress.runtime.spec import Spec, Whole

LEVELS = (0.8, 0.9, 0.95)  # of the prediction intervals
SIDES: tuple[Literal["encoder", "decoder"], ...] = ("encoder", "decoder")
READOUT = "readout "
# What a term of the model is made of. Of an entropy the logarithm of one more: quality falls faster where entropy is
# low, and an entropy of zero has a place.
COLUMNS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "ln(1 + encoder_nll)": lambda rows: np.log1p(rows["encoder_nll"]),
    "ln(1 + decoder_nll)": lambda rows: np.log1p(rows["decoder_nll"]),
    "log2(ratio)": lambda rows: np.log2(rows["ratio"]),
    "gap_kl_encoder_decoder": lambda rows: rows["gap_kl_encoder_decoder"],
    "gap_entropy_difference": lambda rows: rows["gap_entropy_difference"],
    "log2(encoder_parameters)": lambda rows: np.log2(rows["encoder_parameters"]),
    "log2(decoder_parameters)": lambda rows: np.log2(rows["decoder_parameters"]),
}
RATIO, INTERCEPT = "log2(ratio)", "intercept"


class Term(Spec):
    """A term of the model."""

    name: str = Field(description="intercept, one of COLUMNS, or 'readout NAME' (1 for that read-out, else 0)")
    coefficient: float = Field(description="on the log-odds of quality")
    ci95: tuple[float | None, float | None] = Field(description="of documents (sandwich, clustered)")


class Band(Spec):
    """How far quality lies from its prediction, in units of sqrt(p (1 - p)), at one ratio."""

    ratio: Whole
    level: float = Field(description="share of the residuals between the two")
    low: float
    high: float


class Fitted(Spec):
    """The model of one measure: quality / scale = expit(sum of coefficient x term)."""

    measure: str
    scale: float = Field(description="highest value of the measure: 1, or 100 for BLEU and chrF")
    terms: tuple[Term, ...]
    bands: tuple[Band, ...]


class Seen(Spec):
    """A compressor of the fit, and between which values its inputs lay."""

    encoder: str
    decoder: str
    readout: str
    ratio: Whole
    seed: Whole
    encoder_model: str = Field(description="the language model itself, its folder in lm/")
    decoder_model: str
    gap_kl_encoder_decoder: float | None
    gap_entropy_difference: float
    encoder_parameters: float
    decoder_parameters: float
    encoder_nll: tuple[float, float] = Field(description="lowest and highest of its passages, nats per token")
    decoder_nll: tuple[float, float]
    surplus: tuple[float, float] = Field(description="decoder_nll - encoder_nll of the same passage")


class Predictor(Spec):
    """All that advice needs."""

    window: Whole = Field(description="tokens of every passage of the fit")
    seen: tuple[Seen, ...]
    measures: dict[str, Fitted]


def columns(rows: pd.DataFrame, names: Sequence[str]) -> Array:
    """[N, T] the terms of N rows; their columns are named as in the observations, and as in ``Seen``."""
    found: list[Array] = []
    for name in names:
        if name == INTERCEPT:
            found.append(np.ones(len(rows)))
        elif name.startswith(READOUT):
            found.append(np.asarray(rows["readout"] == name.removeprefix(READOUT), dtype=np.float64))
        else:
            found.append(np.asarray(COLUMNS[name](rows), dtype=np.float64))
    return np.column_stack(found)


def expected(fitted: Fitted, rows: pd.DataFrame) -> Array:
    """[N] predicted quality on the scale of the measure."""
    terms = columns(rows, [term.name for term in fitted.terms])
    return fitted.scale * expit(terms @ np.array([term.coefficient for term in fitted.terms]))


def interval(fitted: Fitted, predicted: Array, ratio: int, level: float) -> tuple[Array, Array]:
    """Lower and upper end [N] of the intervals of one level around predictions [N] at one ratio."""
    (band,) = (band for band in fitted.bands if (band.ratio, band.level) == (ratio, level))
    share = predicted / fitted.scale
    low, high = around(share, band.low, band.high)
    return fitted.scale * low, fitted.scale * high


def around(share: Array, low: Array | float, high: Array | float) -> tuple[Array, Array]:
    """The interval from ``low`` to ``high`` units of ``spread`` around a share, within 0 and 1."""
    unit = spread(share)
    return np.clip(share + low * unit, 0, 1), np.clip(share + high * unit, 0, 1)


def spread(share: Array) -> Array:
    """sqrt(p (1 - p)), by which the model takes residuals to scatter; never quite zero."""
    return np.sqrt(np.maximum(share * (1 - share), 1e-9))


def outside(value: Mapping[str, float], seen: Sequence[Seen]) -> str | None:
    """Which input of a passage lies outside what compressors were seen with, and where they were; None: none does."""
    names = {"encoder_nll": "encoder entropy", "decoder_nll": "decoder entropy", "surplus": "decoder less encoder"}
    for name, said in names.items():
        ranges = [getattr(one, name) for one in seen]
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        if not low <= value[name] <= high:
            return f"{said} {value[name]:.2f}, seen {low:.2f} to {high:.2f}"
    return None
