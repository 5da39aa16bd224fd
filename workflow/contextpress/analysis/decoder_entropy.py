"""C2: with the decoder frozen, is the entropy the decoder sees unrelated to quality?

Three looks at the same question, from weak to strong:

1. the marginal correlation, which C1 alone makes negative, since what is hard for one model is hard for another;
2. the partial correlation given the encoder's entropy, length and domain;
3. the decoder-swap design: one encoder and one passage, read by several decoders. Passage effects remove everything
   that belongs to the text, known or not; decoder effects (within domain) remove what makes a decoder better in
   general. What is left is whether a decoder does worse on the passages that surprise this decoder in particular.

"Not significant" is no evidence of "no relationship": the claim is supported only by equivalence, the interval of the
partial correlation AND that of the swap design within declared bounds. Where the encoder's entropy is a noisy measure
of difficulty the partial correlation keeps a remainder of it (Westfall and Yarkoni 2016, PLOS ONE 11(3)); the swap
design does not, so a difference must show in it as well before it counts against the claim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis import correlation
from contextpress.analysis.bootstrap import Estimate, document_weights
from contextpress.analysis.encoder_entropy import by_seed, spread
from contextpress.analysis.findings import (
    UNKNOWN,
    Adjust,
    Result,
    Verdict,
    clusters,
    mean_over,
    sample,
    too_little,
    training_error,
)
from contextpress.analysis.hypotheses import COUPLED, ClaimsSpec
from contextpress.analysis.panel import COMPRESSOR, SETTING, Array, Panel, build_panel
from contextpress.analysis.ranked import Ranked, rank_correlations, varying

RULE = (
    "supported: both the partial correlation (given the controls, within domain) and the correlation of the "
    "decoder-swap design are shown to lie within the bounds (two one-sided tests each; the p-value is the larger, "
    "corrected for the family). contradicted: the partial correlation differs from zero (p-value corrected in the "
    "same way), its estimate lies beyond a bound, and the swap design differs from zero in the same direction. "
    "Otherwise, or with too little data or a single decoder, inconclusive."
)
EFFECT = "partial Spearman correlation of {predictor} with {measure} given {controls} and domain, mean over compressors"
SWAP = ["encoder", *SETTING, "seed"]


def assess_decoder_entropy(observations: pd.DataFrame, spec: ClaimsSpec) -> Result:
    """Test C2 on the observations; see RULE for the verdict."""
    hypothesis = spec.c2
    panel = build_panel(observations, spec, hypothesis.decoder_training)
    reason = too_little(panel, spec)
    effect, swap = UNKNOWN, UNKNOWN
    details: dict[str, Any] = {"sample": sample(panel)}
    table = pd.DataFrame(columns=TABLE)
    if not panel.compressors.empty:
        generator = np.random.default_rng(spec.seed)
        weights = document_weights(panel.documents, panel.slices, spec.draws, generator)
        predictor, quality = panel.values(hypothesis.predictor), panel.quality(hypothesis.measure)
        controls = varying(panel, [_control(panel, name) for name in hypothesis.controls])
        ranked = rank_correlations(panel, weights, predictor, quality, controls, pooled=True)
        adjusted = ranked.partial if controls else ranked.within
        error, freedom = training_error(adjusted[:, 0], panel.compressors)
        effect = Estimate.of(mean_over(adjusted)).widened(error, freedom, generator)
        swapped = decoder_swap(panel, weights, predictor, quality, per_domain=True)
        overall = decoder_swap(panel, weights, predictor, quality, per_domain=False)
        details |= {
            "marginal": Estimate.of(mean_over(ranked.within)).report(),
            "marginal_pooled": Estimate.of(mean_over(ranked.pooled)).report(),
            "collinearity": _collinearity(panel, weights, predictor),
            "seeds": by_seed(panel, adjusted),
            "between_compressors": spread(adjusted[:, 0]),
            "training_error": {"standard_error": error, "degrees_of_freedom": freedom},
            "other_measures": _other_measures(panel, weights, predictor, controls, spec),
        }
        if swapped is not None and overall is not None:
            swap_error = training_error(swapped.correlation[:, 0], swapped.blocks)
            swap = Estimate.of(mean_over(swapped.correlation)).widened(*swap_error, generator)
            details["swap"] = {
                **swap.report(),
                "ci90": list(swap.interval(0.9)),
                "p_equivalence": swap.p_equivalence(hypothesis.smallest_effect),
                "slope": Estimate.of(mean_over(swapped.slope)).report(),
                "decoder_effects_over_all_domains": Estimate.of(mean_over(overall.correlation)).report(),
                "blocks": len(swapped.blocks),
            }
        table = _table(panel, ranked, effect, swapped, swap)
        if reason is None and not effect.known:
            reason = f"{hypothesis.predictor} does not vary beyond the controls, or {hypothesis.measure} is constant"
        elif reason is None and not swap.known:
            reason = "one decoder per encoder: the decoder-swap design needs at least two"
    parts = [estimate.p_equivalence(hypothesis.smallest_effect) for estimate in (effect, swap)]
    known = [part for part in parts if part is not None]
    # Both must be shown: the larger p-value of the two is a test of the union (Berger 1982, Technometrics 24).
    p_value = max(known) if len(known) == len(parts) else None

    def judge(adjust: Adjust, alpha: float) -> tuple[Verdict, str]:
        if reason is not None:
            return "inconclusive", reason
        return _judge(effect, swap, p_value, adjust, alpha, hypothesis.smallest_effect)

    details |= {
        "bounds": [-hypothesis.smallest_effect, hypothesis.smallest_effect],
        "ci90": list(effect.interval(0.9)),
        "p_difference": effect.p_two_sided(),
        "p_value_is": "of two one-sided tests: small when the correlation is shown to be small",
    }
    return Result(
        claim="C2",
        statement=hypothesis.statement,
        effect_name=EFFECT.format(
            predictor=hypothesis.predictor, measure=hypothesis.measure, controls=", ".join(hypothesis.controls)
        ),
        effect=effect,
        p_value=p_value,
        rows=len(panel.passages) * len(panel.compressors),
        clusters=clusters(panel),
        rule=RULE,
        judge=judge,
        details=details,
        tables={"c2": table},
    )


def _judge(
    effect: Estimate, swap: Estimate, p_value: float | None, adjust: Adjust, alpha: float, bound: float
) -> tuple[Verdict, str]:
    equivalent, differs = adjust(p_value), adjust(effect.p_two_sided())
    swap_differs = swap.p_two_sided()
    if equivalent is not None and equivalent < alpha:
        return "supported", f"partial and swap correlation are both shown to be smaller than {bound:g}"
    if differs is not None and differs < alpha and abs(effect.value) >= bound:
        if swap_differs is not None and swap_differs < alpha and swap.value * effect.value > 0:
            return "contradicted", "quality varies with decoder entropy, in the partial and in the swap design"
        return "inconclusive", "the partial correlation differs from zero, the decoder-swap design does not agree"
    return "inconclusive", f"neither a relationship nor its absence within {bound:g} is shown"


class Swap:
    """Decoder-swap estimates per block (one encoder, setting and seed); the last axis is 1 + B."""

    def __init__(self, blocks: pd.DataFrame, correlation_: Array, slope: Array) -> None:
        self.blocks, self.correlation, self.slope = blocks, correlation_, slope


def decoder_swap(panel: Panel, weights: Array, predictor: Array, quality: Array, *, per_domain: bool) -> Swap | None:
    """Regress quality on decoder entropy with passage and decoder effects, within one encoder, setting and seed.

    Both variables are demeaned over decoders within each passage, then over passages within each decoder (and domain);
    as every passage meets every decoder, that is the two-way within transformation, and the slope is the
    least-squares slope with a dummy per passage and per decoder (Wooldridge 2010, ch. 10).

    Args:
        panel: P passages, C compressors.
        weights: [P, 1 + B].
        predictor: [P, C] decoder entropy.
        quality: [P, C].
        per_domain: let a decoder be better in one domain than in another.

    Returns:
        Correlation of the residuals and slope (quality per unit of entropy), [blocks, 1 + B] each; None if no block
        has two decoders.
    """
    kept, correlations, slopes = [], [], []
    regions = panel.slices if per_domain else [slice(0, len(panel.passages))]
    for key, members in panel.compressors.groupby(SWAP, sort=True):
        index = members.index.to_numpy()
        if len(index) < 2:
            continue
        x, y = (values[:, index] - values[:, index].mean(1, keepdims=True) for values in (predictor, quality))
        sums = np.zeros((3, weights.shape[1]))
        for rows in regions:
            turned = weights[rows].T
            total = turned.sum(1)
            for place, (one, two) in enumerate(((x, y), (x, x), (y, y))):
                product = turned @ (one[rows] * two[rows]).sum(1)
                sums[place] += product - ((turned @ one[rows]) * (turned @ two[rows])).sum(1) / total
        kept.append(key)
        correlations.append(correlation.ratio(*sums))
        with np.errstate(invalid="ignore", divide="ignore"):
            slopes.append(np.where(sums[1] > 1e-15, sums[0] / np.where(sums[1] > 0, sums[1], 1.0), np.nan))
    if not kept:
        return None
    return Swap(pd.DataFrame(kept, columns=SWAP), np.array(correlations), np.array(slopes))


def _control(panel: Panel, name: str) -> Array:
    if name == "encoder_nll":
        return panel.values(name)
    return np.repeat(panel.per_passage(name)[:, None], len(panel.compressors), axis=1)


def _collinearity(panel: Panel, weights: Array, predictor: Array) -> dict[str, object]:
    """Within-domain rank correlation of the two entropies, and the variance inflation it causes (on the data)."""
    ranked = rank_correlations(panel, weights, predictor, panel.values("encoder_nll"))
    values = ranked.within[:, 0]
    squared = float(np.nanmean(values**2)) if np.isfinite(values).any() else np.nan
    inflation = 1 / (1 - squared) if squared < 1 else np.nan
    return {**Estimate.of(mean_over(ranked.within)).report(), "variance_inflation": inflation, **spread(values)}


def _other_measures(
    panel: Panel, weights: Array, predictor: Array, controls: list[Array], spec: ClaimsSpec
) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for measure in spec.also_measures:
        if measure not in (spec.c2.measure, *COUPLED):
            ranked = rank_correlations(panel, weights, predictor, panel.quality(measure), controls)
            values = ranked.partial if controls else ranked.within
            found[measure] = Estimate.of(mean_over(values)).report()
    return found


TABLE = [*COMPRESSOR, "design", "estimate", "ci95_low", "ci95_high", "ci90_low", "ci90_high", "p_value", "passages"]


def _table(panel: Panel, ranked: Ranked, effect: Estimate, swapped: Swap | None, swap: Estimate) -> pd.DataFrame:
    """Per compressor: marginal, marginal_pooled, partial; per encoder block: swap (decoder "all"); then the means."""
    rows: list[list[object]] = []
    everything = ("all",) * len(COMPRESSOR)

    def add(key: tuple[object, ...], design: str, estimate: Estimate) -> None:
        numbers = [estimate.value, *estimate.interval(), *estimate.interval(0.9), estimate.p_two_sided()]
        rows.append([*key, design, *numbers, len(panel.passages)])

    designs = {"marginal": ranked.within, "marginal_pooled": ranked.pooled, "partial": ranked.partial}
    designs = {name: values for name, values in designs.items() if len(values)}
    for index, key in enumerate(panel.compressors[COMPRESSOR].itertuples(index=False, name=None)):
        for design, values in designs.items():
            add(key, design, Estimate.of(values[index]))
    if swapped is not None:
        for index, key in enumerate(swapped.blocks[SWAP].itertuples(index=False, name=None)):
            add((key[0], "all", *key[1:]), "swap", Estimate.of(swapped.correlation[index]))
    for design, values in designs.items():
        add(everything, design, effect if design == "partial" else Estimate.of(mean_over(values)))
    add(everything, "swap", swap)
    return pd.DataFrame(rows, columns=TABLE)
