"""C1: does the entropy an encoder sees in a passage go with how badly the passage is reconstructed?

The primary effect is the Spearman correlation of ranks WITHIN DOMAIN, averaged over compressors. Pooled over domains,
code and prose differ in entropy and in a hundred other ways (vocabulary, repetition, formatting), any of which may
decide quality; a pooled correlation cannot tell them apart, and a reviewer need not believe it. It is reported
beside the primary one, as is each domain.

The interval has two sources: documents, by bootstrap (drawn once for all compressors, which are evaluated on the same
passages), and training runs, by the scatter of seeds around their model's mean (see ``inference``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import pandas as pd

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.encoder_tables import TABLE, claim_table
from contextpress.analysis.findings import (
    Adjust,
    Result,
    Verdict,
    by_seed,
    clusters,
    over_runs,
    sample,
    spread,
    too_little,
)
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import UNKNOWN, Effect, over_pairs
from contextpress.analysis.panel import Array, Panel, build_panel
from contextpress.analysis.ranked import Question, Ranked, rank_correlations, varying
from contextpress.analysis.slopes import within_domain
from contextpress.reconstruction.table import MEASURES

RULE = (
    "supported: the corrected p-value is below alpha, the mean within-domain correlation is negative, it is negative "
    "in every seed, and it is not shown to be smaller than the smallest effect of interest. contradicted: the "
    "corrected p-value is below alpha and the correlation is positive, or it is shown (two one-sided tests) to be "
    "smaller than the smallest effect of interest without being negative. Otherwise, or with too little data, "
    "inconclusive."
)
EFFECT = "Spearman correlation of {predictor} with {measure}, within domain, mean over compressors"


PRIMARY, SHUFFLED = "primary", "shuffled"


def encoder_questions(panel: Panel, spec: ClaimsSpec) -> dict[str, Question]:
    """What the assessment of C1 correlates, by name: PRIMARY, other measures, SHUFFLED."""
    hypothesis = spec.c1
    predictor, quality = panel.values(hypothesis.predictor), panel.quality(hypothesis.measure)
    controls = varying(panel, [panel.values("decoder_nll")])
    asked = {PRIMARY: Question(predictor, quality, controls, pooled=True, domains=True)}
    asked |= {
        name: Question(predictor, panel.quality(name)) for name in spec.also_measures if name != hypothesis.measure
    }
    # What entropy says about quality when the memory holds another passage: text that any decoder guesses well.
    if hypothesis.measure in MEASURES:
        asked[SHUFFLED] = Question(predictor, panel.quality(f"{hypothesis.measure}_shuffled"))
    return asked


def assess_encoder_entropy(
    observations: pd.DataFrame, panel: Panel, weights: Array, answers: dict[str, Ranked], spec: ClaimsSpec
) -> Result:
    """Test C1, with everything that is reported beside the test; see RULE for the verdict.

    Args:
        observations: all of them.
        panel: those that the claim is tested on.
        weights: [P, 1 + B].
        answers: to ``encoder_questions``; nothing where the panel is empty.
        spec: the family.
    """
    hypothesis = spec.c1
    if panel.compressors.empty:
        table = pd.DataFrame(columns=TABLE)
        return replace(_result(panel, None, spec), details={"sample": sample(panel)}, tables={"c1": table})
    predictor, quality = panel.values(hypothesis.predictor), panel.quality(hypothesis.measure)
    ranked = answers[PRIMARY]
    beside = {name: over_runs(panel, answer.within).report() for name, answer in answers.items() if name != PRIMARY}
    shuffled = beside.pop(SHUFFLED, None)
    slopes = within_domain(panel, weights, predictor, quality)
    result = _result(panel, ranked.within, spec)
    details: dict[str, Any] = {
        "sample": sample(panel),
        "pooled": over_runs(panel, ranked.pooled).report(),
        "generalised_over_pairs": over_pairs(ranked.within, panel.compressors).report(),
        "given_decoder_entropy": over_runs(panel, ranked.partial).report() if len(ranked.partial) else None,
        "standardised_slope": over_runs(panel, slopes.standardised[-1]).report(),
        "standardised_slope_pooled": over_runs(panel, slopes.pooled).report(),
        "slope": over_runs(panel, slopes.raw[-1]).report(),
        "domains": {name: over_runs(panel, ranked.domains[index]).report() for index, name in enumerate(panel.domains)},
        "seeds": by_seed(panel, ranked.within),
        "between_compressors": spread(ranked.within[:, 0]),
        "error": result.effect.sources(),
        "other_measures": beside,
        "with_another_passages_memory": shuffled,
        "generated_text": _generated(observations, spec),
        "smallest_effect": hypothesis.smallest_effect,
        "ci90": list(result.effect.interval(0.9)),
        "p_equivalence": result.effect.p_equivalence(hypothesis.smallest_effect),
    }
    return replace(result, details=details, tables={"c1": claim_table(panel, ranked, slopes, result.effect)})


def decide_encoder_entropy(panel: Panel, ranked: Ranked, spec: ClaimsSpec) -> Result:
    """The test of C1 alone, from the answer to ``encoder_question``: effect, p-value and verdict."""
    return _result(panel, ranked.within, spec)


def encoder_question(panel: Panel, spec: ClaimsSpec) -> Question:
    """What the test of C1 alone correlates."""
    return Question(panel.values(spec.c1.predictor), panel.quality(spec.c1.measure))


def _result(panel: Panel, within: Array | None, spec: ClaimsSpec) -> Result:
    """The test from the correlations [C, 1 + B] of the compressors."""
    hypothesis, reason = spec.c1, too_little(panel, spec)
    effect = UNKNOWN if within is None else over_runs(panel, within)
    seeds = {} if within is None else by_seed(panel, within)
    if reason is None and not effect.known:
        reason = f"{hypothesis.measure} or {hypothesis.predictor} does not vary within any domain"

    def judge(adjust: Adjust, alpha: float) -> tuple[Verdict, str]:
        if reason is not None:
            return "inconclusive", reason
        return judge_direction(effect, seeds, adjust, alpha, hypothesis.smallest_effect, "correlation")

    return Result(
        claim="C1",
        statement=hypothesis.statement,
        effect_name=EFFECT.format(predictor=hypothesis.predictor, measure=hypothesis.measure),
        effect=effect,
        p_value=effect.p_two_sided(),
        rows=len(panel.passages) * len(panel.compressors),
        clusters=clusters(panel),
        rule=RULE,
        judge=judge,
    )


def judge_direction(
    effect: Effect,
    seeds: dict[str, float],
    adjust: Adjust,
    alpha: float,
    bound: float,
    what: str,
    wanted: Literal["negative", "positive"] = "negative",
) -> tuple[Verdict, str]:
    """The verdict of a claim that an effect is negative, C1 and C3 alike, or that it is positive."""
    sign, other = (-1, "positive") if wanted == "negative" else (1, "negative")
    corrected, equivalent = adjust(effect.p_two_sided()), adjust(effect.p_equivalence(bound))
    differs = corrected is not None and corrected < alpha
    small = equivalent is not None and equivalent < alpha
    if differs and sign * effect.value < 0:
        return "contradicted", f"the {what} is {other}"
    if small and not differs:
        return "contradicted", f"an effect as large as {bound:g} is ruled out in either direction"
    if small:
        return "inconclusive", f"the {what} is {wanted}, but smaller than {bound:g}, the smallest of interest"
    if not differs:
        return "inconclusive", "neither an effect nor its absence is shown"
    against = [seed for seed, value in seeds.items() if not sign * value > 0]
    if against:
        return "inconclusive", f"the {what} is not {wanted} in seed {', '.join(against)}"
    return "supported", f"the {what} is {wanted}, in every seed"


def _generated(observations: pd.DataFrame, spec: ClaimsSpec) -> dict[str, object] | None:
    # Text generated at a chosen entropy is an experiment, not a sample: kept apart from the natural domains.
    if not spec.natural_only or observations["entropy_rate"].isna().all():
        return None
    panel = build_panel(observations, spec, spec.c1.decoder_training, generated=True)
    if panel.compressors.empty:
        return None
    weights = weights_of(panel, spec)
    ranked = rank_correlations(panel, weights, panel.values(spec.c1.predictor), panel.quality(spec.c1.measure))
    return {**over_runs(panel, ranked.within).report(), "sample": sample(panel)}
