"""Knowledge infusion: what each dose of the decoder's corpus gains and loses, and where an encoder collapses.

Every dose costs as much as longer training, the dose of none: what pretraining takes, the compressor's training lacks.
Gained is quality beyond that; lost is the rise in nll, nats per token, of held-out text of the encoder's own mixture;
learned is the fall in nll of text of the decoder's. After arXiv 2509.19371, whose collapse point is where retention
drops; ours is declared in RULE.

Whether a small model predicts a larger one is asked by two rules: that they collapse at the same dose, and at the same
number of tokens per weight. A collapse point is known up to the step between two doses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.arms import Pair, Runs
from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.findings import clusters, document_freedom, finite, sample, too_little
from contextpress.analysis.gap import cell_means
from contextpress.analysis.inference import Effect, combine, mean_over, scatter_of_runs
from contextpress.analysis.panel import Array
from contextpress.analysis.spec import DoseOfCell, InfusionAnalysis
from contextpress.entropy.scores import PASSAGE_SCORES
from contextpress.runtime.tables import read_table

STATEMENT = "Infusing the decoder's corpus into the encoder gains quality, up to a collapse point."
RULE = (
    "The collapse point of an encoder's size is the first dose after which the nll of held-out text of its own mixture "
    "has risen by more than the tolerance, or whose quality is shown to be below that of a smaller dose or of none "
    "(95 % interval). Supported if the smallest size collapses at some dose and a smaller one is shown to gain quality "
    "over longer training at the same cost (intervals widened for the number of doses); contradicted if every dose is "
    "shown to lose quality. Otherwise, or with too little data, inconclusive. A small "
    "size predicts a larger one by a rule if the larger one's collapse point lies between the two doses that the rule "
    "makes of the smaller one's; open where one of them did not collapse."
)
TABLE = [
    *("encoder", "decoder", "size", "weights", "dose", "share", "steps", "tokens"),
    *("quality", "gained", "gained_low", "gained_high"),
    *("own_nll", "lost", "lost_low", "lost_high"),
    *("other_nll", "learned", "learned_low", "learned_high"),
    *("collapsed", "compressor_steps", "memory_used", "n", "documents", "seeds"),
]
ALL = "all"


@dataclass(frozen=True)
class Point:
    """One dose of one size.

    Attributes:
        dose: what was given.
        quality: mean of the compressors.
        own, other: nll of the two mixtures under the encoder, nats per token.
        gained, lost, learned: against no dose.
        fallen: whether quality is shown to be below a smaller dose's.
        steps: of the compressor's training.
        used: share of the compressors that use their memory.
    """

    dose: DoseOfCell
    quality: float
    own: float
    other: float
    gained: Effect
    lost: Effect
    learned: Effect
    fallen: bool
    steps: float
    used: float


def collapse(lost: Sequence[float], fallen: Sequence[bool], tolerance: float) -> int | None:
    """Place of the first dose that loses more than ``tolerance`` or has fallen; None if there is none. See RULE.

    Args:
        lost: nats per token, dose by dose, beginning with none.
        fallen: whether its quality is shown to be below a smaller dose's.
        tolerance: nats per token.
    """
    return next((place for place, loss in enumerate(lost) if loss > tolerance or fallen[place]), None)


def predicts(small: tuple[float, float], large: tuple[float, float], scale: float) -> bool:
    """Whether a larger encoder collapses where a smaller one says, ``scale`` times as late.

    Args:
        small: tokens of the last dose that the smaller one stands, and of the first that it does not.
        large: the same of the larger one.
        scale: 1 if both are to collapse at the same dose; the ratio of weights for the same tokens per weight.

    Returns:
        Whether the two brackets have a dose in common, the lower end not in it.
    """
    return max(scale * small[0], large[0]) < min(scale * small[1], large[1])


def curves(runs: Runs, scores: Sequence[Path], spec: InfusionAnalysis) -> tuple[dict[str, Any], pd.DataFrame]:
    """The finding, and the table with the columns TABLE.

    Args:
        runs: the compressors, in the order of the spec's cells.
        scores: of each cell's encoder, nll of the passages (schema PASSAGE_SCORES).
        spec: doses, mixtures, tolerance.
    """
    nll = _nll(runs, scores)
    sets = [[pair] for pair in runs.pairs] if len(runs.pairs) == 1 else [runs.pairs, *([pair] for pair in runs.pairs)]
    rows: list[list[object]] = []
    whole: dict[str, list[Point]] = {}
    for pairs in sets:
        found = {size: _points(runs, nll, spec, pairs, size) for size in _sizes(spec)}
        whole = whole or found
        names = pairs[0] if len(pairs) == 1 else (ALL, ALL)
        rows += [row for points in found.values() for row in _rows(runs, names, points, spec)]
    return _finding(runs, whole, spec), pd.DataFrame(rows, columns=TABLE)


def _sizes(spec: InfusionAnalysis) -> list[str]:
    """From the smallest to the largest."""
    return list(dict.fromkeys(dose.size for dose in sorted(spec.doses, key=lambda dose: dose.weights)))


def _nll(runs: Runs, scores: Sequence[Path]) -> Array:
    """[D, C, 1 + B] mean nll of each domain under each cell's encoder."""
    ids = runs.panel.passages["passage_id"]
    tables = {path: read_table(path, PASSAGE_SCORES).set_index("passage_id")["nll"] for path in dict.fromkeys(scores)}
    values = np.stack([tables[path].loc[ids].to_numpy(dtype=np.float64) for path in scores], axis=1)
    return cell_means(runs.panel, weights_of(runs.panel, runs.spec.claims), values)


def _points(runs: Runs, nll: Array, spec: InfusionAnalysis, pairs: list[Pair], size: str) -> list[Point]:
    """The doses of one size, from none on, over some pairs and all seeds."""
    cells = spec.arms.cells
    places = [
        place
        for place, (cell, dose) in enumerate(zip(cells, spec.doses, strict=True))
        if dose.size == size and (cell.encoder, cell.decoder) in pairs
    ]
    # Doses are held against each other pair by pair and seed by seed.
    places.sort(key=lambda place: (cells[place].encoder, cells[place].decoder, cells[place].seed))
    by_dose = {
        dose: [place for place in places if spec.doses[place].dose == dose]
        for dose in sorted({spec.doses[place].dose for place in places})
    }
    points: list[Point] = []
    first = by_dose[0]
    for members in by_dose.values():
        own, other = (_of_mixtures(runs, nll, spec, members, side) for side in ("encoder", "decoder"))
        own_before, other_before = (_of_mixtures(runs, nll, spec, first, side) for side in ("encoder", "decoder"))
        quality, smaller = runs.means[members], [runs.means[by_dose[point.dose.dose]] for point in points]
        ends = [_over(runs, quality - each, members).interval()[1] for each in smaller]
        points.append(
            Point(
                dose=spec.doses[members[0]],
                quality=float(quality[:, 0].mean()),
                own=float(own[:, 0].mean()),
                other=float(other[:, 0].mean()),
                gained=_over(runs, quality - runs.means[first], members),
                lost=_over(runs, own - own_before, members),
                learned=_over(runs, other_before - other, members),
                fallen=any(end is not None and end < 0 for end in ends),
                steps=float(np.mean([cells[place].steps for place in members])),
                used=float(np.mean([runs.used[place] for place in members])),
            )
        )
    return points


def _of_mixtures(runs: Runs, nll: Array, spec: InfusionAnalysis, members: list[int], side: str) -> Array:
    """[M, 1 + B] nll of the mixture that a side of each cell was pretrained on; of no text, NaN."""
    found = []
    for place in members:
        shares = spec.mixtures[getattr(spec.arms.cells[place], side)]
        weights = np.array([shares.get(domain, 0.0) for domain in runs.panel.domains])
        found.append(np.tensordot(weights / (weights.sum() or math.nan), nll[:, place], axes=1))
    return np.array(found)


def _over(runs: Runs, values: Array, members: list[int]) -> Effect:
    """Mean over cells of [M, 1 + B], with the errors of documents and of training runs."""
    scatter = scatter_of_runs(values, runs.panel.compressors.iloc[members])
    return combine(mean_over(values), scatter, document_freedom(runs.panel))


def _collapsed(points: list[Point], spec: InfusionAnalysis) -> int | None:
    return collapse([point.lost.value for point in points], [point.fallen for point in points], spec.tolerance)


def _rows(runs: Runs, names: Pair, points: list[Point], spec: InfusionAnalysis) -> list[list[object]]:
    found = _collapsed(points, spec)
    counts = [len(runs.panel.passages), clusters(runs.panel), len(runs.seeds)]
    return [
        [
            *(*names, point.dose.size, point.dose.weights, point.dose.dose, point.dose.share, point.dose.steps),
            *(point.dose.tokens, point.quality, point.gained.value, *point.gained.interval()),
            *(point.own, point.lost.value, *point.lost.interval()),
            *(point.other, point.learned.value, *point.learned.interval()),
            *(found is not None and place >= found, round(point.steps), point.used, *counts),
        ]
        for place, point in enumerate(points)
    ]


def _finding(runs: Runs, sizes: dict[str, list[Point]], spec: InfusionAnalysis) -> dict[str, Any]:
    claims = runs.spec.claims
    smallest = next(iter(sizes.values()))
    doses = smallest[1:]
    level = 1 - 0.05 / max(1, len(doses))
    best = max(doses, key=lambda point: point.gained.value)
    reason = too_little(runs.panel, claims)
    if reason is None and any(point.used < 1 for point in smallest):
        reason = "a compressor of the smallest size ignores its memory"
    gains = [low is not None and low > 0 for low, _ in (point.gained.interval(level) for point in doses)]
    losses = [high is not None and high < 0 for _, high in (point.gained.interval(level) for point in doses)]
    verdict = "inconclusive"
    found = _collapsed(smallest, spec)
    if reason is None and found is not None and any(gains[: found - 1]):
        verdict, why = "supported", "a dose gains, and a larger one collapses"
    elif reason is None and all(losses):
        verdict, why = "contradicted", "every dose loses quality"
    else:
        gained = "no larger one collapses" if found is None else "the encoder collapsed at or before it"
        why = reason or (f"a dose gains, but {gained}" if any(gains) else "no dose is shown to gain quality")
    return finite(
        {
            "statement": STATEMENT,
            "effect": best.gained.value,
            "effect_name": f"{runs.spec.measure} gained by the best dose of the smallest size, beyond longer training",
            "ci95": list(best.gained.interval(level)),
            "best_dose": best.dose.model_dump(),
            "n": len(runs.panel.passages) * len(spec.arms.cells),
            "clusters": clusters(runs.panel),
            "verdict": verdict,
            "reason": why,
            "rule": RULE,
            "tolerance": spec.tolerance,
            "measure": runs.spec.measure,
            "doses": {
                size: [
                    {
                        "tokens": point.dose.tokens,
                        "share": point.dose.share,
                        "gained": point.gained.report(),
                        "lost": point.lost.report(),
                        "learned": point.learned.report(),
                    }
                    for point in points[1:]
                ]
                for size, points in sizes.items()
            },
            "collapse": {size: _point_of_collapse(points, spec) for size, points in sizes.items()},
            "small_predicts_large": _predictions(sizes, spec),
            "sample": sample(runs.panel),
        }
    )


def _point_of_collapse(points: list[Point], spec: InfusionAnalysis) -> dict[str, Any]:
    """Where a size collapses, and why."""
    found = _collapsed(points, spec)
    known: dict[str, Any] = {"weights": points[0].dose.weights, "largest_dose": points[-1].dose.tokens}
    if found is None:
        return known | {"tokens": None}
    point = points[found]
    return known | {
        "dose": point.dose.dose,
        "tokens": point.dose.tokens,
        "tokens_before": points[found - 1].dose.tokens,
        "own_nll_lost": point.lost.report(),
        "by_own_nll": point.lost.value > spec.tolerance,
        "by_quality": point.fallen,
    }


def _predictions(sizes: dict[str, list[Point]], spec: InfusionAnalysis) -> list[dict[str, Any]]:
    """What the smallest size says of each larger one, by both rules; null where one of them did not collapse."""
    (small, points), *larger = sizes.items()
    made = []
    for large, others in larger:
        found = [_bracket(each, spec) for each in (points, others)]
        scale = others[0].dose.weights / points[0].dose.weights
        made.append(
            {
                "small": small,
                "large": large,
                "weights_ratio": scale,
                **{
                    name: predicts(found[0], found[1], factor) if found[0] and found[1] else None
                    for name, factor in (("same_dose", 1.0), ("same_tokens_per_weight", scale))
                },
            }
        )
    return made


def _bracket(points: list[Point], spec: InfusionAnalysis) -> tuple[float, float] | None:
    found = _collapsed(points, spec)
    return None if found is None else (points[found - 1].dose.tokens, points[found].dose.tokens)
