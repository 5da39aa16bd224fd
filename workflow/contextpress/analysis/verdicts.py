"""From tested claims to findings: correction for the family, verdict, JSON."""

from __future__ import annotations

from typing import Any

import pandas as pd

from contextpress.analysis.decoder_entropy import assess_decoder_entropy
from contextpress.analysis.encoder_entropy import assess_encoder_entropy
from contextpress.analysis.findings import Result, finite
from contextpress.analysis.gap import assess_gap
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.multiplicity import adjusted


def assess(observations: pd.DataFrame, spec: ClaimsSpec) -> dict[str, Result]:
    """Test every claim of the family: results by c1, c2, c3."""
    return {
        "c1": assess_encoder_entropy(observations, spec),
        "c2": assess_decoder_entropy(observations, spec),
        "c3": assess_gap(observations, spec),
    }


def findings(results: dict[str, Result], spec: ClaimsSpec) -> dict[str, dict[str, Any]]:
    """The findings of a family, ready for JSON: no NaN, six digits.

    A verdict may need another p-value of its claim than the one it stands on (to show that an effect is absent, say);
    that one is corrected as if it stood in the claim's place in the family.
    """
    p_values = {name: result.p_value for name, result in results.items()}
    family = adjusted(p_values, spec.correction)
    found = {}
    for name, result in results.items():

        def adjust(p_value: float | None, name: str = name) -> float | None:
            return adjusted({**p_values, name: p_value}, spec.correction)[name]

        verdict, reason = result.judge(adjust, spec.alpha)
        found[name] = finite(
            {
                "claim": result.claim,
                "statement": result.statement,
                "effect": result.effect.value,
                "effect_name": result.effect_name,
                "ci95": list(result.effect.interval()),
                "p_value": result.p_value,
                "p_adjusted": family[name],
                "n": result.rows,
                "clusters": result.clusters,
                "verdict": verdict,
                "reason": reason,
                "rule": result.rule,
                "hypothesis": getattr(spec, name).model_dump(mode="json"),
                "family": {
                    "correction": spec.correction,
                    "alpha": spec.alpha,
                    "members": [other.claim for other in results.values()],
                    "bootstrap_draws": spec.draws,
                    "cluster": spec.cluster,
                },
                "details": result.details,
            }
        )
    return found
