"""Errors of documents and of training runs, put together."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from contextpress.analysis.inference import Effect, Scatter, combine, over_pairs, scatter_of_runs

PAIRS = pd.DataFrame([(e, d, s) for e in "ab" for d in "xy" for s in (0, 1)], columns=["encoder", "decoder", "seed"])


def test_effect_is_students_t_test():
    values = np.random.default_rng(0).normal(0.3, 1, 12)
    effect = Effect(values.mean(), values.std(ddof=1) / np.sqrt(12), 11)
    expected = stats.ttest_1samp(values, 0)
    assert effect.p_two_sided() == pytest.approx(expected.pvalue)
    assert effect.interval() == pytest.approx(tuple(expected.confidence_interval()))


def test_equivalence_test_is_that_of_statsmodels():
    values = np.random.default_rng(1).normal(0.02, 1, 400)
    effect = Effect(values.mean(), values.std(ddof=1) / 20, 399)
    expected = ttost_paired(values, np.zeros(400), -0.12, 0.12)[0]
    assert effect.p_equivalence(0.12) == pytest.approx(expected)


@given(st.floats(-1, 1), st.floats(0.01, 1), st.floats(1, 500))
def test_interval_and_p_values_agree(value, error, freedom):
    effect = Effect(value, error, freedom)
    low, high = effect.interval()
    assert (effect.p_two_sided() < 0.05) == (low > 0 or high < 0)
    low, high = effect.interval(0.9)
    assert (effect.p_equivalence(0.4) < 0.05) == (low > -0.4 and high < 0.4)


def test_not_significant_is_not_equivalent():
    wide = Effect(0.0, 1.0, 100)
    assert wide.p_two_sided() == pytest.approx(1)
    assert wide.p_equivalence(0.1) > 0.4


def test_an_effect_without_error_is_certain():
    assert Effect(-0.1, 0.0, 5).p_two_sided() == 0
    assert Effect(0.0, 0.0, 5).p_two_sided() == 1


def test_what_cannot_be_known_has_no_p_value():
    for effect in (Effect(np.nan, 1, 5), Effect(1, np.nan, 5), Effect(1, 1, 0)):
        assert effect.interval() == (None, None)
        assert effect.p_two_sided() is None
        assert effect.p_equivalence(1) is None


def test_documents_alone_are_their_bootstrap():
    draws = np.random.default_rng(2).normal(0, 0.1, 500)
    effect = combine(np.r_[0.5, 0.5 + draws], None, document_freedom=40)
    assert effect.error == pytest.approx(draws.std(ddof=1))
    assert effect.freedom == pytest.approx(40)
    assert effect.training == 0


def test_training_is_what_documents_do_not_explain():
    values = np.r_[0.5, 0.5 + np.random.default_rng(3).normal(0, 0.1, 500)]
    documents = values[1:].var(ddof=1)
    effect = combine(values, Scatter(0.05, 0.02, 2), document_freedom=40)
    assert effect.error**2 == pytest.approx(documents + 0.03)
    # Satterthwaite: the scatter is known with two degrees of freedom, the rest with forty.
    assert effect.freedom == pytest.approx((documents + 0.03) ** 2 / (documents**2 / 40 + 0.05**2 / 2))
    assert combine(values, Scatter(0.01, 0.02, 2), document_freedom=40).error ** 2 == pytest.approx(documents)


def test_an_estimate_with_unknown_draws_is_unknown():
    assert not combine(np.r_[0.5, np.full(90, 0.5), np.full(10, np.nan)], None, 40).known
    assert not combine(np.r_[np.nan, np.zeros(100)], None, 40).known


def test_scatter_of_runs_by_hand():
    # Of encoder a: 1 in seed 0, 2 in seed 1; b does not scatter. By decoder half of that, by pair the same as by a.
    values = np.array([1.0, 2, 1, 2, 5, 5, 5, 5])[:, None]
    by_encoder = 0.5 / 2 / 4
    by_decoder = 4 * 0.25**2 / 2 / 4
    by_pair = 4 * 0.5**2 / 4 / 8
    found = scatter_of_runs(values, PAIRS)
    assert found.total == pytest.approx(by_encoder + by_decoder - by_pair)
    assert found.documents == 0
    assert scatter_of_runs(values, PAIRS.drop(columns="decoder")).total == pytest.approx(by_encoder)
    alone = (PAIRS["seed"] == 0).to_numpy()
    assert scatter_of_runs(values[alone], PAIRS[alone].reset_index(drop=True)) is None


@pytest.mark.parametrize(("encoder", "decoder", "pair"), [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 1, 0.7)])
def test_scatter_of_runs_is_the_variance_of_the_mean(encoder, decoder, pair):
    """Crossed random effects: the mean estimate is the true variance of the mean over compressors."""
    frame = pd.DataFrame(
        [(e, d, s) for e in range(3) for d in range(3) for s in range(3)], columns=["encoder", "decoder", "seed"]
    )
    generator, count = np.random.default_rng(4), 2000
    e, d, s = (frame[name].to_numpy() for name in frame)
    one, two, both = (generator.normal(0, size, (count, 3, 3, 3)) for size in (encoder, decoder, pair))
    values = (one[:, e, 0, s] + two[:, 0, d, s] + both[:, e, d, s]).T
    # Where nothing scatters on the data, "what documents make of it" is the mean scatter of the draws.
    found = scatter_of_runs(np.column_stack([np.zeros(27), values]), frame).documents
    true = encoder**2 / 9 + decoder**2 / 9 + pair**2 / 27
    assert found == pytest.approx(true, rel=0.06)
    assert values.mean(0).var() == pytest.approx(true, rel=0.1)


def test_what_documents_make_of_the_scatter_is_read_off_the_draws():
    draws = np.random.default_rng(5).normal(0, 0.1, (8, 3000))
    values = np.column_stack([np.zeros(8), draws])
    found = scatter_of_runs(values, PAIRS)
    assert found.total == 0
    assert found.documents == pytest.approx(0.01 / 8, rel=0.1)


def test_other_pairs_are_less_certain_than_the_studys_own():
    values = np.array([0.1, 0.1, 0.2, 0.2, 0.5, 0.5, 0.6, 0.6])[:, None] + np.zeros((1, 50))
    wide = over_pairs(values, PAIRS)
    assert wide.value == pytest.approx(0.35)
    # Encoders: means 0.15 and 0.55; decoders: 0.3 and 0.4; pairs as they are.
    by_encoder, by_decoder, by_pair = 0.08 / 2, 0.005 / 2, np.var([0.1, 0.2, 0.5, 0.6], ddof=1) / 4
    assert wide.error**2 == pytest.approx(max(by_encoder + by_decoder - by_pair, by_encoder))
    one = PAIRS["encoder"] == "a"
    assert not over_pairs(values[one], PAIRS[one]).known
