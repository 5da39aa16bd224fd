"""The predictor of quality against direct computations, and on made-up studies whose truth is known."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy import optimize, special

from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.panel import build_panel
from contextpress.analysis.prediction import LEVELS, Band, Fitted, Predictor, Term, expected, interval, outside
from contextpress.analysis.predictor import FOLDS, RATIO, TABLE, Rows, held_out, parameters, predictor, terms_of
from contextpress.analysis.spec import PredictorSpec, RoleModel
from contextpress.cli import main
from contextpress.plan import Plan
from contextpress.runtime.tables import write_table
from tests.unit.fake_study import observations

MODELS, SEEDS = ("D1", "D3", "D6"), (0, 1)
SIZES = {f"{name}-s{seed}": 1000 for name, seed in product(MODELS, SEEDS)}
SPEC = PredictorSpec(
    measures=("token_f1",),
    roles=tuple(
        RoleModel(side=side, name=name, seed=seed, model=f"{name}-s{seed}")
        for side, name, seed in product(("encoder", "decoder"), MODELS, SEEDS)
    ),
    claims=ClaimsSpec(min_seeds=1),
)
TRUTH = {"intercept": 4.5, "ln(1 + encoder_nll)": -1.5, "ln(1 + decoder_nll)": -0.8, RATIO: -0.6}


def simulated(slope: float = TRUTH[RATIO], documents: float = 0.2, precision: float = 12.0) -> pd.DataFrame:
    """A study whose quality follows the truth, scattered by documents (on the log-odds) and by a beta distribution."""
    rows = observations(MODELS, ("prose", "code", "tables"), 240, ladder=0, ratios=(2, 4, 8), seeds=SEEDS)
    draw = np.random.default_rng(3)
    merit = TRUTH["intercept"] + slope * np.log2(rows["ratio"])
    for side in ("encoder", "decoder"):
        merit += TRUTH[f"ln(1 + {side}_nll)"] * np.log1p(rows[f"{side}_nll"])
    names = rows["document_id"].unique()
    merit += rows["document_id"].map(dict(zip(names, draw.normal(0, documents, len(names)), strict=True)))
    share = special.expit(merit).to_numpy()
    return rows.assign(token_f1=draw.beta(precision * share, precision * (1 - share)))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return simulated()


@pytest.fixture(scope="module")
def found(rows) -> tuple[dict, pd.DataFrame]:
    return predictor(rows, SIZES, SPEC)


def test_the_truth_is_found_again(found):
    terms = {term["name"]: term for term in found[0]["predictor"]["measures"]["token_f1"]["terms"]}
    assert terms.keys() == TRUTH.keys() | {"gap_kl_encoder_decoder", "gap_entropy_difference"}  # no size varies
    for name, term in terms.items():
        low, high = term["ci95"]
        assert low < term["coefficient"] < high
        assert term["coefficient"] == pytest.approx(TRUTH.get(name, 0.0), abs=0.12), name


def test_intervals_hold_what_they_say_of_what_was_held_out(found):
    finding, table = found
    assert (finding["answer"], finding["reason"]) == ("calibrated", None)
    assert list(table.columns) == TABLE
    validations = ("documents", "pairs", "domains")
    assert list(zip(table["validation"], table["level"], strict=True)) == list(product(validations, LEVELS))
    assert (table["coverage"] - table["level"]).abs().max() < 0.02
    assert (table["below"] - (1 - table["level"]) / 2).abs().max() < 0.02
    assert dict(zip(table["validation"], table["groups"], strict=True)) == {"documents": 5, "pairs": 9, "domains": 3}
    assert set(table["n"]) == {3 * 240 * 9 * 3 * 2} and set(table["clusters"]) == {3 * 120}


def test_a_held_out_fold_is_predicted_as_by_hand(rows):
    block = Rows.of(build_panel(rows, SPEC.claims), SIZES, SPEC)
    share = build_panel(rows, SPEC.claims).values("token_f1").T.ravel()
    assert len(set(zip(block.documents, block.folds, strict=True))) == len(set(block.documents))
    names = terms_of(block, share)
    held = held_out(block, names, share, block.folds)
    tested, setting = block.folds == 0, block.folds == 1
    values = block.inputs
    terms = np.column_stack(
        [
            np.ones(len(values)),
            np.log(1 + values["encoder_nll"]),
            np.log(1 + values["decoder_nll"]),
            np.log(values["ratio"]) / np.log(2),
            values["gap_kl_encoder_decoder"],
            values["gap_entropy_difference"],
        ]
    )
    used = terms[~tested & ~setting], share[~tested & ~setting]
    fit = optimize.minimize(
        lambda b: np.logaddexp(0, used[0] @ b).mean() - (used[1] * (used[0] @ b)).mean(),
        np.zeros(terms.shape[1]),
        jac=lambda b: used[0].T @ (special.expit(used[0] @ b) - used[1]) / len(used[1]),
        method="BFGS",
        options={"gtol": 1e-8},
    )
    guess = special.expit(terms @ fit.x)
    assert held.predicted[tested] == pytest.approx(guess[tested], abs=1e-4)
    here = (values["ratio"] == 4).to_numpy()
    unit = np.sqrt(guess * (1 - guess))
    low, high = np.quantile(((share - guess) / unit)[setting & here], [0.05, 0.95])
    wanted = np.clip(guess + np.multiply.outer([low, high], unit), 0, 1)[:, tested & here]
    assert held.low[1, tested & here] == pytest.approx(wanted[0], abs=1e-3)
    assert held.high[1, tested & here] == pytest.approx(wanted[1], abs=1e-3)


def test_the_pair_that_is_otherwise_is_seen_when_it_is_held_out(rows):
    odd = (rows["encoder"] == "D1") & (rows["decoder"] == "D6")
    found, table = predictor(rows.assign(token_f1=rows["token_f1"].where(~odd, 0.02)), SIZES, SPEC)
    coverage = table[table["level"] == 0.8].set_index("validation")["coverage"]
    assert coverage["pairs"] < coverage["documents"] - 0.05
    assert not found["validation"]["token_f1"]["pairs"]["calibrated"]


@pytest.mark.parametrize(("pairs", "gaps"), [(3, []), (4, ["gap_kl_encoder_decoder"])])
def test_a_pair_is_not_extrapolated_without_limit_where_few_are_left_to_tell_its_gap(rows, pairs, gaps):
    named = [("D1", "D1"), ("D1", "D6"), ("D6", "D6"), ("D6", "D1")][:pairs]
    some = rows[[pair in named for pair in zip(rows["encoder"], rows["decoder"], strict=True)]].copy()
    # As measured: hardly a divergence in matched pairs, and of each seed a little otherwise.
    apart = some["encoder"] != some["decoder"]
    some["gap_kl_encoder_decoder"] = np.where(apart, 1.9, 0.02) + 0.01 * some["seed"]
    sign = np.where(some["encoder"] == "D1", 1, -1)
    some["gap_entropy_difference"] = np.where(apart, 1.1 * sign, 0) - 0.013 * some["seed"]
    finding, table = predictor(some, SIZES, SPEC)
    names = [term["name"] for term in finding["predictor"]["measures"]["token_f1"]["terms"]]
    assert [name for name in names if name.startswith("gap_")] == gaps
    assert table[table["validation"] == "pairs"]["r2"].min() > 0.1


def test_quality_that_rises_with_the_ratio_gives_a_prediction_without_it():
    rows = simulated(slope=0.4)
    names = terms_of(
        Rows.of(build_panel(rows, SPEC.claims), SIZES, SPEC),
        build_panel(rows, SPEC.claims).values("token_f1").T.ravel(),
    )
    assert RATIO not in names


def test_sizes_count_where_they_vary(rows):
    sizes = {name: 4000 if name.startswith("D6") else 1000 for name in SIZES}
    finding, _ = predictor(rows, sizes, SPEC)
    names = [term["name"] for term in finding["predictor"]["measures"]["token_f1"]["terms"]]
    assert {"log2(encoder_parameters)", "log2(decoder_parameters)"} <= set(names)
    assert finding["ranges"]["encoder"]["D6"]["encoder_parameters"] == [4000, 4000]


def test_ranges_are_those_of_the_rows(rows, found):
    ranges = found[0]["ranges"]
    assert {by: list(values) for by, values in ranges.items()} == {
        "ratio": ["2", "4", "8"],
        "encoder": list(MODELS),
        "decoder": list(MODELS),
        "domain": ["code", "prose", "tables"],
    }
    part = rows[rows["domain"] == "code"]["encoder_nll"]
    assert ranges["domain"]["code"]["encoder_nll"] == pytest.approx([part.min(), part.max()], rel=1e-5)
    seen = Predictor.read(found[0]["predictor"]).seen
    assert len(seen) == 9 * 3 * 2
    own = rows[(rows["encoder"] == "D1") & (rows["decoder"] == "D6") & (rows["ratio"] == 4) & (rows["seed"] == 1)]
    (one,) = (s for s in seen if (s.encoder, s.decoder, s.ratio, s.seed) == ("D1", "D6", 4, 1))
    assert one.surplus == pytest.approx(
        ((own["decoder_nll"] - own["encoder_nll"]).min(), (own["decoder_nll"] - own["encoder_nll"]).max()), rel=1e-4
    )
    middle = {name: sum(getattr(one, name)) / 2 for name in ("encoder_nll", "decoder_nll", "surplus")}
    assert outside(middle, [one]) is None
    assert "encoder entropy 99.00, seen" in str(outside(middle | {"encoder_nll": 99.0}, [one]))


FITTED = Fitted(
    measure="bleu",
    scale=100.0,
    terms=tuple(Term(name=name, coefficient=value, ci95=(None, None)) for name, value in TRUTH.items()),
    bands=(Band(ratio=2, level=0.9, low=-0.5, high=0.4), Band(ratio=4, level=0.9, low=-0.6, high=0.5)),
)


@given(st.floats(0, 15), st.floats(0, 15), st.integers(1, 64), st.integers(1, 64))
def test_a_higher_ratio_is_never_predicted_better(encoder, decoder, one, other):
    rows = pd.DataFrame({"encoder_nll": encoder, "decoder_nll": decoder, "ratio": sorted([one, other])})
    low, high = expected(FITTED, rows)
    assert 0 <= high <= low <= 100


def test_prediction_and_interval_by_hand():
    rows = pd.DataFrame({"encoder_nll": [3.0], "decoder_nll": [0.0], "ratio": [4]})
    share = 1 / (1 + np.exp(-(4.5 - 1.5 * np.log(4) - 2 * 0.6)))
    assert expected(FITTED, rows) == pytest.approx([100 * share])
    low, high = interval(FITTED, expected(FITTED, rows), 4, 0.9)
    unit = (share * (1 - share)) ** 0.5
    assert (low[0], high[0]) == pytest.approx((100 * (share - 0.6 * unit), min(100.0, 100 * (share + 0.5 * unit))))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"claims": ClaimsSpec(min_seeds=1, min_passages=1000)}, "720 passages; at least 1000 are needed"),
        ({"measures": ("nll", "token_f1")}, "nll has no lowest and highest value"),
    ],
)
def test_what_cannot_be_predicted_is_told(rows, change, reason):
    finding, table = predictor(rows, SIZES, SPEC.model_copy(update=change))
    assert finding["answer"] == "no predictor" and reason in finding["reason"]
    assert (finding["predictor"], finding["validation"], len(table)) == (None, {}, 0)


def test_few_documents_and_constant_quality_give_no_predictor(rows):
    few = rows[rows["document_id"].isin(sorted(rows["document_id"].unique())[: 2 * FOLDS - 1])]
    lenient = SPEC.model_copy(update={"claims": ClaimsSpec(min_seeds=1, min_passages=3, min_documents=2)})
    assert "needed to hold some out" in predictor(few, SIZES, lenient)[0]["reason"]
    assert "does not vary" in predictor(rows.assign(token_f1=1.0), SIZES, SPEC)[0]["reason"]
    assert "differ in length" in predictor(rows.assign(tokens=rows["bytes"]), SIZES, SPEC)[0]["reason"]


def test_the_step_writes_the_same_bytes_and_the_figure_shows_them(tmp_path):
    rows = observations(MODELS[::2], ("prose", "code"), passages=60, ladder=0, ratios=(2, 4))
    write_table(tmp_path / "rows.parquet", rows, OBSERVATIONS)
    weights = []
    for name in SIZES:
        (tmp_path / name).mkdir()
        weights.append(tmp_path / name / "model.safetensors")
        save_file({"a": np.zeros((3, 4)), "b": np.zeros(5)}, weights[-1])
    assert parameters(weights[0]) == 17
    spec = SPEC.model_copy(update={"measures": ("bleu", "token_f1")})
    style = Plan({"figures": {"style": {"dpi": 60}}}).table_figure()
    written = []
    for part in ("one", "two"):
        out = tmp_path / part
        options = ["--observations", tmp_path / "rows.parquet", "--models", *weights]
        options += ["--finding", out / "p.json", "--table", out / "p.csv"]
        assert main(["analysis", "predictor", "--spec", spec.line(), *map(str, options)]) == 0
        options = [f"--{kind}={out / kind}" for kind in ("pdf", "svg", "png", "caption")]
        assert main(["figures", "predictor", "--spec", style.line(), "--finding", str(out / "p.json"), *options]) == 0
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert written[0] == written[1]
    caption = written[0]["caption"].decode()
    assert "120 passages of 60 documents under 16 compressors" in caption
    assert "Held out are documents or pairs" in caption and "domains" not in caption  # of two domains none is left out
    assert not set("`|*_") & set(caption)
    finding = json.loads(written[0]["p.json"])
    assert list(finding["predictor"]["measures"]) == ["bleu", "token_f1"]
    write = tmp_path / "none.json"
    write.write_text(json.dumps(finding | {"predictor": None, "reason": "too little"}))
    options = [f"--{kind}={tmp_path / kind}" for kind in ("pdf", "svg", "png", "caption")]
    assert main(["figures", "predictor", "--spec", style.line(), "--finding", str(write), *options]) == 0
    assert "no predictor: too little" in (tmp_path / "caption").read_text()
