import functools
import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formulas
from scipy import stats

from contextpress.analysis.bootstrap import document_weights
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.panel import build_panel
from contextpress.analysis.simulate import PLANTED, Study, planted, simulate
from contextpress.analysis.slopes import within_domain
from contextpress.analysis.swap import decoder_swap
from contextpress.analysis.verdicts import assess, findings
from contextpress.cli import main
from contextpress.runtime.errors import UserError
from contextpress.runtime.files import read_json
from contextpress.runtime.tables import read_table, write_table

KEYS = {"claim", "statement", "effect", "effect_name", "ci95", "p_value", "p_adjusted", "n", "clusters", "verdict"}
SPEC = ClaimsSpec(draws=200, also_measures=())
SMALL = {"documents": 40, "passages": 2}
TWO = {"encoders": (0, 5), "decoders": (0, 5)}


@functools.cache
def _drawn(study):
    return simulate(study)


def _draw(study):
    return _drawn(study).copy()


def _find(study, spec=SPEC):
    table = study if isinstance(study, pd.DataFrame) else _draw(study)
    found = findings(assess(table, spec), spec)
    json.dumps(found, allow_nan=False)
    for finding in found.values():
        assert KEYS | {"rule", "reason", "details"} <= set(finding)
    return found


def _verdicts(found):
    return tuple(found[name]["verdict"] for name in ("c1", "c2", "c3"))


@pytest.fixture(scope="module")
def hidden():
    """Findings of each planted study."""
    return {kind: _find(replace(planted(kind, 5), passages=3, seeds=(0, 1, 2))) for kind in PLANTED}


def test_simulated_tables_have_the_schema(tmp_path):
    table = _draw(replace(planted("both"), **SMALL))
    write_table(tmp_path / "observations.parquet", table, OBSERVATIONS)
    assert len(read_table(tmp_path / "observations.parquet", OBSERVATIONS)) == 18 * 240
    pd.testing.assert_frame_equal(table, simulate(replace(planted("both"), **SMALL)))


def test_planted_effects_of_the_encoder_are_found(hidden):
    assert [hidden[kind]["c1"]["verdict"] for kind in ("encoder", "both")] == ["supported", "supported"]
    assert hidden["encoder"]["c1"]["effect"] < -0.3


def test_a_decoder_without_effect_is_shown_to_be_without(hidden):
    assert hidden["encoder"]["c2"]["verdict"] == "supported"
    assert -0.1 < hidden["encoder"]["c2"]["details"]["ci90"][0] < hidden["encoder"]["c2"]["details"]["ci90"][1] < 0.1
    # Its marginal correlation is as strong as the encoder's: the two entropies are nearly the same.
    assert hidden["encoder"]["c2"]["details"]["marginal"]["value"] < -0.3
    assert hidden["encoder"]["c2"]["details"]["collinearity"]["value"] > 0.8


def test_a_decoder_with_effect_speaks_against_c2(hidden):
    assert [hidden[kind]["c2"]["verdict"] for kind in ("decoder", "both")] == ["contradicted", "contradicted"]
    # And C1's partial correlation tells that it is not the encoder's doing, though C1's correlation is negative.
    assert hidden["decoder"]["c1"]["effect"] < -0.3
    assert abs(hidden["decoder"]["c1"]["details"]["given_decoder_entropy"]["value"]) < 0.1


def test_a_planted_gap_is_found_and_no_other(hidden):
    found = hidden["gap"]["c3"]
    assert found["verdict"] == "supported"
    assert found["effect"] == pytest.approx(-0.02, abs=0.005)
    assert found["details"]["mixed_model"]["slope"] == pytest.approx(found["effect"], abs=0.003)
    assert list(found["details"]["gap_levels"]) == ["gap_level 2", "gap_level 3", "gap_level 5"]
    for kind in ("none", "encoder", "both"):
        assert hidden[kind]["c3"]["verdict"] != "supported"


def test_pooling_over_domains_gives_the_wrong_answer(hidden):
    """Difficult domains are the better reconstructed ones in the simulated studies."""
    for kind in ("none", "encoder"):
        pooled = hidden[kind]["c1"]["details"]["pooled"]
        assert pooled["ci95"][0] > 0.1
        assert hidden[kind]["c1"]["effect"] < 0.1


def test_nothing_is_found_where_nothing_is():
    """Verdicts for or against C1 and C3 in studies too small to show that an effect is absent."""
    wrong = 0
    for seed in range(4):
        found = _find(replace(planted("none", 100 + seed), documents=12, passages=3, **TWO))
        assert found["c2"]["verdict"] != "contradicted"
        wrong += (found["c1"]["verdict"] != "inconclusive") + (found["c3"]["verdict"] != "inconclusive")
    assert wrong <= 1


def test_a_large_study_shows_that_there_is_nothing():
    found = _find(replace(planted("none", 3), documents=150, **TWO))["c1"]
    assert found["verdict"] == "contradicted"
    assert "ruled out" in found["reason"]


def test_the_whole_is_reproducible_and_does_not_depend_on_the_order_of_rows():
    table = _draw(replace(planted("gap"), **SMALL))
    assert _find(table) == _find(table.sample(frac=1, random_state=3))


def test_effect_on_the_data_is_the_one_scipy_gives():
    table = _draw(replace(planted("encoder"), domains=("prose",), **SMALL))
    expected = [
        stats.spearmanr(rows["encoder_nll"], rows["token_f1"])[0]
        for _, rows in table.groupby(["encoder", "decoder", "seed"])
    ]
    assert _find(table)["c1"]["effect"] == pytest.approx(np.mean(expected), abs=1e-5)


def test_slopes_are_those_of_least_squares():
    table = _draw(replace(planted("encoder"), encoders=(0,), decoders=(0,), seeds=(0,), **SMALL))
    panel = build_panel(table, SPEC)
    slopes = within_domain(panel, np.ones((len(panel.passages), 1)), panel.values("encoder_nll"), panel.quality("bleu"))
    fit = formulas.ols("bleu ~ encoder_nll + C(domain)", table).fit()
    assert slopes.raw[-1, 0, 0] == pytest.approx(fit.params["encoder_nll"])
    code = table[table["domain"] == "code"]
    assert slopes.standardised[0, 0, 0] == pytest.approx(np.corrcoef(code["encoder_nll"], code["bleu"])[0, 1])


@pytest.mark.parametrize("per_domain", [False, True])
def test_decoder_swap_is_least_squares_with_dummies(per_domain):
    study = replace(planted("decoder"), encoders=(0,), seeds=(0,), documents=5, passages=2)
    table = _draw(study)
    panel = build_panel(table, SPEC)
    weights = document_weights(panel.documents, panel.slices, 3, np.random.default_rng(0))
    found = decoder_swap(panel, weights, panel.values("decoder_nll"), panel.quality("token_f1"), per_domain=per_domain)
    term = "C(decoder):C(domain)" if per_domain else "C(decoder)"
    order = panel.passages["passage_id"]
    for draw in range(4):
        weight = table["passage_id"].map(dict(zip(order, weights[:, draw], strict=True)))
        used = table.assign(weight=weight)[weight > 0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one dummy too many of decoder and domain
            fit = formulas.wls(f"token_f1 ~ decoder_nll + C(passage_id) + {term}", used, weights=used["weight"]).fit()
        assert found.slope.mean(0)[draw] == pytest.approx(fit.params["decoder_nll"], abs=1e-9)


def test_swap_of_some_settings_is_that_of_the_study_without_the_others():
    panel = build_panel(_draw(replace(planted("decoder"), ratios=(2, 4), idle=1, documents=5, passages=2)), SPEC)
    weights = document_weights(panel.documents, panel.slices, 3, np.random.default_rng(0))
    values = panel.values("decoder_nll"), panel.quality("token_f1")
    kept = (panel.compressors["ratio"] == 4).to_numpy()
    part = decoder_swap(panel.only(kept), weights, *(column[:, kept] for column in values), per_domain=True)
    found = decoder_swap(panel, weights, *values, per_domain=True).only(np.flatnonzero(kept))
    np.testing.assert_allclose(found.correlation, part.correlation)
    np.testing.assert_allclose(found.slope, part.slope)
    assert found.effect(found.slope, 9).sources() == pytest.approx(part.effect(part.slope, 9).sources())
    assert [key for key, _ in found.blocks(found.slope)] == [key for key, _ in part.blocks(part.slope)]
    assert found.only([]) is None


def test_idle_compressors_are_left_out_and_counted():
    study = replace(planted("encoder"), idle=2, **SMALL)
    found = _find(study)
    for finding in found.values():
        assert finding["details"]["sample"]["left_out"]["compressors_memory_unused"] == 2
        assert finding["details"]["sample"]["compressors"] == 16
    assert found["c3"]["details"]["with_compressors_that_ignore_memory"]["value"] is not None
    assert found["c3"]["effect"] == pytest.approx(0, abs=0.01)


def test_generated_text_stands_beside_the_claim():
    table = _draw(replace(planted("encoder"), **SMALL))
    table.loc[table["domain"] == "maths", "entropy_rate"] = 3.0
    found = _find(table)["c1"]
    assert list(found["details"]["sample"]["domains"]) == ["code", "prose"]
    assert found["details"]["generated_text"]["value"] < -0.2
    every = _find(table, SPEC.model_copy(update={"natural_only": False}))["c1"]
    assert list(every["details"]["sample"]["domains"]) == ["code", "maths", "prose"]


def test_one_row_of_pairs_takes_the_decoders_skill_for_a_gap():
    """A decoder that is better on this text looks like a gap's effect, until the grid takes its effect out."""
    table = _draw(replace(planted("none", 4), seeds=(0, 1, 2), **SMALL))
    table["token_f1"] += 0.03 * (table["decoder"] == "D6")
    found = _find(table)["c3"]
    row = table[table["encoder"] == "D1"]
    assert _find(row)["c3"]["verdict"] == "inconclusive"
    assert _find(row)["c3"]["details"]["naive_slope"]["ci95"][0] > 0
    assert abs(found["effect"]) < 0.004
    assert found["verdict"] != "supported"


def test_every_domain_counts_the_same_for_the_gap_however_few_its_passages():
    table = _draw(replace(planted("none"), **SMALL))
    prose = table["domain"] == "prose"
    table["token_f1"] -= 0.06 * 6 * table["gap_design"] * prose
    few = table[~prose | (table["document_id"] < "prose/000003")]
    found = _find(few)["c3"]
    slopes = [domain["value"] for domain in found["details"]["domains"].values()]
    assert found["effect"] == pytest.approx(np.mean(slopes), abs=1e-6)
    assert found["effect"] == pytest.approx(-0.02, abs=0.01)


def test_pairs_that_ignore_their_memory_cannot_hide_a_gap():
    """A gap so wide that memory is never read is left out of the claim, and told beside it."""
    table = _draw(replace(planted("none"), **SMALL))
    widest = (table["encoder"] == "D1") & (table["decoder"] == "D6")
    table.loc[widest, "memory_used"], table.loc[widest, "token_f1"] = False, 0.2
    found = _find(table)["c3"]
    assert found["details"]["sample"]["left_out"]["compressors_memory_unused"] == 2
    assert found["details"]["with_compressors_that_ignore_memory"]["value"] < min(found["effect"], 0) - 0.01


def test_other_variants_do_not_enter():
    table = _draw(replace(planted("encoder"), **SMALL))
    ladder = table.assign(variant="random_ids", token_f1=0.0, passage_id=table["passage_id"] + "/random_ids")
    assert _find(pd.concat([table, ladder]))["c1"]["effect"] == _find(table)["c1"]["effect"]


def test_loaded_models_use_the_divergence_as_gap():
    table = _draw(replace(planted("gap"), gap_slope=-0.03, **SMALL))
    table[["encoder_replaced", "decoder_replaced", "gap_design"]] = np.nan
    found = _find(table)["c3"]
    assert "divergence" in found["effect_name"]
    assert found["effect"] == pytest.approx(-0.03 / 0.05, rel=0.3)
    assert found["details"]["p_equivalence"] is None
    table["gap_kl_encoder_decoder"] = np.nan
    found = _find(table)["c3"]
    assert (found["verdict"], found["effect"]) == ("inconclusive", None)
    assert "no pair has a gap" in found["reason"]


TINY = {"documents": 2, "passages": 1}
POOR = {
    "one decoder": (replace(planted("both"), decoders=(0,), **SMALL), {"c2": "at least two", "c3": "cannot be told"}),
    "one encoder": (replace(planted("both"), encoders=(0,), **SMALL), {"c3": "cannot be told"}),
    "one seed": (replace(planted("both"), seeds=(0,), **SMALL), dict.fromkeys(("c1", "c2", "c3"), "seed")),
    "one pair": (Study(encoders=(0,), decoders=(5,), seeds=(0,), **SMALL), dict.fromkeys(("c1", "c2", "c3"), "seed")),
    "few passages": (replace(planted("both"), **TINY), dict.fromkeys(("c1", "c2", "c3"), "passages")),
    "one passage": (
        Study(domains=("prose",), documents=1, passages=1),
        dict.fromkeys(("c1", "c2", "c3"), "1 passages"),
    ),
    "all idle": (replace(planted("both"), idle=18, **SMALL), dict.fromkeys(("c1", "c2", "c3"), "uses its memory")),
    "two by two, one seed": (
        replace(planted("both"), encoders=(0, 5), decoders=(0, 5), seeds=(0,), **SMALL),
        dict.fromkeys(("c1", "c2", "c3"), "seed"),
    ),
}


@pytest.mark.parametrize("case", POOR)
def test_too_little_data_is_inconclusive_and_says_why(case):
    study, reasons = POOR[case]
    found = _find(study)
    for name, words in reasons.items():
        assert found[name]["verdict"] == "inconclusive", found[name]["reason"]
        assert words in found[name]["reason"]


def test_quality_that_does_not_vary_is_inconclusive():
    table = _draw(replace(planted("both"), **SMALL))
    table["token_f1"] = 0.0
    found = _find(table)
    assert _verdicts(found)[:2] == ("inconclusive", "inconclusive")
    assert found["c1"]["effect"] is None
    assert found["c1"]["p_adjusted"] is None
    assert "vary" in found["c1"]["reason"]
    assert "constant" in found["c2"]["reason"]


def test_a_decoder_that_is_the_encoder_has_no_partial_correlation():
    table = _draw(replace(planted("both"), **SMALL))
    for name in ("nll", "bits_per_byte", "predictive_entropy", "bucket"):
        table[f"decoder_{name}"] = table[f"encoder_{name}"]
    found = _find(table)["c2"]
    assert (found["verdict"], found["effect"]) == ("inconclusive", None)


def test_an_empty_table_gives_findings():
    assert _verdicts(_find(_draw(Study(**SMALL)).iloc[:0])) == ("inconclusive",) * 3


def test_the_verdict_uses_corrected_p_values():
    table = _draw(replace(planted("gap"), **SMALL))
    found = _find(table)
    p_values = {name: finding["p_value"] for name, finding in found.items()}
    ordered = sorted(p_values, key=p_values.get)
    assert found[ordered[0]]["p_adjusted"] == pytest.approx(min(1, 3 * p_values[ordered[0]]), rel=1e-4)
    assert all(found[name]["p_adjusted"] >= p_values[name] for name in found)


def test_c2_refuses_measures_made_of_decoder_entropy():
    for measure in ("nll", "nll_gain", "information_retained"):
        with pytest.raises(UserError, match=f"{measure} is made of decoder entropy"):
            ClaimsSpec.read({"c2": {"measure": measure}})


@pytest.mark.parametrize("kind", ["gap", "empty"])
def test_claims_step_writes_findings_and_tables(tmp_path, kind):
    table = _draw(replace(planted("gap"), idle=0 if kind == "gap" else 18, **SMALL))
    write_table(tmp_path / "observations.parquet", table, OBSERVATIONS)
    names = ["finding_c1", "finding_c2", "finding_c3"]
    tables = ["table_c1", "table_c2", "table_c3", "table_grid_effects", "table_by_bucket"]

    def run(folder):
        options = ["--specification", "tables/specification.csv"]
        options += ["--spec", '{"draws": 100}', "--observations", str(tmp_path / "observations.parquet")]
        for name in names + tables:
            options += ["--" + name.replace("_", "-"), str(tmp_path / folder / name)]
        assert main(["analysis", "claims", *options]) == 0

    run("one")
    run("two")
    for name in names + tables:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    for name in names:
        finding = read_json(tmp_path / "one" / name)
        assert not any(isinstance(value, float) and math.isnan(value) for value in finding.values())
        assert finding["specification_table"] == "tables/specification.csv"
    sizes = {name: len(pd.read_csv(tmp_path / "one" / name)) for name in tables}
    if kind == "empty":
        assert set(sizes.values()) == {0}
    else:
        # Three domains, within and pooled, of 18 compressors, of nine pairs and of all; all once more, other pairs.
        assert sizes["table_c1"] == (18 + 9 + 1) * 5 + 1
        # Marginal, marginal pooled, partial and collinearity of 18 compressors; six swap blocks; five means.
        assert sizes["table_c2"] == 18 * 4 + 6 + 5
        # Nine pairs: over all, in each of two seeds, in each of three domains.
        assert sizes["table_c3"] == 9 * (1 + 2 + 3)
        assert sizes["table_by_bucket"] == 4 * 2 * 9 * 4  # measures, sides, pairs, buckets
        effects = pd.read_csv(tmp_path / "one" / "table_grid_effects").set_index(["effect", "name"])
        assert effects.loc[("gap_slope", "design"), "estimate"] == pytest.approx(-0.02, abs=0.008)
        for effect in ("encoder", "decoder", "interaction"):
            assert effects.loc[effect, "estimate"].sum() == pytest.approx(0, abs=1e-6)
        measures = {"design", "kl_encoder_decoder", "kl_decoder_encoder", "entropy_difference"}
        for effect in ("gap_slope", "naive_slope"):
            assert set(effects.loc[effect].index) == measures
        # H_D - H_E is a sum of an effect of the decoder and one of the encoder: a grid cannot tell it from them.
        assert np.isnan(effects.loc[("gap_slope", "entropy_difference"), "estimate"])
        assert np.isfinite(effects.loc[("naive_slope", "entropy_difference"), "estimate"])
        assert {"encoder_slope", "decoder_slope"} <= set(effects.index.get_level_values("effect"))


def test_gap_steps_that_rise_take_the_support_away():
    table = _draw(replace(planted("gap"), pair_noise=0.001, **SMALL))
    middle = table["gap_design"].round(3) == round(3 / 6, 3)
    table.loc[middle, "token_f1"] += 0.06
    found = _find(table)["c3"]
    assert found["effect"] < 0
    assert found["verdict"] == "inconclusive"


def test_source_files_can_be_the_clusters():
    table = _draw(replace(planted("encoder"), **SMALL))
    table["source"] = table["document_id"].str[:-1]
    found = _find(table, SPEC.model_copy(update={"cluster": "source", "min_documents": 5}))["c1"]
    assert found["clusters"] == 12
