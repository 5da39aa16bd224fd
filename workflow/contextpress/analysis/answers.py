"""Does meaning survive where words do not? Answers to questions about records, from their memory and without it.

Three looks at it. A question's words count as lost where the stretch of the record that tells the answer is not in the
greedy reconstruction (the whole record, where no one stretch tells it): how many of these questions are answered all
the same, beyond what is answered without the record? How do answers go with the quality of the reconstruction, over
records and over compressors? And do the claims hold for answers as they do for words, on the same records?

Only what the memory of a record holds, and its decoder can use, is answered: so answers are also given from the full
text, and these bound what can be hoped for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis import correlation
from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.findings import by_seed, clusters, document_freedom, finite, over_runs, sample, too_little
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import UNKNOWN, Effect, combine, mean_over
from contextpress.analysis.join import KEY
from contextpress.analysis.panel import Array, Panel, build_panel
from contextpress.analysis.ranked import rank_correlations
from contextpress.analysis.spec import ProbeSpec
from contextpress.analysis.verdicts import assess, judged
from contextpress.reconstruction.table import ANSWERED_FROM
from contextpress.runtime.errors import UserError

ANSWERS = "answers"  # share of a record's questions answered from its memory: a column beside the measures of words
KINDS = ("all", "stated", "inferred", "lost")  # of questions: by whether the record states the answer; words lost
BASES = (*ANSWERED_FROM, "majority", "chance")  # what answers
SMALLEST = 0.02  # smallest share of answers of interest (ours)
BINS = 10  # of quality, in the figure
QUESTION = "Does meaning survive where words do not?"
STATEMENT = "Questions are answered from memory whose words are not reproduced from it."
EFFECT = (
    "share of questions answered from memory less that answered without it (the better of no record and the most "
    "frequent answer), among questions whose words are not reproduced, mean over compressors"
)
RULE = (
    "supported: the p-value is below alpha, the difference is positive, overall and in every seed, and not shown to be "
    "smaller than the smallest of interest. contradicted: it is shown (two one-sided tests) to be smaller than that "
    "without being positive, or the p-value is below alpha and it is negative. Otherwise, with too little data, or "
    "where the full text does not help either (its difference is not shown to be positive), inconclusive."
)


def with_answers(
    observations: pd.DataFrame,
    asked: pd.DataFrame,
    answers: Sequence[pd.DataFrame],
    reconstructions: Sequence[pd.DataFrame],
    spec: ProbeSpec,
) -> pd.DataFrame:
    """The observations of the records, with counts of questions and of right answers beside them.

    Columns are added: ANSWERS; ``asked_KIND``, a number of questions; ``BASE_KIND``, how many of them are answered
    right from a base, or would be by chance.

    Args:
        observations: of the probe's records, with the schema OBSERVATIONS.
        asked: with the schema ASKED.
        answers: of each compressor, with the schema ANSWERS.
        reconstructions: of each compressor, with the schema RECONSTRUCTIONS.
        spec: names the compressors, in that order.

    Raises:
        UserError: if a question has no answer.
    """
    parts = []
    for described, given, made in zip(spec.compressors, answers, reconstructions, strict=True):
        counts = counted(asked, given, made, described.name)
        parts.append(counts.reset_index().assign(**{name: getattr(described, name) for name in KEY}))
    merged = observations.merge(pd.concat(parts), on=["passage_id", *KEY], validate="one_to_one")
    return merged.assign(**{ANSWERS: merged["memory_all"] / merged["asked_all"]})


def counted(asked: pd.DataFrame, given: pd.DataFrame, made: pd.DataFrame, name: str) -> pd.DataFrame:
    """The counts of ``with_answers`` under one compressor, by passage; ``name`` is for messages."""
    right = given.pivot_table(index="question_id", columns="answered_from", values="right", aggfunc="first")
    rows = asked.join(right.reindex(columns=list(ANSWERED_FROM)), on="question_id")
    if rows[list(ANSWERED_FROM)].isna().any(axis=None):
        raise UserError(f"answers of {name}: not every question has one from {', '.join(ANSWERED_FROM)}")
    made = made[made["condition"] == "real"].set_index("passage_id")
    texts, exact = rows["passage_id"].map(made["reconstruction"]), rows["passage_id"].map(made["exact_match"])
    lost = [
        needs not in text if needs else one < 1 for needs, text, one in zip(rows["needs"], texts, exact, strict=True)
    ]
    members = {"all": True, "stated": rows["stated"], "inferred": ~rows["stated"], "lost": lost}
    counts = {}
    for kind, member in members.items():
        there = pd.Series(member, index=rows.index).astype(float)
        counts[f"asked_{kind}"] = there
        counts |= {f"{base}_{kind}": there * rows[base].astype(float) for base in BASES}
    return pd.DataFrame(counts).groupby(rows["passage_id"].to_numpy()).sum().rename_axis("passage_id")


def shares(panel: Panel, weights: Array, base: str, kind: str, member: Array | None = None) -> Array:
    """Share of the questions of a kind that are answered right from a base, by compressor: [C, 1 + B].

    Args:
        panel: of ``with_answers``.
        weights: [P, 1 + B].
        base: one of BASES.
        kind: one of KINDS.
        member: [P, C] weights of the records for each compressor; by default all count.
    """
    right, asked = panel.values(f"{base}_{kind}"), panel.values(f"asked_{kind}")
    if member is not None:
        right, asked = right * member, asked * member
    number = asked.T @ weights
    return np.where(number > 0, right.T @ weights / np.where(number > 0, number, 1.0), np.nan)


@dataclass(frozen=True)
class Probe:
    """The records under all compressors that use their memory.

    Attributes:
        rows: of ``with_answers``.
        panel: records x compressors.
        weights: [P, 1 + B].
        claims: the study's, on the records as they are.
    """

    rows: pd.DataFrame
    panel: Panel
    weights: Array
    claims: ClaimsSpec

    @classmethod
    def of(cls, rows: pd.DataFrame, claims: ClaimsSpec) -> Probe:
        """From ``with_answers`` and the study's claims."""
        claims = claims.model_copy(update={"variants": ("normal",), "also_measures": ()})
        panel = build_panel(rows, claims)
        return cls(rows, panel, weights_of(panel, claims), claims)

    @property
    def words(self) -> Array:
        """[P, C] quality of the records' words, by the measure of C1."""
        return self.panel.quality(self.claims.c1.measure)


def probe_finding(probe: Probe) -> dict[str, Any]:
    """The finding, ready for JSON; see RULE for its verdict."""
    panel, claims = probe.panel, probe.claims
    reason, effect, seeds = too_little(panel, claims), UNKNOWN, {}
    if not panel.compressors.empty:
        beyond = _beyond(probe, "memory")
        effect, seeds = over_runs(panel, beyond), by_seed(panel, beyond)
        readable = over_runs(panel, _beyond(probe, "text")).p_above(0.0)
        if reason is None and not effect.known:
            reason = "the words of no question are lost, or those of too few"
        if reason is None and (readable is None or readable >= claims.alpha):
            reason = "the full text does not help to answer these questions either"
    verdict, why = ("inconclusive", reason) if reason else _judge(effect, seeds, claims.alpha)
    found: dict[str, Any] = {
        "question": QUESTION,
        "statement": STATEMENT,
        "effect": effect.value,
        "effect_name": EFFECT,
        "ci95": list(effect.interval()),
        "p_value": effect.p_two_sided(),
        "n": int(panel.values("asked_lost").sum()) if len(panel.passages) else 0,
        "clusters": clusters(panel),
        "verdict": verdict,
        "reason": why,
        "rule": RULE,
        "smallest_effect": SMALLEST,
        "seeds": seeds,
        "measure_of_words": claims.c1.measure,
        "claims": _claims(probe),
        "sample": sample(panel),
    }
    if not panel.compressors.empty:
        found |= {
            "accuracy": {kind: _accuracy(probe, kind) for kind in KINDS},
            "correlation": _correlations(probe),
            "by_quality": _by_quality(probe),
        }
    return dict(finite(found))


def _beyond(probe: Probe, base: str) -> Array:
    """Share answered from a base less the better of two ways without the record, where words are lost: [C, 1 + B]."""
    found, nothing, majority = (
        shares(probe.panel, probe.weights, name, "lost") for name in (base, "nothing", "majority")
    )
    return found - np.maximum(nothing, majority)


def _judge(effect: Effect, seeds: dict[str, float], alpha: float) -> tuple[str, str]:
    p_value, equivalent = effect.p_two_sided() or 0.0, effect.p_equivalence(SMALLEST)
    differs, small = p_value < alpha, equivalent is not None and equivalent < alpha
    if differs and effect.value < 0:
        return "contradicted", "what is answered from memory is less than what is answered without it"
    if small and not differs:
        return "contradicted", f"a difference as large as {SMALLEST:g} is ruled out in either direction"
    if small:
        return "inconclusive", f"the difference is positive, but smaller than {SMALLEST:g}, the smallest of interest"
    if not differs:
        return "inconclusive", "neither a difference nor its absence is shown"
    against = [seed for seed, value in seeds.items() if not value > 0]
    if against:
        return "inconclusive", f"the difference is not positive in seed {', '.join(against)}"
    return "supported", "the difference is positive, in every seed"


def _claims(probe: Probe) -> dict[str, Any]:
    """C1 to C3 on the records, for their words and for answers; alike where the verdicts are the same."""
    of = {"words": probe.claims, ANSWERS: _of_answers(probe.claims)}
    told = {
        what: {name: verdict for name, _, verdict in judged(assess(probe.rows, spec), spec)}
        for what, spec in of.items()
    }
    return {
        name: {
            **{what: told[what][name] for what in of},
            "alike": len({told[what][name]["verdict"] for what in of}) == 1,
        }
        for name in told["words"]
    }


def _of_answers(claims: ClaimsSpec) -> ClaimsSpec:
    """The claims about answers. They are no measure that a config can name: only the probe's records have them."""
    return claims.model_copy(
        update={name: getattr(claims, name).model_copy(update={"measure": ANSWERS}) for name in ("c1", "c2", "c3")}
    )


def _accuracy(probe: Probe, kind: str) -> dict[str, Any]:
    asked = probe.panel.values(f"asked_{kind}")
    found: dict[str, Any] = {
        base: over_runs(probe.panel, shares(probe.panel, probe.weights, base, kind)).report() for base in BASES
    }
    return {"questions": float(asked.sum() / asked.shape[1]), **found}


def _correlations(probe: Probe) -> dict[str, Any]:
    """Spearman correlations of answers with the quality of words.

    Over records: within each compressor, averaged. Over compressors: of their means, over all, and within a setting
    (ratio and read-out), averaged over settings; compressors are held fixed, the interval is of documents.
    """
    panel, weights = probe.panel, probe.weights
    ranked = rank_correlations(panel, weights, probe.words, panel.values(ANSWERS))
    mean = weights / weights.sum(0)
    words, answers = probe.words.T @ mean, panel.values(ANSWERS).T @ mean
    freedom = document_freedom(panel)
    within = [
        _over_compressors(words[rows.index], answers[rows.index]) for _, rows in panel.settings() if len(rows) > 2
    ]
    return {
        "over_records": over_runs(panel, ranked.within).report(),
        "over_compressors": {
            **combine(_over_compressors(words, answers), None, freedom).report(),
            "compressors": len(words),
        },
        "over_compressors_within_setting": (
            {**combine(np.mean(within, axis=0), None, freedom).report(), "settings": len(within)} if within else None
        ),
    }


def _over_compressors(words: Array, answers: Array) -> Array:
    """Spearman correlation of two means, both [C, 1 + B], over compressors, on the data and each draw: [1 + B]."""
    if len(words) < 3:
        return np.full(words.shape[1], np.nan)
    even, everything = np.ones((len(words), 1)), [slice(0, len(words))]
    pairs = zip(words.T, answers.T, strict=True)
    return np.array([correlation.spearman(one, two, even, everything)[0] for one, two in pairs])


def _by_quality(probe: Probe) -> list[dict[str, Any]]:
    """Answers by quality of the words, in bins of as many records each: what the figure shows over records."""
    panel, words = probe.panel, probe.words
    edges = np.unique(np.quantile(words, np.arange(1, BINS) / BINS))
    place = np.searchsorted(edges, words, side="right")
    found = []
    for number in range(len(edges) + 1):
        member = (place == number).astype(np.float64)
        if member.any():
            effect = combine(
                mean_over(shares(panel, probe.weights, "memory", "all", member)), None, document_freedom(panel)
            )
            quality = float((words * member).sum() / member.sum())
            found.append({"quality": quality, "records": int(member.sum()), **effect.report()})
    return found
