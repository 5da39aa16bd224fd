"""The dose-response of quality on the true entropy rate: text whose entropy is set, so that nothing else need differ.

The claims correlate what a model sees in found text with how well it is reconstructed. Here the rate of the text is
known in closed form (``corpus.known_entropy``), so two things can be asked that no found text answers: how far what a
model measures, H_M, is from the truth, and whether quality follows the truth.

The domains are the doses. Quality is averaged in each, and its slope is taken over the domain means, compressor by
compressor; a compressor has one ratio, so that the tokens per memory vector are held fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.correlation import ratio as correlation_of
from contextpress.analysis.findings import by_seed, clusters, finite, over_runs, sample, too_little
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import UNKNOWN, Effect, combine, mean_over, scatter_of_runs
from contextpress.analysis.panel import Array, Panel, build_panel
from contextpress.analysis.slopes import moments
from contextpress.reconstruction.table import MEASURES

ALL = "all"
SIDES = ("encoder", "decoder")
FEWEST_LEVELS = 3
DOSED = ("token_f1", "accuracy", "nll", "information_retained")
QUESTION = "Does quality fall as the true entropy rate of the text rises, the tokens per memory vector held fixed?"
EFFECT = "slope of {measure} per nat per token of true entropy rate, over the means of the {family} domains"
RULE = (
    "The answer is that quality falls (rises) with the true rate if its slope, over the means of the domains of the "
    "family with the most levels and averaged over compressors, has a 95 % interval (bootstrap of documents, scatter "
    "of training runs) below (above) zero, and that sign at every ratio and in every seed. Otherwise neither is shown; "
    "with fewer than three levels or too little data the question stays open."
)
NOTE = (
    "The domains are few and were chosen. The intervals are for other documents and training runs of these domains. "
    "over_sources is for other sources of the kind: it takes the scatter of the domains around a straight line as the "
    "error, with as many degrees of freedom as there are domains, less two, so that a bend widens it. Measures are "
    "turned so that more is better; nll and information_retained are made of the decoder's own surprise, which rises "
    "with the rate whatever the memory holds. The excess of H_M over the true rate is the divergence of the model from "
    "the source, never below zero but for noise; a passage begins in the middle of a document of an unnamed source, so "
    "that the best of models has an excess too, and a word that the passage's end cuts counts as whole."
)
TABLE = [
    *("family", "domain", "true_rate", "true_rate_deviation", "ratio", "measure", "estimate", "ci95_low", "ci95_high"),
    *("passages", "clusters", "compressors"),
]


@dataclass(frozen=True)
class Doses:
    """Generated text as levels of a dose: D domains.

    Attributes:
        panel: passages x compressors of generated text.
        weights: [P, 1 + B].
        true: [P] entropy rate of each passage, closed form, nats per token: of its source per word, by its words.
        rates: [D, 1 + B] mean of ``true`` in each domain.
        families: [D] how each domain was generated: markov, grammar, uniform.
    """

    panel: Panel
    weights: Array
    true: Array
    rates: Array
    families: list[str]

    @classmethod
    def of(cls, observations: pd.DataFrame, spec: ClaimsSpec) -> Doses:
        """From a table with the schema OBSERVATIONS; compressors that ignore their memory are left out."""
        panel = build_panel(observations, spec, generated=True)
        weights = weights_of(panel, spec)
        true = panel.values("entropy_rate")[:, :1] if len(panel.compressors) else np.zeros((0, 1))
        families = [str(panel.passages["source"].iloc[rows.start]).split("/")[0] for rows in panel.slices]
        return cls(panel, weights, true[:, 0], _means(panel, weights, true)[:, 0], families)

    def means(self, values: Array) -> Array:
        """[D, C, 1 + B] mean in each domain of ``values`` [P, C]."""
        return _means(self.panel, self.weights, values)

    def over(self, values: Array, domains: Sequence[int], members: Sequence[int]) -> Effect:
        """Mean of ``values`` [M, 1 + B] over some compressors; the error holds documents of some domains, and runs."""
        freedom = sum(self.clusters(domain) - 1 for domain in domains)
        compressors = self.panel.compressors.iloc[list(members)]
        return combine(mean_over(values), scatter_of_runs(values, compressors), freedom)

    def clusters(self, domain: int) -> int:
        """Documents (or source files) of a domain."""
        return len(np.unique(self.panel.documents[self.panel.slices[domain]]))

    def ratios(self) -> dict[int, list[int]]:
        """The compressors of each ratio."""
        ratios = self.panel.compressors["ratio"]
        return {int(ratio): np.flatnonzero(ratios == ratio).tolist() for ratio in np.unique(ratios)}

    def scopes(self) -> dict[str, list[int]]:
        """The domains of each family, and all, from the lowest rate to the highest; only scopes of enough levels."""
        order = np.argsort(self.rates[:, 0], kind="stable").tolist()
        names = dict.fromkeys([*sorted(set(self.families)), ALL])
        scopes = {name: [place for place in order if name in (self.families[place], ALL)] for name in names}
        levels = {name: len(np.unique(self.rates[places, 0].round(2))) for name, places in scopes.items()}
        return {name: places for name, places in scopes.items() if levels[name] >= FEWEST_LEVELS}

    def primary(self) -> str | None:
        """The family with the most domains, whose levels differ in nothing but the rate; or all, if none has enough."""
        found = self.scopes()
        families = [name for name in found if name != ALL]
        return max(families, key=lambda name: len(found[name]), default=next(iter(found), None))


def dose_table(doses: Doses) -> pd.DataFrame:
    """Mean of H_M, of its excess over the true rate and of every measure, by domain; of a measure also by ratio.

    H_M does not depend on the ratio, which is empty there. Measures are in their own direction (nll: less is better).
    Intervals hold documents and training runs. ``true_rate_deviation`` is between passages.
    """
    panel = doses.panel
    everyone = list(range(len(panel.compressors)))
    columns = {f"{side}_nll": panel.values(f"{side}_nll") for side in SIDES} if everyone else {}
    columns |= {f"{side}_excess": columns[f"{side}_nll"] - doses.true[:, None] for side in SIDES if columns}
    asked: list[tuple[str, int | None, list[int], Array]] = [
        (name, None, everyone, doses.means(values)) for name, values in columns.items()
    ]
    for measure in [*MEASURES, "information_retained"] if everyone else []:
        means = doses.means(panel.values(measure))
        asked += [(measure, ratio, members, means) for ratio, members in doses.ratios().items()]
    rows: list[list[object]] = []
    for place, (domain, part) in enumerate(zip(panel.domains, panel.slices, strict=True)):
        head = [doses.families[place], domain, doses.rates[place, 0], pd.Series(doses.true[part]).std()]
        for measure, ratio, members, means in asked:
            effect = doses.over(means[place, members], [place], members)
            counts = [part.stop - part.start, doses.clusters(place), len(members)]
            rows.append([*head, ratio, measure, effect.value, *effect.interval(), *counts])
    table = pd.DataFrame(rows, columns=TABLE).astype({"ratio": "Int64"})
    return table.sort_values(["true_rate", "domain"], kind="stable").reset_index(drop=True)


def dose_finding(doses: Doses, spec: ClaimsSpec) -> dict[str, Any]:
    """Whether quality follows the true rate, and how far H_M is from it; see RULE and NOTE."""
    panel, measure, primary, scopes = doses.panel, spec.c1.measure, doses.primary(), doses.scopes()
    answer, reason, effect, responses = "inconclusive", too_little(panel, spec), UNKNOWN, {}
    everyone, ratios = list(range(len(panel.compressors))), doses.ratios()
    if primary is None:
        reason = reason or f"{len(panel.domains)} generated domain(s); {FEWEST_LEVELS} levels of the rate are needed"
    else:
        slopes = _slopes(doses.rates[scopes[primary]], doses.means(panel.quality(measure))[scopes[primary]])
        effect = doses.over(slopes, scopes[primary], everyone)
        parts = [*by_seed(panel, slopes).values(), *(float(slopes[members, 0].mean()) for members in ratios.values())]
        answer = answer if reason else _answer(effect, parts)
        responses = {
            str(ratio): {name: _responses(doses, places, members, measure) for name, places in scopes.items()}
            for ratio, members in ratios.items()
        }
    return finite(
        {
            "question": QUESTION,
            "answer": answer,
            "reason": reason,
            "effect_name": EFFECT.format(measure=measure, family=primary or ALL),
            "effect": effect.value,
            "ci95": list(effect.interval()),
            "p_value": effect.p_two_sided(),
            "n": len(panel.passages) * len(panel.compressors),
            "clusters": clusters(panel),
            "rule": RULE,
            "note": NOTE,
            "measure": measure,
            "family": primary,
            "sample": sample(panel),
            "entropy": {side: _entropy(doses, side) for side in SIDES} if primary else {},
            "ratios": responses,
            "given_encoder_entropy": _given_entropy(doses, measure) if primary else None,
        }
    )


def _answer(effect: Effect, parts: Sequence[float]) -> str:
    """What quality does as the rate rises, by RULE; ``parts`` are the slopes at every ratio and in every seed."""
    low, high = effect.interval()
    if high is not None and high < 0 and all(slope < 0 for slope in parts):
        return "quality falls"
    if low is not None and low > 0 and all(slope > 0 for slope in parts):
        return "quality rises"
    return "neither is shown"


def _responses(doses: Doses, places: list[int], members: list[int], primary: str) -> dict[str, Any]:
    """The dose-response of every measure over some domains, lowest rate first, by some compressors."""
    names = [doses.panel.domains[place] for place in places]
    found = {name: _response(doses, places, members, name) for name in dict.fromkeys([primary, *DOSED])}
    return {"domains": names, "compressors": len(members), "measures": found}


def _response(doses: Doses, places: list[int], members: list[int], measure: str) -> dict[str, Any]:
    quality = doses.means(doses.panel.quality(measure))[np.ix_(places, members)]
    rates, curve = doses.rates[places], quality[:, :, 0].mean(1)
    line = stats.linregress(rates[:, 0], curve)
    across = Effect(float(line.slope), float(line.stderr), len(places) - 2)
    steps = [doses.over(higher - lower, places, members) for lower, higher in pairwise(quality)]
    return {
        "slope": doses.over(_slopes(rates, quality), places, members).report(),
        "over_sources": across.report() | {"degrees_of_freedom": across.freedom},
        "rank_correlation": stats.spearmanr(rates[:, 0], curve).statistic,
        "steps": len(steps),
        "steps_that_fall": sum(step.value < 0 for step in steps),
        "steps_shown_to_fall": sum((step.interval()[1] or 0) < 0 for step in steps),
        "steps_shown_to_rise": sum((step.interval()[0] or 0) > 0 for step in steps),
    }


def _entropy(doses: Doses, side: str) -> dict[str, Any]:
    """H_M of one side against the closed form: its excess, its slope, and how much of its variance the form explains.

    The slope is 1 and the explained variance of domain means 1 where H_M is the rate and a constant. Passages scatter
    around the rate of their source, since a passage may be more or less surprising than its source is on average.
    """
    everyone, places = range(len(doses.panel.compressors)), range(len(doses.panel.domains))
    values = doses.panel.values(f"{side}_nll")
    means = doses.means(values)  # [D, C, 1 + B]
    excess = means - doses.rates[:, None]
    around, spread = (part - part.mean(0) for part in (doses.rates[:, None], means))
    between = correlation_of((around * spread).sum(0), (around**2).sum(0), (spread**2).sum(0))
    single = correlation_of(*moments(_as_wide(doses, values), values, doses.weights))
    by_domain = [doses.over(excess[place], [place], everyone) for place in places]
    return {
        "excess": doses.over(excess.mean(0), places, everyone).report(),
        "domains_below_zero": [
            doses.panel.domains[place] for place in places if (by_domain[place].interval()[1] or 0) < 0
        ],
        "slope_on_true_rate": doses.over(_slopes(doses.rates, means), places, everyone).report(),
        "explained_of_domain_means": doses.over(between**2, places, everyone).report(),
        "explained_of_passages": doses.over(single**2, places, everyone).report(),
    }


def _given_entropy(doses: Doses, measure: str) -> dict[str, Any]:
    """Quality on true rate and encoder entropy at once, passage by passage, all domains: least squares.

    Both slopes are per nat per token, so that they can be compared: if quality follows what this passage holds, and
    not what its source holds on average, all of it goes to the entropy. They are told apart if the interval of their
    difference leaves out zero.
    """
    entropy, quality = doses.panel.values("encoder_nll"), doses.panel.quality(measure)
    wide = _as_wide(doses, entropy)
    with_rate, rate_square, _ = moments(wide, quality, doses.weights)
    with_entropy, entropy_square, _ = moments(entropy, quality, doses.weights)
    cross, _, _ = moments(wide, entropy, doses.weights)
    left = rate_square * entropy_square - cross**2
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(left > 1e-9 * rate_square * entropy_square, left, np.nan)
        inflation = (rate_square * entropy_square / scale)[:, 0]
    of_rate = (with_rate * entropy_square - with_entropy * cross) / scale
    of_entropy = (with_entropy * rate_square - with_rate * cross) / scale
    difference = over_runs(doses.panel, of_rate - of_entropy)
    low, high = difference.interval()
    return {
        "true_rate": over_runs(doses.panel, of_rate).report(),
        "encoder_entropy": over_runs(doses.panel, of_entropy).report(),
        "difference": difference.report(),
        "told_apart": low is not None and high is not None and (low > 0 or high < 0),
        "variance_inflation": float(inflation.mean()),
    }


def _means(panel: Panel, weights: Array, values: Array) -> Array:
    """[D, C, 1 + B] mean in each domain of ``values`` [P, C] under ``weights`` [P, 1 + B]."""
    means = [values[rows].T @ weights[rows] / weights[rows].sum(0) for rows in panel.slices]
    return np.array(means).reshape(len(means), values.shape[1], weights.shape[1])


def _slopes(rates: Array, means: Array) -> Array:
    """[C, 1 + B] least-squares slopes of ``means`` [D, C, 1 + B] on ``rates`` [D, 1 + B]."""
    around = (rates - rates.mean(0))[:, None]
    return (around * means).sum(0) / (around**2).sum(0)


def _as_wide(doses: Doses, values: Array) -> Array:
    """The true rate of each passage beside every column of ``values`` [P, C]."""
    return np.broadcast_to(doses.true[:, None], values.shape)
