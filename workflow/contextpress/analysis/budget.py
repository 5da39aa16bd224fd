"""The entropy-aware memory budget: more vectors for passages of high entropy, against as many for each.

The compressors that a study has of one pair, read-out and seed at its several ratios are a bank: together a read-out
whose number of vectors may differ from passage to passage. What a bank makes of a passage at each of its sizes has been
observed, so that any way of sharing out a fixed total is judged without training anything.

A budget is a mean number of vectors per passage. Between two numbers on offer the uniform budget gives some passages
the one and some the other, whichever they are: its quality lies on the straight line between the two. All ways of
sharing are compared at equal total memory, on the data exactly. What each passage gets stays as it is while documents
are drawn; on each draw the uniform budget is read at the memory that the drawn passages were given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.allocation import allocate, nearest_total, water_filled
from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.encoder_entropy import judge_direction
from contextpress.analysis.findings import by_seed, clusters, document_freedom, finite, sample, too_little
from contextpress.analysis.inference import UNKNOWN, Effect, combine, mean_over, scatter_of_runs
from contextpress.analysis.panel import COMPRESSOR, Array, Codes, Panel, build_panel
from contextpress.analysis.practice import BudgetSpec
from contextpress.analysis.prediction import Predictor, expected
from contextpress.entropy.passages import NATS_PER_BIT

BANK = [name for name in COMPRESSOR if name != "ratio"]
ENCODER, DECODER, RANDOM = "encoder entropy", "decoder entropy", "random order"
PREDICTED, BEST, UNIFORM = "predicted gain", "measured gain (upper bound)", "uniform"
POOLED, WITHIN = "all passages", "within domain"
RULE = (
    "supported: over all passages and at the budget in the middle, the gain over the uniform budget differs from zero "
    "(p below alpha), is positive overall and in every seed, and is not shown to be smaller than the smallest effect "
    "of interest. contradicted: it is shown to be negative, or (two one-sided tests) to be smaller than the smallest "
    "effect of interest without being positive. Otherwise, or with too little data, inconclusive. Not available where "
    "no pair has compressors of two ratios that use their memory."
)
NOTE = (
    "A bank is the compressors of one pair, read-out and seed at all ratios of the study. Nats are those of a passage "
    "under the model, bits per byte x bytes. A budget that follows entropy is clip(level x nats, fewest, most), with "
    "one level for all, then the nearest numbers on offer (least squares) with the same total; where the budget is "
    "itself on offer, shares near it become it, and few passages get another number. The random order gives "
    "the same numbers to other passages: the mean over all orders in closed form, which with two ratios is the uniform "
    "budget; its spread is of orders that were drawn. Predicted gain shares out to the highest sum of what the "
    "predictor expects, which was fitted to the same documents; measured gain to the highest sum of what was measured, "
    "noise and all, which nobody knows beforehand. Within a domain the total is fixed for each domain, and domains "
    "count alike."
)
TABLE = [
    *("scope", "budget", "sharing", "quality", "ci95_low", "ci95_high", "quality_per_vector"),
    *("gain", "gain_ci95_low", "gain_ci95_high", "gain_p_value", "gain_per_vector", "passages", "clusters", "banks"),
]


@dataclass(frozen=True)
class Banks:
    """Compressors of several ratios as one: G banks, K sizes, P passages.

    Attributes:
        panel: their passages, with one compressor for each bank.
        sizes: [K] vectors per passage on offer, rising.
        quality: [G, K, P] of each passage at each size.
        predicted: the same as the predictor expects it; None if it does not know the measure.
        nats: [G, P] of each passage under each bank's encoder and decoder.
    """

    panel: Panel
    sizes: Codes
    quality: Array
    predicted: Array | None
    nats: dict[str, Array]

    @classmethod
    def of(cls, panel: Panel, measure: str, predictor: Predictor | None) -> Banks:
        """All banks of a panel that have every ratio of it."""
        ratios = np.sort(panel.compressors["ratio"].unique())[::-1]
        named = panel.compressors.assign(place=np.arange(len(panel.compressors)))
        places = named.set_index([*BANK, "ratio"])["place"].unstack()[ratios].dropna()  # noqa: PD010
        index = places.to_numpy(dtype=np.int64)
        tokens = int(panel.passages["tokens"].iloc[0])
        nats = {
            side: (panel.values(f"{side}_bits_per_byte") * NATS_PER_BIT).T[index[:, 0]]
            * panel.passages["bytes"].to_numpy(dtype=np.float64)
            for side in ("encoder", "decoder")
        }
        guessed = None if predictor is None else _predicted(panel, measure, predictor)
        return cls(
            panel=panel.only(np.isin(named["place"], index[:, 0])),
            sizes=(tokens // ratios).astype(np.int64),
            quality=panel.quality(measure).T[index],
            predicted=None if guessed is None else guessed[index],
            nats=nats,
        )

    def budgets(self, steps: int) -> Array:
        """Mean vectors per passage that are tried: ``steps`` from each size to the next, without the two ends."""
        places = np.arange(1, steps * (len(self.sizes) - 1)) / steps
        return np.interp(places, np.arange(len(self.sizes)), self.sizes)

    def shared(self, rows: slice, budget: float) -> dict[str, Codes]:
        """What each bank gives the passages of ``rows``: [G, n] places in ``sizes``, by way of sharing."""
        count = rows.stop - rows.start
        total = nearest_total(self.sizes, count, budget * count)
        costs = {BEST: -self.quality[:, :, rows]}
        if self.predicted is not None:
            costs[PREDICTED] = -self.predicted[:, :, rows]
        for name, side in ((ENCODER, "encoder"), (DECODER, "decoder")):
            costs[name] = np.array([_distance(nats[rows], self.sizes, total) for nats in self.nats[side]])
        known: dict[bytes, Codes] = {}  # pairs with one encoder share one budget

        def once(cost: Array) -> Codes:
            key = cost.tobytes()
            if key not in known:
                known[key] = allocate(np.ascontiguousarray(cost.T), self.sizes, total)
            return known[key]

        names = [name for name in (ENCODER, DECODER, PREDICTED, BEST) if name in costs]
        return {name: np.array([once(cost) for cost in costs[name]]) for name in names}


@dataclass(frozen=True)
class Sharing:
    """One way of sharing out memory, at one budget, in one scope.

    Attributes:
        quality: [G, 1 + B] at the budget.
        gain: [G, 1 + B] over the uniform budget at the same memory.
    """

    quality: Array
    gain: Array


def budget(
    observations: pd.DataFrame, predictor: Predictor | None, spec: BudgetSpec
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Compare ways of sharing out a fixed total of memory.

    Args:
        observations: table with the schema OBSERVATIONS.
        predictor: of quality; None where the study has none.
        spec: measure, sample, and the rules of the verdict.

    Returns:
        The finding, and a table with the columns TABLE: scope x budget x way of sharing.
    """
    panel = build_panel(observations, spec.claims)
    reason = _not_available(panel)
    if reason is not None:
        return _finding(panel, spec, "not available", reason), pd.DataFrame(columns=TABLE)
    banks = Banks.of(panel, spec.claims.c1.measure, predictor)
    weights = weights_of(panel, spec.claims)
    tried = banks.budgets(spec.rules.steps).tolist()
    found = {(scope, mean): ways for mean in tried for scope, ways in _scopes(banks, weights, mean)}
    middle = tried[len(tried) // 2]
    gain, of_decoder = (found[POOLED, middle][way].gain for way in (ENCODER, DECODER))
    effect, seeds = _over_banks(banks, gain, document_freedom(panel)), by_seed(banks.panel, gain)
    verdict, reason = "inconclusive", too_little(panel, spec.claims)
    if reason is None:
        alpha, bound = spec.claims.alpha, spec.rules.smallest_effect
        verdict, why = judge_direction(effect, seeds, lambda p: p, alpha, bound, "gain", "positive")
        rival = _over_banks(banks, of_decoder - gain, document_freedom(panel))
        reason = f"{why}; {_against(rival, alpha)}"
    details = _details(banks, found, middle, effect, spec) | {"seeds": seeds}
    return _finding(panel, spec, verdict, reason, effect, banks, details), _table(banks, found)


def _not_available(panel: Panel) -> str | None:
    if panel.compressors.empty:
        return "no compressor of the study uses its memory and fits the hypothesis"
    ratios = panel.compressors["ratio"].unique()
    if len(ratios) < 2:
        return f"all compressors have ratio {ratios[0]}; at least two ratios are needed"
    if np.ptp(panel.passages["tokens"]) > 0:
        return "the passages differ in length"
    if (panel.compressors.groupby(BANK)["ratio"].nunique() < len(ratios)).all():
        return f"no pair has compressors of all ratios ({', '.join(map(str, np.sort(ratios)))}) that use their memory"
    return None


def _distance(nats: Array, sizes: Codes, total: int) -> Array:
    """[K, n] squared distance of each size from the water-filled share of each passage."""
    shares = water_filled(nats, float(sizes[0]), float(sizes[-1]), float(total))
    return (sizes[:, None] - shares) ** 2


def _predicted(panel: Panel, measure: str, predictor: Predictor) -> Array | None:
    """[C, P] what the predictor expects of each compressor and passage; None if it does not know the measure."""
    if measure not in predictor.measures:
        return None
    known = {(one.encoder, one.decoder, one.readout, one.ratio, one.seed): one for one in predictor.seen}
    own = ["gap_kl_encoder_decoder", "gap_entropy_difference", "encoder_parameters", "decoder_parameters"]
    nll = {name: panel.values(name).T for name in ("encoder_nll", "decoder_nll")}
    parts = []
    for place, row in enumerate(panel.compressors.to_dict("records")):
        one = known[row["encoder"], row["decoder"], row["readout"], row["ratio"], row["seed"]]
        inputs = pd.DataFrame({name: values[place] for name, values in nll.items()})
        inputs = inputs.assign(ratio=one.ratio, readout=one.readout, **{name: getattr(one, name) for name in own})
        parts.append(expected(predictor.measures[measure], inputs))
    return np.array(parts)


def _scopes(banks: Banks, weights: Array, mean: float) -> Iterator[tuple[str, dict[str, Sharing]]]:
    """Every way of sharing at one budget: over all passages, in each domain, and the mean over domains."""
    whole = slice(0, len(banks.panel.passages))
    yield POOLED, _judged(banks, weights, whole, mean)
    domains = {
        name: _judged(banks, weights, rows, mean)
        for name, rows in zip(banks.panel.domains, banks.panel.slices, strict=True)
    }
    first = next(iter(domains.values()))
    yield (
        WITHIN,
        {
            way: Sharing(
                np.mean([found[way].quality for found in domains.values()], axis=0),
                np.mean([found[way].gain for found in domains.values()], axis=0),
            )
            for way in first
        },
    )
    yield from domains.items()


def _judged(banks: Banks, weights: Array, rows: slice, mean: float) -> dict[str, Sharing]:
    """The ways of sharing among the passages of ``rows``, under ``weights`` [P, 1 + B]."""
    own, quality = weights[rows], banks.quality[:, :, rows]
    total = own.sum(0)
    at_sizes = quality @ own / total
    uniform = along(banks.sizes, at_sizes, np.full((len(quality), len(total)), mean))
    found = {UNIFORM: Sharing(uniform, np.zeros_like(uniform))}
    shared = banks.shared(rows, mean)
    for way, places in shared.items():
        reached = np.take_along_axis(quality, places[:, None], axis=1)[:, 0] @ own / total
        memory = banks.sizes[places].astype(np.float64) @ own / total
        gain = reached - along(banks.sizes, at_sizes, memory)
        found[way] = Sharing(uniform + gain, gain)
    # Over all orders a passage has each size as often as the sizes come in the budget that is permuted.
    shares = (shared[ENCODER][:, None] == np.arange(len(banks.sizes))[:, None]).mean(2)
    memory = np.repeat(shares @ banks.sizes[:, None], len(total), axis=1)
    gain = np.einsum("gk,gkb->gb", shares, at_sizes) - along(banks.sizes, at_sizes, memory)
    if len(banks.sizes) == 2:
        gain[:] = 0.0  # by definition, and not but for the last digits
    found[RANDOM] = Sharing(uniform + gain, gain)
    order = (UNIFORM, ENCODER, DECODER, RANDOM, PREDICTED, BEST)
    return {way: found[way] for way in order if way in found}


def along(sizes: Codes, values: Array, at: Array) -> Array:
    """Straight lines between values [G, K, N] at the sizes [K], read at ``at`` [G, N]: [G, N]."""
    left = np.clip(np.searchsorted(sizes, at, side="right") - 1, 0, len(sizes) - 2)
    low, high = (np.take_along_axis(values, place[:, None], axis=1)[:, 0] for place in (left, left + 1))
    return low + (high - low) * (at - sizes[left]) / (sizes[left + 1] - sizes[left])


def drawn_orders(banks: Banks, given: Codes, orders: int, seed: int) -> Array:
    """[orders] mean quality over banks and all passages, each order handing the sizes ``given`` [G, P] to others."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(orders):
        turned = given[:, draw.permutation(given.shape[1])]
        found.append(np.take_along_axis(banks.quality, turned[:, None], axis=1).mean())
    return np.array(found)


def _over_banks(banks: Banks, values: Array, freedom: float) -> Effect:
    return combine(mean_over(values), scatter_of_runs(values, banks.panel.compressors), freedom)


def _freedom(panel: Panel, scope: str) -> float:
    """Degrees of freedom of documents."""
    if scope in (POOLED, WITHIN):
        return document_freedom(panel)
    rows = panel.slices[panel.domains.index(scope)]
    return float(len(np.unique(panel.documents[rows])) - 1)


def _against(rival: Effect, alpha: float) -> str:
    """How the gain by the decoder's entropy, less that by the encoder's, is told beside the verdict."""
    p_value = rival.p_two_sided()
    if p_value is None or p_value >= alpha:
        return "that of a budget that follows the decoder's entropy is not shown to differ"
    return f"that of a budget that follows the decoder's entropy is {'larger' if rival.value > 0 else 'smaller'}"


def _finding(
    panel: Panel,
    spec: BudgetSpec,
    verdict: str,
    reason: str,
    effect: Effect = UNKNOWN,
    banks: Banks | None = None,
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:
    measure, rules = spec.claims.c1.measure, spec.rules
    compressors = 0 if banks is None else len(banks.quality) * len(banks.sizes)
    return finite(
        {
            "claim": "budget",
            "statement": rules.statement,
            "effect": effect.value,
            "effect_name": f"gain in {measure} over the uniform budget at equal total memory, mean over passages and "
            "banks",
            "ci95": list(effect.interval()),
            "p_value": effect.p_two_sided(),
            "n": len(panel.passages) * compressors,
            "clusters": clusters(panel),
            "verdict": verdict,
            "reason": reason,
            "rule": RULE,
            "note": NOTE,
            "hypothesis": rules.model_dump(mode="json") | {"measure": measure, "alpha": spec.claims.alpha},
            "details": {"sample": sample(panel)} | (details or {}),
        }
    )


def _details(
    banks: Banks, found: dict[tuple[str, float], dict[str, Sharing]], middle: float, effect: Effect, spec: BudgetSpec
) -> dict[str, Any]:
    panel, ways = banks.panel, found[POOLED, middle]

    def told(values: Array, scope: str = POOLED) -> dict[str, object]:
        return _over_banks(banks, values, _freedom(panel, scope)).report()

    def levels(values: Array) -> dict[str, object]:
        return {name: value for name, value in told(values).items() if name != "p_value"}

    given = banks.shared(slice(0, len(panel.passages)), middle)[ENCODER]
    orders = drawn_orders(banks, given, spec.rules.orders, spec.claims.seed)
    reached = float(ways[ENCODER].quality[:, 0].mean())
    best = float(ways[BEST].gain[:, 0].mean())
    return {
        "vectors_on_offer": banks.sizes.tolist(),
        "budget": middle,
        "share_given": {str(size): float((given == place).mean()) for place, size in enumerate(banks.sizes)},
        "banks": len(banks.quality),
        "quality": {way: levels(one.quality) for way, one in ways.items()},
        "quality_per_vector": {way: levels(one.quality / middle) for way, one in ways.items()},
        "gain": {way: told(one.gain) for way, one in ways.items() if way != UNIFORM},
        "gain_per_vector": told(ways[ENCODER].gain / middle),
        "entropy_less": {
            way: told(ways[ENCODER].gain - one.gain) for way, one in ways.items() if way not in (UNIFORM, ENCODER)
        },
        "share_of_upper_bound": effect.value / best if best > 0 else None,
        "random_orders": {
            "drawn": len(orders),
            "mean": orders.mean(),
            "lowest": orders.min(),
            "highest": orders.max(),
            # The order itself is one of all orders: it counts as one that was drawn.
            "share_as_good": (1 + (orders >= reached).sum()) / (1 + len(orders)),
        },
        "within_domain": told(found[WITHIN, middle][ENCODER].gain),
        "domains": {name: told(found[name, middle][ENCODER].gain, name) for name in panel.domains},
        "budgets": {f"{mean:g}": told(one[ENCODER].gain) for (scope, mean), one in found.items() if scope == POOLED},
        "error": effect.sources(),
        "smallest_effect": spec.rules.smallest_effect,
        "ci90": list(effect.interval(0.9)),
        "p_equivalence": effect.p_equivalence(spec.rules.smallest_effect),
    }


def _table(banks: Banks, found: dict[tuple[str, float], dict[str, Sharing]]) -> pd.DataFrame:
    panel, lines = banks.panel, []
    for (scope, mean), ways in found.items():
        rows = slice(None) if scope in (POOLED, WITHIN) else panel.slices[panel.domains.index(scope)]
        documents = panel.documents[rows]
        for way, one in ways.items():
            quality = _over_banks(banks, one.quality, _freedom(panel, scope))
            gain = _over_banks(banks, one.gain, _freedom(panel, scope))
            ends = (None, None, None) if way == UNIFORM else (*gain.interval(), gain.p_two_sided())
            line = [scope, mean, way, quality.value, *quality.interval(), quality.value / mean]
            line += [gain.value, *ends, gain.value / mean]
            lines.append([*line, len(documents), len(np.unique(documents)), len(banks.quality)])
    return pd.DataFrame(lines, columns=TABLE)
