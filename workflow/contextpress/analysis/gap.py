"""C3: does the gap between the data of encoder and decoder lower quality, the more the larger it is?

The estimate is the slope of quality per sixth of replaced data on the encoder x decoder grid, with encoder and decoder
effects removed (see ``grid``). Every domain counts the same, whatever its number of passages. The interval has two
sources of error: documents, by bootstrap, and training runs, which enter as Student-distributed noise because two or
three seeds cannot be resampled: their percentiles would be those of two or three numbers. A plain bootstrap over
documents and seeds, a mixed model and the naive slope without effects are reported beside it.

What the interval covers: with 3 x 3 pairs and cells that scatter independently, 96 % of simulated studies with two
seeds and 97 % with three; where the slope itself varies between seeds by as much as cells explain, 88 % and 91 %, since
two or three seeds cannot always show that they differ. Seeds that share language models (in exchanged roles) are less
independent than they look. The verdict therefore also asks that every seed agrees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from contextpress.analysis.bootstrap import Estimate, document_weights
from contextpress.analysis.encoder_entropy import judge_direction
from contextpress.analysis.findings import UNKNOWN, Adjust, Result, Verdict, clusters, sample, too_little
from contextpress.analysis.gap_tables import TABLE_CELLS, TABLE_EFFECTS, cell_table, effect_table
from contextpress.analysis.grid import Grid, TrainingNoise, training_noise
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.mixed import mixed_model
from contextpress.analysis.panel import SETTING, Array, Panel, build_panel

SIXTHS = 6  # the paper replaces natural text in steps of a sixth
RULE = (
    "supported: the corrected p-value is below alpha, the slope is negative overall and in every seed, it is not shown "
    "to be smaller than the smallest effect of interest, and no step from one gap to the next larger one raises "
    "quality with a 95 % interval above zero. contradicted: the corrected p-value is below alpha and the slope is "
    "positive, or it is shown (two one-sided tests) to be smaller than the smallest effect of interest without being "
    "negative. Otherwise, or with too little data, inconclusive."
)
EFFECT = "slope of {measure} per {unit}, encoder and decoder effects removed"


def assess_gap(observations: pd.DataFrame, spec: ClaimsSpec) -> Result:
    """Test C3 on the observations; see RULE for the verdict."""
    hypothesis = spec.c3
    panel = build_panel(observations, spec, hypothesis.decoder_training)
    reason = too_little(panel, spec)
    panel, gap, unit = _with_gap(panel)
    if panel.compressors.empty:
        reason = reason or "no pair has a gap: neither replaced shares nor a divergence on a common tokenizer is known"
    effect, steps, seeds = UNKNOWN, {}, {}
    details: dict[str, Any] = {"sample": sample(panel), "unit": unit}
    tables = {"c3": pd.DataFrame(columns=TABLE_CELLS), "grid_effects": pd.DataFrame(columns=TABLE_EFFECTS)}
    if not panel.compressors.empty:
        generator = np.random.default_rng(spec.seed)
        weights = document_weights(panel.documents, panel.slices, spec.draws, generator)
        means = cell_means(panel, weights, panel.quality(hypothesis.measure))
        every = means.mean(0)  # [C, 1 + B]: domains count the same
        grid = Grid.of(panel.compressors, gap)
        noise = training_noise(grid, every[:, 0], hypothesis.pooling_alpha)
        estimates = _estimates(grid, every, noise, generator)
        effect, steps = estimates.get("gap_slope", UNKNOWN), {k: v for k, v in estimates.items() if "step" in k}
        seeds = {str(seed): float(contrast @ every[:, 0]) for seed, contrast in grid.seed_slopes().items()}
        details |= {
            "naive_slope": estimates["naive_slope"].report(),
            "seeds": seeds,
            "settings": _by_setting(panel.compressors, gap, every, hypothesis.pooling_alpha, generator),
            "domains": _by_domain(panel, grid, means, hypothesis.pooling_alpha, generator),
            "resampled_seeds_ci95": _resampled_seeds(grid, every, generator),
            "training_noise": {
                "standard_error": _error(grid, noise),
                "degrees_of_freedom": noise.freedom,
                "unit": noise.unit,
                "p_equal_slopes_in_all_seeds": noise.p_seeds,
            },
            "gap_levels": {name: value.report() for name, value in estimates.items() if name.startswith("gap_level")},
            "gap_steps": {name: value.report() for name, value in steps.items()},
            "share_of_draws_in_order": _ordered(grid, every),
            "mixed_model": mixed_model(panel.compressors, gap, every[:, 0]),
            "other_measures": _other_measures(panel, grid, weights, spec, generator),
            "with_compressors_that_ignore_memory": _everyone(observations, spec),
        }
        tables["c3"] = cell_table(panel, means, gap)
        tables["grid_effects"] = effect_table(panel, every, estimates, unit)
        if reason is None:
            reason = _why_not(grid, noise, seeds, spec)

    def judge(adjust: Adjust, alpha: float) -> tuple[Verdict, str]:
        if reason is not None:
            return "inconclusive", reason
        bound = hypothesis.smallest_effect if unit.startswith("sixth") else 0.0
        verdict, why = judge_direction(effect, seeds, adjust, alpha, bound, "slope")
        rising = [name for name, step in steps.items() if (step.interval()[0] or 0.0) > 0]
        if verdict == "supported" and rising:
            return "inconclusive", f"the slope is negative, but quality rises at {', '.join(rising)}"
        return verdict, why

    details |= {"smallest_effect": hypothesis.smallest_effect, "ci90": list(effect.interval(0.9))}
    details["p_equivalence"] = effect.p_equivalence(hypothesis.smallest_effect) if unit.startswith("sixth") else None
    return Result(
        claim="C3",
        statement=hypothesis.statement,
        effect_name=EFFECT.format(measure=hypothesis.measure, unit=unit),
        effect=effect,
        p_value=effect.p_two_sided(),
        rows=len(panel.passages) * len(panel.compressors),
        clusters=clusters(panel),
        rule=RULE,
        judge=judge,
        details=details,
        tables=tables,
    )


def cell_means(panel: Panel, weights: Array, quality: Array) -> Array:
    """Mean quality of each compressor in each domain under ``weights`` [P, 1 + B]: [D, C, 1 + B]."""
    parts = [quality[rows].T @ weights[rows] / weights[rows].sum(0) for rows in panel.slices]
    return np.array(parts)


def _with_gap(panel: Panel) -> tuple[Panel, Array, str]:
    """The compressors whose gap is known, by design if any is, else as divergence; the gap, and its unit."""
    for column, factor, unit in (
        ("gap_design", SIXTHS, "sixth of replaced data"),
        ("gap_kl_encoder_decoder", 1, "nat of divergence from encoder to decoder"),
    ):
        gap = panel.compressors[column].to_numpy(dtype=np.float64) * factor
        known = np.isfinite(gap)
        if known.any():
            return panel.only(known), gap[known], unit
    return panel.only(np.zeros(len(panel.compressors), dtype=bool)), np.empty(0), "sixth of replaced data"


def _estimates(grid: Grid, every: Array, noise: TrainingNoise, generator: np.random.Generator) -> dict[str, Estimate]:
    """Slope, gap levels (against the smallest gap), steps between neighbouring levels, and the naive slope."""
    contrasts: dict[str, Array] = {}
    if (slope := grid.slope()) is not None:
        contrasts["gap_slope"] = slope
    if len(np.unique(np.round(grid.gap, 6))) <= SIXTHS and (levels := grid.levels()) is not None:
        names, rows = levels
        for index in range(1, len(names)):
            contrasts[f"gap_level {names[index]:g}"] = rows[index]
            contrasts[f"gap_step {names[index - 1]:g} to {names[index]:g}"] = rows[index] - rows[index - 1]
    found = {
        name: Estimate.of(contrast @ every).widened(noise.error(contrast, grid.setting), noise.freedom, generator)
        for name, contrast in contrasts.items()
    }
    found["naive_slope"] = Estimate.of(_naive(grid, every))
    return found


def _naive(grid: Grid, every: Array) -> Array:
    # What one gets from plotting quality against gap: no effects but a mean per setting and seed.
    keys = grid.cells[[*SETTING, "seed"]].astype(str).agg("/".join, axis=1)
    left = grid.gap - pd.Series(grid.gap).groupby(keys.to_numpy()).transform("mean").to_numpy()
    square = float(left @ left)
    return left @ every / square if square > 1e-9 else np.full(every.shape[1], np.nan)


def _error(grid: Grid, noise: TrainingNoise) -> float:
    contrast = grid.slope()
    return float("nan") if contrast is None else noise.error(contrast, grid.setting)


def _why_not(grid: Grid, noise: TrainingNoise, seeds: dict[str, float], spec: ClaimsSpec) -> str | None:
    if grid.slope() is None:
        return (
            "the gap cannot be told from encoder and decoder effects: a grid of at least two encoders and two decoders "
            "is needed"
        )
    if len(seeds) < spec.min_seeds:
        return f"the grid is complete enough in {len(seeds)} seed(s) only; at least {spec.min_seeds} are needed"
    if not noise.freedom:
        return "too few cells to know the noise of training: more pairs or seeds are needed"
    return None


def _by_setting(
    compressors: pd.DataFrame, gap: Array, every: Array, pooling_alpha: float, generator: np.random.Generator
) -> list[dict[str, object]]:
    found = []
    for key, members in compressors.groupby(SETTING, sort=True):
        index = members.index.to_numpy()
        grid = Grid.of(members.reset_index(drop=True), gap[index])
        noise = training_noise(grid, every[index, 0], pooling_alpha)
        slope = _estimates(grid, every[index], noise, generator).get("gap_slope", UNKNOWN)
        found.append({**dict(zip(SETTING, key, strict=True)), **slope.report()})
    return found


def _by_domain(
    panel: Panel, grid: Grid, means: Array, pooling_alpha: float, generator: np.random.Generator
) -> dict[str, dict[str, object]]:
    found = {}
    for name, part in zip(panel.domains, means, strict=True):
        noise = training_noise(grid, part[:, 0], pooling_alpha)
        found[name] = _estimates(grid, part, noise, generator).get("gap_slope", UNKNOWN).report()
    return found


def _resampled_seeds(grid: Grid, every: Array, generator: np.random.Generator) -> list[float | None]:
    """95 % interval of a plain bootstrap over documents and seeds: too narrow with few seeds, for comparison only."""
    contrasts = grid.seed_slopes()
    if len(contrasts) < 2:
        return [None, None]
    slopes = np.array([contrast @ every for contrast in contrasts.values()])  # [S, 1 + B]
    picked = generator.integers(len(slopes), size=slopes[:, 1:].shape)
    draws = np.take_along_axis(slopes[:, 1:], picked, axis=0).mean(0)
    return list(Estimate(float(slopes[:, 0].mean()), draws).interval())


def _ordered(grid: Grid, every: Array) -> float | None:
    """Share of the draws of documents in which quality falls at every step to a larger gap."""
    levels = grid.levels() if len(np.unique(np.round(grid.gap, 6))) <= SIXTHS else None
    if levels is None:
        return None
    return float((np.diff(levels[1] @ every[:, 1:], axis=0) < 0).all(0).mean())


def _other_measures(
    panel: Panel, grid: Grid, weights: Array, spec: ClaimsSpec, generator: np.random.Generator
) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for measure in spec.also_measures:
        if measure != spec.c3.measure:
            every = cell_means(panel, weights, panel.quality(measure)).mean(0)
            noise = training_noise(grid, every[:, 0], spec.c3.pooling_alpha)
            found[measure] = _estimates(grid, every, noise, generator).get("gap_slope", UNKNOWN).report()
    return found


def _everyone(observations: pd.DataFrame, spec: ClaimsSpec) -> dict[str, object] | None:
    # A pair that never learns to read memory may be what a large gap does: leaving it out could hide the effect.
    if observations["memory_used"].all():
        return None
    panel, gap, _ = _with_gap(build_panel(observations, spec, spec.c3.decoder_training, unused=True))
    if panel.compressors.empty or panel.compressors["memory_used"].all():
        return None
    generator = np.random.default_rng(spec.seed)
    weights = document_weights(panel.documents, panel.slices, spec.draws, generator)
    every = cell_means(panel, weights, panel.quality(spec.c3.measure)).mean(0)
    grid = Grid.of(panel.compressors, gap)
    noise = training_noise(grid, every[:, 0], spec.c3.pooling_alpha)
    return _estimates(grid, every, noise, generator).get("gap_slope", UNKNOWN).report()
