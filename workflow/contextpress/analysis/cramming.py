"""The cramming bound: which entropy goes with what a decoder can be told, and how near to it the compressors come.

Memory that was optimised passage by passage (``reconstruction.cramming``) involves no encoder: what limits it is the
decoder and the text. Cramming finds the limit about constant in nats of the decoder (Kuratov et al., arXiv 2502.13063),
so that text which surprises the decoder fills it with fewer tokens; the paper reproduced here finds the encoder's
entropy, and not the decoder's, to go with the quality of trained compressors. Both are looked at on the same passages.

Crammed memory is treated as one more compressor of each pair, whose read-out is called crammed. It is the same for all
encoders of a decoder; what differs is the encoder's entropy that it is held against.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import Estimate, document_weights
from contextpress.analysis.buckets import Cell, bucket_means, member_means
from contextpress.analysis.findings import finite, sample, too_little
from contextpress.analysis.inference import mean_over
from contextpress.analysis.panel import Array, Panel, build_panel
from contextpress.analysis.ranked import rank_correlations, varying
from contextpress.analysis.spec import CrammingAnalysis
from contextpress.analysis.swap import decoder_swap
from contextpress.entropy.passages import NATS_PER_BIT
from contextpress.runtime.errors import UserError

CRAMMED = "crammed"  # the read-out of crammed memory
QUESTION = "Which entropy goes with how much of a passage memory can hold, the encoder's or the decoder's?"
RULE = (
    "The answer is the entropy whose partial Spearman correlation with tokens_exact (within domain, given the other "
    "model's nll, mean over pairs) is below zero and further below it than the other's, each with a 95 % interval that "
    "leaves out zero (bootstrap of documents), with the fewest vectors that were crammed. That one interval leaves out "
    "zero and the other does not would not show that the two differ."
)
NOTE = (
    "nats_held is made of the decoder's nll, so that some of its correlation with decoder entropy is by construction. "
    "Seeds are averaged, not drawn. The optimisation ends after a set number of steps: a decoder may hold more."
)
MEASURES = ("tokens_exact", "tokens_correct", "nats_held", "nats_per_vector")
TABLE = [
    *("side", "decoder", "readout", "ratio", "vectors", "measure", "bound_vectors", "bucket", "entropy", "value"),
    *("ci95_low", "ci95_high", "passages", "compressors"),
]


def side_by_side(observations: pd.DataFrame, crammed: pd.DataFrame, spec: CrammingAnalysis) -> pd.DataFrame:
    """Observations of the crammed passages, of all compressors with a frozen decoder and of crammed memory.

    Added columns: ``vectors``, and of both kinds of memory ``tokens_exact``, ``tokens_correct``, ``nats_held`` (of a
    compressor over the whole passage) and ``nats_per_vector``. Tokens are the study's; what a decoder was crammed with
    in tokens of its own is scaled by how many each passage has.

    Args:
        observations: table with the schema OBSERVATIONS.
        crammed: the tables of all decoders, schema CRAMMED.
        spec: which pretrained model each decoder is.

    Raises:
        UserError: if a decoder was not crammed, or a crammed passage was not observed.
    """
    roles = pd.DataFrame([role.model_dump() for role in spec.decoders])
    missing = sorted(set(roles["model"]) - set(crammed["decoder"]))
    if missing:
        raise UserError(f"no table of crammed memory of decoder {missing[0]}")
    strange = sorted(set(crammed["passage_id"]) - set(observations["passage_id"]))
    if strange:
        raise UserError(f"crammed passage {strange[0]} is not among the observations")
    rows = observations[observations["passage_id"].isin(crammed["passage_id"])]
    once = rows.drop_duplicates(["encoder", "decoder", "seed", "passage_id"]).merge(roles, on=["decoder", "seed"])
    bound = once.merge(crammed.rename(columns={"decoder": "model"}), on=["model", "passage_id"]).drop(columns="model")
    bound = bound.assign(
        readout=CRAMMED, ratio=bound["tokens"] // bound["vectors"], decoder_training="frozen", memory_used=True
    )
    scale = bound["tokens"] / decoder_tokens(bound)
    bound = bound.assign(**{name: bound[name] * scale for name in ("tokens_exact", "tokens_correct")})
    trained = rows[rows["decoder_training"] == "frozen"]
    trained = trained.assign(
        vectors=trained["tokens"] // trained["ratio"],
        tokens_exact=trained["prefix_match"] * trained["tokens"],
        tokens_correct=trained["accuracy"] * trained["tokens"],
        nats_held=(trained["decoder_nll"] - trained["nll"]) * decoder_tokens(trained),
    )
    both = pd.concat([bound[trained.columns], trained], ignore_index=True)
    return both.assign(nats_per_vector=both["nats_held"] / both["vectors"])


def decoder_tokens(rows: pd.DataFrame) -> pd.Series:
    """How many tokens the decoder has of each passage: its nats in all, which its bits per byte tell, over its mean."""
    return (rows["decoder_bits_per_byte"] * NATS_PER_BIT * rows["bytes"] / rows["decoder_nll"]).round()


def bucket_table(rows: pd.DataFrame, spec: CrammingAnalysis) -> pd.DataFrame:
    """What memory holds by bucket of either entropy, per decoder and for all; encoders and seeds are averaged.

    The measure ``efficiency`` is the nats per vector of a trained compressor divided by those that are crammed into
    ``bound_vectors`` vectors, over the same passages. Intervals are of documents.
    """
    panel = build_panel(rows, spec.claims, unused=True)
    parts: list[list[object]] = []
    if panel.compressors.empty:
        return pd.DataFrame(columns=TABLE)
    weights = _weights(panel, spec)
    vectors = dict(zip(panel.compressors["ratio"], panel.values("vectors")[0].astype(int), strict=True))

    def add(cell: Cell, side: str, measure: str, bound: int | None, value: Estimate) -> None:
        decoder, readout, ratio = cell.key
        head = [side, decoder, readout, ratio, vectors[ratio], measure, bound]
        parts.append([*head, cell.bucket, cell.entropy, value.value, *value.interval(), *cell.counts])

    for side in ("decoder", "encoder"):
        cells = {measure: _cells(panel, weights, side, measure) for measure in MEASURES}
        for measure, found in cells.items():
            for cell in found:
                add(cell, side, measure, None, cell.mean)
        crammed = [cell for cell in cells["nats_per_vector"] if cell.key[1] == CRAMMED]
        for cell in cells["nats_per_vector"]:
            for bound in crammed if cell.key[1] != CRAMMED else []:
                if (bound.key[0], bound.bucket) == (cell.key[0], cell.bucket):
                    add(cell, side, "efficiency", vectors[bound.key[2]], _quotient(cell.mean, bound.mean))
    return pd.DataFrame(parts, columns=TABLE).astype({"bound_vectors": "Int64"})


def cramming_finding(rows: pd.DataFrame, spec: CrammingAnalysis) -> dict[str, Any]:
    """Which entropy goes with the limit, what the decoders hold, and how near the compressors come; see RULE."""
    crammed = rows[rows["readout"] == CRAMMED]
    found: dict[str, Any] = {}
    answer, reason = "inconclusive", None
    for number in sorted(crammed["vectors"].unique()):
        panel = build_panel(crammed[crammed["vectors"] == number], spec.claims, unused=True)
        lacking = too_little(panel, spec.claims)
        correlations = {} if panel.compressors.empty else _correlations(panel, spec)
        if not found:
            reason = lacking
            answer = "inconclusive" if lacking else _answer(correlations["tokens_exact"])
        found[str(number)] = {"sample": sample(panel), "decoders": _held(panel), "correlations": correlations}
    return finite(
        {
            "question": QUESTION,
            "answer": answer,
            "reason": reason,
            "rule": RULE,
            "note": NOTE,
            "vectors": found,
            "efficiency": _efficiency(rows, spec),
        }
    )


def _answer(of_tokens: dict[str, Any]) -> str:
    """The entropy that goes with the limit, by RULE."""
    low, high = of_tokens["decoder_minus_encoder"]["ci95"]
    for side, more in (("decoder", high is not None and high < 0), ("encoder", low is not None and low > 0)):
        end = of_tokens[side]["partial"]["ci95"][1]
        if more and end is not None and end < 0:
            return f"{side} entropy"
    return "neither is shown to go with it more than the other"


def _correlations(panel: Panel, spec: CrammingAnalysis) -> dict[str, Any]:
    """Rank correlations of both entropies with what is held: within domain, pooled, partial; and by decoder swap.

    ``decoder_minus_encoder`` is the difference of the partial ones.
    """
    weights = _weights(panel, spec)
    nll = {side: panel.values(f"{side}_nll") for side in ("encoder", "decoder")}
    found: dict[str, Any] = {}
    for measure in ("tokens_exact", "nats_held"):
        held, partials = panel.values(measure), {}
        of_side: dict[str, Any] = {}
        for side, other in (("encoder", "decoder"), ("decoder", "encoder")):
            ranked = rank_correlations(panel, weights, nll[side], held, varying(panel, [nll[other]]), pooled=True)
            partial = ranked.partial if len(ranked.partial) else ranked.within
            partials[side] = mean_over(partial)
            kinds = {"marginal": mean_over(ranked.within), "marginal_pooled": mean_over(ranked.pooled)}
            kinds["partial"] = partials[side]
            of_side[side] = {kind: Estimate.of(values).report() for kind, values in kinds.items()}
        swap = decoder_swap(panel, weights, nll["decoder"], held, per_domain=True)
        of_side["decoder"]["swap"] = None if swap is None else Estimate.of(mean_over(swap.correlation)).report()
        of_side["decoder_minus_encoder"] = Estimate.of(partials["decoder"] - partials["encoder"]).report()
        found[measure] = of_side
    return found


def _held(panel: Panel) -> dict[str, Any]:
    """What each decoder holds, over passages and seeds."""
    found = {}
    for decoder, members in panel.compressors.groupby("decoder", sort=True):
        index = members.drop_duplicates("seed").index.to_numpy()  # the same for all encoders
        exact, nats = panel.values("tokens_exact")[:, index], panel.values("nats_held")[:, index]
        found[str(decoder)] = {
            "tokens_exact": exact.mean(),
            "tokens_correct": panel.values("tokens_correct")[:, index].mean(),
            "nats_held": nats.mean(),
            "nats_held_deviation_between_passages": nats.std(),
            "share_held_to_the_end": float((exact == panel.values("tokens")[:, index]).mean()),
        }
    return found


def _efficiency(rows: pd.DataFrame, spec: CrammingAnalysis) -> list[dict[str, object]]:
    """Nats per vector of trained compressors over those crammed, all decoders and passages, per read-out and ratio."""
    panel = build_panel(rows, spec.claims, unused=True)
    if panel.compressors.empty:
        return []
    weights, nats = _weights(panel, spec), panel.values("nats_per_vector")
    means: dict[tuple[str, int], Estimate] = {}
    kinds = list(zip(panel.compressors["readout"], panel.compressors["ratio"].astype(int), strict=True))
    for kind in sorted(set(kinds)):
        columns = nats[:, [other == kind for other in kinds]]
        means[kind] = Estimate.of(member_means(np.ones_like(columns), columns, weights).mean(0))
    tokens = int(panel.passages["tokens"].iloc[0])
    return [
        {
            "readout": readout,
            "ratio": ratio,
            "bound_vectors": tokens // bound,
            "value": (share := _quotient(mean, means[crammed, bound])).value,
            "ci95": list(share.interval()),
        }
        for (readout, ratio), mean in means.items()
        if readout != CRAMMED
        for crammed, bound in means
        if crammed == CRAMMED
    ]


def _cells(panel: Panel, weights: Array, side: str, measure: str) -> list[Cell]:
    """Cells of a measure keyed by decoder ("all" after each of them), read-out and ratio."""
    values = panel.values(measure)
    each = bucket_means(panel, weights, values, side, ["decoder", "readout", "ratio"])
    together = bucket_means(panel, weights, values, side, ["readout", "ratio"])
    return [*each, *(replace(cell, key=("all", *cell.key)) for cell in together)]


def _quotient(one: Estimate, other: Estimate) -> Estimate:
    """One mean over another on the same draws; NaN where nothing was crammed."""
    below = np.r_[other.value, other.draws]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Estimate.of(np.where(below > 0, np.r_[one.value, one.draws] / below, np.nan))


def _weights(panel: Panel, spec: CrammingAnalysis) -> Array:
    claims = spec.claims
    return document_weights(panel.documents, panel.slices, claims.draws, np.random.default_rng(claims.seed))
