"""The cramming bound against entropies and compressors, on a made-up study in which each vector holds 20 nats."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contextpress.analysis.cramming import TABLE, bucket_table, cramming_finding, side_by_side
from contextpress.analysis.hypotheses import ClaimsSpec
from contextpress.analysis.observations import OBSERVATIONS
from contextpress.analysis.spec import CrammedDecoder, CrammingAnalysis
from contextpress.cli import main
from contextpress.reconstruction.table import CRAMMED
from contextpress.runtime.errors import UserError
from contextpress.runtime.tables import write_table
from tests.unit.fake_study import crammed, observations

MODELS, SEEDS = ("D1", "D6"), (0, 1)


def spec(**changes: object) -> CrammingAnalysis:
    roles = [CrammedDecoder(decoder=name, seed=seed, model=f"{name}-s{seed ^ 1}") for name in MODELS for seed in SEEDS]
    return CrammingAnalysis(decoders=roles, claims=ClaimsSpec(**{"draws": 200, "min_passages": 20} | changes))


@pytest.fixture(scope="module")
def tables():
    rows = observations(MODELS, ("prose", "code"), passages=60, ladder=2, ratios=(4, 8))
    return rows, crammed(rows, passages=40)


@pytest.fixture(scope="module")
def rows(tables):
    return side_by_side(*tables, spec())


def test_crammed_memory_stands_beside_the_compressors_of_the_same_passages(rows):
    assert rows.groupby("readout")["passage_id"].nunique().to_dict() == {"crammed": 80, "memory_tokens": 80}
    assert (rows["tokens"] == rows["vectors"] * rows["ratio"]).all()
    assert not rows.duplicated(["encoder", "decoder", "readout", "ratio", "seed", "passage_id"]).any()
    bound = rows[rows["readout"] == "crammed"]
    short = bound[bound["tokens_exact"] < 32]
    # Of the model that reads in this role, not of its name alone: floor(20 nats / its nll) tokens.
    assert (short["tokens_exact"] == np.floor(20 * short["vectors"] / short["decoder_nll"])).all()
    trained = rows[rows["readout"] != "crammed"]
    np.testing.assert_allclose(trained["nats_held"], (trained["decoder_nll"] - trained["nll"]) * 32)


def test_only_compressors_with_a_frozen_decoder_are_held_against_the_bound(tables):
    observed, held = tables
    rows = side_by_side(observed.assign(decoder_training="full"), held, spec())
    assert set(rows["readout"]) == {"crammed"}
    assert bucket_table(rows, spec())["measure"].isin(["efficiency"]).sum() == 0
    assert cramming_finding(rows, spec())["efficiency"] == []


@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_the_table_holds_means_by_bucket_and_their_quotients(rows, side):
    table = bucket_table(rows, spec())
    assert list(table.columns) == TABLE
    for key in (("D6", "crammed", 32), ("D6", "memory_tokens", 8), ("D1", "crammed", 16)):
        chosen = rows[(rows["decoder"] == key[0]) & (rows["readout"] == key[1]) & (rows["ratio"] == key[2])]
        means = chosen.groupby(["encoder", "seed", f"{side}_bucket"])["nats_per_vector"].mean()
        wanted = means.groupby(level=2).mean()
        cells = table[(table[["decoder", "readout", "ratio"]] == list(key)).all(axis=1) & (table["side"] == side)]
        got = cells[cells["measure"] == "nats_per_vector"].set_index("bucket")
        np.testing.assert_allclose(got["value"], wanted.loc[got.index])
        assert (got["ci95_low"] <= got["value"]).all()
        assert (got["value"] <= got["ci95_high"]).all()
    held = table[(table["decoder"] == "all") & (table["side"] == side)].set_index(["readout", "ratio", "bucket"])
    nats = held[held["measure"] == "nats_per_vector"]["value"]
    shares = held[(held["measure"] == "efficiency") & (held["bound_vectors"] == 2)]["value"]
    assert len(shares) == 10
    for (readout, ratio, bucket), share in shares.items():
        assert share == pytest.approx(nats[readout, ratio, bucket] / nats["crammed", 16, bucket])


def test_a_limit_in_nats_of_the_decoder_is_found(rows):
    found = cramming_finding(rows, spec())
    json.dumps(found, allow_nan=False)
    assert found["answer"] == "decoder entropy"
    of_tokens = found["vectors"]["1"]["correlations"]["tokens_exact"]
    assert of_tokens["decoder"]["partial"]["ci95"][1] < -0.5
    assert of_tokens["decoder"]["swap"]["ci95"][1] < -0.2
    assert of_tokens["encoder"]["marginal"]["value"] < -0.5  # the two entropies go together
    difference = of_tokens["decoder"]["partial"]["value"] - of_tokens["encoder"]["partial"]["value"]
    assert of_tokens["decoder_minus_encoder"]["value"] == pytest.approx(difference, abs=1e-5)
    assert of_tokens["decoder_minus_encoder"]["ci95"][1] < -0.2
    held = found["vectors"]["1"]["decoders"]["D1"]
    assert 17 < held["nats_held"] <= 20
    assert held["share_held_to_the_end"] == 0
    assert found["vectors"]["2"]["decoders"]["D1"]["nats_held"] > 36


def test_a_limit_that_is_no_models_own_is_not_ascribed(tables):
    observed, held = tables
    same = held["passage_id"].map(lambda name: int(name[-4:].replace(":", "")) % 7).astype(np.int32)
    found = cramming_finding(side_by_side(observed, held.assign(tokens_exact=same), spec()), spec())
    assert found["answer"] == "neither is shown to go with it more than the other"


def test_the_marginal_correlation_is_spearmans(rows):
    one = rows[(rows["domain"] == "prose") & (rows["encoder"] == "D6") & (rows["decoder"] == "D1")]
    one = one[(one["seed"] == 0) & (one["vectors"] == 1)]
    found = cramming_finding(one, spec())["vectors"]["1"]["correlations"]["nats_held"]["encoder"]
    wanted = stats.spearmanr(one["encoder_nll"], one["nats_held"]).statistic
    assert found["marginal"]["value"] == pytest.approx(wanted, abs=1e-6)
    assert found["marginal_pooled"]["value"] == pytest.approx(wanted, abs=1e-6)


def test_too_little_leaves_the_question_open(rows):
    found = cramming_finding(rows, spec(min_passages=1000))
    assert found["answer"] == "inconclusive"
    assert "80 passages; at least 1000" in found["reason"]


def test_a_decoder_or_a_passage_that_is_missing_is_told(tables):
    observed, held = tables
    with pytest.raises(UserError, match="crammed memory of decoder D6-s1"):
        side_by_side(observed, held[held["decoder"] != "D6-s1"], spec())
    with pytest.raises(UserError, match="crammed passage zzz is not among"):
        side_by_side(observed, held.assign(passage_id=held["passage_id"].where(held.index > 0, "zzz")), spec())


def test_the_step_writes_finding_and_table(tables, tmp_path):
    observed, held = tables
    write_table(tmp_path / "observations.parquet", observed, OBSERVATIONS)
    files = []
    for decoder, part in held.groupby("decoder"):
        files.append(str(tmp_path / f"{decoder}.parquet"))
        write_table(tmp_path / f"{decoder}.parquet", part, CRAMMED)
    paths = {"observations": "observations.parquet", "finding": "finding.json", "table": "table.csv"}
    options = [part for name, path in paths.items() for part in (f"--{name}", str(tmp_path / path))]
    assert main(["analysis", "cramming", "--spec", spec().line(), "--crammed", *files, *options]) == 0
    assert json.loads((tmp_path / "finding.json").read_text())["answer"] == "decoder entropy"
    assert list(pd.read_csv(tmp_path / "table.csv").columns) == TABLE
