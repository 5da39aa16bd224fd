"""What follows in practice, declared before the run: the entropy-aware memory budget, and the guidelines (C4)."""

from __future__ import annotations

from pydantic import Field

from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.runtime.spec import Number, Spec, Whole


class BudgetRules(Spec):
    """A memory budget that follows the encoder's entropy, against the uniform one at equal total memory."""

    statement: str = Field(
        default="At equal total memory, more vectors for passages of high encoder entropy reconstruct better than as "
        "many for each.",
        min_length=1,
        description="The claim as its finding quotes it; it decides nothing.",
    )
    smallest_effect: Number = Field(
        default=0.01,
        gt=0,
        description="Smallest gain of interest over the uniform budget, in the measure of C1; ours: a hundredth of "
        "the scale of token F1.",
    )
    steps: Whole = Field(
        default=4,
        ge=2,
        le=16,
        description="Budgets that are tried: so many steps from each number of vectors on offer to the next. The one "
        "in the middle decides.",
    )
    orders: Whole = Field(
        default=200,
        ge=20,
        le=10_000,
        description="Random orders, which give the same numbers of vectors to other passages: how many are drawn.",
    )


class GuidelineRules(Spec):
    """C4: what the paper advises follows from what was measured."""

    statement: str = Field(
        default="Practical guidelines follow: match the data of encoder and decoder, change the decoder side first, "
        "pair a small encoder with a large decoder, expect little from high-entropy text.",
        min_length=1,
        description="The claim as findings and guidelines quote it.",
    )
    smallest_effect: Number = Field(
        default=0.01,
        gt=0,
        description="Smallest effect of interest of a guideline, in the measure of C3, and of C1 for high entropy; "
        "ours. For the data gap, that of C3 counts.",
    )
    extreme_share: Number = Field(
        default=0.2,
        gt=0,
        le=0.5,
        description="Share of a domain's passages that counts as of high, and as of low, encoder entropy.",
    )


class BudgetSpec(Spec):
    """What the comparison of budgets depends on; of the claims the measure of C1 and the sample."""

    rules: BudgetRules
    claims: ClaimsSpec


class GuidelinesSpec(Spec):
    """What the guidelines depend on; of the claims what C1 and C3 measure, and the sample."""

    rules: GuidelineRules
    claims: ClaimsSpec
