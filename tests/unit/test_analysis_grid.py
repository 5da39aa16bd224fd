import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formulas

from contextpress.analysis.gap import _estimates
from contextpress.analysis.grid import Grid, decompose, training_noise
from contextpress.analysis.mixed import mixed_model


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
    noise = training_noise(grid, means, pooling_alpha=1e-9)
    assert noise.unit == "cell"
    assert noise.freedom == fit.df_resid
    assert noise.error(grid.slope(), grid.setting) == pytest.approx(fit.bse["gap"])


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
    noise = training_noise(Grid.of(cells, gap), means, pooling_alpha=0.25)
    assert noise.p_seeds == pytest.approx(many.compare_f_test(one)[1])


def test_seeds_that_disagree_become_the_unit():
    cells, gap = _cells()
    means = _quality(cells, gap, np.random.default_rng(4), pair=0.001) + np.where(cells["seed"] == 0, 0.01, -0.01) * gap
    grid = Grid.of(cells, gap)
    noise = training_noise(grid, means, pooling_alpha=0.25)
    slopes = [contrast @ means for contrast in grid.seed_slopes().values()]
    assert noise.unit == "seed"
    assert noise.freedom == 1
    assert noise.error(grid.slope(), grid.setting) == pytest.approx(np.std(slopes, ddof=1) / np.sqrt(2))


def test_two_by_two_has_only_its_seeds():
    cells, gap = _cells((0, 5), (0, 5))
    noise = training_noise(Grid.of(cells, gap), _quality(cells, gap, np.random.default_rng(5)), 0.25)
    assert (noise.unit, noise.freedom) == ("seed", 1)
    cells, gap = _cells((0, 5), (0, 5), seeds=(0,))
    assert training_noise(Grid.of(cells, gap), _quality(cells, gap, np.random.default_rng(5)), 0.25).freedom == 0


@pytest.mark.parametrize("shape", [((0, 3, 5), (0,)), ((0,), (0, 3, 5)), ((0,), (5,))])
def test_one_row_of_pairs_cannot_tell_the_gap(shape):
    cells, gap = _cells(*shape)
    grid = Grid.of(cells, gap)
    assert grid.slope() is None
    assert grid.seed_slopes() == {}
    assert training_noise(grid, gap, 0.25).freedom == 0


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


@pytest.mark.parametrize(("seeds", "seed_noise", "fewest"), [(2, 0, 90), (3, 0, 90), (2, 0.005, 80), (3, 0.005, 83)])
def test_interval_of_the_slope_covers_the_truth(seeds, seed_noise, fewest):
    """Of 100 studies: 95 % where cells are independent (below 90 hits: 1 %), a little less where slopes vary."""
    cells, gap = _cells(seeds=tuple(range(seeds)))
    generator, hits = np.random.default_rng(0), 0
    for _ in range(100):
        means = _quality(cells, gap, generator) + generator.normal(0, seed_noise, seeds)[cells["seed"]] * gap
        grid = Grid.of(cells, gap)
        noise = training_noise(grid, means, pooling_alpha=0.25)
        low, high = _estimates(grid, np.repeat(means[:, None], 401, axis=1), noise, generator)["gap_slope"].interval()
        hits += low <= -0.02 <= high
    assert hits >= fewest
