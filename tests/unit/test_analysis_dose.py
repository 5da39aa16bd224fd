"""The dose-response on the true entropy rate, against plain arithmetic and on made-up text with a planted response."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from contextpress.analysis.dose import TABLE, Doses, dose_finding, dose_table
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.panel import COMPRESSOR
from contextpress.cli import main
from contextpress.runtime.tables import write_table
from tests.unit.fake_study import generated, observations

SPEC = ClaimsSpec(draws=100)
MARKOV = ["prose", "apiref", "tests", "config"]  # from the lowest rate to the highest


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return generated()


@pytest.fixture(scope="module")
def found(rows) -> dict:
    return finding(rows)


@pytest.fixture(scope="module")
def table(rows) -> pd.DataFrame:
    return dose_table(Doses.of(rows, SPEC))


def finding(rows: pd.DataFrame, spec: ClaimsSpec = SPEC) -> dict:
    found = dose_finding(Doses.of(rows, spec), spec)
    json.dumps(found, allow_nan=False)
    return found


def test_the_table_holds_the_means_of_each_domain(rows, table):
    assert list(table.columns) == TABLE
    assert (table["passages"] == 24).all()
    assert (table["clusters"] == 12).all()
    assert list(table["domain"].unique()) == ["prose", "apiref", "code", "tests", "config", "tables"]
    assert (table["ci95_low"] < table["estimate"]).all() and (table["estimate"] < table["ci95_high"]).all()
    part = rows[rows["domain"] == "code"]
    here = table[table["domain"] == "code"].set_index(["measure", "ratio"])
    rates = part.drop_duplicates("passage_id")["entropy_rate"]
    assert (here["family"] == "grammar").all()
    assert here["true_rate"].to_numpy() == pytest.approx(rates.mean())
    assert here["true_rate_deviation"].to_numpy() == pytest.approx(rates.std())
    for measure in ("nll", "bleu", "information_retained"):  # as they are, also where less is better
        wanted = part.groupby("ratio")[measure].mean()
        assert here.loc[measure, "estimate"].to_dict() == pytest.approx(wanted.to_dict())
    assert set(here.loc["bleu", "compressors"]) == {8}


def test_entropy_and_its_excess_belong_to_no_ratio(rows, table):
    means = rows.groupby("domain")[["encoder_nll", "decoder_nll", "entropy_rate"]].mean()
    for side in ("encoder", "decoder"):
        for measure, wanted in (
            (f"{side}_nll", means[f"{side}_nll"]),
            (f"{side}_excess", means[f"{side}_nll"] - means["entropy_rate"]),
        ):
            got = table[table["measure"] == measure].set_index("domain")
            assert got["ratio"].isna().all()
            assert (got["compressors"] == 16).all()
            assert got["estimate"].to_dict() == pytest.approx(wanted.to_dict())


def test_the_slope_is_that_of_a_line_through_the_means_of_the_domains(rows, found):
    for ratio, scope, domains in ((4, "markov", MARKOV), (8, "all", list(rows["domain"].unique()))):
        part = rows[(rows["ratio"] == ratio) & rows["domain"].isin(domains)]
        rates = part.groupby("domain")["entropy_rate"].mean()
        for measure, turn in (("token_f1", 1), ("nll", -1)):
            alone = turn * part.pivot_table(measure, COMPRESSOR, "domain")[rates.index]
            slopes = [np.polyfit(rates, means, 1)[0] for means in alone.to_numpy()]
            response = found["ratios"][str(ratio)][scope]["measures"][measure]
            assert response["slope"]["value"] == pytest.approx(np.mean(slopes), rel=1e-5)
            line = sm.OLS(alone.mean().to_numpy(), sm.add_constant(rates.to_numpy())).fit()
            assert response["over_sources"]["ci95"] == pytest.approx(line.conf_int()[1], rel=1e-4)
            assert response["over_sources"]["p_value"] == pytest.approx(line.pvalues[1], rel=1e-4)
            assert response["rank_correlation"] == pytest.approx(stats.spearmanr(rates, alone.mean()).statistic)
    assert found["effect"] == pytest.approx(
        np.mean([found["ratios"][ratio]["markov"]["measures"]["token_f1"]["slope"]["value"] for ratio in ("4", "8")]),
        rel=1e-5,
    )


def test_a_planted_response_is_found(found):
    assert found["answer"] == "quality falls"
    assert (found["family"], found["measure"], found["reason"]) == ("markov", "token_f1", None)
    low, high = found["ci95"]
    assert low < -0.2 < high < -0.19
    assert (found["n"], found["clusters"]) == (144 * 16, 72)
    response = found["ratios"]["4"]["markov"]
    assert response["domains"] == MARKOV
    planted = response["measures"]["token_f1"]
    assert planted["rank_correlation"] == pytest.approx(-1)
    assert [planted[name] for name in ("steps", "steps_that_fall", "steps_shown_to_fall")] == [3, 3, 3]
    assert planted["over_sources"]["degrees_of_freedom"] == 2
    # What encoders measure is the rate, 0.3 nats, and what each passage happens to hold.
    entropy = found["entropy"]["encoder"]
    assert entropy["excess"]["ci95"][0] < 0.3 < entropy["excess"]["ci95"][1]
    assert entropy["domains_below_zero"] == []
    assert entropy["slope_on_true_rate"]["ci95"][0] < 1 < entropy["slope_on_true_rate"]["ci95"][1]
    assert entropy["explained_of_domain_means"]["value"] > 0.99 > entropy["explained_of_passages"]["value"] > 0.94


def test_the_rate_and_what_the_passage_holds_are_told_apart(rows, found):
    given = found["given_encoder_entropy"]
    alone = []
    for _, part in rows.groupby(COMPRESSOR):
        design = np.column_stack([np.ones(len(part)), part["entropy_rate"], part["encoder_nll"]])
        alone.append(np.linalg.lstsq(design, part["token_f1"].to_numpy(), rcond=None)[0])
    _, of_rate, of_entropy = np.mean(alone, axis=0)
    assert given["true_rate"]["value"] == pytest.approx(of_rate, rel=1e-4)
    assert given["encoder_entropy"]["value"] == pytest.approx(of_entropy, abs=1e-6)
    assert given["difference"]["value"] == pytest.approx(of_rate - of_entropy, rel=1e-4)
    assert given["told_apart"]
    assert of_rate < -0.15 < of_entropy
    shares = [np.corrcoef(part["entropy_rate"], part["encoder_nll"])[0, 1] ** 2 for _, part in rows.groupby(COMPRESSOR)]
    assert given["variance_inflation"] == pytest.approx(np.mean([1 / (1 - share) for share in shares]), rel=1e-4)
    # The other way round: quality follows what each passage holds.
    other = finding(rows.assign(token_f1=0.9 - 0.2 * rows["encoder_nll"]))["given_encoder_entropy"]
    assert other["encoder_entropy"]["value"] == pytest.approx(-0.2)
    assert other["true_rate"]["value"] == pytest.approx(0, abs=1e-6)
    same = finding(rows.assign(encoder_nll=rows["entropy_rate"] + 0.3))["given_encoder_entropy"]
    assert (same["true_rate"]["value"], same["told_apart"]) == (None, False)


@pytest.mark.parametrize(
    ("slope", "answer"), [(0.1, "quality rises"), (-0.1, "quality falls"), (0.0, "neither is shown")]
)
def test_the_answer_follows_the_slope(rows, slope, answer):
    noise = np.random.default_rng(3).normal(0, 0.05, len(rows))
    assert finding(rows.assign(token_f1=0.5 + slope * rows["entropy_rate"] + noise))["answer"] == answer


def test_a_slope_that_turns_at_one_ratio_is_no_answer(rows):
    sign = np.where(rows["ratio"] == 4, 0.1, -0.3)
    found = finding(rows.assign(token_f1=0.5 + sign * rows["entropy_rate"]))
    assert found["effect"] == pytest.approx(-0.1)
    assert found["ci95"][1] < 0
    assert found["answer"] == "neither is shown"


def test_a_response_that_turns_back_is_not_monotone(rows):
    bent = finding(rows.assign(token_f1=-np.abs(rows["entropy_rate"] - 1)))
    planted = bent["ratios"]["4"]["markov"]["measures"]["token_f1"]
    assert [planted[name] for name in ("steps_that_fall", "steps_shown_to_fall", "steps_shown_to_rise")] == [2, 2, 1]
    low, high = planted["over_sources"]["ci95"]
    assert low < planted["slope"]["ci95"][0] and planted["slope"]["ci95"][1] < high  # a bend is no noise of documents


def test_an_entropy_below_the_truth_is_told(rows):
    found = finding(rows.assign(encoder_nll=rows["entropy_rate"] - 0.01))
    assert len(found["entropy"]["encoder"]["domains_below_zero"]) == 6


def test_two_levels_are_too_few_and_found_text_is_none(rows):
    few = finding(generated(60, domains=("prose", "tables")))
    assert (few["answer"], few["family"], few["ratios"]) == ("inconclusive", None, {})
    assert few["reason"] == "2 generated domain(s); 3 levels of the rate are needed"
    mixed = finding(rows[rows["domain"].isin(["prose", "code", "tables"])], ClaimsSpec(draws=100, min_passages=20))
    assert mixed["family"] == "all"
    assert mixed["answer"] == "quality falls"
    assert finding(rows, ClaimsSpec(draws=100, min_passages=1000))["reason"] == "144 passages; at least 1000 are needed"
    natural = observations(("D1",), ("prose",), passages=12, ladder=0, ratios=(4,))
    assert finding(natural)["answer"] == "inconclusive"
    assert dose_table(Doses.of(natural, SPEC)).empty
    # Found text beside generated text counts for nothing.
    beside = pd.concat([rows, observations(("D1", "D6"), ("prose",), ladder=0).assign(domain="found")])
    assert finding(beside[beside["passage_id"].isin(rows["passage_id"]) | beside["entropy_rate"].isna()])["family"]


def test_compressors_that_ignore_their_memory_are_left_out(rows):
    idle = rows.assign(memory_used=rows["ratio"] == 4)
    found = finding(idle)
    assert list(found["ratios"]) == ["4"]
    assert found["sample"]["left_out"]["compressors_memory_unused"] == 8


def test_the_step_writes_finding_and_table(rows, tmp_path):
    write_table(tmp_path / "observations.parquet", rows, OBSERVATIONS)
    paths = {"observations": "observations.parquet", "finding": "finding.json", "table": "table.csv"}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(tmp_path / path))]
    assert main(["analysis", "dose-response", "--spec", SPEC.line(), *options]) == 0
    assert json.loads((tmp_path / "finding.json").read_text())["answer"] == "quality falls"
    assert list(pd.read_csv(tmp_path / "table.csv").columns) == TABLE
