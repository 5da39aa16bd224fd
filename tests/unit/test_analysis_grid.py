import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formulas

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.gap import Slopes, cell_means, gap_of, monotonicity
from contextpress.analysis.gap_tables import main_slopes
from contextpress.analysis.grid import Grid, decompose, training_noise
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.mixed import mixed_model, passage_model
from contextpress.analysis.panel import build_panel
from contextpress.analysis.simulate import Study, simulate


def _cells(encoders=(0, 3, 5), decoders=(0, 3, 5), seeds=(0, 1), ratios=(4,)):
    rows = [(e, d, "memory", r, "frozen", s) for s in seeds for r in ratios for e in encoders for d in decoders]
    cells = pd.DataFrame(rows, columns=["e", "d", "readout", "ratio", "decoder_training", "seed"])
    gap = (cells["e"] - cells["d"]).abs().to_numpy(dtype=float)
    return cells.assign(encoder="D" + cells["e"].astype(str), decoder="D" + cells["d"].astype(str)), gap


def _quality(cells, gap, generator, slope=-0.02, pair=0.01):
    models = {key: generator.normal(0, 0.1) for key in {("e", *k) for k in zip(cells["seed"], cells["e"], strict=True)}}
    models |= {
        key: generator.normal(0, 0.1) for key in {("d", *k) for k in zip(cells["seed"], cells["d"], strict=True)}
    }
    effects = [
        models["e", s, e] + models["d", s, d] for s, e, d in zip(cells["seed"], cells["e"], cells["d"], strict=True)
    ]
    return np.array(effects) + slope * gap + generator.normal(0, pair, len(cells))


def test_slope_and_its_error_are_those_of_least_squares():
    cells, gap = _cells()
    means = _quality(cells, gap, np.random.default_rng(0))
    frame = cells.assign(quality=means, gap=gap)
    fit = formulas.ols("quality ~ gap + C(encoder):C(seed) + C(decoder):C(seed)", frame).fit()
    grid = Grid.of(cells, gap)
    assert grid.slope() @ means == pytest.approx(fit.params["gap"], abs=1e-10)
    noise = training_noise(grid, means[:, None], pooling_alpha=1e-9)
    assert noise.by == "cell"
    assert noise.freedom == fit.df_resid
    assert np.sqrt(noise.scatter(grid.slope()).total) == pytest.approx(fit.bse["gap"])


def test_slope_of_an_incomplete_grid_is_that_of_least_squares():
    cells, gap = _cells(seeds=(0, 1, 2))
    keep = np.ones(len(cells), dtype=bool)
    keep[[1, 10, 20, 25]] = False
    cells, gap = cells[keep].reset_index(drop=True), gap[keep]
    means = _quality(cells, gap, np.random.default_rng(1))
    fit = formulas.ols(
        "quality ~ gap + C(encoder):C(seed) + C(decoder):C(seed)", cells.assign(quality=means, gap=gap)
    ).fit()
    assert Grid.of(cells, gap).slope() @ means == pytest.approx(fit.params["gap"], abs=1e-10)


def test_effects_of_models_do_not_touch_the_slope():
    cells, gap = _cells(ratios=(2, 4))
    generator = np.random.default_rng(2)
    means = _quality(cells, gap, generator, slope=-0.03, pair=0)
    assert Grid.of(cells, gap).slope() @ means == pytest.approx(-0.03)
    assert all(contrast @ means == pytest.approx(-0.03) for contrast in Grid.of(cells, gap).seed_slopes().values())


def test_heterogeneity_of_seeds_is_the_f_test_of_nested_models():
    cells, gap = _cells(seeds=(0, 1, 2))
    means = _quality(cells, gap, np.random.default_rng(3)) + 0.004 * cells["seed"].to_numpy() * gap
    frame = cells.assign(quality=means, gap=gap)
    effects = "C(encoder):C(seed) + C(decoder):C(seed)"
    one = formulas.ols(f"quality ~ gap + {effects}", frame).fit()
    many = formulas.ols(f"quality ~ gap:C(seed) + {effects}", frame).fit()
    noise = training_noise(Grid.of(cells, gap), means[:, None], pooling_alpha=0.25)
    assert noise.p_seeds == pytest.approx(many.compare_f_test(one)[1])


def test_seeds_that_disagree_become_the_unit():
    cells, gap = _cells()
    means = _quality(cells, gap, np.random.default_rng(4), pair=0.001) + np.where(cells["seed"] == 0, 0.01, -0.01) * gap
    grid = Grid.of(cells, gap)
    noise = training_noise(grid, means[:, None], pooling_alpha=0.25)
    slopes = [contrast @ means for contrast in grid.seed_slopes().values()]
    assert noise.by == "seed"
    assert noise.freedom == 1
    assert np.sqrt(noise.scatter(grid.slope()).total) == pytest.approx(np.std(slopes, ddof=1) / np.sqrt(2))


def test_two_by_two_has_only_its_seeds():
    cells, gap = _cells((0, 5), (0, 5))
    noise = training_noise(Grid.of(cells, gap), _quality(cells, gap, np.random.default_rng(5))[:, None], 0.25)
    assert (noise.by, noise.freedom) == ("seed", 1)
    cells, gap = _cells((0, 5), (0, 5), seeds=(0,))
    assert (
        training_noise(Grid.of(cells, gap), _quality(cells, gap, np.random.default_rng(5))[:, None], 0.25).freedom == 0
    )


@pytest.mark.parametrize("shape", [((0, 3, 5), (0,)), ((0,), (0, 3, 5)), ((0,), (5,))])
def test_one_row_of_pairs_cannot_tell_the_gap(shape):
    cells, gap = _cells(*shape)
    grid = Grid.of(cells, gap)
    assert grid.slope() is None
    assert grid.seed_slopes() == {}
    assert training_noise(grid, gap[:, None], 0.25).freedom == 0


def test_a_signed_gap_is_a_sum_of_effects():
    cells, _ = _cells()
    assert Grid.of(cells, (cells["e"] - cells["d"]).to_numpy(dtype=float)).slope() is None


def test_gap_levels_are_those_of_least_squares():
    cells, gap = _cells()
    means = _quality(cells, gap, np.random.default_rng(6))
    frame = cells.assign(quality=means, level=gap.astype(int).astype(str))
    fit = formulas.ols("quality ~ C(level) + C(encoder):C(seed) + C(decoder):C(seed)", frame).fit()
    names, rows = Grid.of(cells, gap).levels()
    np.testing.assert_array_equal(names, [0, 2, 3, 5])
    for name, row in zip(names[1:], rows[1:], strict=True):
        assert row @ means == pytest.approx(fit.params[f"C(level)[T.{name:g}]"])


def _pairs(table):
    names = [[f"{side}{number}" for number in range(size)] for side, size in zip("ed", table.shape, strict=True)]
    return pd.Series(table.ravel(), index=pd.MultiIndex.from_product(names))


def test_decomposition_of_a_complete_grid_is_rows_and_columns():
    generator = np.random.default_rng(7)
    table = generator.random((3, 4))
    parts = decompose(_pairs(table))
    np.testing.assert_allclose(parts["grand_mean"], table.mean())
    np.testing.assert_allclose(parts["encoder_effect"].to_numpy()[::4], table.mean(axis=1) - table.mean())
    np.testing.assert_allclose(parts["decoder_effect"].to_numpy()[:4], table.mean(axis=0) - table.mean())
    np.testing.assert_allclose(parts.sum(axis=1), table.ravel())
    np.testing.assert_allclose(parts["interaction"].groupby(level=0).sum(), 0, atol=1e-12)


def test_decomposition_of_an_incomplete_grid_is_least_squares():
    generator = np.random.default_rng(8)
    table = _pairs(generator.random((3, 3))).drop(("e1", "d2"))
    parts = decompose(table)
    frame = table.rename("quality").rename_axis(["encoder", "decoder"]).reset_index()
    fit = formulas.ols("quality ~ C(encoder, Sum) + C(decoder, Sum)", frame).fit()
    np.testing.assert_allclose(parts["interaction"], fit.resid)
    np.testing.assert_allclose(parts["grand_mean"], fit.params["Intercept"])


def test_mixed_model_agrees_with_the_contrast():
    cells, gap = _cells(seeds=(0, 1, 2))
    means = _quality(cells, gap, np.random.default_rng(9), pair=0.003)
    fit = mixed_model(cells, gap, means)
    assert fit["slope"] == pytest.approx(-0.02, abs=0.003)
    assert fit["ci95"][0] < Grid.of(cells, gap).slope() @ means < fit["ci95"][1]


def test_mixed_model_says_why_there_is_none():
    cells, gap = _cells(seeds=(0,))
    assert mixed_model(cells, gap, gap)["slope"] is None
    cells, gap = _cells((0, 3, 5), (0,))
    found = mixed_model(cells, gap, np.random.default_rng(0).random(len(gap)))
    assert found["slope"] is None
    assert "cannot be told" in found["reason"]


def _slope(cells, gap, means, draws=60):
    """The estimate from cell means whose documents have no noise."""
    return Slopes.of(cells, gap, np.repeat(means[:, None], draws + 1, axis=1), 0.05, freedom=600)


@pytest.mark.parametrize(
    ("seeds", "ratios", "seed_noise", "least"), [(2, (4,), 0, 93), (3, (2, 4), 0, 93), (3, (4,), 0.003, 86)]
)
def test_interval_of_the_slope_covers_the_truth(seeds, ratios, seed_noise, least):
    """Of 400 studies, in per cent: 95 where cells are independent, fewer where the slope differs between seeds."""
    cells, gap = _cells(seeds=tuple(range(seeds)), ratios=ratios)
    generator, hits = np.random.default_rng(0), 0
    for _ in range(400):
        # Both ratios of a pair share its luck, as they share its language models.
        pairs = generator.normal(0, 0.01, (seeds, 6, 6))[cells["seed"], cells["e"], cells["d"]]
        means = _quality(cells, gap, generator, pair=0.005) + pairs
        means += generator.normal(0, seed_noise, seeds)[cells["seed"]] * gap
        low, high = _slope(cells, gap, means).slope.interval()
        hits += low <= -0.02 <= high
    assert hits >= 4 * least
    assert seed_noise or hits <= 4 * 98


def test_noise_of_documents_is_not_counted_twice():
    """Cells that scatter by documents alone: what the bootstrap explains is no training noise."""
    cells, gap = _cells(seeds=(0, 1, 2))
    generator = np.random.default_rng(1)
    draws = generator.normal(0, 0.01, (len(cells), 400))
    ratios = []
    for _ in range(60):
        means = _quality(cells, gap, generator, pair=0)[:, None] + generator.normal(0, 0.01, (len(cells), 1))
        slopes = Slopes.of(cells, gap, np.hstack([means, means + draws]), 0.05, freedom=600)
        scatter = slopes.noise.scatter(slopes.grid.slope())
        ratios.append((scatter.total - scatter.documents) / slopes.slope.documents**2)
    assert np.mean(ratios) == pytest.approx(0, abs=0.25)


def test_monotonicity_asks_every_step():
    cells, gap = _cells(seeds=(0, 1, 2))
    means = _quality(cells, gap, np.random.default_rng(10), pair=0.001)
    found = monotonicity(_slope(cells, gap, means), np.repeat(means[:, None], 61, axis=1))
    assert found["steps"] == found["steps_that_fall"] == 3
    assert found["p_every_step_falls"] < 0.001
    assert found["p_some_step_rises"] == 1
    means = means + 0.08 * (gap == 3)
    slopes = _slope(cells, gap, means)
    found = monotonicity(slopes, np.repeat(means[:, None], 61, axis=1))
    assert found["p_every_step_falls"] > 0.9
    steps = slopes.named("gap_step")
    assert found["p_some_step_rises"] == pytest.approx(3 * steps["gap_step 2 to 3"].p_above(0.0))
    assert found["p_some_step_rises"] < 0.01


def test_effects_of_the_own_data_are_those_of_least_squares():
    table = simulate(Study(documents=5, passages=2, seeds=(0, 1, 2), ratios=(2, 4), gap_slope=-0.02))
    spec = ClaimsSpec(draws=50, also_measures=())
    panel = build_panel(table, spec)
    every = cell_means(panel, weights_of(panel, spec), panel.quality("token_f1")).mean(0)
    found = main_slopes(panel, every)
    frame = panel.compressors.assign(y=every[:, 0], e=6 * panel.compressors["encoder_replaced"])
    frame = frame.assign(d=6 * frame["decoder_replaced"], gap=6 * frame["gap_design"])
    fit = formulas.ols("y ~ e + d + gap + C(seed):C(ratio)", frame).fit()
    assert found["encoder_slope"].value == pytest.approx(fit.params["e"])
    assert found["decoder_slope"].value == pytest.approx(fit.params["d"])


def test_mixed_model_of_passages_gives_the_contrast_of_cell_means():
    table = simulate(Study(documents=8, passages=2, seeds=(0, 1), ratios=(2, 4), gap_slope=-0.02))
    spec = ClaimsSpec(draws=50, also_measures=())
    panel = build_panel(table, spec)
    quality, gap = panel.quality("token_f1"), gap_of(panel, "gap_design")
    fit = passage_model(panel, gap, quality)
    assert fit["converged"]
    assert fit["slope"] == pytest.approx(Grid.of(panel.compressors, gap).slope() @ quality.mean(0), abs=1e-6)
    # The difficulty of passages is most of what varies here, domains included.
    assert fit["share_of_variance_between_passages"] > 0.5
    row = panel.only((panel.compressors["decoder"] == "D1").to_numpy())
    assert passage_model(row, gap_of(row, "gap_design"), row.quality("token_f1"))["slope"] is None
