"""From tested claims to findings: correction for the family, verdict, JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.decoder_entropy import (
    assess_decoder_entropy,
    decide_decoder_entropy,
    decoder_question,
    decoder_questions,
)
from contextpress.analysis.encoder_entropy import (
    assess_encoder_entropy,
    decide_encoder_entropy,
    encoder_question,
    encoder_questions,
)
from contextpress.analysis.findings import Result, finite
from contextpress.analysis.gap import assess_gap, decide_gap
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.multiplicity import adjusted
from contextpress.analysis.panel import Array, Panel, build_panel
from contextpress.analysis.ranked import correlate


def assess(observations: pd.DataFrame, spec: ClaimsSpec) -> dict[str, Result]:
    """Test every claim of the family: results by c1, c2, c3."""
    one, two = (build_panel(observations, spec, claim.decoder_training) for claim in (spec.c1, spec.c2))
    # As a rule the same compressors: then what both claims rank is ranked once.
    if one.compressors.equals(two.compressors):
        two = one
    weights = {id(panel): weights_of(panel, spec) for panel in (one, two)}
    of_encoder = {} if one.compressors.empty else encoder_questions(one, spec)
    of_decoder = {} if two.compressors.empty else decoder_questions(two, spec)
    asked = [*of_encoder.values(), *of_decoder.values()]
    if two is one:
        answers = correlate(one, weights[id(one)], asked)
    else:
        parts = ((one, of_encoder), (two, of_decoder))
        answers = [found for panel, part in parts for found in correlate(panel, weights[id(panel)], [*part.values()])]
    first, second = answers[: len(of_encoder)], answers[len(of_encoder) :]
    return {
        "c1": assess_encoder_entropy(
            observations, one, weights[id(one)], dict(zip(of_encoder, first, strict=True)), spec
        ),
        "c2": assess_decoder_entropy(two, weights[id(two)], dict(zip(of_decoder, second, strict=True)), spec),
        "c3": assess_gap(observations, spec),
    }


def decide(panel: Panel, weights: Array, spec: ClaimsSpec) -> dict[str, Result]:
    """The tests alone, all on one panel: what ``assess`` finds, without what is reported beside it."""
    one, two = correlate(panel, weights, [encoder_question(panel, spec), decoder_question(panel, spec)])
    return {
        "c1": decide_encoder_entropy(panel, one, spec),
        "c2": decide_decoder_entropy(panel, weights, two, spec),
        "c3": decide_gap(panel, weights, spec),
    }


def judged(results: dict[str, Result], spec: ClaimsSpec) -> Iterator[tuple[str, Result, dict[str, Any]]]:
    """Verdict, reason and p-values of each member of a family, corrected for the others.

    A verdict may need another p-value of its claim than the one it stands on (to show that an effect is absent, say);
    that one is corrected as if it stood in the claim's place in the family.
    """
    p_values = {name: result.p_value for name, result in results.items()}
    family = adjusted(p_values, spec.correction)
    for name, result in results.items():

        def adjust(p_value: float | None, name: str = name) -> float | None:
            return adjusted({**p_values, name: p_value}, spec.correction)[name]

        verdict, reason = result.judge(adjust, spec.alpha)
        yield (
            name,
            result,
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
            },
        )


def findings(results: dict[str, Result], spec: ClaimsSpec) -> dict[str, dict[str, Any]]:
    """The findings of a family, ready for JSON: no NaN, six digits."""
    return {
        name: finite(
            {
                **told,
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
        for name, result, told in judged(results, spec)
    }
