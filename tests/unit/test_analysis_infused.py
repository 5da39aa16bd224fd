"""Curves over doses of infusion: hand-worked numbers, planted gains and losses, collapse points, predictions."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextpress.analysis.arms import load
from contextpress.analysis.infused import TABLE, collapse, curves, predicts
from contextpress.cli import main
from tests.unit.fake_infusion import LEARNED, LOST, TOKENS, asked, found_of, planted


def test_the_table_is_what_the_passages_say(tmp_path):
    spec = asked()
    texts, tables, scores, qualities = planted(tmp_path, spec, noise=0.002)
    _, table = curves(load(spec.arms, texts, tables), scores, spec)
    assert list(table.columns) == TABLE
    assert table["dose"].tolist() == [0, 1, 2, 3]
    domain = qualities.index.str.split("/").str[0]
    means = qualities.groupby(domain).mean().mean()  # domains alike
    for row in table.itertuples():
        members = [place for place, dose in enumerate(spec.doses) if dose.dose == row.dose]
        none = [place for place, dose in enumerate(spec.doses) if dose.dose == 0]
        assert row.quality == pytest.approx(means[members].mean())
        assert row.gained == pytest.approx(means[members].mean() - means[none].mean())
        # Own text is prose alone; the decoder's is a quarter prose, three quarters code.
        assert row.lost == pytest.approx(LOST[row.dose])
        assert row.learned == pytest.approx(0.75 * LEARNED[row.dose] - 0.25 * LOST[row.dose])
        assert row.tokens == TOKENS[row.dose]
        assert (row.compressor_steps, row.memory_used) == (100 - row.dose, 1)
    assert table.loc[1:, ["gained_low", "gained_high"]].notna().all().all()
    assert (table["gained_low"][1:] <= table["gained"][1:]).all()


def test_a_planted_curve_is_found_with_its_collapse_point(tmp_path):
    finding, table = found_of(tmp_path, asked())
    assert finding["verdict"] == "supported"
    assert finding["best_dose"]["dose"] == 2
    assert finding["ci95"][0] < 0.05 < finding["ci95"][1]
    point = finding["collapse"]["base"]
    assert (point["dose"], point["tokens_before"], point["tokens"]) == (3, 400, 900)
    assert point["by_own_nll"] and point["by_quality"]
    assert table["collapsed"].tolist() == [False, False, False, True]
    assert finding["small_predicts_large"] == []


def test_either_sign_of_collapse_is_enough(tmp_path):
    for name, how, dose, signs in (
        ("nll", {"gains": (0, 0.02, 0.04, 0.06)}, 3, (True, False)),
        ("quality", {"lost": (0, 0.01, 0.02, 0.03)}, 3, (False, True)),
        ("early", {"gains": (0, -0.05, 0, 0)}, 1, (False, True)),
    ):
        (tmp_path / name).mkdir()
        point = found_of(tmp_path / name, asked(), **how)[0]["collapse"]["base"]
        assert (point["dose"], (point["by_own_nll"], point["by_quality"])) == (dose, signs), name


def test_without_a_collapse_or_a_gain_nothing_is_claimed(tmp_path):
    for name, how, verdict, reason in (
        (
            "none",
            {"gains": (0, 0.02, 0.04, 0.06), "lost": (0, 0, 0.01, 0.02)},
            "inconclusive",
            "no larger one collapses",
        ),
        ("late", {"gains": (0, 0, 0, 0.05), "lost": (0, 0, 0, 0.5)}, "inconclusive", "collapsed at or before it"),
        ("flat", {"gains": (0, 0, 0, 0)}, "inconclusive", "no dose is shown to gain"),
        ("worse", {"gains": (0, -0.02, -0.04, -0.06)}, "contradicted", "every dose loses"),
        ("idle", {"used": lambda cell: cell.seed}, "inconclusive", "ignores its memory"),
    ):
        (tmp_path / name).mkdir()
        finding, _ = found_of(tmp_path / name, asked(), **how)
        assert finding["verdict"] == verdict, name
        assert reason in finding["reason"], name


def test_pairs_come_after_all_of_them(tmp_path):
    finding, table = found_of(tmp_path, asked(pairs=(("D1", "D6"), ("D6", "D1"))))
    keys = list(dict.fromkeys(zip(table["encoder"], table["decoder"], strict=True)))
    assert keys == [("all", "all"), ("D1", "D6"), ("D6", "D1")]
    # The own mixture of D6 is mostly code, of which nothing is lost.
    third = table[table["dose"] == 3].set_index("encoder")["lost"]
    assert third["D6"] == pytest.approx(0.25 * 0.4 - 0.75 * 0.3)
    assert third["all"] == pytest.approx((third["D1"] + third["D6"]) / 2)
    assert finding["n"] == len(asked().arms.cells) * 2 * finding["sample"]["passages"]


@pytest.mark.parametrize(
    ("of_large", "same_dose", "per_weight"),
    # The small one collapses between 100 and 400 tokens; three times as many weights: between 300 and 1,200.
    [(2, True, True), (3, False, True), (1, False, False), (None, None, None)],
)
def test_what_a_small_encoder_says_of_a_larger_one(of_large, same_dose, per_weight, tmp_path):
    lost = {
        "base": (0, 0, 0.3, 0.3),
        "large": tuple(0.3 if of_large is not None and dose >= of_large else 0 for dose in range(4)),
    }
    gains = (0, 0.01, 0.02, 0.03)
    finding, table = found_of(tmp_path, asked(sizes=("large", "base")), lost=lost, gains=gains)
    assert list(dict.fromkeys(table["size"])) == ["base", "large"]
    (said,) = finding["small_predicts_large"]
    assert said == {
        "small": "base",
        "large": "large",
        "weights_ratio": 3.0,
        "same_dose": same_dose,
        "same_tokens_per_weight": per_weight,
    }


@given(
    doses=st.lists(st.tuples(st.floats(-1, 1), st.booleans()), min_size=1, max_size=6), tolerance=st.floats(0.01, 0.5)
)
def test_the_collapse_point_is_the_first_that_breaks_the_rule(doses, tolerance):
    lost, fallen = zip(*doses, strict=True)
    place = collapse(lost, fallen, tolerance)
    broken = [loss > tolerance or fell for loss, fell in doses]
    assert (place is None) == (not any(broken))
    if place is not None:
        assert broken[place]
        assert not any(broken[:place])


def test_brackets_that_only_touch_have_no_dose_in_common():
    assert predicts((100, 400), (300, 900), 1.0)
    assert not predicts((100, 300), (300, 900), 1.0)
    assert predicts((100, 300), (300, 900), 3.0)
    assert predicts((0, 100), (0, 100), 5.0)


def test_the_step_writes_finding_and_table(tmp_path):
    spec = asked(seeds=(0,))
    texts, tables, scores, _ = planted(tmp_path, spec)
    options = {"passages": texts, "reconstructions": tables, "scores": scores}
    words = [word for name, paths in options.items() for word in (f"--{name}", *map(str, paths))]
    words += ["--finding", str(tmp_path / "f.json"), "--table", str(tmp_path / "t.csv")]
    assert main(["analysis", "infusion", "--spec", spec.line(), *words]) == 0
    finding = json.loads((tmp_path / "f.json").read_text())
    assert finding["verdict"] == "inconclusive"
    assert "1 training seed(s)" in finding["reason"]
    assert pd.read_csv(tmp_path / "t.csv")["gained"].notna().all()
