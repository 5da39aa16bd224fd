"""C4: what the paper advises, each piece of advice as an effect that the study has measured, or has not.

An effect is positive where the advice holds, and stands with what it was measured on: pairs, ratios, text. All of them
are of the observations, under the same draws of documents and with the same account of training runs as the claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.buckets import member_means
from contextpress.analysis.encoder_entropy import judge_direction
from contextpress.analysis.exchanges import corners, spreads
from contextpress.analysis.findings import Judge, by_seed, clusters, document_freedom, finite, over_runs, too_little
from contextpress.analysis.gap import EFFECT, UNITS, cell_means, decide_gap, gap_of, gap_slope, naive_slope, with_gap
from contextpress.analysis.inference import UNKNOWN, Effect, combine, of_seeds
from contextpress.analysis.multiplicity import adjusted
from contextpress.analysis.panel import Array, Panel, build_panel
from contextpress.analysis.practice import GuidelinesSpec

NOT_MEASURED = "not measured in this study"
ADVICE = {
    "match_data": "Match the data of encoder and decoder.",
    "decoder_first": "Change the decoder's side first.",
    "small_encoder": "Pair a small encoder with a large decoder.",
    "high_entropy": "Expect little from text of high entropy.",
}
# The arms of a study's mitigation that have something to say of a piece of advice.
ARMS = {
    "decoder_first": ("decoder_lora", "decoder_full"),
    "small_encoder": ("larger_decoder", "larger_encoder"),
}
RULE = (
    "Of a guideline: supported when its effect differs from zero (p below alpha, corrected for the guidelines that "
    "were measured), is positive overall and in every seed, and is not shown to be smaller than the smallest effect of "
    "interest; contradicted when it is shown to be negative, or (two one-sided tests) to be smaller than that without "
    "being positive; otherwise, or with too little data, inconclusive. Matching the data is judged as C3 is. Of C4: "
    "contradicted when one of the four is, supported when all four are, otherwise inconclusive; its effect is that of "
    "the guideline that speaks for it least (the worst verdict, then the largest p-value). Arms of a mitigation decide "
    "nothing here; they are told beside the guideline that they bear on."
)
ORDER = ("contradicted", "inconclusive", "supported")


@dataclass(frozen=True)
class Guideline:
    """A piece of advice as the study has measured it.

    Attributes:
        effect: positive where the advice holds.
        effect_name: what it is, with its unit.
        judge: the rule of its verdict.
        panel: what it was measured on; None if it was not.
        beside: further numbers, by what they are.
        reason: why it was not measured.
        seen: what else tells the range in which it was seen.
    """

    effect: Effect = UNKNOWN
    effect_name: str = ""
    judge: Judge | None = None
    panel: Panel | None = None
    beside: dict[str, object] = field(default_factory=dict)
    reason: str | None = None
    seen: dict[str, object] = field(default_factory=dict)


def guidelines(
    observations: pd.DataFrame,
    ranges: Mapping[str, Any] | None,
    spec: GuidelinesSpec,
    mitigation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The finding on C4.

    Args:
        observations: table with the schema OBSERVATIONS.
        ranges: of the predictor's finding, which tell the sizes of encoders and decoders; None if there are none.
        spec: what is measured, and the rules.
        mitigation: the finding on the arms of the study, if it tried any.
    """
    grid = build_panel(observations, spec.claims, spec.claims.c3.decoder_training)
    text = build_panel(observations, spec.claims, spec.claims.c1.decoder_training)
    found: dict[str, Guideline] = {}
    for name, panel, measure in (
        ("match_data", grid, match_data),
        ("decoder_first", grid, decoder_first),
        ("small_encoder", grid, partial(small_encoder, ranges=ranges)),
        ("high_entropy", text, high_entropy),
    ):
        if panel.compressors.empty:
            found[name] = Guideline(reason=too_little(panel, spec.claims))
        else:
            found[name] = measure(panel, weights_of(panel, spec.claims), spec)
    tried = {} if mitigation is None else mitigation["arms"]
    arms = {name: {arm: tried[arm] for arm in ARMS.get(name, ()) if arm in tried} for name in found}
    return _finding(found, arms, spec)


def match_data(panel: Panel, weights: Array, spec: GuidelinesSpec) -> Guideline:
    """What is gained where the gap of a pair is smaller: the slope of C3, turned round."""
    told, column = with_gap(panel)
    if told.compressors.empty:
        return Guideline(reason="no pair has a gap: neither replaced shares nor a divergence is known")
    result = decide_gap(panel, weights, spec.claims)
    if not np.isfinite(result.effect.value):
        return Guideline(reason="the gap cannot be told from encoder and decoder effects: no grid of pairs was trained")
    every, gap = cell_means(told, weights, told.quality(spec.claims.c3.measure)).mean(0), gap_of(told, column)
    naive = combine(naive_slope(told, gap, every), None, document_freedom(told))
    beside: dict[str, object] = {"encoder and decoder effects not removed": _turned(naive).report()}
    for key, members in told.settings():
        index = members.index.to_numpy()
        part = told.only(np.isin(np.arange(len(gap)), index))
        beside[_setting(key)] = _turned(gap_slope(part, column, every[index], spec.claims)).report()
    name = EFFECT.format(measure=spec.claims.c3.measure, unit=UNITS[column][0])
    return Guideline(
        effect=_turned(result.effect),
        effect_name=f"{name}, with its sign turned: what is gained where the gap is smaller by one",
        judge=result.judge,
        panel=told,
        beside=beside,
        seen={f"gap ({UNITS[column][0]})": _ends(gap)},
    )


def decoder_first(panel: Panel, weights: Array, spec: GuidelinesSpec) -> Guideline:
    """How much more quality depends on which decoder it is than on which encoder, of models that serve as both.

    With the encoder fixed, and the domain, quality has a standard deviation over decoders; with the decoder fixed, one
    over encoders. The same cells tell both, with the same noise of training.
    """
    quality = cell_means(panel, weights, panel.quality(spec.claims.c3.measure))
    found = {"": spreads(panel, quality)} | {
        _setting(key): spreads(panel, quality, members) for key, members in panel.settings()
    }
    if not found[""]:
        return Guideline(reason="no two models serve as encoders and decoders of each other in a full grid")
    values = {seed: decoder - encoder for seed, (decoder, encoder) in found[""].items()}
    effect = _over_seeds(panel, values)
    beside: dict[str, object] = {
        f"spread over {side}s, {other} fixed": _over_seeds(
            panel, {seed: both[place] for seed, both in found[""].items()}
        ).report()
        for place, (side, other) in enumerate((("decoder", "encoder"), ("encoder", "decoder")))
    }
    for name, parts in found.items():
        if name and parts:
            told = _over_seeds(panel, {seed: decoder - encoder for seed, (decoder, encoder) in parts.items()})
            beside[f"difference, {name}"] = told.report()
    models = sorted(set(panel.compressors["encoder"]) & set(panel.compressors["decoder"]))
    return Guideline(
        effect=effect,
        effect_name=f"standard deviation of {spec.claims.c3.measure} over decoders, encoder and domain fixed, less "
        "that over encoders, decoder and domain fixed",
        judge=_judge(panel, effect, values, spec, "difference"),
        panel=panel,
        beside=beside,
        seen={"models exchanged": models},
    )


def small_encoder(panel: Panel, weights: Array, spec: GuidelinesSpec, ranges: Mapping[str, Any] | None) -> Guideline:
    """What a small encoder with a large decoder has over a large encoder with a small one: as many weights in all."""
    if ranges is None:
        return Guideline(reason="the sizes of the models are not known, for the study has no predictor")
    sizes = {
        side: {name: float(told[f"{side}_parameters"][0]) for name, told in ranges[side].items()}
        for side in ("encoder", "decoder")
    }
    if len({size for side in sizes.values() for size in side.values()}) < 2:
        return Guideline(reason="all models have one size")
    every = cell_means(panel, weights, panel.quality(spec.claims.c3.measure)).mean(0)
    found = corners(panel, every, sizes)
    if not found:
        return Guideline(reason="no data were learned by models of two sizes, as encoders and as decoders")
    values = {seed: four["small, large"] - four["large, small"] for seed, four in found.items()}
    effect = _over_seeds(panel, values)
    beside: dict[str, object] = {
        f"encoder {encoder}, decoder {decoder}": _over_seeds(
            panel, {seed: four[f"{encoder}, {decoder}"] for seed, four in found.items()}
        ).report()
        for encoder, decoder in product(("small", "large"), repeat=2)
    }
    for name, more, less in (
        ("larger decoder for the small encoder", "small, large", "small, small"),
        ("larger encoder for the large decoder", "large, large", "small, large"),
    ):
        beside[name] = _over_seeds(panel, {seed: four[more] - four[less] for seed, four in found.items()}).report()
    return Guideline(
        effect=effect,
        effect_name=f"{spec.claims.c3.measure} of a small encoder with a large decoder less that of a large encoder "
        "with a small decoder, on the same data",
        judge=_judge(panel, effect, values, spec, "difference"),
        panel=panel,
        beside=beside,
        seen={"parameters": sorted({size for side in sizes.values() for size in side.values()})},
    )


def high_entropy(panel: Panel, weights: Array, spec: GuidelinesSpec) -> Guideline:
    """What passages of low encoder entropy have over those of high entropy, within domain."""
    claim, share = spec.claims.c1, spec.rules.extreme_share
    entropy, quality = panel.values(claim.predictor), panel.quality(claim.measure)
    low, high = (_extreme(panel, sign * entropy, share) for sign in (1, -1))
    means = [
        np.mean([member_means(side[rows], quality[rows], weights[rows]) for rows in panel.slices], axis=0)
        for side in (low, high)
    ]
    values = means[0] - means[1]
    effect = over_runs(panel, values)
    beside: dict[str, object] = {
        f"{name} entropy, {(entropy * side).sum() / side.sum():.2f} on average": over_runs(panel, mean).report()
        for name, side, mean in (("low", low, means[0]), ("high", high, means[1]))
    }
    for key, members in panel.settings():
        index = members.index.to_numpy()
        part = panel.only(np.isin(np.arange(len(values)), index))
        beside[f"difference, {_setting(key)}"] = over_runs(part, values[index]).report()
    reason = too_little(panel, spec.claims)
    bound, seeds = spec.rules.smallest_effect, by_seed(panel, values)
    return Guideline(
        effect=effect,
        effect_name=f"{claim.measure} of the {share:.0%} of passages with the lowest {claim.predictor} less that of "
        f"the {share:.0%} with the highest, within domain",
        judge=lambda adjust, alpha: (
            ("inconclusive", reason)
            if reason
            else judge_direction(effect, seeds, adjust, alpha, bound, "difference", "positive")
        ),
        panel=panel,
        beside=beside,
        seen={claim.predictor: _ends(entropy)},
    )


def _finding(
    found: dict[str, Guideline], arms: Mapping[str, Mapping[str, Any]], spec: GuidelinesSpec
) -> dict[str, Any]:
    claims = spec.claims
    p_values = {name: one.effect.p_two_sided() for name, one in found.items() if one.panel is not None}
    family = adjusted(p_values, claims.correction)
    told: dict[str, dict[str, Any]] = {}
    for name, one in found.items():
        verdict, reason = NOT_MEASURED, one.reason
        if one.judge is not None:

            def adjust(p_value: float | None, name: str = name) -> float | None:
                return adjusted({**p_values, name: p_value}, claims.correction)[name]

            verdict, reason = one.judge(adjust, claims.alpha)
        told[name] = {
            "advice": ADVICE[name],
            "effect": one.effect.value,
            "effect_name": one.effect_name,
            "ci95": list(one.effect.interval()),
            "p_value": one.effect.p_two_sided(),
            "p_adjusted": family.get(name),
            "n": 0 if one.panel is None else len(one.panel.passages) * len(one.panel.compressors),
            "clusters": 0 if one.panel is None else clusters(one.panel),
            "verdict": verdict,
            "reason": reason,
            "range": None if one.panel is None else _range(one.panel) | one.seen,
            "beside": one.beside,
            "share_of_gap_closed_beyond_longer_training": {
                arm: {**(told_of["beyond_longer"] or {}), "verdict": told_of["verdict"]}
                for arm, told_of in arms[name].items()
            },
            "error": one.effect.sources(),
        }
    measured = [name for name, one in told.items() if one["verdict"] != NOT_MEASURED]
    verdict, least = "inconclusive", None
    if measured:
        least = min(measured, key=lambda name: (ORDER.index(told[name]["verdict"]), -(family[name] or 0.0)))
        worst = told[least]["verdict"]
        verdict = worst if worst != "supported" or len(measured) == len(ADVICE) else "inconclusive"
    said = {
        word: [ADVICE[name].rstrip(".").lower() for name, one in told.items() if one["verdict"] == word]
        for word in (*reversed(ORDER), NOT_MEASURED)
    }
    head = told[least] if least else {"effect": None, "ci95": [None, None], "p_value": None, "p_adjusted": None}
    return finite(
        {
            "claim": "C4",
            "statement": spec.rules.statement,
            "effect": head["effect"],
            "effect_name": f"of '{ADVICE[least]}': {head['effect_name']}" if least else "",
            "ci95": head["ci95"],
            "p_value": head["p_value"],
            "p_adjusted": head["p_adjusted"],
            "n": head.get("n", 0),
            "clusters": head.get("clusters", 0),
            "verdict": verdict,
            "reason": "; ".join(f"{word}: {', '.join(names)}" for word, names in said.items() if names),
            "rule": RULE,
            "hypothesis": spec.rules.model_dump(mode="json"),
            "family": {
                "correction": claims.correction,
                "alpha": claims.alpha,
                "members": measured,
                "bootstrap_draws": claims.draws,
                "cluster": claims.cluster,
            },
            "guidelines": told,
        }
    )


def _judge(panel: Panel, effect: Effect, values: Mapping[int, Array], spec: GuidelinesSpec, what: str) -> Judge:
    """The rule of a verdict, from the estimate [1 + B] of every seed."""
    reason = too_little(panel, spec.claims)
    if reason is None and len(values) < spec.claims.min_seeds:
        reason = f"{len(values)} training seed(s); at least {spec.claims.min_seeds} are needed"
    seeds = {str(seed): float(value[0]) for seed, value in values.items()}
    bound = spec.rules.smallest_effect
    if reason is not None:
        return lambda adjust, alpha: ("inconclusive", reason)
    return lambda adjust, alpha: judge_direction(effect, seeds, adjust, alpha, bound, what, "positive")


def _over_seeds(panel: Panel, values: Mapping[int, Array]) -> Effect:
    """The mean of the seeds' own estimates [1 + B]; their scatter is that of training."""
    own = list(values.values())
    return combine(np.mean(own, axis=0), of_seeds(own), document_freedom(panel))


def _extreme(panel: Panel, entropy: Array, share: float) -> Array:
    """[P, C] 1 for the passages of each domain with the lowest ``entropy``, 0 for the others."""
    member = np.zeros(entropy.shape)
    for rows in panel.slices:
        order = np.argsort(entropy[rows], axis=0, kind="stable")
        count = max(1, round(share * len(order)))
        np.put_along_axis(member[rows], order[:count], 1.0, axis=0)
    return member


def _turned(effect: Effect) -> Effect:
    return replace(effect, value=-effect.value)


def _setting(key: tuple[object, ...]) -> str:
    readout, ratio, _ = key
    return f"{str(readout).replace('_', ' ')}, ratio {ratio}"


def _range(panel: Panel) -> dict[str, object]:
    """On what something was measured."""
    rows = panel.compressors
    names = {
        "encoders": "encoder",
        "decoders": "decoder",
        "read-outs": "readout",
        "decoder training": "decoder_training",
    }
    return {
        "pairs": len(rows[["encoder", "decoder"]].drop_duplicates()),
        **{said: sorted(rows[column].unique()) for said, column in names.items()},
        "ratios": sorted(int(ratio) for ratio in rows["ratio"].unique()),
        "seeds": sorted(int(seed) for seed in rows["seed"].unique()),
        "domains": list(panel.domains),
        "passages": len(panel.passages),
        "tokens per passage": _ends(panel.passages["tokens"].to_numpy(dtype=np.float64)),
    }


def _ends(values: Array) -> list[float]:
    return [float(values.min()), float(values.max())]
