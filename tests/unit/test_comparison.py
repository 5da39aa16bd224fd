"""What a comparison says of two studies: against numbers worked out by hand, by scipy, and against its own limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from contextpress.report.comparison import (
    COLUMNS,
    Finding,
    changed_keys,
    compare_findings,
    compare_qualities,
)
from tests.unit.fake_study import observations

DOMAINS = ("prose", "code")


def study(**options):
    return observations(("D1", "D6"), DOMAINS, **{"passages": 40, "ladder": 4, "seeds": (0,), **options})[COLUMNS]


# -- config


def test_keys_that_differ_are_named_with_both_values():
    one = {
        "study": "a",
        "lm": {"steps": 10, "shapes": [{"name": "base", "width": 32}]},
        "seeds": [0, 1],
        "domains": None,
    }
    two = {
        "study": "b",
        "lm": {"steps": 10, "shapes": [{"name": "base", "width": 64}]},
        "seeds": [0],
        "new": {"x": "ä"},
    }
    assert changed_keys(one, two) == {
        "study": ('"a"', '"b"'),
        "lm.shapes.base.width": ("32", "64"),
        "seeds": ("[0, 1]", "[0]"),
        "new.x": ("", '"ä"'),
    }
    assert changed_keys(one, one) == {}
    assert changed_keys({"a": None}, {}) == changed_keys({"a": {}}, {"a": {}}) == {}


def test_an_entry_that_moves_in_a_list_of_names_is_no_change():
    entries = [{"name": "x", "size": 1}, {"name": "y", "size": 2}]
    assert changed_keys({"list": entries}, {"list": entries[::-1]}) == {}
    assert changed_keys({"list": entries}, {"list": entries[:1]}) == {
        "list.y.name": ('"y"', ""),
        "list.y.size": ("2", ""),
    }


# -- claims


def finding(effect, error, freedom, name="slope"):
    """A finding whose interval is Student's."""
    reach = stats.t.ppf(0.975, freedom) * error
    return Finding(
        claim="C1",
        effect=effect,
        effect_name=name,
        ci95=(effect - reach, effect + reach),
        details={"error": {"degrees_of_freedom": freedom}},
    )


def test_the_difference_of_two_effects_is_welchs():
    found = compare_findings(finding(-0.2, 0.03, 10), finding(-0.05, 0.04, 24))
    # Two samples with these means and standard errors of the mean.
    samples = [
        value
        for mean, error, freedom in ((-0.2, 0.03, 10), (-0.05, 0.04, 24))
        for value in (mean, error * math.sqrt(freedom + 1), freedom + 1)
    ]
    test = stats.ttest_ind_from_stats(*samples, equal_var=False)
    assert found.difference.value == pytest.approx(0.15)
    assert found.difference.error == pytest.approx(0.05)  # 3, 4, 5
    # (9 + 16)^2 / (81 / 10 + 256 / 24) = 33.3
    assert found.difference.freedom == pytest.approx(625 / (8.1 + 256 / 24))
    assert found.difference.p_two_sided() == pytest.approx(test.pvalue)
    low, high = found.difference.interval()
    assert (low + high) / 2 == pytest.approx(0.15)
    assert high - 0.15 == pytest.approx(stats.t.ppf(0.975, 625 / (8.1 + 256 / 24)) * 0.05)


def test_ninety_five_in_a_hundred_intervals_hold_the_true_difference():
    draw = np.random.default_rng(5)
    held = 0
    for _ in range(2000):
        parts = []
        for mean, spread, count in ((1.0, 1.0, 8), (3.0, 2.0, 12)):
            sample = draw.normal(mean, spread, count)
            parts.append(finding(sample.mean(), sample.std(ddof=1) / math.sqrt(count), count - 1))
        low, high = compare_findings(*parts).difference.interval()
        held += low <= 2.0 <= high
    assert 0.94 < held / 2000 < 0.96


def test_effects_of_different_measures_have_no_difference():
    found = compare_findings(finding(-0.2, 0.03, 10), finding(-0.1, 0.03, 10, "correlation"))
    assert (found.one.value, found.two.value) == (-0.2, -0.1)
    assert not found.difference.known


@pytest.mark.parametrize("effect", [None, -0.1])
def test_a_finding_without_an_interval_has_no_difference(effect):
    bare = Finding(effect=effect, effect_name="slope", ci95=(None, None))
    found = compare_findings(finding(-0.2, 0.03, 10), bare)
    assert found.one.interval() == pytest.approx(finding(-0.2, 0.03, 10).ci95)
    assert found.two.interval() == (None, None)
    assert not found.difference.known


def test_a_finding_without_degrees_of_freedom_has_a_normal_interval():
    bare = Finding(effect=0.0, effect_name="slope", ci95=(-1.959964, 1.959964))
    assert bare.measured().error == pytest.approx(1, abs=1e-6)
    same = compare_findings(bare, Finding(effect=0.0, effect_name="slope", ci95=(0.0, 0.0)))
    assert same.difference.error == pytest.approx(1, abs=1e-6)


# -- qualities


def test_means_are_over_passages_then_domains_then_compressors():
    rows = study(ratios=(4, 8))
    found = compare_qualities(rows, rows)
    normal = rows[rows["variant"] == "normal"]
    keys = ["encoder", "decoder", "ratio"]
    by_compressor = normal.groupby([*keys, "domain"])["token_f1"].mean().groupby(keys).mean()
    for ratio in (4, 8):
        mean = by_compressor.xs(ratio, level="ratio").mean()
        assert found.settings["token_f1", "memory_tokens", str(ratio)].one.value == pytest.approx(mean)
    mean = by_compressor["D1", "D6"].mean()
    assert found.pairs["token_f1", "D1", "D6"].two.value == pytest.approx(mean)
    assert len(found.settings) == 2 * 2
    assert len(found.pairs) == 2 * 4


def test_the_error_of_a_mean_is_that_of_its_documents():
    rows = study()
    found = compare_qualities(rows, rows).pairs["accuracy", "D1", "D1"].one
    mine = rows[(rows["variant"] == "normal") & (rows["encoder"] == "D1") & (rows["decoder"] == "D1")]
    per_document = (
        mine.groupby(["ratio", "domain", "document_id"])["accuracy"].mean().groupby(["domain", "document_id"]).mean()
    )
    squares = [part.var() / len(part) for _, part in per_document.groupby("domain")]
    assert found.error == pytest.approx(math.sqrt(sum(squares)) / 2, rel=0.1)


def test_a_study_does_not_differ_from_itself():
    rows = study()
    found = compare_qualities(rows, rows)
    assert found.documents == (40, 40, 40)  # two passages each
    for difference in (*found.settings.values(), *found.pairs.values()):
        assert difference.one == difference.two
        assert difference.one.error > 0
        assert difference.difference.interval() == (0, 0)


def test_what_shared_documents_do_to_both_studies_cancels():
    rows = study()
    better = rows.assign(token_f1=rows["token_f1"] + 0.1)
    found = compare_qualities(rows, better).settings["token_f1", "memory_tokens", "4"]
    assert found.difference.interval() == pytest.approx((0.1, 0.1))
    assert found.one.error > 0.001


def test_errors_of_other_documents_add_up():
    rows = study()
    other = rows.assign(source=rows["source"] + "-other")
    found = compare_qualities(rows, other)
    assert found.documents == (40, 40, 0)
    for difference in found.settings.values():
        expected = math.hypot(difference.one.error, difference.two.error)
        assert difference.difference.error == pytest.approx(expected, rel=0.1)


def test_training_runs_of_both_studies_count():
    rows = study(seeds=(0, 1, 2))
    worse = rows.assign(token_f1=rows["token_f1"] + 0.2 * rows["seed"])
    once = compare_qualities(rows, worse).settings["token_f1", "memory_tokens", "4"]
    assert once.two.training > 5 * once.one.training
    assert once.difference.training == pytest.approx(math.hypot(once.one.training, once.two.training), rel=0.2)


def test_only_what_both_studies_have_is_compared():
    one = study(ratios=(4, 8))
    two = observations(("D1",), ("prose", "tests"), passages=40, ladder=0, ratios=(8,), seeds=(0,))[COLUMNS]
    found = compare_qualities(one, two)
    assert found.domains == ["prose"]
    assert not found.settings["accuracy", "memory_tokens", "4"].difference.known
    assert found.settings["accuracy", "memory_tokens", "8"].difference.known
    assert not found.pairs["accuracy", "D6", "D6"].difference.known
    # Over ratio 8 alone, which both have.
    mine = one[(one["ratio"] == 8) & (one["variant"] == "normal") & (one["domain"] == "prose")]
    mine = mine[(mine["encoder"] == "D1") & (mine["decoder"] == "D1")]
    assert found.pairs["accuracy", "D1", "D1"].one.value == pytest.approx(mine["accuracy"].mean())


def test_studies_of_other_text_are_not_compared():
    found = compare_qualities(study(), observations(("D1",), ("tests",), passages=8, ladder=0)[COLUMNS])
    assert (found.domains, found.settings, found.pairs) == ([], {}, {})
