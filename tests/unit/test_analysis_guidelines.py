"""The paper's advice as effects: by hand on small tables, and the rules of the verdicts on planted studies."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest

from contextpress.analysis.budget import budget
from contextpress.analysis.exchanges import corners, spreads
from contextpress.analysis.guidelines import ADVICE, NOT_MEASURED, guidelines
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.panel import Panel, build_panel
from contextpress.analysis.practice import BudgetRules, BudgetSpec, GuidelineRules, GuidelinesSpec
from contextpress.analysis.verdicts import assess, findings
from contextpress.cli import main
from contextpress.plan import Plan
from contextpress.practice import guidelines as guidelines_spec
from contextpress.report.guidelines import compose
from contextpress.runtime.tables import write_table
from tests.unit.fake_study import REPLACED, observations

SPEC = GuidelinesSpec(rules=GuidelineRules(), claims=ClaimsSpec(draws=200))
MODELS, SEEDS = ("D1", "D3", "D6"), (0, 1, 2)
# What a planted study has: what quality gains or loses by each of these.
LAWS = {"gap": -0.1, "decoder": 0.1, "entropy": -0.1, "size": 0.1}


def study(noise: float = 0.01, sizes: bool = False, **laws: float) -> pd.DataFrame:
    """Observations whose token F1 follows LAWS, or what is said instead; with ``sizes`` D3 is a large D1.

    Decoders differ by their number, encoders do not; entropy counts around the mean of the passages.
    """
    law = LAWS | laws
    rows = observations(MODELS, ("prose", "code"), passages=60, ladder=0, ratios=(2, 4), seeds=SEEDS)
    draw = np.random.default_rng(9)
    cells = rows.groupby(["encoder", "decoder", "ratio", "seed"]).ngroup()
    quality = 0.5 + draw.normal(0, noise, cells.max() + 1)[cells] + draw.normal(0, noise, len(rows))
    quality += law["decoder"] * rows["decoder"].map({name: place for place, name in enumerate(MODELS)})
    quality += law["entropy"] * (rows["encoder_nll"] - 3.0)
    if not sizes:
        return rows.assign(token_f1=quality + law["gap"] * rows["gap_design"])
    large = {side: rows[side] == "D3" for side in ("encoder", "decoder")}
    quality += law["size"] * (large["decoder"].astype(float) - large["encoder"].astype(float))
    shares = {f"{side}_replaced": rows[side].map(REPLACED | {"D3": 0.0}) for side in ("encoder", "decoder")}
    gap = (shares["encoder_replaced"] - shares["decoder_replaced"]).abs()
    return rows.assign(**shares, gap_design=gap, token_f1=quality + law["gap"] * gap)


def ranges(large: tuple[str, ...] = ("D3",)) -> dict:
    """Of a predictor's finding, what tells the sizes: D3 has four times the parameters."""
    own = {name: 4000 if name in large else 1000 for name in MODELS}
    return {side: {name: {f"{side}_parameters": [n, n]} for name, n in own.items()} for side in ("encoder", "decoder")}


def panel_of(cells: dict[tuple, float]) -> tuple[Panel, np.ndarray]:
    """A panel of these compressors (encoder, decoder, ratio, seed), and their means [1 domain, C, data alone]."""
    rows = observations(("D1", "D6"), ("prose",), passages=2, ladder=0, ratios=(4,), seeds=(0,)).iloc[:2]
    parts = []
    for encoder, decoder, ratio, seed in cells:
        shares = [REPLACED.get(name[:2], 1.0) for name in (encoder, decoder)]
        part = rows.assign(encoder=encoder, decoder=decoder, ratio=ratio, seed=seed)
        parts.append(part.assign(encoder_replaced=shares[0], decoder_replaced=shares[1]))
    panel = build_panel(pd.concat(parts), ClaimsSpec())
    keys = zip(*(panel.compressors[name] for name in ("encoder", "decoder", "ratio", "seed")), strict=True)
    return panel, np.array([[[cells[key]] for key in keys]])


def test_the_spread_of_an_exchange_by_hand():
    """Decoders are 0.1 and 0.3 apart, encoders 0.2 and 0; the variance of two is half their squared distance."""
    cells = {("D1", "D1", 4, 0): 0.5, ("D1", "D6", 4, 0): 0.6, ("D6", "D1", 4, 0): 0.3, ("D6", "D6", 4, 0): 0.6}
    cells |= {("D1", "noise", 4, 0): 0.0, ("D6", "noise", 4, 0): 0.0}  # decodes only: it has no part in it
    cells |= {("D1", "D1", 8, 0): 0.1, ("D6", "D1", 8, 0): 0.9}  # a setting without all pairs has none either
    panel, means = panel_of(cells)
    found = spreads(panel, means)
    assert set(found) == {0}
    decoder, encoder = found[0]
    assert decoder == pytest.approx([np.sqrt((0.1**2 / 2 + 0.3**2 / 2) / 2)])
    assert encoder == pytest.approx([np.sqrt((0.2**2 / 2 + 0) / 2)])


def test_exchanges_on_one_side_only_are_told_as_such():
    cells = {(e, d, 4, s): 0.5 + 0.2 * (d == "D6") for e, d, s in product(("D1", "D6"), ("D1", "D6"), (0, 1))}
    panel, means = panel_of(cells)
    for decoder, encoder in spreads(panel, means).values():
        assert (decoder[0], encoder[0]) == (pytest.approx(0.2 / np.sqrt(2)), pytest.approx(0))


def test_corners_of_sizes_by_hand():
    """On data D1 and D6 each, small and large; one pair of D6 was not trained, so that D1 with D1 alone is complete."""
    names = {"small": ("D1", "D6"), "large": ("D1L", "D6L")}
    sizes = {name: 1000.0 if kind == "small" else 5000.0 for kind, group in names.items() for name in group}
    cells = {(e, d, 4, 0): 0.1 * place for place, (e, d) in enumerate(product(sizes, sizes))}
    panel, means = panel_of(cells)
    found = corners(panel, means[0], {"encoder": sizes, "decoder": sizes})[0]
    for one, two in product(names, names):
        wanted = np.mean([cells[e, d, 4, 0] for e in names[one] for d in names[two]])
        assert found[f"{one}, {two}"] == pytest.approx([wanted])
    lame = {key: value for key, value in cells.items() if "D6L" not in key[:2]}
    panel, means = panel_of(lame)
    found = corners(panel, means[0], {"encoder": sizes, "decoder": sizes})[0]
    assert found["small, large"] == pytest.approx([cells["D1", "D1L", 4, 0]])
    panel, means = panel_of({key: value for key, value in cells.items() if "L" not in key[0]})
    assert corners(panel, means[0], {"encoder": sizes, "decoder": sizes}) == {}


@pytest.fixture(scope="module")
def planted() -> dict:
    return guidelines(study(), None, SPEC)


def test_every_guideline_finds_what_was_planted(planted):
    found = planted["guidelines"]
    assert list(found) == list(ADVICE)
    assert {name: one["verdict"] for name, one in found.items()} == {
        "match_data": "supported",
        "decoder_first": "supported",
        "small_encoder": NOT_MEASURED,
        "high_entropy": "supported",
    }
    slope = found["match_data"]
    assert slope["effect"] == pytest.approx(0.1 / 6, abs=0.004)  # per sixth
    assert slope["ci95"][0] < slope["effect"] < slope["ci95"][1]
    # Decoders are 0, 0.1, 0.2 apart: a standard deviation of 0.1. What else differs is the gap and noise.
    assert found["decoder_first"]["beside"]["spread over decoders, encoder fixed"]["value"] > 0.08
    assert found["decoder_first"]["effect"] > 0.05
    assert (
        found["small_encoder"]["effect"] is None
        and "sizes of the models are not known" in found["small_encoder"]["reason"]
    )


def test_the_gap_is_that_of_c3_with_its_sign_turned(planted):
    c3 = findings(assess(study(), SPEC.claims), SPEC.claims)["c3"]
    slope = planted["guidelines"]["match_data"]
    assert slope["effect"] == pytest.approx(-c3["effect"])
    assert slope["ci95"] == pytest.approx([-c3["ci95"][1], -c3["ci95"][0]])
    assert slope["p_value"] == pytest.approx(c3["p_value"])
    assert (slope["verdict"], slope["reason"]) == (c3["verdict"], c3["reason"])


def test_the_effect_of_entropy_is_that_of_fifths_within_domain(planted):
    rows = study()
    rows = rows.assign(rank=rows.groupby(["encoder", "decoder", "ratio", "seed", "domain"])["encoder_nll"].rank())
    low, high = rows[rows["rank"] <= 12], rows[rows["rank"] > 48]  # of sixty
    one = planted["guidelines"]["high_entropy"]
    assert one["effect"] == pytest.approx(low["token_f1"].mean() - high["token_f1"].mean(), rel=1e-4)
    assert [rows["encoder_nll"].min(), rows["encoder_nll"].max()] == pytest.approx(
        one["range"]["encoder_nll"], rel=1e-5
    )


def test_the_claim_is_open_where_a_guideline_was_not_measured(planted):
    assert (planted["claim"], planted["verdict"]) == ("C4", "inconclusive")
    assert "not measured in this study: pair a small encoder with a large decoder" in planted["reason"]
    measured = [one for one in planted["guidelines"].values() if one["range"]]
    least = max(measured, key=lambda one: one["p_adjusted"])
    assert (planted["effect"], planted["ci95"], planted["n"]) == (least["effect"], least["ci95"], least["n"])
    assert least["advice"] in planted["effect_name"]
    assert planted["n"] == 120 * 9 * 2 * 3
    assert planted["family"]["members"] == ["match_data", "decoder_first", "high_entropy"]


def test_with_two_sizes_all_four_are_measured_and_may_be_supported():
    found = guidelines(study(sizes=True, decoder=0.2), ranges(), SPEC)
    assert {one["verdict"] for one in found["guidelines"].values()} == {"supported"}
    assert found["verdict"] == "supported"
    small = found["guidelines"]["small_encoder"]
    # D3 as decoder has 0.2 by its number and 0.1 by its size, and loses 0.1 by its size as encoder.
    assert small["effect"] == pytest.approx(0.4, abs=0.02)
    assert small["beside"]["larger decoder for the small encoder"]["value"] == pytest.approx(0.3, abs=0.02)
    assert small["beside"]["larger encoder for the large decoder"]["value"] == pytest.approx(-0.1, abs=0.02)
    assert small["range"]["parameters"] == [1000, 4000]


@pytest.mark.parametrize(
    ("laws", "name", "reason"),
    [
        ({"gap": 0.1}, "match_data", "the slope is positive"),
        ({"decoder": 0.0, "gap": 0.0, "entropy": 0.0}, "decoder_first", "an effect as large as 0.01 is ruled out"),
        ({"size": -0.3, "decoder": 0.0}, "small_encoder", "the difference is negative"),
        ({"entropy": 0.1}, "high_entropy", "the difference is negative"),
    ],
)
def test_one_guideline_against_the_data_contradicts_the_claim(laws, name, reason):
    found = guidelines(study(sizes=name == "small_encoder", **laws), ranges(), SPEC)
    one = found["guidelines"][name]
    assert (one["verdict"], reason in one["reason"]) == ("contradicted", True), one["reason"]
    assert found["verdict"] == "contradicted"
    (said,) = (part for part in found["reason"].split("; ") if part.startswith("contradicted: "))
    assert ADVICE[name].rstrip(".").lower() in said


@pytest.mark.parametrize(
    ("change", "given", "name", "reason"),
    [
        (lambda rows: rows[rows["seed"] == 0], None, "decoder_first", None),
        (lambda rows: rows[rows["decoder"] == "D1"], None, "match_data", "the gap cannot be told from"),
        (lambda rows: rows[rows["decoder"] == "D1"], None, "decoder_first", "no two models serve"),
        (lambda rows: rows, ranges(()), "small_encoder", "all models have one size"),
        (lambda rows: rows, ranges(("D6",)), "small_encoder", "no data were learned by models of two sizes"),
        (lambda rows: rows.assign(memory_used=False), None, "high_entropy", "no compressor of the study uses"),
        (
            lambda rows: rows.assign(gap_design=np.nan, gap_kl_encoder_decoder=np.nan),
            None,
            "match_data",
            "no pair has a gap",
        ),
    ],
)
def test_what_was_not_measured_is_told(change, given, name, reason):
    found = guidelines(change(study()), given, SPEC)
    one = found["guidelines"][name]
    if reason is None:  # measured, but with one seed nothing is decided
        assert (one["verdict"], one["reason"]) == ("inconclusive", "1 training seed(s); at least 2 are needed")
        assert one["effect"] is not None
    else:
        assert (one["verdict"], reason in one["reason"]) == (NOT_MEASURED, True), one["reason"]
        assert (one["effect"], one["n"], one["range"]) == (None, 0, None)
    assert found["verdict"] in ("inconclusive", "contradicted")


def test_nothing_measured_leaves_a_claim_without_an_effect():
    found = guidelines(study().assign(memory_used=False), None, SPEC)
    assert (found["verdict"], found["effect"], found["ci95"], found["n"]) == ("inconclusive", None, [None, None], 0)
    assert found["reason"].startswith(f"{NOT_MEASURED}: match the data")


def test_the_spec_holds_what_is_used_and_no_more():
    claims = {"c1": {"predictor": "encoder_bits_per_byte", "smallest_effect": 0.3}, "c3": {"statement": "Otherwise."}}
    spec = guidelines_spec(Plan({"analysis": {"claims": claims | {"correction": "bh", "also_measures": ["chrf"]}}}))
    assert (spec.claims.c1.predictor, spec.claims.correction) == ("encoder_bits_per_byte", "bh")
    plain = ClaimsSpec()
    assert spec.claims.c1.smallest_effect == plain.c1.smallest_effect
    assert (spec.claims.c3.statement, spec.claims.also_measures) == (plain.c3.statement, plain.also_measures)


def test_the_step_and_the_page(tmp_path):
    rows = study(sizes=True)
    write_table(tmp_path / "rows.parquet", rows, OBSERVATIONS)
    (tmp_path / "p.json").write_text(json.dumps({"predictor": None, "ranges": ranges()}))
    (tmp_path / "b.json").write_text(json.dumps(shared_out(rows)))
    page = json.dumps({"study": "trial"})
    for out in ("one", "two"):
        options = ["--observations", tmp_path / "rows.parquet", "--predictor", tmp_path / "p.json", "--mitigation"]
        options += ["--finding", tmp_path / out / "c4.json"]
        assert main(["analysis", "guidelines", "--spec", SPEC.line(), *map(str, options)]) == 0
        options = [
            "--c4",
            tmp_path / out / "c4.json",
            "--budget",
            tmp_path / "b.json",
            "--output",
            tmp_path / out / "g.md",
        ]
        assert main(["report", "guidelines", "--spec", page, *map(str, options)]) == 0
    for name in ("c4.json", "g.md"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    text = (tmp_path / "one/g.md").read_text()
    assert text.startswith("# Guidelines of study trial\n")
    for advice in ADVICE.values():
        assert f"## {advice.rstrip('.')}\n" in text and f"| {advice} |" in text
    assert "parameters: 1,000 to 4,000" in text or "parameters: 1000 to 4000" in text
    assert "Share out memory by the encoder's entropy (ours)." in text and "| decoder entropy |" in text


def test_arms_that_bear_on_a_guideline_are_told_beside_it_and_decide_nothing(planted):
    arms = {
        "decoder_full": {"beyond_longer": {"value": 0.5, "ci95": [0.3, 0.7]}, "verdict": "mitigates"},
        "larger_decoder": {"beyond_longer": {"value": None, "ci95": [None, None]}, "verdict": "inconclusive"},
        "least_squares": {"beyond_longer": {"value": 0.1, "ci95": [0.0, 0.2]}, "verdict": "inconclusive"},
    }
    found = guidelines(study(), None, SPEC, {"arms": arms})
    told = {name: one.pop("share_of_gap_closed_beyond_longer_training") for name, one in found["guidelines"].items()}
    assert {name: list(one) for name, one in told.items() if one} == {
        "decoder_first": ["decoder_full"],
        "small_encoder": ["larger_decoder"],
    }
    without = {name: dict(one) for name, one in planted["guidelines"].items()}
    assert [one.pop("share_of_gap_closed_beyond_longer_training") for one in without.values()] == [{}] * 4
    assert found["guidelines"] == without
    page = compose("trial", guidelines(study(), None, SPEC, {"arms": arms}), shared_out(study()[:0]))
    assert "| decoder full | 0.5 [0.3, 0.7] | mitigates |" in page
    assert "| larger decoder | not known | inconclusive |" in page


def shared_out(rows: pd.DataFrame) -> dict:
    return budget(rows, None, BudgetSpec(rules=BudgetRules(steps=2, orders=20), claims=ClaimsSpec(draws=60)))[0]


def test_a_page_of_what_was_not_measured_says_so(planted):
    rows = study()
    text = compose("trial", planted, shared_out(rows[rows["ratio"] == 4]))
    assert "**Not measured in this study**: the sizes of the models are not known" in text
    assert "**Not available**: all compressors have ratio 4" in text
    assert "None" not in text and "nan" not in text
