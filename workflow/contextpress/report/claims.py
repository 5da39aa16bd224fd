"""The findings at length: what was measured of each claim, beside what the paper reports, and what may be concluded."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import pandas as pd

from contextpress.analysis import published
from contextpress.report.markdown import bullets, interval, number, p_value, table

Finding = dict[str, Any]
ORIGIN = (
    "The paper's numbers are quoted from digests of it, second hand, and marked as the paper's. No number of the paper "
    "enters a computation of this study but one: a sixth of its loss per step is the smallest slope of C3 that counts."
)
AGREEMENT = {
    "supported": "agrees with the paper",
    "contradicted": "disagrees with the paper",
    "inconclusive": "leaves the claim open",
}
MIXED = {
    "mixed_model": "gap, per sixth, mixed model: pairs random",
    "mixed_model_of_passages": "gap, per sixth, mixed model: passages random, training fixed",
}
NOT_COMPARED = (
    "Levels of F1 and BLEU: the paper's models are 200M to 1B parameters, its ratio, window and training recipe are "
    "not known, and what it calls F1 is not stated (bag-of-token F1 is our reading).",
    "The correlations of C1 and C2: the digests give their sign and significance, no coefficient.",
    "Scale: the paper's gain from a larger decoder and its check on off-the-shelf models "
    f"({published.OFF_THE_SHELF_MATCHED.name} {published.OFF_THE_SHELF_MATCHED.f1:g} F1, "
    f"{published.OFF_THE_SHELF_GAP.name} {published.OFF_THE_SHELF_GAP.f1:g}) need models of that size.",
    "Formal text: the paper has ArXiv, GitHub and DM Mathematics in a mix it does not state; here it is what the "
    "study's `corpus.formal` names.",
    "Descent: models of one shape that are pretrained here start from one warm-up, so that C3 is a statement on "
    "models of common descent; the paper's share nothing. Preset `warmups` has models that share nothing.",
)
CRAMMED = (
    f"Published of this bound: {published.CRAMMED_MODEL} holds {published.CRAMMED_NATS} nats in one vector, whatever "
    f"the text ({published.CRAMMED_SOURCE}, second hand): there the decoder's cross-entropy sets the limit."
)
CARRIES_OVER = (
    "Carries over: the design. Effects within domain, with passages as their own control, on a grid that parts "
    "encoder, decoder and gap, can be asked of models of any size, and the tests can be tried on simulated studies "
    "(`snakemake calibration`).",
    "May carry over: the direction of an effect that holds in every seed, domain and specification above.",
    "Does not carry over: the size of an effect, and above all its absence. Small compressors read little of their "
    "memory; what they do not read cannot depend on the data. A claim contradicted here by an effect ruled out is "
    "contradicted for compressors as good as these, no better.",
)


def compose(
    study: str,
    observations: pd.DataFrame,
    findings: Sequence[Finding],
    grid: pd.DataFrame,
    specification: pd.DataFrame,
    ladder: pd.DataFrame,
    cramming: Finding,
    dose_response: Sequence[Finding],
    mitigation: Sequence[Finding],
    infusion: Sequence[Finding],
    probe: Sequence[Finding],
) -> str:
    """The text: one section per claim, the bound, the ladder, then what agrees, cannot be compared, carries over.

    ``dose_response`` is one finding, or none where a study has no text of known entropy; ``mitigation`` is one, or
    none where it helps no pairs; ``infusion`` one, or none where no encoder is given its decoder's corpus; ``probe``
    one, or none where nothing is asked.
    """
    by_claim = {finding["claim"]: finding for finding in findings}
    sections = {
        "C1: encoder entropy": _encoder(by_claim["C1"], specification),
        "C2: decoder entropy": _decoder(by_claim["C2"], specification),
        "C3: the gap between the data": _gap(by_claim["C3"], grid, specification, observations),
        "Is the gap hard to mitigate?": "".join(map(_mitigation, mitigation)),
        "What does the decoder's corpus do to an encoder?": "".join(map(_infusion, infusion)),
        "Does meaning survive where words do not?": "".join(map(_probe, probe)),
        "The true entropy rate": "".join(map(_dose, dose_response)),
        "The cramming bound": _cramming(cramming),
        "The control ladder": _ladder(ladder),
        "Where this study and the paper meet": _meeting(by_claim),
        "What carries over from small models": bullets(CARRIES_OVER),
    }
    parts = [
        f"# Findings of study {study}",
        ORIGIN,
        *(f"## {title}\n\n{text}" for title, text in sections.items() if text),
    ]
    return "\n\n".join(parts) + "\n"


def _head(finding: Finding) -> str:
    what = " of equivalence" if finding["claim"] == "C2" else ""
    return (
        f"*{finding['statement']}*\n\n**{finding['verdict'].capitalize()}**: {finding['reason']}. "
        f"Effect {interval(finding['effect'], finding['ci95'])} ({finding['effect_name']}); adjusted p{what} "
        f"{p_value(finding['p_adjusted'])}; n = {finding['n']:,} passages x compressors, {finding['clusters']:,} "
        f"clusters."
    )


def _encoder(finding: Finding, specification: pd.DataFrame) -> str:
    details = finding["details"]
    rows = [
        ["within domain (declared)", _said(finding | {"value": finding["effect"]}), "negative, significant"],
        ["pooled over domains", _said(details.get("pooled")), "negative, significant"],
        ["standardised slope, within domain", _said(details.get("standardised_slope")), "not known"],
        ["given decoder entropy", _said(details.get("given_decoder_entropy")), "not known"],
        ["generalised to other encoders and decoders", _said(details.get("generalised_over_pairs")), "not known"],
        ["with another passage's memory", _said(details.get("with_another_passages_memory")), "not known"],
        *([f"domain {name}", _said(value), "not known"] for name, value in (details.get("domains") or {}).items()),
    ]
    return "\n\n".join([_head(finding), _table("Spearman correlation", rows), _robust(specification, "C1")])


def _decoder(finding: Finding, specification: pd.DataFrame) -> str:
    details = finding["details"]
    swap, collinear = details.get("swap") or {}, details.get("collinearity") or {}
    rows = [
        ["partial, given encoder entropy, length and domain (declared)", _said(finding | {"value": finding["effect"]})],
        ["decoder swap, passages as their own control", _said(swap)],
        ["marginal, within domain", _said(details.get("marginal"))],
        ["collinearity of the two entropies", _said(collinear)],
    ]
    bound = (details.get("bounds") or [None, None])[1]
    test = (
        f"No relationship is claimed only by equivalence: 90 % intervals within ±{number(bound)}. They are "
        f"[{', '.join(map(number, details.get('ci90') or [None, None]))}] (partial) and "
        f"[{', '.join(map(number, swap.get('ci90') or [None, None]))}] (swap); the larger p-value of the two is "
        f"{p_value(finding['p_value'])}. The variance inflation of the two entropies is "
        f"{number(collinear.get('variance_inflation'))}."
    )
    rows = [[*row, "not significant" if index == 0 else "not known"] for index, row in enumerate(rows)]
    return "\n\n".join([_head(finding), _table("correlation", rows), test, _robust(specification, "C2")])


def _gap(finding: Finding, grid: pd.DataFrame, specification: pd.DataFrame, observations: pd.DataFrame) -> str:
    details = finding["details"]
    whole = grid[grid["ratio"].astype(str) == "all"].astype(object).where(lambda values: values.notna(), None)
    found = {(row["effect"], str(row["name"])): row for row in whole.to_dict("records")}
    paper = f"{number(published.PER_SIXTH)} F1 (D1 to D6, decoder moved)"
    rows = []
    for effect, name, what, theirs in (
        ("gap_slope", "design", "gap, per sixth, effects removed (declared)", paper),
        ("naive_slope", "design", "gap, per sixth, effects not removed", paper),
        ("encoder_slope", "replaced", "encoder's own data, per sixth", "not known"),
        ("decoder_slope", "replaced", "decoder's own data, per sixth", "not known"),
        ("gap_slope", "kl_encoder_decoder", "KL(encoder to decoder), per nat", "not known"),
        ("gap_slope", "kl_decoder_encoder", "KL(decoder to encoder), per nat", "not known"),
        ("naive_slope", "entropy_difference", "H_D - H_E, per nat, effects not removed", "not known"),
    ):
        row = found.get((effect, name))
        if row:
            rows.append([what, interval(row["estimate"], [row["ci95_low"], row["ci95_high"]]), theirs])
    for key, what in MIXED.items():
        model = details.get(key) or {}
        rows.append([what, interval(model.get("slope"), model.get("ci95") or []), "not known"])
    order = details.get("monotonicity") or {}
    monotone = (
        f"Quality falls at {order.get('steps_that_fall', 'no')} of {order.get('steps', 0)} steps to a larger gap, "
        f"effects removed (p that it falls at every step: {p_value(order.get('p_every_step_falls'))}; that it rises "
        f"at some: {p_value(order.get('p_some_step_rises'))})."
    )
    slope = (
        "The difference of entropies H_D - H_E is a number of the decoder less one of the encoder, so no grid can tell "
        "its effect from theirs: it is given without effects removed, and is no evidence of a gap. The paper moves the "
        "decoder's data alone, which mixes the gap with how well each decoder writes the test text; the decoder's own "
        "slope above says how much that is here."
    )
    texts = [slope, monotone, _levels(observations), _robust(specification, "C3")]
    return "\n\n".join([_head(finding), _table("quality", rows), *(text for text in texts if text)])


def _levels(observations: pd.DataFrame) -> str:
    """Mean quality of the matched pair and of the widest gap, beside the paper's."""
    normal = observations[(observations["variant"] == "normal") & (observations["encoder_replaced"] == 0)]
    decoders = normal.loc[normal["gap_design"].notna(), "decoder_replaced"]
    if decoders.nunique() < 2:
        return ""
    rows = []
    for share, paper in ((decoders.min(), published.MATCHED), (decoders.max(), published.WIDEST_GAP)):
        for (encoder, decoder, readout, ratio), cell in normal[normal["decoder_replaced"] == share].groupby(
            ["encoder", "decoder", "readout", "ratio"], sort=True
        ):
            f1, bleu = 100 * cell["token_f1"].mean(), cell["bleu"].mean()
            ours = f"{encoder} + {decoder}, {str(readout).replace('_', ' ')}, ratio {ratio}"
            rows.append([ours, f"{f1:.1f}", f"{bleu:.1f}", paper.name, f"{paper.f1:g}", f"{paper.bleu:g}"])
    head = ["this study", "F1", "BLEU", "the paper's setting", "the paper's F1", "the paper's BLEU"]
    return "Levels, which cannot be compared (sizes, ratio and F1 differ):\n\n" + table(
        head, rows, numbers=[name for name in head if name.endswith(("F1", "BLEU"))]
    )


def _mitigation(finding: Finding) -> str:
    rows = [
        [
            arm.replace("_", " "),
            interval(found["effect"], found["ci95"]),
            _said(found["beyond_longer"]) if found["beyond_longer"] else "",
            p_value(found["p_corrected"]),
            _said(found["gap_left"]),
            found["verdict"],
        ]
        for arm, found in finding["arms"].items()
    ]
    head = ["arm", "share of the gap closed", "beyond longer training", "p corrected", "gap left", "verdict"]
    reason, best = (finding[key].replace("_", " ") for key in ("reason", "best_arm"))
    said = (
        f"*{finding['statement']}*\n\n**{finding['verdict'].capitalize()}**: {reason}. Best arm: {best}, "
        f"{interval(finding['effect'], finding['ci95'])} ({finding['effect_name']}). The gap: {_said(finding['gap'])}."
    )
    return "\n\n".join([said, table(head, rows), finding["rule"], finding["note"]])


def _infusion(finding: Finding) -> str:
    rows = [
        [
            f"{size}: {dose['tokens']:,}",
            number(dose["share"]),
            *(_said(dose[name]) for name in ("gained", "lost", "learned")),
        ]
        for size, doses in finding["doses"].items()
        for dose in doses
    ]
    head = ["encoder: tokens infused", "share", "quality gained", "own nll lost", "decoder's nll learned"]
    points = [
        f"{size}, none up to {found['largest_dose']:,} tokens"
        if found["tokens"] is None
        else f"{size}, after {found['tokens_before']:,} and up to {found['tokens']:,} tokens"
        for size, found in finding["collapse"].items()
    ]
    answers = {True: "yes", False: "no", None: "not known"}
    said = [
        f"{each['small']} foretells {each['large']}: by the same dose {answers[each['same_dose']]}, by the same tokens "
        f"per weight {answers[each['same_tokens_per_weight']]}"
        for each in finding["small_predicts_large"]
    ]
    effect = f"{interval(finding['effect'], finding['ci95'])} ({finding['effect_name']})"
    verdict = f"**{finding['verdict'].capitalize()}**: {finding['reason']}. {effect}."
    listed = bullets([f"collapse point of encoder {point}" for point in points] + said)
    return "\n\n".join([f"*{finding['statement']}*", verdict, table(head, rows), listed, finding["rule"]])


def _probe(finding: Finding) -> str:
    words = finding["measure_of_words"].replace("_", " ")
    kinds = {"all": "all", "stated": "the record states the answer", "inferred": "it follows", "lost": "words lost"}
    bases = {"text": "full text", "memory": "memory", "shuffled": "another's memory", "nothing": "nothing"}
    rows = [
        [kinds[kind], f"{found['questions']:,.0f}", *(_said(found[base]) for base in bases)]
        for kind, found in finding["accuracy"].items()
    ]
    answered = table(["questions", "how many", *(f"answered from {base}" for base in bases.values())], rows)
    judged = [
        [name.upper(), *(f"{_said(one | {'value': one['effect']})}, {one['verdict']}" for one in _sides(found))]
        for name, found in finding["claims"].items()
    ]
    correlations = finding["correlation"]
    said = [
        f"answers with {words}, rank correlation {where}: {_said(correlations[key])}"
        for key, where in (("over_records", "over records"), ("over_compressors", "over compressors"))
    ]
    verdict = (
        f"**{finding['verdict'].capitalize()}**: {finding['reason']}. "
        f"{interval(finding['effect'], finding['ci95'])} ({finding['effect_name']})."
    )
    claims = table(["claim, of the same records", words, "answers"], judged)
    return "\n\n".join([f"*{finding['statement']}*", verdict, answered, bullets(said), claims, finding["rule"]])


def _sides(found: Finding) -> list[Finding]:
    return [found["words"], found["answers"]]


def _cramming(finding: Finding) -> str:
    reason = f": {finding['reason']}" if finding["reason"] else ""
    parts = [f"*{finding['question']}*\n\n**{finding['answer'].capitalize()}**{reason}. {finding['rule']}"]
    for vectors, found in finding["vectors"].items():
        rows = []
        for measure, sides in found["correlations"].items():
            encoder, decoder = sides["encoder"], sides["decoder"]
            told = [encoder["partial"], decoder["partial"], sides["decoder_minus_encoder"], decoder["swap"]]
            rows.append([measure.replace("_", " "), *map(_said, told)])
        head = ["of", "encoder entropy", "decoder entropy", "decoder less encoder", "decoder swap"]
        parts.append(f"Partial Spearman correlations, vectors per passage: {vectors}.\n\n" + table(head, rows))
        held = [
            f"decoder {name}: {number(mean['tokens_exact'])} tokens reproduced, {number(mean['nats_held'])} nats held"
            for name, mean in found["decoders"].items()
        ]
        parts.append(bullets(held))
    shares = [
        f"{row['readout'].replace('_', ' ')}, ratio {row['ratio']}: {_said(row)} of the nats per vector with "
        f"{row['bound_vectors']} per passage crammed"
        for row in finding["efficiency"]
    ]
    return "\n\n".join([*parts, "Trained compressors against the bound:", bullets(shares), finding["note"], CRAMMED])


def _dose(finding: Finding) -> str:
    reason = f": {finding['reason']}" if finding["reason"] else ""
    parts = [
        f"*{finding['question']}*\n\n**{finding['answer'].capitalize()}**{reason}. Effect "
        f"{interval(finding['effect'], finding['ci95'])} ({finding['effect_name']}). {finding['rule']}"
    ]
    rows = [
        [
            f"{scope}, {len(found['domains'])} domains",
            ratio,
            measure.replace("_", " "),
            _said(response["slope"]),
            _said(response["over_sources"]),
            number(response["rank_correlation"]),
            f"{response['steps_that_fall']} of {response['steps']}",
        ]
        for ratio, scopes in finding["ratios"].items()
        for scope, found in scopes.items()
        for measure, response in found["measures"].items()
    ]
    if rows:
        head = ["domains", "ratio", "measure", "slope per nat", "over sources", "rank correlation", "steps that fall"]
        parts.append(table(head, rows))
    sides = [
        f"{side} entropy: {_said(found['excess'])} nats per token above the true rate; slope on it "
        f"{_said(found['slope_on_true_rate'])}; explained by it {_said(found['explained_of_domain_means'])} of the "
        f"variance of domain means, {_said(found['explained_of_passages'])} of that of passages"
        for side, found in finding["entropy"].items()
    ]
    given = finding["given_encoder_entropy"]
    if given:
        sides.append(
            f"both at once: {_said(given['true_rate'])} per nat of the true rate, {_said(given['encoder_entropy'])} "
            f"per nat of encoder entropy; told apart: {'yes' if given['told_apart'] else 'no'}"
        )
    return "\n\n".join([*parts, bullets(sides), finding["note"]])


def _ladder(ladder: pd.DataFrame) -> str:
    shown = ladder[ladder["measure"].isin(["bleu", "token_f1", "nll"])]
    keys = ["source", "readout", "ratio", "measure"]
    plain = shown.assign(
        **{key: shown[key].astype(object).fillna("").astype(str).str.removesuffix(".0") for key in keys}
    )
    variants = list(dict.fromkeys(plain["variant"]))
    rows = []
    for key, part in plain.groupby(keys, sort=False):
        cells = {row["variant"]: _ours_or_theirs(row) for row in part.to_dict("records")}
        rows.append([*(str(name).replace("_", " ") for name in key), *(cells.get(name, "") for name in variants)])
    text = (
        "The same passages as they are, disturbed, and as random ids. Published ladders are those of other models, "
        "trained longer, on other text; what can be compared is the order of the rungs, not their height."
    )
    return text + "\n\n" + table([*keys, *(name.replace("_", " ") for name in variants)], rows)


def _ours_or_theirs(row: dict[Hashable, Any]) -> str:
    ends = [None if pd.isna(row[name]) else row[name] for name in ("ci95_low", "ci95_high")]
    return interval(row["estimate"], ends)


def _robust(specification: pd.DataFrame, claim: str) -> str:
    rows = specification[specification["claim"] == claim].dropna(subset=["effect"])
    told = rows.dropna(subset=["ci95_low"])
    if told.empty:
        return "No other specification could be estimated."
    below, above = int((told["ci95_high"] < 0).sum()), int((told["ci95_low"] > 0).sum())
    return (
        f"Of {len(told)} specifications (measure, predictor, scope, read-out, ratio) {below} have a 95 % interval "
        f"below zero, {above} above, {len(told) - below - above} hold zero; {int((told['effect'] < 0).sum())} effects "
        f"are negative."
    )


def _meeting(by_claim: dict[str, Finding]) -> str:
    items = [
        f"{claim} {AGREEMENT[finding['verdict']]}: {finding['reason']}." for claim, finding in sorted(by_claim.items())
    ]
    return bullets(items) + "\n\nCannot be compared:\n\n" + bullets(NOT_COMPARED)


def _said(found: dict[str, Any] | None) -> str:
    return "not known" if not found else interval(found.get("value"), found.get("ci95") or [])


def _table(what: str, rows: Sequence[Sequence[str]]) -> str:
    return table(["", f"this study, {what} [95 % interval]", "the paper (second hand)"], rows)
