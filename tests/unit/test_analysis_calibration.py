"""The calibration, in small: whole simulated studies through the code of the claims."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contextpress.analysis.bootstrap import weights_of
from contextpress.analysis.calibration import OUTCOMES, TABLE, draw, study_of, summarise
from contextpress.analysis.decoder_entropy import controls_of
from contextpress.analysis.hypotheses import ClaimsSpec, same_rules
from contextpress.analysis.naive import naive
from contextpress.analysis.panel import build_panel
from contextpress.analysis.ranked import rank_correlations
from contextpress.analysis.simulate import PLANTED, Study, simulate
from contextpress.analysis.spec import KINDS, Calibration, CalibrationChunk
from contextpress.analysis.swap import decoder_swap
from contextpress.analysis.truth import at_the_bound, truth
from contextpress.analysis.verdicts import assess, decide
from contextpress.cli import main
from contextpress.runtime.files import read_json
from contextpress.runtime.tables import read_table, write_table

RULES = same_rules(ClaimsSpec(), draws=100)


def _chunk(kind, first=0, count=4, **options):
    return CalibrationChunk(kind=kind, first=first, count=count, claims=RULES, documents=20, **options)


@pytest.fixture(scope="module")
def outcomes():
    """Thirty studies in which there is nothing, ten of every other kind."""
    parts = [draw(_chunk(kind, count=30 if kind == "none" else 10)) for kind in KINDS]
    return pd.concat(parts, ignore_index=True)


# -- the truth


@pytest.mark.parametrize("kind", ["encoder", "both", "bound"])
def test_truth_is_what_a_very_large_study_gives(kind):
    study = replace(study_of(_chunk(kind)), documents=2500, ratios=(4,), seeds=(0,), view_noise=0.0)
    panel = build_panel(simulate(study), RULES)
    ones = np.ones((len(panel.passages), 1))
    quality = panel.quality("token_f1")
    one = rank_correlations(panel, ones, panel.values("encoder_nll"), quality).within.mean()
    two = rank_correlations(panel, ones, panel.values("decoder_nll"), quality, controls_of(panel, RULES)).partial.mean()
    true = truth(study)
    assert one == pytest.approx(true["C1"], abs=0.015)
    assert two == pytest.approx(true["C2"], abs=0.015)


def test_at_the_bound_the_swap_design_sees_nothing():
    study = at_the_bound(Study(documents=1500, seeds=(0,), view_noise=0.0), 0.1)
    assert truth(study)["C2"] == pytest.approx(-0.1, abs=1e-6)
    panel = build_panel(simulate(study), RULES)
    ones = np.ones((len(panel.passages), 1))
    swap = decoder_swap(panel, ones, panel.values("decoder_nll"), panel.quality("token_f1"), per_domain=True)
    assert swap.correlation.mean() == pytest.approx(0, abs=0.01)


# -- one study


def test_deciding_alone_is_the_same_as_the_whole_assessment():
    table = simulate(replace(PLANTED["both"], documents=15, passages=2, seeds=(0, 1, 2), gap_slope=-0.01))
    panel = build_panel(table, RULES, "frozen")
    whole = assess(table, RULES)
    for name, alone in decide(panel, weights_of(panel, RULES), RULES).items():
        assert alone.effect == whole[name].effect
        assert alone.p_value == whole[name].p_value
        assert alone.judge(lambda p: p, 0.05) == whole[name].judge(lambda p: p, 0.05)


def test_naive_correlation_is_scipys_over_all_rows():
    study = replace(PLANTED["encoder"], domains=("prose",), documents=10, passages=2)
    panel = build_panel(simulate(study), RULES)
    found = naive(panel, RULES)["C1"]
    expected = stats.spearmanr(panel.values("encoder_nll").ravel(), panel.quality("token_f1").ravel())
    assert found.value == pytest.approx(expected.statistic)
    assert found.p_two_sided() == pytest.approx(expected.pvalue, rel=1e-6)


def test_naive_slope_is_least_squares_on_every_row():
    import statsmodels.formula.api as formulas

    table = simulate(replace(PLANTED["gap"], documents=5, passages=2))
    found = naive(build_panel(table, RULES), RULES)["C3"]
    frame = table.assign(gap=6 * table["gap_design"])
    fit = formulas.ols("token_f1 ~ gap + C(encoder) + C(decoder) + C(domain)", frame).fit()
    assert found.value == pytest.approx(fit.params["gap"])
    assert found.error == pytest.approx(fit.bse["gap"], rel=0.01)


# -- many


def test_outcomes_do_not_depend_on_how_studies_are_cut_into_chunks(tmp_path):
    whole = draw(_chunk("none", count=3))
    parts = pd.concat([draw(_chunk("none", count=1)), draw(_chunk("none", first=1, count=2))], ignore_index=True)
    pd.testing.assert_frame_equal(whole, parts)
    write_table(tmp_path / "outcomes.parquet", whole, OUTCOMES)
    assert len(read_table(tmp_path / "outcomes.parquet", OUTCOMES)) == 3 * 3 * 2


def test_small_calibration_has_no_more_false_positives_than_chance_allows(outcomes):
    """More than 6 rejections at 5 % in 30 studies have a probability of 0.1 %; the naive analysis has many more."""
    table, summary = summarise(outcomes, Calibration())
    rates = summary["false_positive_rate"]
    assert set(rates) == {"C1", "C2", "C2 contradicted", "C3"}
    assert max(rates[claim] for claim in ("C1", "C2 contradicted", "C3")) <= 6 / 30
    assert rates["C2"] <= 3 / 10
    assert summary["false_verdict_in_family"] <= 6 / 30
    assert min(summary["naive"]["false_positive_rate"][claim] for claim in ("C1", "C2 contradicted")) > 0.25
    # Of 10 studies: fewer than 7 intervals that hold the truth have a probability of 0.1 %.
    assert min(summary["coverage"].values()) >= 7 / 10
    assert summary["naive"]["coverage"]["C1"] < 0.7
    assert list(table.columns) == TABLE


def test_planted_effects_are_found_in_small_studies(outcomes):
    ours = outcomes[outcomes["analysis"] == "clustered"]
    verdicts = ours.groupby(["kind", "claim"])["verdict"].agg(lambda found: (found == "supported").mean())
    assert verdicts["encoder", "C1"] > 0.9
    assert verdicts["both", "C1"] > 0.9
    assert verdicts["gap", "C3"] > 0.9
    assert verdicts["none", "C1"] < 0.1
    against = ours.groupby(["kind", "claim"])["verdict"].agg(lambda found: (found == "contradicted").mean())
    assert against["decoder", "C2"] > 0.5
    assert against["none", "C2"] == 0


def test_summary_counts_by_hand():
    rows = []
    for kind in KINDS:
        for study in range(4):
            for claim in ("C1", "C2", "C3"):
                for analysis in ("clustered", "naive"):
                    rejects = study == 0 and analysis == "clustered"
                    held = study < 3
                    rows.append(
                        {
                            "kind": kind,
                            "study": study,
                            "claim": claim,
                            "analysis": analysis,
                            "truth": 0.1,
                            "effect": 0.1,
                            "ci95_low": 0.0 if held else 0.2,
                            "ci95_high": 0.3,
                            "p_difference": 0.01 if rejects else 0.5,
                            "p_equivalence": 0.5 if rejects else 0.01,
                            "verdict": "supported" if study == 0 and claim == "C1" else "inconclusive",
                        }
                    )
    table, summary = summarise(pd.DataFrame(rows), Calibration())
    assert summary["false_positive_rate"] == {"C1": 0.25, "C2": 0.75, "C2 contradicted": 0.25, "C3": 0.25}
    assert summary["naive"]["false_positive_rate"] == {"C1": 0.0, "C2": 1.0, "C2 contradicted": 0.0, "C3": 0.0}
    assert summary["coverage"] == {"C1": 0.75, "C2": 0.75, "C3": 0.75}
    assert summary["false_verdict_in_family"] == 0.25
    assert summary["calibrated"] is False
    family = table[(table["quantity"] == "verdict") & (table["kind"] == "gap") & (table["claim"] == "C1")]
    assert family.set_index("verdict").loc["supported", "share"] == 0.25


def test_chunks_cover_every_study_once():
    chunks = Calibration(null_studies=7, planted_studies=3, chunk=3).chunks()
    assert [chunks[f"none-{first}"] for first in (0, 3, 6)] == [("none", 0, 3), ("none", 3, 3), ("none", 6, 1)]
    assert sum(count for kind, _, count in chunks.values() if kind == "gap") == 3
    assert {kind for kind, _, _ in chunks.values()} == set(KINDS)


def test_calibration_steps_write_the_same_bytes_twice(tmp_path):
    def run(folder):
        files = []
        for kind in KINDS:
            path = tmp_path / folder / f"{kind}.parquet"
            line = _chunk(kind, count=2).line()
            assert main(["analysis", "calibration-chunk", "--spec", line, "--outcomes", str(path)]) == 0
            files.append(str(path))
        written = ["--table", str(tmp_path / folder / "t.csv"), "--summary", str(tmp_path / folder / "s.json")]
        options = ["--spec", Calibration().line(), "--outcomes", *files, *written]
        assert main(["analysis", "calibration", *options]) == 0

    run("one")
    run("two")
    for name in ("none.parquet", "t.csv", "s.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    summary = read_json(tmp_path / "one" / "s.json")
    assert {"false_positive_rate", "coverage"} <= set(summary)
    assert set(summary["false_positive_rate"]) >= {"C1", "C2", "C3"}
