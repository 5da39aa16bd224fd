"""A predictor of quality from what is known before compressing: entropies, gap of the pair, ratio, sizes.

Fractional logit (Papke and Wooldridge 1996, J. Applied Econometrics 11): quality between 0 and 1 is modelled as
expit(b x) by the binomial quasi-likelihood, which needs only the mean to be right and takes residuals to scatter by
sqrt(p (1 - p)). The ratio enters by its logarithm, so that the prediction is monotone in it.

Prediction intervals are split-conformal (Vovk, Gammerman and Shafer 2005; Lei and others 2018, JASA 113): quantiles of
the residuals, in units of sqrt(p (1 - p)) and ratio by ratio, on documents that the model was not fitted to. They are
validated on what neither the fit nor the quantiles have seen: other documents, other pairs, other domains.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from contextpress.analysis.findings import clusters, finite, sample, too_little
from contextpress.analysis.panel import Array, Codes, Panel, build_panel
from contextpress.analysis.prediction import (
    COLUMNS,
    INTERCEPT,
    LEVELS,
    RATIO,
    READOUT,
    SIDES,
    Band,
    Fitted,
    Predictor,
    Seen,
    Term,
    around,
    columns,
    spread,
)
from contextpress.analysis.spec import PredictorSpec
from contextpress.runtime import seals
from contextpress.runtime.files import reading

SCALES = dict.fromkeys(
    ("token_f1", "accuracy", "rouge_l", "prefix_match", "exact_match", "edit_similarity"), 1.0
) | dict.fromkeys(("bleu", "chrf"), 100.0)
FOLDS = 5  # of documents
MOST_GROUPS = 20  # pairs are left out one by one up to here, in so many groups of pairs beyond
FEWEST_GROUPS = 3  # pairs or domains; with fewer, what is left says nothing of the one left out
GAP, PAIRS_PER_GAP = "gap_", 2  # terms that are told by pairs, and how many of these each needs beside two
TENTHS = 10
COVERED = 0.02  # how far a coverage may be from its level
AIMED = 0.05  # how far the mean of a tenth may be from its prediction
QUESTION = "How well will a passage be reconstructed, by what is known of it and of the compressor before?"
RULE = (
    f"Calibrated: on held-out documents the share of qualities within the prediction intervals of each level "
    f"({', '.join(f'{level:g}' for level in LEVELS)}) differs from it by at most {COVERED}, and in every tenth of the "
    f"predictions the mean quality differs from the mean prediction by at most {AIMED} of the scale. Held-out pairs "
    "and domains are held against the same rule and decide nothing."
)
NOTE = (
    "Fractional logit, by statsmodels; intervals of coefficients are of documents, the trained models taken as they "
    "are. The gap terms rest on as many values as there are pairs and seeds, so that one needs "
    f"{2 + PAIRS_PER_GAP} pairs, two {2 + 2 * PAIRS_PER_GAP}. An interval is for one passage under one "
    "compressor. Held out are a fifth of the documents at a time, every pair in all its seeds (beyond "
    f"{MOST_GROUPS} pairs, as many groups of them), every domain; where pairs or domains are fewer than "
    f"{FEWEST_GROUPS}, they are not. Of what is not held out, one fifth of the documents sets the intervals and the "
    "others the model. For use, the model is fitted to all documents, and the residuals of held-out documents set the "
    "intervals. Text of another kind than the study's is an extrapolation even where its entropy is within the range; "
    "held-out domains show what that costs. R2 is of all passages and compressors, r2_within_ratio what remains of it "
    "against the mean of each ratio; below is the share of qualities under the lower end."
)
TABLE = [
    *("measure", "validation", "level", "coverage", "below", "width", "r2", "r2_within_ratio"),
    *("n", "clusters", "groups"),
]
# What a passage brings; its ends are kept of every compressor.
INPUTS = ("encoder_nll", "decoder_nll", "surplus")


@dataclass(frozen=True)
class Rows:
    """One row for each passage and compressor of a panel, compressors one after the other.

    Attributes:
        inputs: N rows with the columns that terms are made of, and names.
        documents: [N] number of the document (or source file).
        folds: [N] fold of the document.
    """

    inputs: pd.DataFrame
    documents: Codes
    folds: Codes

    @classmethod
    def of(cls, panel: Panel, sizes: dict[str, int], spec: PredictorSpec) -> Rows:
        """From a panel and the number of parameters of every language model."""
        size, compressors = len(panel.passages), panel.compressors
        names = ["encoder", "decoder", "readout", "ratio", "seed", "gap_kl_encoder_decoder", "gap_entropy_difference"]
        inputs = compressors.loc[np.repeat(compressors.index, size), names].reset_index(drop=True)
        models = spec.models()
        for side in SIDES:
            inputs[f"{side}_nll"] = panel.values(f"{side}_nll").T.ravel()
            named = [
                models[side, name, seed] for name, seed in zip(compressors[side], compressors["seed"], strict=True)
            ]
            inputs[f"{side}_model"] = np.repeat(named, size)
            inputs[f"{side}_parameters"] = np.repeat([sizes[name] for name in named], size)
        inputs["surplus"] = inputs["decoder_nll"] - inputs["encoder_nll"]
        inputs["domain"] = np.tile(panel.passages["domain"].to_numpy(), len(compressors))
        order = np.random.default_rng(spec.claims.seed).permutation(clusters(panel))
        documents = np.tile(panel.documents, len(compressors))
        return cls(inputs, documents, order[documents] % FOLDS)

    def groups(self) -> dict[str, Codes]:
        """What is held out together, by validation: [N] numbers of groups."""
        pairs = self.inputs.groupby(["encoder", "decoder"], sort=True).ngroup().to_numpy() % MOST_GROUPS
        domains = self.inputs.groupby("domain", sort=True).ngroup().to_numpy()
        found = {"documents": self.folds} | {
            name: codes
            for name, codes in (("pairs", pairs), ("domains", domains))
            if len(np.unique(codes)) >= FEWEST_GROUPS
        }
        return {name: codes.astype(np.int64) for name, codes in found.items()}


@dataclass(frozen=True)
class HeldOut:
    """Predictions of rows that had no part in them.

    Attributes:
        predicted: [N] share.
        low: [L, N] lower ends of the intervals of each level.
        high: [L, N].
    """

    predicted: Array
    low: Array
    high: Array


def predictor(
    observations: pd.DataFrame, sizes: dict[str, int], spec: PredictorSpec
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Fit and validate the predictor of every measure that has a highest value; the first one decides.

    Args:
        observations: table with the schema OBSERVATIONS.
        sizes: parameters of every language model, by its folder's name.
        spec: what is predicted, from which passages.

    Returns:
        The finding, and the table of validations with the columns TABLE.
    """
    panel = build_panel(observations, spec.claims)
    reason = _too_little(panel, spec)
    model, within, table = None, None, pd.DataFrame(columns=TABLE)
    judged: dict[str, Any] = {}
    if reason is None:
        rows, fitted = Rows.of(panel, sizes, spec), {}
        groups, ratios = rows.groups(), rows.inputs["ratio"]
        for measure in (name for name in spec.measures if name in SCALES):
            share = panel.values(measure).T.ravel() / SCALES[measure]
            if np.ptp(share) > 0:
                names = terms_of(rows, share)
                held = {name: held_out(rows, names, share, codes) for name, codes in groups.items()}
                fitted[measure] = _fitted(measure, rows, names, share, held["documents"].predicted)
                judged[measure] = {name: _judged(share, ratios, one, SCALES[measure]) for name, one in held.items()}
        model = Predictor(window=int(panel.passages["tokens"].iloc[0]), seen=seen(rows), measures=fitted).model_dump()
        within, table = ranges(rows), _table(judged, groups, clusters(panel))
    finding = {
        "question": QUESTION,
        "answer": "no predictor" if reason else _answer(judged[spec.measures[0]]),
        "reason": reason,
        "measure": spec.measures[0],
        "n": len(panel.passages) * len(panel.compressors),
        "clusters": clusters(panel),
        "rule": RULE,
        "note": NOTE,
        "sample": sample(panel),
        "validation": judged,
        "ranges": within,
        "predictor": model,
    }
    return finite(finding), table


def _too_little(panel: Panel, spec: PredictorSpec) -> str | None:
    """Why nothing can be predicted, or None."""
    measure = spec.measures[0]
    if measure not in SCALES:
        return f"{measure} has no lowest and highest value; predicted are {', '.join(SCALES)}"
    reason = too_little(panel, spec.claims)
    if reason is None and clusters(panel) < 2 * FOLDS:
        reason = f"{clusters(panel)} documents; at least {2 * FOLDS} are needed to hold some out"
    if reason is None and np.ptp(panel.passages["tokens"]) > 0:
        reason = "the passages differ in length"
    if reason is None and np.ptp(panel.values(measure)) == 0:
        reason = f"{measure} does not vary"
    return reason


def _answer(judged: dict[str, Any]) -> str:
    return "calibrated" if judged["documents"]["calibrated"] else "not calibrated"


def parameters(weights: Path) -> int:
    """How many numbers a safetensors file holds, by its header.

    Raises:
        UserError: see ``reading``.
    """
    with reading(weights, "safetensors"), weights.open("rb") as handle:
        header = seals.header_of(handle)
        return sum(math.prod(told["shape"]) for name, told in header.items() if name != seals.METADATA)


def terms_of(rows: Rows, share: Array) -> list[str]:
    """The terms that vary and can be told apart, the earlier before the later; the ratio if quality falls with it.

    Of those of a gap so many that some pairs are left to contradict them: else a pair is extrapolated without a limit.
    """
    readouts = [READOUT + name for name in sorted(set(rows.inputs["readout"]))[1:]]
    pairs = len(rows.inputs[["encoder", "decoder"]].drop_duplicates())
    names = [INTERCEPT]
    for name in [*COLUMNS, *readouts]:
        gaps = sum(other.startswith(GAP) for other in [*names, name])
        if name.startswith(GAP) and pairs < 2 + PAIRS_PER_GAP * gaps:
            continue
        tried = columns(rows.inputs, [*names, name])
        if np.isfinite(tried).all():
            scale = np.linalg.norm(tried, axis=0)
            scaled = tried / np.where(scale > 0, scale, 1)
            if np.linalg.eigvalsh(scaled.T @ scaled)[0] > 1e-9:
                names.append(name)
    if RATIO in names and fit(columns(rows.inputs, names), share)[names.index(RATIO)] > 0:
        names.remove(RATIO)
    return names


def fit(terms: Array, share: Array) -> Array:
    """Coefficients [T] of the fractional logit of shares [N] on terms [N, T]."""
    return np.asarray(_model(terms, share).params)


def _model(terms: Array, share: Array, **options: Any) -> Any:  # noqa: ANN401 - of statsmodels
    # Slow to import, and needed by this step alone.
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # perfect separation: it predicts 0 or 1 then, as it should
        return GLM(share, terms, family=Binomial()).fit(**options)


def held_out(rows: Rows, names: list[str], share: Array, groups: Codes) -> HeldOut:
    """Predict every group of rows from the others: of their documents, one fold sets intervals, the rest the model."""
    terms, ratios = columns(rows.inputs, names), rows.inputs["ratio"].to_numpy()
    predicted, ends = np.full(len(share), np.nan), np.full((2, len(LEVELS), len(share)), np.nan)
    for place, group in enumerate(np.unique(groups)):
        tested, setting = groups == group, rows.folds == (place + 1) % FOLDS
        used = ~tested & ~setting
        guess = expit(terms @ fit(terms[used], share[used]))
        predicted[tested] = guess[tested]
        for ratio, level, low, high in _bands(ratios, share, guess, ~tested & setting):
            where = tested & (ratios == ratio)
            ends[:, LEVELS.index(level), where] = around(guess[where], low, high)
    return HeldOut(predicted, ends[0], ends[1])


def _bands(
    ratios: Codes, share: Array, predicted: Array, where: npt.NDArray[np.bool_]
) -> Iterator[tuple[int, float, float, float]]:
    """Ratio, level, and the quantiles of the residuals in units of their spread, of some rows."""
    for ratio in np.unique(ratios):
        here = where & (ratios == ratio)
        residuals = (share[here] - predicted[here]) / spread(predicted[here])
        for level in LEVELS:
            low, high = np.quantile(residuals, [(1 - level) / 2, (1 + level) / 2], method="weibull")
            yield int(ratio), level, float(low), float(high)


def _fitted(measure: str, rows: Rows, names: list[str], share: Array, predicted: Array) -> Fitted:
    terms = columns(rows.inputs, names)
    model = _model(terms, share, cov_type="cluster", cov_kwds={"groups": rows.documents})
    ends = finite(np.asarray(model.conf_int()).tolist())
    everywhere = np.ones(len(share), dtype=bool)
    return Fitted(
        measure=measure,
        scale=SCALES[measure],
        terms=tuple(
            Term(name=name, coefficient=float(value), ci95=tuple(pair))
            for name, value, pair in zip(names, model.params, ends, strict=True)
        ),
        bands=tuple(
            Band(ratio=ratio, level=level, low=low, high=high)
            for ratio, level, low, high in _bands(rows.inputs["ratio"].to_numpy(), share, predicted, everywhere)
        ),
    )


def _judged(share: Array, ratios: pd.Series, held: HeldOut, scale: float) -> dict[str, Any]:
    """R2, intervals, the tenths of the predictions from the lowest to the highest, and whether RULE holds."""
    error = ((share - held.predicted) ** 2).sum()
    of_ratio = pd.Series(share).groupby(ratios.to_numpy()).transform("mean").to_numpy()
    order = np.argsort(held.predicted, kind="stable")
    tenths = [
        {
            "predicted": scale * held.predicted[part].mean(),
            "observed": scale * share[part].mean(),
            "observed_p10": scale * np.quantile(share[part], 0.1),
            "observed_p90": scale * np.quantile(share[part], 0.9),
            "interval80": [scale * held.low[0, part].mean(), scale * held.high[0, part].mean()],
            "n": len(part),
        }
        for part in np.array_split(order, TENTHS)
    ]
    levels = [
        {
            "level": level,
            "coverage": ((low <= share) & (share <= high)).mean(),
            "below": (share < low).mean(),
            "width": scale * (high - low).mean(),
        }
        for level, low, high in zip(LEVELS, held.low, held.high, strict=True)
    ]
    covered = all(abs(one["coverage"] - one["level"]) <= COVERED for one in levels)
    aimed = all(abs(one["observed"] - one["predicted"]) <= scale * AIMED for one in tenths)
    return {
        "calibrated": covered and aimed,
        "r2": 1 - error / ((share - share.mean()) ** 2).sum(),
        "r2_within_ratio": 1 - error / ((share - of_ratio) ** 2).sum(),
        "n": len(share),
        "levels": levels,
        "tenths": tenths,
    }


def _table(judged: dict[str, Any], groups: dict[str, Codes], documents: int) -> pd.DataFrame:
    """One row for each measure, validation and level."""
    lines = [
        {"measure": measure, "validation": name, "clusters": documents, "groups": len(np.unique(groups[name]))}
        | {**level, "r2": one["r2"], "r2_within_ratio": one["r2_within_ratio"], "n": one["n"]}
        for measure, validations in judged.items()
        for name, one in validations.items()
        for level in one["levels"]
    ]
    return pd.DataFrame(lines)[TABLE]


def seen(rows: Rows) -> tuple[Seen, ...]:
    """Every compressor of the fit, with the ends of its inputs."""
    own = [name for name in Seen.model_fields if name not in INPUTS]
    found = []
    for _, part in rows.inputs.groupby(["encoder", "decoder", "readout", "ratio", "seed"], sort=True):
        values: dict[str, Any] = {name: part[name].iloc[0] for name in own}
        if pd.isna(values["gap_kl_encoder_decoder"]):
            values["gap_kl_encoder_decoder"] = None
        found.append(Seen(**values, **{name: _ends(part[name]) for name in INPUTS}))
    return tuple(found)


def ranges(rows: Rows) -> dict[str, dict[str, dict[str, tuple[float, float]]]]:
    """Lowest and highest value of every input, by ratio, encoder, decoder and domain."""
    named = [*INPUTS, "gap_kl_encoder_decoder", "gap_entropy_difference", *(f"{side}_parameters" for side in SIDES)]
    return {
        by: {
            str(value): {name: _ends(part[name]) for name in ["ratio", *named]}
            for value, part in rows.inputs.groupby(by, sort=True)
        }
        for by in ("ratio", "encoder", "decoder", "domain")
    }


def _ends(values: pd.Series) -> tuple[float, float]:
    return float(values.min()), float(values.max())
