"""C3: does the gap between the data of encoder and decoder lower quality, the more the larger it is?

The estimate is the slope of quality per sixth of replaced data on the encoder x decoder grid, with encoder and decoder
effects removed (see ``grid``). Every domain counts the same, whatever its number of passages. The interval has two
sources of error: documents, by bootstrap, and training, by how the cells of the grid scatter around effects and slope
(see ``TrainingNoise``). Mixed models, other measures of the gap and the naive slope without effects are reported
beside it.

A language model is the encoder of one seed and the decoder of another, so that seeds are less independent than they
look, and three seeds cannot always show that their slopes differ. The verdict therefore also asks that every seed
agrees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.encoder_entropy import judge_direction
from contextpress.analysis.findings import Adjust, Result, Verdict, clusters, document_freedom, sample, too_little
from contextpress.analysis.gap_tables import TABLE_CELLS, TABLE_EFFECTS, cell_table, effect_table
from contextpress.analysis.grid import Grid, TrainingNoise, cell_noise, training_noise
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import UNKNOWN, Effect, combine
from contextpress.analysis.mixed import mixed_model, passage_model
from contextpress.analysis.panel import GAPS, SETTING, Array, Panel, build_panel

SIXTHS = 6  # the paper replaces natural text in steps of a sixth
# What one unit of a gap is, and how many of them make 1 in the observations.
UNITS: dict[str, tuple[str, int]] = {
    "gap_design": ("sixth of replaced data", SIXTHS),
    "gap_kl_encoder_decoder": ("nat of divergence from encoder to decoder", 1),
    "gap_kl_decoder_encoder": ("nat of divergence from decoder to encoder", 1),
    "gap_entropy_difference": ("nat of decoder less encoder entropy", 1),
}
RULE = (
    "supported: the corrected p-value is below alpha, the slope is negative overall and in every seed, it is not shown "
    "to be smaller than the smallest effect of interest, and no step from one gap to the next larger one is shown to "
    "raise quality (one-sided tests at alpha, Bonferroni over the steps). contradicted: the corrected p-value is below "
    "alpha and the slope is positive, or it is shown (two one-sided tests) to be smaller than the smallest effect of "
    "interest without being negative. Otherwise, or with too little data, inconclusive."
)
EFFECT = "slope of {measure} per {unit}, encoder and decoder effects removed"


@dataclass(frozen=True)
class Slopes:
    """The slope on a grid and what belongs to it.

    Attributes:
        grid: cells, gap and effects.
        noise: of training.
        estimates: gap_slope, gap_level and gap_step, as far as the grid tells them.
    """

    grid: Grid
    noise: TrainingNoise
    estimates: dict[str, Effect]

    @classmethod
    def of(cls, compressors: pd.DataFrame, gap: Array, means: Array, pooling_alpha: float, freedom: float) -> Slopes:
        """From cell means [C, 1 + B], a gap [C] and the degrees of freedom of documents."""
        grid = Grid.of(compressors, gap)
        noise = training_noise(grid, means, pooling_alpha)
        contrasts: dict[str, tuple[Array, TrainingNoise]] = {}
        if (slope := grid.slope()) is not None:
            contrasts["gap_slope"] = slope, noise
        names, codes = np.unique(np.round(gap, 6), return_inverse=True)
        if len(names) <= SIXTHS and (levels := grid.levels()) is not None:
            # Their own residuals: a bend in quality is no noise to a step.
            own = cell_noise(grid, means, np.eye(len(names))[codes][:, 1:])
            own = replace(own, factor=noise.factor, freedom=min(own.freedom, noise.freedom))
            rows = levels[1]
            for index in range(1, len(names)):
                contrasts[f"gap_level {names[index]:g}"] = rows[index], own
                contrasts[f"gap_step {names[index - 1]:g} to {names[index]:g}"] = rows[index] - rows[index - 1], own
        estimates = {}
        for name, (contrast, error) in contrasts.items():
            scatter = error.scatter(contrast)
            value = combine(contrast @ means, scatter, freedom)
            # A grid that leaves nothing to judge training by gives a slope without an interval.
            estimates[name] = Effect(value.value, np.nan, 0.0) if scatter is None else value
        return cls(grid, noise, estimates)

    @property
    def slope(self) -> Effect:
        """The slope, if the grid tells it."""
        return self.estimates.get("gap_slope", UNKNOWN)

    def named(self, start: str) -> dict[str, Effect]:
        """The estimates whose name starts so."""
        return {name: value for name, value in self.estimates.items() if name.startswith(start)}


def assess_gap(observations: pd.DataFrame, spec: ClaimsSpec) -> Result:
    """Test C3 on the observations, with everything that is reported beside the test; see RULE for the verdict."""
    hypothesis = spec.c3
    whole = build_panel(observations, spec, hypothesis.decoder_training)
    panel, column = with_gap(whole)
    details: dict[str, Any] = {"sample": sample(panel), "unit": UNITS[column][0]}
    tables = {"c3": pd.DataFrame(columns=TABLE_CELLS), "grid_effects": pd.DataFrame(columns=TABLE_EFFECTS)}
    if panel.compressors.empty:
        return replace(_result(whole, panel, column, None, None, spec), details=details, tables=tables)
    weights = weights_of(panel, spec)
    means = cell_means(panel, weights, panel.quality(hypothesis.measure))
    every = means.mean(0)
    gap, freedom = gap_of(panel, column), document_freedom(panel)
    slopes = _slopes(panel, column, every, spec)
    result = _result(whole, panel, column, every, slopes, spec)
    effect = result.effect
    details |= {
        "naive_slope": combine(naive_slope(panel, gap, every), None, freedom).report(),
        "seeds": _by_seed(slopes.grid, every),
        "settings": _by_setting(panel, column, every, spec),
        "domains": {
            name: gap_slope(panel, column, part, spec).report() for name, part in zip(panel.domains, means, strict=True)
        },
        "error": {
            **effect.sources(),
            "unit": slopes.noise.by,
            "p_equal_slopes_in_all_seeds": slopes.noise.p_seeds,
        },
        "gap_levels": {name: value.report() for name, value in slopes.named("gap_level").items()},
        "gap_steps": {name: value.report() for name, value in slopes.named("gap_step").items()},
        "monotonicity": monotonicity(slopes, every),
        "other_gaps": _other_gaps(panel, column, every, spec),
        "mixed_model": mixed_model(panel.compressors, gap, every[:, 0]),
        "mixed_model_of_passages": passage_model(panel, gap, panel.quality(hypothesis.measure)),
        "other_measures": _other_measures(panel, column, weights, spec),
        "with_compressors_that_ignore_memory": _everyone(observations, spec),
        "smallest_effect": hypothesis.smallest_effect,
        "ci90": list(effect.interval(0.9)),
        "p_equivalence": effect.p_equivalence(hypothesis.smallest_effect) if column == "gap_design" else None,
    }
    tables["c3"] = cell_table(panel, means, gap)
    gaps = _gap_rows(panel, every, spec)
    tables["grid_effects"] = effect_table(panel, every, slopes.estimates, UNITS[column][0], gaps)
    return replace(result, details=details, tables=tables)


def decide_gap(panel: Panel, weights: Array, spec: ClaimsSpec) -> Result:
    """The test of C3 alone: effect, p-value and verdict."""
    told, column = with_gap(panel)
    every = cell_means(told, weights, told.quality(spec.c3.measure)).mean(0)
    return _result(panel, told, column, every, _slopes(told, column, every, spec), spec)


def _result(
    whole: Panel, panel: Panel, column: str, every: Array | None, slopes: Slopes | None, spec: ClaimsSpec
) -> Result:
    hypothesis, reason = spec.c3, too_little(whole, spec)
    effect = UNKNOWN if slopes is None else slopes.slope
    seeds = {} if slopes is None or every is None else _by_seed(slopes.grid, every)
    if slopes is None:
        reason = reason or "no pair has a gap: neither replaced shares nor a divergence on a common tokenizer is known"
    elif reason is None:
        reason = _why_not(slopes, seeds, spec)
    steps = {} if slopes is None else slopes.named("gap_step")

    def judge(adjust: Adjust, alpha: float) -> tuple[Verdict, str]:
        if reason is not None:
            return "inconclusive", reason
        bound = hypothesis.smallest_effect if column == "gap_design" else 0.0
        verdict, why = judge_direction(effect, seeds, adjust, alpha, bound, "slope")
        rising = [name for name, step in steps.items() if (step.p_above(0.0) or 1.0) * len(steps) < alpha]
        if verdict == "supported" and rising:
            return "inconclusive", f"the slope is negative, but quality rises at {', '.join(rising)}"
        return verdict, why

    return Result(
        claim="C3",
        statement=hypothesis.statement,
        effect_name=EFFECT.format(measure=hypothesis.measure, unit=UNITS[column][0]),
        effect=effect,
        p_value=effect.p_two_sided(),
        rows=len(panel.passages) * len(panel.compressors),
        clusters=clusters(panel),
        rule=RULE,
        judge=judge,
    )


def cell_means(panel: Panel, weights: Array, quality: Array) -> Array:
    """Mean quality of each compressor in each domain under ``weights`` [P, 1 + B]: [D, C, 1 + B]."""
    parts = [quality[rows].T @ weights[rows] / weights[rows].sum(0) for rows in panel.slices]
    return np.array(parts)


def with_gap(panel: Panel) -> tuple[Panel, str]:
    """The compressors whose gap is known, by design if any is, else as divergence; and the gap's column."""
    for column in GAPS[:2]:
        known = np.isfinite(gap_of(panel, column))
        if known.any():
            return panel.only(known), column
    return panel.only(np.zeros(len(panel.compressors), dtype=bool)), GAPS[0]


def gap_of(panel: Panel, column: str) -> Array:
    """[C] a gap in its unit."""
    return panel.compressors[column].to_numpy(dtype=np.float64) * UNITS[column][1]


def naive_slope(panel: Panel, gap: Array, every: Array) -> Array:
    """What one gets from plotting quality against gap: no effects but a mean per setting and seed; [1 + B]."""
    keys = panel.compressors.groupby([*SETTING, "seed"], sort=True).ngroup().to_numpy()
    left = gap - pd.Series(gap).groupby(keys).transform("mean").to_numpy()
    square = float(left @ left)
    return left @ every / square if square > 1e-9 else np.full(every.shape[1], np.nan)


def monotonicity(slopes: Slopes, every: Array) -> dict[str, object]:
    """Does quality fall at every step to a larger gap?

    ``p_every_step_falls`` is the largest one-sided p-value of the steps: small when all of them are shown to fall
    (intersection-union test, Berger 1982). ``p_some_step_rises`` is the smallest in the other direction, times their
    number (Bonferroni). The share of draws is of documents, training held fixed.
    """
    steps = list(slopes.named("gap_step").values())
    falls = [p for step in steps if (p := step.p_below(0.0)) is not None]
    rises = [p for step in steps if (p := step.p_above(0.0)) is not None]
    if not steps or len(falls) < len(steps) or (levels := slopes.grid.levels()) is None:
        return {"steps": len(steps)}
    return {
        "steps": len(steps),
        "steps_that_fall": sum(step.value < 0 for step in steps),
        "p_every_step_falls": max(falls),
        "p_some_step_rises": min(1.0, len(steps) * min(rises)),
        "share_of_draws_in_order": float((np.diff(levels[1] @ every[:, 1:], axis=0) < 0).all(0).mean()),
    }


def gap_slope(panel: Panel, column: str, means: Array, spec: ClaimsSpec) -> Effect:
    """The slope in one measure of the gap, from cell means [C, 1 + B]."""
    return _slopes(panel, column, means, spec).slope


def _slopes(panel: Panel, column: str, means: Array, spec: ClaimsSpec) -> Slopes:
    gap = gap_of(panel, column)
    return Slopes.of(panel.compressors, gap, means, spec.c3.pooling_alpha, document_freedom(panel))


def _by_seed(grid: Grid, every: Array) -> dict[str, float]:
    return {str(seed): float(contrast @ every[:, 0]) for seed, contrast in grid.seed_slopes().items()}


def _why_not(slopes: Slopes, seeds: dict[str, float], spec: ClaimsSpec) -> str | None:
    if slopes.grid.slope() is None:
        return (
            "the gap cannot be told from encoder and decoder effects: a grid of at least two encoders and two decoders "
            "is needed"
        )
    if len(seeds) < spec.min_seeds:
        return f"the grid is complete enough in {len(seeds)} seed(s) only; at least {spec.min_seeds} are needed"
    if not slopes.noise.freedom:
        return "too few cells to know the noise of training: more pairs or seeds are needed"
    return None


def _by_setting(panel: Panel, column: str, every: Array, spec: ClaimsSpec) -> list[dict[str, object]]:
    found = []
    for key, members in panel.settings():
        index = members.index.to_numpy()
        part = panel.only(np.isin(np.arange(len(panel.compressors)), index))
        slope = gap_slope(part, column, every[index], spec)
        found.append({**dict(zip(SETTING, key, strict=True)), **slope.report()})
    return found


def _gap_rows(panel: Panel, every: Array, spec: ClaimsSpec) -> list[tuple[str, str, Effect, str]]:
    """Of every measure of the gap, the slope without and with effects removed: effect, name, estimate, unit."""
    rows = []
    for column in GAPS:
        gap = gap_of(panel, column)
        known = np.isfinite(gap)
        if not known.any():
            continue
        part = panel.only(known)
        name, unit = column.removeprefix("gap_"), f"quality per {UNITS[column][0]}"
        naive = combine(naive_slope(part, gap[known], every[known]), None, document_freedom(panel))
        rows.append(("naive_slope", name, naive, unit))
        # A difference of entropies is the decoder's own number less the encoder's: effects of the two, and no more.
        slope = gap_slope(part, column, every[known], spec)
        rows.append(("gap_slope", name, slope, unit))
    return rows


def _other_gaps(panel: Panel, primary: str, every: Array, spec: ClaimsSpec) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for effect, name, estimate, unit in _gap_rows(panel, every, spec):
        if effect == "gap_slope" and f"gap_{name}" != primary:
            found[name] = {**estimate.report(), "unit": unit}
    return found


def _other_measures(panel: Panel, column: str, weights: Array, spec: ClaimsSpec) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for measure in spec.also_measures:
        if measure != spec.c3.measure:
            every = cell_means(panel, weights, panel.quality(measure)).mean(0)
            found[measure] = gap_slope(panel, column, every, spec).report()
    return found


def _everyone(observations: pd.DataFrame, spec: ClaimsSpec) -> dict[str, object] | None:
    # A pair that never learns to read memory may be what a large gap does: leaving it out could hide the effect.
    if observations["memory_used"].all():
        return None
    panel, column = with_gap(build_panel(observations, spec, spec.c3.decoder_training, unused=True))
    if panel.compressors.empty or panel.compressors["memory_used"].all():
        return None
    every = cell_means(panel, weights_of(panel, spec), panel.quality(spec.c3.measure)).mean(0)
    return gap_slope(panel, column, every, spec).report()
