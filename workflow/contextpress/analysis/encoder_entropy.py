"""C1: does the entropy an encoder sees in a passage go with how badly the passage is reconstructed?

The primary effect is the Spearman correlation of ranks WITHIN DOMAIN, averaged over compressors. Pooled over domains,
code and prose differ in entropy and in a hundred other ways (vocabulary, repetition, formatting), any of which may
decide quality; a pooled correlation cannot tell them apart, and a reviewer need not believe it. It is reported
beside the primary one, as is each domain.

The interval has two sources: documents, by bootstrap (drawn once for all compressors, which are evaluated on the same
passages), and training runs, by the scatter of seeds around their model's mean (Student-distributed).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import Estimate, document_weights
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
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.panel import COMPRESSOR, Array, Panel, build_panel
from contextpress.analysis.ranked import Ranked, rank_correlations, varying
from contextpress.analysis.slopes import Slopes, within_domain
from contextpress.reconstruction.table import MEASURES

RULE = (
    "supported: the corrected p-value is below alpha, the mean within-domain correlation is negative, it is negative "
    "in every seed, and it is not shown to be smaller than the smallest effect of interest. contradicted: the "
    "corrected p-value is below alpha and the correlation is positive, or it is shown (two one-sided tests) to be "
    "smaller than the smallest effect of interest without being negative. Otherwise, or with too little data, "
    "inconclusive."
)
EFFECT = "Spearman correlation of {predictor} with {measure}, within domain, mean over compressors"


def assess_encoder_entropy(observations: pd.DataFrame, spec: ClaimsSpec) -> Result:
    """Test C1 on the observations; see RULE for the verdict."""
    hypothesis = spec.c1
    panel = build_panel(observations, spec, hypothesis.decoder_training)
    reason = too_little(panel, spec)
    effect, seeds = UNKNOWN, {}
    details: dict[str, Any] = {"sample": sample(panel)}
    table = pd.DataFrame(columns=TABLE)
    if not panel.compressors.empty:
        generator = np.random.default_rng(spec.seed)
        weights = document_weights(panel.documents, panel.slices, spec.draws, generator)
        predictor, quality = panel.values(hypothesis.predictor), panel.quality(hypothesis.measure)
        controls = varying(panel, [panel.values("decoder_nll")])
        ranked = rank_correlations(panel, weights, predictor, quality, controls, pooled=True)
        slopes = within_domain(panel, weights, predictor, quality)
        error, freedom = training_error(ranked.within[:, 0], panel.compressors)
        effect = Estimate.of(mean_over(ranked.within)).widened(error, freedom, generator)
        seeds = by_seed(panel, ranked.within)
        details |= {
            "pooled": Estimate.of(mean_over(ranked.pooled)).report(),
            "given_decoder_entropy": Estimate.of(mean_over(ranked.partial)).report() if controls else None,
            "standardised_slope": Estimate.of(mean_over(slopes.standardised[-1])).report(),
            "slope": Estimate.of(mean_over(slopes.raw[-1])).report(),
            "domains": {
                name: Estimate.of(mean_over(ranked.domains[index])).report() for index, name in enumerate(panel.domains)
            },
            "seeds": seeds,
            "between_compressors": spread(ranked.within[:, 0]),
            "training_error": {"standard_error": error, "degrees_of_freedom": freedom},
            "other_measures": other_measures(panel, weights, hypothesis.predictor, hypothesis.measure, spec),
            "with_another_passages_memory": _shuffled(panel, weights, hypothesis.predictor, hypothesis.measure),
            "generated_text": _generated(observations, spec),
        }
        table = claim_table(panel, ranked, slopes, effect)
        if reason is None and not effect.known:
            reason = f"{hypothesis.measure} or {hypothesis.predictor} does not vary within any domain"

    def judge(adjust: Adjust, alpha: float) -> tuple[Verdict, str]:
        if reason is not None:
            return "inconclusive", reason
        return judge_direction(effect, seeds, adjust, alpha, hypothesis.smallest_effect, "correlation")

    details |= {"smallest_effect": hypothesis.smallest_effect, "ci90": list(effect.interval(0.9))}
    details["p_equivalence"] = effect.p_equivalence(hypothesis.smallest_effect)
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
        details=details,
        tables={"c1": table},
    )


def judge_direction(
    effect: Estimate, seeds: dict[str, float], adjust: Adjust, alpha: float, bound: float, what: str
) -> tuple[Verdict, str]:
    """The verdict of a claim that an effect is negative, C1 and C3 alike."""
    corrected, equivalent = adjust(effect.p_two_sided()), adjust(effect.p_equivalence(bound))
    differs = corrected is not None and corrected < alpha
    small = equivalent is not None and equivalent < alpha
    if differs and effect.value > 0:
        return "contradicted", f"the {what} is positive"
    if small and not differs:
        return "contradicted", f"an effect as large as {bound:g} is ruled out in either direction"
    if small:
        return "inconclusive", f"the {what} is negative, but smaller than {bound:g}, the smallest of interest"
    if not differs:
        return "inconclusive", "neither an effect nor its absence is shown"
    against = [seed for seed, value in seeds.items() if not value < 0]
    if against:
        return "inconclusive", f"the {what} is not negative in seed {', '.join(against)}"
    return "supported", f"the {what} is negative, in every seed"


def by_seed(panel: Panel, values: Array) -> dict[str, float]:
    """Mean over the compressors of each seed, on the data."""
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


def other_measures(
    panel: Panel, weights: Array, predictor: str, primary: str, spec: ClaimsSpec
) -> dict[str, dict[str, object]]:
    """The within-domain correlation with every other declared measure."""
    column = panel.values(predictor)
    found: dict[str, dict[str, object]] = {}
    for measure in spec.also_measures:
        if measure != primary:
            ranked = rank_correlations(panel, weights, column, panel.quality(measure))
            found[measure] = Estimate.of(mean_over(ranked.within)).report()
    return found


def _shuffled(panel: Panel, weights: Array, predictor: str, measure: str) -> dict[str, object] | None:
    # What entropy says about quality when the memory holds another passage: text that any decoder guesses well.
    if measure not in MEASURES:
        return None
    ranked = rank_correlations(panel, weights, panel.values(predictor), panel.quality(f"{measure}_shuffled"))
    return Estimate.of(mean_over(ranked.within)).report()


def _generated(observations: pd.DataFrame, spec: ClaimsSpec) -> dict[str, object] | None:
    # Text generated at a chosen entropy is an experiment, not a sample: kept apart from the natural domains.
    if not spec.natural_only or observations["entropy_rate"].isna().all():
        return None
    panel = build_panel(observations, spec, spec.c1.decoder_training, generated=True)
    if panel.compressors.empty:
        return None
    weights = document_weights(panel.documents, panel.slices, spec.draws, np.random.default_rng(spec.seed))
    ranked = rank_correlations(panel, weights, panel.values(spec.c1.predictor), panel.quality(spec.c1.measure))
    return {**Estimate.of(mean_over(ranked.within)).report(), "sample": sample(panel)}


TABLE = [
    *COMPRESSOR,
    "domain",
    "scope",
    "rho",
    "ci95_low",
    "ci95_high",
    "p_value",
    "standardised_slope",
    "slope",
    "passages",
    "clusters",
]


def claim_table(panel: Panel, ranked: Ranked, slopes: Slopes, effect: Estimate) -> pd.DataFrame:
    """One row per compressor and scope, and the means over compressors (all keys "all").

    Scopes: ``domain``, one domain alone; ``within``, ranks within domain, all domains; ``pooled``, ranks over all
    passages, domains ignored.
    """
    rows: list[list[object]] = []
    sizes = [(rows_.stop - rows_.start, len(np.unique(panel.documents[rows_]))) for rows_ in panel.slices]
    every = (len(panel.passages), clusters(panel))
    nothing = np.full_like(ranked.within, np.nan)
    scopes = [
        (name, "domain", ranked.domains[index], slopes.standardised[index], slopes.raw[index], sizes[index])
        for index, name in enumerate(panel.domains)
    ]
    scopes.append(("all", "within", ranked.within, slopes.standardised[-1], slopes.raw[-1], every))
    scopes.append(("all", "pooled", ranked.pooled, nothing, nothing, every))
    keys = [*panel.compressors[COMPRESSOR].itertuples(index=False, name=None), ("all",) * len(COMPRESSOR)]
    for index, key in enumerate(keys):
        for domain, scope, rho, standardised, raw, size in scopes:
            average = index == len(panel.compressors)
            estimate = Estimate.of(mean_over(rho) if average else rho[index])
            if average and scope == "within":
                estimate = effect
            pick = [(mean_over(values) if average else values[index])[0] for values in (standardised, raw)]
            numbers = [estimate.value, *estimate.interval(), estimate.p_two_sided(), *pick, *size]
            rows.append([*key, domain, scope, *numbers])
    return pd.DataFrame(rows, columns=TABLE)
