"""Tables that stand beside the claims: every specification, and the control ladder."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contextpress.analysis.hypotheses import ClaimsSpec, without_verdicts
from contextpress.analysis.ladder import THIS_STUDY, ladder
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.published import IC_FORMER, ICAE, LADDERS
from contextpress.analysis.simulate import PLANTED, simulate
from contextpress.analysis.spec import SpecificationSpec
from contextpress.analysis.specification import specification
from contextpress.analysis.verdicts import assess
from contextpress.cli import main
from contextpress.reconstruction.table import MEASURES
from contextpress.runtime.tables import write_table
from contextpress.tokens.passages import VARIANTS
from tests.unit.fake_study import observations

SPEC = SpecificationSpec(
    measures=("token_f1", "bleu", "exact_match", "information_retained"),
    encoder_entropies=("encoder_nll", "zlib_bits_per_byte"),
    decoder_entropies=("decoder_nll",),
    draws=60,
)


@pytest.fixture(scope="module")
def rows():
    study = replace(PLANTED["encoder"], documents=15, passages=2, ratios=(2, 4), gap_slope=-0.02)
    table = simulate(study)
    # Written in two read-outs, so that a setting is more than its ratio.
    other = table.assign(readout="mean_pool", token_f1=table["token_f1"] - 0.1)
    return pd.concat([table, other[other["ratio"] == 4]], ignore_index=True)


@pytest.fixture(scope="module")
def table(rows):
    return specification(rows, SPEC)


def test_every_combination_has_a_row(table):
    # Settings: all, (memory tokens, 2), (memory tokens, 4), (mean pool, 4).
    sizes = table.groupby("claim").size()
    assert sizes["C1"] == 4 * 2 * 2 * 4  # measures, entropies, scopes, settings
    assert sizes["C2"] == 3 * 1 * 2 * 4  # information retained is made of decoder entropy
    assert sizes["C3"] == 4 * 3 * 4  # measures, gaps, settings
    keys = ["claim", "measure", "predictor", "scope", "readout", "ratio"]
    assert not table.duplicated(keys).any()
    assert set(table.loc[table["made_of_decoder_entropy"], "measure"]) == {"information_retained"}


def test_the_declared_specification_is_the_finding(rows, table):
    spec = ClaimsSpec(draws=60, also_measures=())
    found = {result.claim: result.effect for result in assess(rows, spec).values()}
    declared = table[table["declared"]].set_index("claim")
    assert set(declared.index) == {"C1", "C2", "C3"}
    for claim, effect in found.items():
        assert declared.loc[claim, "effect"] == pytest.approx(effect.value)
        assert declared.loc[claim, ["ci95_low", "ci95_high"]].tolist() == pytest.approx(list(effect.interval()))
        assert declared.loc[claim, "n"] == 90 * 18 * 3


def test_a_specification_is_scipys_correlation(rows, table):
    part = rows[(rows["readout"] == "mean_pool") & (rows["ratio"] == 4)]
    expected = np.mean(
        [
            stats.spearmanr(one["zlib_bits_per_byte"], one["bleu"]).statistic
            for _, one in part.groupby(["encoder", "decoder", "seed"])
        ]
    )
    chosen = table[
        (table["claim"] == "C1") & (table["predictor"] == "zlib_bits_per_byte") & (table["scope"] == "pooled")
    ]
    chosen = chosen[(chosen["measure"] == "bleu") & (chosen["readout"] == "mean_pool") & (chosen["ratio"] == 4)]
    assert chosen["effect"].item() == pytest.approx(expected)
    assert chosen["compressors"].item() == 18


def test_pooling_over_domains_turns_the_sign(table):
    """Difficult domains are the better reconstructed ones here: within domain and pooled must stand side by side."""
    one = table[(table["claim"] == "C1") & (table["measure"] == "token_f1") & (table["predictor"] == "encoder_nll")]
    one = one[one["readout"] == "all"].set_index("scope")["effect"]
    assert one["within"] < -0.2 < 0 < one["pooled"]


def test_a_measure_that_does_not_vary_has_an_empty_estimate(table):
    chosen = table[(table["measure"] == "exact_match") & (table["claim"] == "C1")]
    assert chosen["effect"].isna().all()
    assert chosen["ci95_low"].isna().all()


def test_verdict_options_do_not_touch_the_estimates():
    claims = ClaimsSpec(alpha=0.01, draws=100, min_seeds=3)
    assert without_verdicts(claims) == without_verdicts(ClaimsSpec())
    assert without_verdicts(claims.model_copy(update={"cluster": "source"})) != without_verdicts(ClaimsSpec())


# -- the ladder


@pytest.fixture(scope="module")
def disturbed():
    return observations(("D1", "D6"), ("prose", "code"), passages=24, ladder=8, ratios=(4, 8))


@pytest.fixture(scope="module")
def rungs(disturbed):
    return ladder(disturbed, ClaimsSpec(draws=60))


def test_the_ladder_has_every_rung_of_every_setting(rungs):
    ours = rungs[rungs["source"] == THIS_STUDY]
    assert len(ours) == 2 * len(VARIANTS) * len(MEASURES)
    assert set(ours["variant"]) == set(VARIANTS)
    assert (ours["passages"] == 16).all()  # eight of each domain, the same in every variant
    assert (ours["clusters"] == 8).all()
    assert (ours["compressors"] == 8).all()
    assert (ours["ci95_low"] < ours["estimate"]).all()
    assert (ours["estimate"] < ours["ci95_high"]).all()


def test_a_rung_is_the_mean_of_its_passages(disturbed, rungs):
    part = disturbed[(disturbed["variant"] == "reversed") & (disturbed["ratio"] == 8)]
    chosen = rungs[(rungs["variant"] == "reversed") & (rungs["ratio"] == 8) & (rungs["source"] == THIS_STUDY)]
    for measure in ("bleu", "nll"):
        assert chosen.set_index("measure").loc[measure, "estimate"] == pytest.approx(part[measure].mean())
    sampled = disturbed["passage_id"].isin({name.rpartition("/")[0] for name in part["passage_id"]})
    same = disturbed[sampled & (disturbed["ratio"] == 8)]
    normal = rungs[(rungs["variant"] == "normal") & (rungs["ratio"] == 8) & (rungs["measure"] == "bleu")]
    assert normal["estimate"].item() == pytest.approx(same["bleu"].mean())


def test_published_ladders_are_marked_as_theirs(rungs):
    theirs = rungs[rungs["source"] != THIS_STUDY]
    assert len(theirs) == len(LADDERS)
    assert set(theirs["source"]) == {ICAE, IC_FORMER}
    assert all("arXiv" in source for source in theirs["source"])
    assert theirs[["ci95_low", "passages", "compressors"]].isna().all(axis=None)


def test_a_study_without_a_ladder_shows_its_normal_text(disturbed):
    normal = disturbed[disturbed["variant"] == "normal"]
    ours = ladder(normal, ClaimsSpec(draws=60))
    ours = ours[ours["source"] == THIS_STUDY]
    assert set(ours["variant"]) == {"normal"}
    assert (ours["passages"] == 48).all()


def test_steps_write_the_tables(tmp_path, disturbed):
    path = str(tmp_path / "observations.parquet")
    write_table(tmp_path / "observations.parquet", disturbed, OBSERVATIONS)
    for step, line in (("specification", SPEC.line()), ("ladder", '{"draws": 60}')):
        out = str(tmp_path / f"{step}.csv")
        assert main(["analysis", step, "--spec", line, "--observations", path, "--table", out]) == 0
        assert len(pd.read_csv(out)) > 10
    empty = disturbed.assign(memory_used=False)
    write_table(tmp_path / "observations.parquet", empty, OBSERVATIONS)
    out = str(tmp_path / "specification.csv")
    assert main(["analysis", "specification", "--spec", SPEC.line(), "--observations", path, "--table", out]) == 0
    assert len(pd.read_csv(out)) == 0
