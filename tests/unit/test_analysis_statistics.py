import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from contextpress.analysis import bootstrap, correlation
from contextpress.analysis.bootstrap import NUMBERS, Estimate, chunks, document_weights
from contextpress.analysis.findings import finite
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.inference import mean_over
from contextpress.analysis.multiplicity import adjusted
from contextpress.analysis.panel import build_panel
from contextpress.analysis.ranked import Question, correlate
from contextpress.analysis.simulate import Study, simulate


@pytest.fixture
def generator():
    return np.random.default_rng(7)


def _within(values, slices):
    return np.concatenate([stats.rankdata(values[rows]) / (rows.stop - rows.start) for rows in slices])


def _demeaned(values, slices):
    return np.concatenate([values[rows] - values[rows].mean() for rows in slices])


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_spearman_equals_scipy_on_repeated_rows(generator, ties):
    x, y = generator.normal(size=50), generator.normal(size=50)
    y += x
    if ties:
        x, y = x.round(), y.round()
    weights = generator.integers(0, 4, size=(50, 6)).astype(float)
    found = correlation.spearman(x, y, weights, [slice(0, 50)])
    for column, value in enumerate(found):
        times = weights[:, column].astype(int)
        assert value == pytest.approx(stats.spearmanr(np.repeat(x, times), np.repeat(y, times))[0], abs=1e-12)


def test_spearman_within_domain_is_that_of_ranks_within_domain(generator):
    slices = [slice(0, 20), slice(20, 55), slice(55, 60)]
    shift = np.repeat([0, 10, -10], [20, 35, 5])
    x, y = generator.normal(size=60) + shift, generator.normal(size=60) - shift
    found = correlation.spearman(x, y, np.ones((60, 1)), slices)[0]
    one, two = (_demeaned(_within(values, slices), slices) for values in (x, y))
    assert found == pytest.approx(np.corrcoef(one, two)[0, 1], abs=1e-9)
    # The shift between domains, which decides the pooled correlation, is gone.
    assert correlation.spearman(x, y, np.ones((60, 1)), [slice(0, 60)])[0] < -0.5 < found


def test_ranks_do_not_depend_on_the_scale_of_weights(generator):
    x, weights = generator.normal(size=30), generator.random((30, 3))
    rows = [slice(0, 30)]
    np.testing.assert_allclose(correlation.ranks(x, weights, rows), correlation.ranks(x, weights * 7, rows))


def test_partial_correlation_is_the_correlation_of_residuals(generator):
    controls = generator.normal(size=(200, 2))
    x = controls @ [1, -1] + generator.normal(size=200)
    y = controls @ [2, 1] + 0.3 * x + generator.normal(size=200)
    design = np.column_stack([np.ones(200), controls])
    left = [values - design @ np.linalg.lstsq(design, values, rcond=None)[0] for values in (x, y)]
    found = correlation.partial(np.cov(np.column_stack([x, y, controls]).T)[None])[0]
    assert found == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-9)


def test_partial_correlation_is_unknown_where_a_control_is_the_variable_itself(generator):
    x, y = generator.normal(size=100), generator.normal(size=100)
    assert np.isnan(correlation.partial(np.cov(np.column_stack([x, y, x]).T)[None])[0])


def test_partial_correlation_survives_two_equal_controls(generator):
    x, y, z = generator.normal(size=(3, 100))
    one = correlation.partial(np.cov(np.column_stack([x, y, z]).T)[None])[0]
    two = correlation.partial(np.cov(np.column_stack([x, y, z, z]).T)[None])[0]
    assert one == pytest.approx(two)


def test_a_constant_has_no_correlation():
    found = correlation.spearman(np.zeros(10), np.arange(10.0), np.ones((10, 2)), [slice(0, 10)])
    assert np.isnan(found).all()


def test_weights_draw_documents_within_domains_whole(generator):
    documents = np.array([0, 0, 1, 1, 1, 2, 3, 4, 4, 5])
    slices = [slice(0, 5), slice(5, 9), slice(9, 10)]
    weights = document_weights(documents, slices, 500, generator)
    assert weights.shape == (10, 501)
    assert (weights[:, 0] == 1).all()
    for document in range(6):
        assert (np.ptp(weights[documents == document], axis=0) == 0).all()
    heads = [weights[[0, 2]], weights[[5, 6, 7]]]
    for head in heads:
        np.testing.assert_allclose(head.sum(0), len(head))
    assert (weights[9] == 1).all()


def test_bootstrap_variance_of_a_mean_is_that_of_the_textbook(generator):
    """With n - 1 of n documents drawn, the variance is s^2 / n, not (n - 1) / n of it."""
    values = generator.normal(size=6)
    weights = document_weights(np.arange(6), [slice(0, 6)], 200_000, generator)
    means = values @ weights[:, 1:] / weights[:, 1:].sum(0)
    assert means.var() == pytest.approx(values.var(ddof=1) / 6, rel=0.02)


def test_chunks_put_together_are_the_weights(generator):
    weights = generator.random((NUMBERS // 10, 25))
    found = list(chunks(weights))
    assert [block.shape[1] for block in found] == [10, 10, 5]
    np.testing.assert_array_equal(np.hstack(found), weights)


def test_questions_asked_together_have_the_answers_of_each_alone(generator, monkeypatch):
    panel = build_panel(simulate(Study(documents=8, passages=2)), ClaimsSpec())
    weights = document_weights(panel.documents, panel.slices, 40, generator)
    one, two, tokens = (panel.values(name) for name in ("encoder_nll", "decoder_nll", "bytes"))
    questions = [
        Question(one, panel.quality("token_f1"), pooled=True, domains=True),
        Question(two, panel.quality("token_f1"), [one, tokens]),
        Question(one, np.round(panel.quality("bleu"), -1), [two], pooled=True),  # ties
    ]
    alone = [correlate(panel, weights, [question])[0] for question in questions]
    monkeypatch.setattr(bootstrap, "NUMBERS", 7 * len(weights))
    together = correlate(panel, weights, questions)
    for found, wanted in zip(together, alone, strict=True):
        for name in ("within", "pooled", "domains", "partial", "collinearity"):
            np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-12)
    domain, column = panel.slices[1], 3
    exact = stats.spearmanr(one[domain, column], panel.quality("token_f1")[domain, column]).statistic
    assert together[0].domains[1, column, 0] == pytest.approx(exact)
    assert [len(found.pooled) for found in together] == [18, 0, 18]
    assert [len(found.domains) for found in together] == [3, 0, 0]


@pytest.mark.parametrize("value", [-0.5, 0.02, 0.3])
def test_p_value_and_interval_agree(generator, value):
    estimate = Estimate(value, generator.normal(value, 0.15, 999))
    low, high = estimate.interval()
    assert (estimate.p_two_sided() < 0.05) == (low > 0 or high < 0)


def test_two_sided_p_value_by_hand():
    draws = np.array([-0.3, -0.05, 0.0, 0.02, 0.04, 0.06, 0.08, 0.2, 0.3])
    # At most zero: three draws. One is added to the count and to the number of draws.
    assert Estimate(0.03, draws).p_two_sided() == pytest.approx(2 * 4 / 10)


def test_an_estimate_with_unknown_draws_is_unknown():
    estimate = Estimate(0.5, np.r_[np.full(90, 0.5), np.full(10, np.nan)])
    assert not estimate.known
    assert estimate.interval() == (None, None)
    assert estimate.p_two_sided() is None


@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_correction_is_that_of_statsmodels(generator, ours, theirs):
    for size, _ in itertools.product((1, 2, 3, 7), range(3)):
        p_values = generator.random(size) ** 3
        found = adjusted({str(index): p for index, p in enumerate(p_values)}, ours)
        np.testing.assert_allclose(list(found.values()), multipletests(p_values, method=theirs)[1])


def test_a_test_that_could_not_be_done_stays_in_the_family():
    assert adjusted({"c1": 0.01, "c2": None, "c3": 0.04}, "holm") == {"c1": 0.03, "c2": None, "c3": pytest.approx(0.08)}
    assert adjusted({}, "holm") == {}


def test_mean_over_leaves_out_the_unknown():
    values = np.array([[1.0, 2.0], [np.nan, 5.0], [3.0, np.nan]])
    np.testing.assert_array_equal(mean_over(values), [2.0, 2.0])
    assert np.isnan(mean_over(values[1:2])).all()


def test_json_values_are_finite():
    found = finite({"a": np.float64("nan"), "b": [np.int64(3), np.bool_(True), 1 / 3, float("inf")], 4: "x"})
    assert found == {"a": None, "b": [3, True, 0.333333, None], "4": "x"}
