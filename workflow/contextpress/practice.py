"""From the plan of a study to the specs of what follows in practice: the memory budget and the guidelines."""

from __future__ import annotations

from contextpress.analysis.hypotheses import COUNTS, DRAW, DataGap, EncoderEntropy, only
from contextpress.analysis.practice import BudgetSpec, GuidelinesSpec
from contextpress.plan import Plan


def budget(plan: Plan) -> BudgetSpec:
    """Spec of the comparison of memory budgets, in the measure of C1."""
    analysis = plan.study.analysis
    sample = only(analysis.claims, "alpha", "variants", *DRAW, *COUNTS)
    measured = EncoderEntropy(measure=analysis.claims.c1.measure)
    return BudgetSpec(rules=analysis.budget, claims=sample.model_copy(update={"c1": measured}))


def guidelines(plan: Plan) -> GuidelinesSpec:
    """Spec of the guidelines: the gap as C3 measures it, entropy and quality as C1 does."""
    analysis = plan.study.analysis
    sample = only(analysis.claims, "alpha", "correction", "variants", *DRAW, *COUNTS)
    c1, c3 = analysis.claims.c1, analysis.claims.c3
    told = {
        "c1": EncoderEntropy(measure=c1.measure, predictor=c1.predictor, decoder_training=c1.decoder_training),
        "c3": DataGap(**c3.model_dump(exclude={"statement"})),
    }
    return GuidelinesSpec(rules=analysis.guidelines, claims=sample.model_copy(update=told))
