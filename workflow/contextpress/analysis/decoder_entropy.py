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

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.findings import (
    Adjust,
    Result,
    Verdict,
    by_seed,
    clusters,
    document_freedom,
    over_runs,
    sample,
    spread,
    too_little,
)
from contextpress.analysis.hypotheses import COUPLED, ClaimsSpec
from contextpress.analysis.inference import UNKNOWN, Effect, combine, over_pairs
from contextpress.analysis.panel import COMPRESSOR, Array, Panel
from contextpress.analysis.ranked import Question, Ranked, varying
from contextpress.analysis.swap import Swap, decoder_swap

RULE = (
    "supported: both the partial correlation (given the controls, within domain) and the correlation of the "
    "decoder-swap design are shown to lie within the bounds (two one-sided tests each; the p-value is the larger, "
    "corrected for the family). contradicted: the partial correlation differs from zero (p-value corrected in the "
    "same way), its estimate lies beyond a bound, and the swap design differs from zero in the same direction. "
    "Otherwise, or with too little data or a single decoder, inconclusive."
)
EFFECT = "partial Spearman correlation of {predictor} with {measure} given {controls} and domain, mean over compressors"


PRIMARY, GIVEN_ENCODER = "primary", "given_encoder"


def decoder_questions(panel: Panel, spec: ClaimsSpec) -> dict[str, Question]:
    """What the assessment of C2 correlates, by name: PRIMARY, GIVEN_ENCODER, other measures."""
    hypothesis, controls = spec.c2, controls_of(panel, spec)
    predictor, quality = panel.values(hypothesis.predictor), panel.quality(hypothesis.measure)
    asked = {
        PRIMARY: Question(predictor, quality, controls, pooled=True),
        GIVEN_ENCODER: Question(predictor, quality, [panel.values("encoder_nll")]),
    }
    others = [name for name in spec.also_measures if name not in (hypothesis.measure, *COUPLED)]
    return asked | {name: Question(predictor, panel.quality(name), controls) for name in others}


def assess_decoder_entropy(panel: Panel, weights: Array, answers: dict[str, Ranked], spec: ClaimsSpec) -> Result:
    """Test C2, with everything that is reported beside the test; see RULE for the verdict.

    Args:
        panel: what the claim is tested on.
        weights: [P, 1 + B].
        answers: to ``decoder_questions``; nothing where the panel is empty.
        spec: the family.
    """
    hypothesis = spec.c2
    if panel.compressors.empty:
        table = pd.DataFrame(columns=TABLE)
        return replace(_result(panel, None, None, spec), details={"sample": sample(panel)}, tables={"c2": table})
    predictor, quality = panel.values(hypothesis.predictor), panel.quality(hypothesis.measure)
    ranked, adjusted = answers[PRIMARY], _adjusted(answers[PRIMARY])
    swapped = decoder_swap(panel, weights, predictor, quality, per_domain=True)
    overall = decoder_swap(panel, weights, predictor, quality, per_domain=False)
    result = _result(panel, adjusted, swapped, spec)
    details: dict[str, Any] = {
        "sample": sample(panel),
        "marginal": over_runs(panel, ranked.within).report(),
        "marginal_pooled": over_runs(panel, ranked.pooled).report(),
        "generalised_over_pairs": over_pairs(adjusted, panel.compressors).report(),
        "collinearity": _collinearity(panel, answers[GIVEN_ENCODER]),
        "seeds": by_seed(panel, adjusted),
        "between_compressors": spread(adjusted[:, 0]),
        "error": result.effect.sources(),
        "other_measures": {
            name: over_runs(panel, _adjusted(answer)).report()
            for name, answer in answers.items()
            if name not in (PRIMARY, GIVEN_ENCODER)
        },
        "bounds": [-hypothesis.smallest_effect, hypothesis.smallest_effect],
        "ci90": list(result.effect.interval(0.9)),
        "p_difference": result.effect.p_two_sided(),
        "p_value_is": "of two one-sided tests: small when the correlation is shown to be small",
    }
    swap = UNKNOWN
    if swapped is not None and overall is not None:
        freedom = document_freedom(panel)
        swap = swapped.effect(swapped.correlation, freedom)
        details["swap"] = {
            **swap.report(),
            "ci90": list(swap.interval(0.9)),
            "p_equivalence": swap.p_equivalence(hypothesis.smallest_effect),
            "slope": swapped.effect(swapped.slope, freedom).report(),
            "decoder_effects_over_all_domains": overall.effect(overall.correlation, freedom).report(),
            "blocks": len(set(swapped.block)),
            "error": swap.sources(),
        }
    table = _table(panel, ranked, result.effect, swapped, swap)
    return replace(result, details=details, tables={"c2": table})


def decide_decoder_entropy(panel: Panel, weights: Array, ranked: Ranked, spec: ClaimsSpec) -> Result:
    """The test of C2 alone, from the answer to ``decoder_question``: effect, p-value and verdict."""
    question = decoder_question(panel, spec)
    swapped = decoder_swap(panel, weights, question.predictor, question.quality, per_domain=True)
    return _result(panel, _adjusted(ranked), swapped, spec)


def decoder_question(panel: Panel, spec: ClaimsSpec) -> Question:
    """What the test of C2 alone correlates."""
    return Question(panel.values(spec.c2.predictor), panel.quality(spec.c2.measure), controls_of(panel, spec))


def _adjusted(ranked: Ranked) -> Array:
    """[C, 1 + B] given the controls, if any vary."""
    return ranked.partial if len(ranked.partial) else ranked.within


def _result(panel: Panel, adjusted: Array | None, swapped: Swap | None, spec: ClaimsSpec) -> Result:
    """The test from the partial correlations [C, 1 + B] of the compressors and the swap design."""
    hypothesis, reason = spec.c2, too_little(panel, spec)
    effect = UNKNOWN if adjusted is None else over_runs(panel, adjusted)
    swap = UNKNOWN if swapped is None else swapped.effect(swapped.correlation, document_freedom(panel))
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
    )


def _judge(
    effect: Effect, swap: Effect, p_value: float | None, adjust: Adjust, alpha: float, bound: float
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


def controls_of(panel: Panel, spec: ClaimsSpec) -> list[Array]:
    """The declared controls that vary, [P, C] each."""
    return varying(panel, [panel.values(name) for name in spec.c2.controls])


def _collinearity(panel: Panel, ranked: Ranked) -> dict[str, object]:
    """Within-domain rank correlation of the two entropies, and the variance inflation it causes (on the data)."""
    within = ranked.collinearity
    squared = float(np.nanmean(within[:, 0] ** 2)) if np.isfinite(within[:, 0]).any() else np.nan
    inflation = 1 / (1 - squared) if squared < 1 else np.nan
    return {**over_runs(panel, within).report(), "variance_inflation": inflation, **spread(within[:, 0])}


TABLE = [*COMPRESSOR, "design", "estimate", "ci95_low", "ci95_high", "ci90_low", "ci90_high", "p_value", "passages"]


def _table(panel: Panel, ranked: Ranked, effect: Effect, swapped: Swap | None, swap: Effect) -> pd.DataFrame:
    """Per compressor: marginal, marginal_pooled, partial; per encoder block: swap (decoder "all"); then the means.

    Intervals of one compressor or block are of documents; those of the means hold the scatter of training runs as well.
    """
    rows: list[list[object]] = []
    everything = ("all",) * len(COMPRESSOR)
    freedom = document_freedom(panel)

    def add(key: tuple[object, ...], design: str, estimate: Effect) -> None:
        numbers = [estimate.value, *estimate.interval(), *estimate.interval(0.9), estimate.p_two_sided()]
        rows.append([*key, design, *numbers, len(panel.passages)])

    designs = {
        "marginal": ranked.within,
        "marginal_pooled": ranked.pooled,
        "partial": ranked.partial,
        "collinearity": ranked.collinearity,
    }
    designs = {name: values for name, values in designs.items() if len(values)}
    for index, key in enumerate(panel.compressors[COMPRESSOR].itertuples(index=False, name=None)):
        for design, values in designs.items():
            add(key, design, combine(values[index], None, freedom))
    if swapped is not None:
        for key, values in swapped.blocks(swapped.correlation):
            add((key[0], "all", *key[1:]), "swap", combine(values, None, freedom))
    for design, values in designs.items():
        add(everything, design, effect if design == "partial" else over_runs(panel, values))
    add(everything, "swap", swap)
    return pd.DataFrame(rows, columns=TABLE)
