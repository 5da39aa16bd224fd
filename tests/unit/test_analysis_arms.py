"""Shares of the gap, on made-up reconstructions: against hand-worked numbers, and planted effects against verdicts."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contextpress.analysis.arms import TABLE, load, mitigation
from contextpress.analysis.spec import ArmCell
from contextpress.cli import main
from tests.unit.fake_arms import PAIRS, asked, found_of, passages, planted, told

# -- arithmetic


def test_shares_are_means_divided_last(tmp_path):
    spec = asked(["decoder_full", "larger_decoder"])
    texts, tables, values = told(tmp_path, spec, planted(1, noise=0.02, decoder_full=0.05, larger_decoder=0.03))
    finding, table = mitigation(load(spec, texts, tables))
    # By another way: one number per domain and cell, domains alike, then means over cells of a kind.
    means = values.groupby(values.index.str.split("/").str[0]).mean().mean()

    def mean(arm: str, pairs) -> float:
        return float(
            np.mean([means[n] for n, c in enumerate(spec.cells) if c.arm == arm and (c.encoder, c.decoder) in pairs])
        )

    for label, pairs in (("all", PAIRS), ("D1", PAIRS[:1]), ("D6", PAIRS[1:])):
        ends = [(decoder, decoder) for _, decoder in pairs]
        none, matched, longer = mean("", pairs), mean("", ends), mean("longer", pairs)
        rows = table[table["encoder"] == label].set_index("arm")
        for arm in ("longer", "decoder_full", "larger_decoder"):
            value, gap = mean(arm, pairs), matched - none
            control = mean("larger_decoder" if arm == "larger_decoder" else "longer", ends)
            row = rows.loc[arm]
            assert row["quality"] == pytest.approx(value)
            assert row["share_closed"] == pytest.approx((value - none) / gap)
            assert row["gap_left"] == pytest.approx((control - value) / gap)
            if arm != "longer":
                assert row["beyond_longer"] == pytest.approx((value - longer) / gap)
        assert (rows.loc["none", "share_closed"], rows.loc["matched", "share_closed"]) == pytest.approx((0, 1))
        expected = (mean("longer", ends) - none) / (matched - none)
        assert rows.loc["matched_longer", "share_closed"] == pytest.approx(expected)
    assert finding["arms"]["decoder_full"]["effect"] == pytest.approx(
        float(table.set_index(["arm", "encoder"]).loc[("decoder_full", "all"), "share_closed"]), rel=1e-5
    )
    assert list(table.columns) == TABLE


def test_the_interval_of_one_pair_by_hand(tmp_path):
    # Passages alike: all error is that of three training runs.
    gaps, gains = np.array([0.08, 0.10, 0.15]), np.array([0.01, 0.03, 0.08])
    spec = asked(["decoder_full"], pairs=PAIRS[:1])

    def quality(cell: ArmCell, count: int) -> float:
        matched = gaps[cell.seed] if cell.encoder == cell.decoder else 0.0
        return 0.5 + matched + (gains[cell.seed] if cell.arm == "decoder_full" else 0.0)

    finding, _ = found_of(tmp_path, spec, quality)
    share = gains.mean() / gaps.mean()
    parts = (gains - share * gaps) / gaps.mean()
    reach = stats.t.ppf(0.975, 2) * parts.std(ddof=1) / math.sqrt(3)
    # Longer training gives nothing here, so that both shares are the same.
    for named in (finding["arms"]["decoder_full"], finding["arms"]["decoder_full"]["beyond_longer"]):
        assert named.get("value", named.get("effect")) == pytest.approx(share, rel=1e-5)
        assert named["ci95"] == pytest.approx([share - reach, share + reach], rel=1e-4)


def test_documents_alone_give_the_interval_of_their_bootstrap(tmp_path):
    spec = asked(["decoder_full"], pairs=PAIRS[:1], draws=4000)
    draw = np.random.default_rng(5)
    helped = draw.normal(0.05, 0.03, 1000)  # of each passage, the same in every seed

    def quality(cell: ArmCell, count: int) -> np.ndarray:
        matched = 0.1 if cell.encoder == cell.decoder else 0.0
        return 0.5 + matched + (helped[:count] if cell.arm == "decoder_full" else 0.0) + np.zeros(count)

    finding, _ = found_of(tmp_path, spec, quality)
    names = pd.Index(passages(tmp_path / "again.parquet"))
    documents = pd.Series(helped[: len(names)], index=names).groupby(names.str.split(":").str[0]).mean()
    by_domain = documents.groupby(documents.index.str.split("/").str[0])
    # Documents are of one size within a domain: the mean's error is that of the mean of their means.
    error = math.sqrt((by_domain.var(ddof=1) / by_domain.size()).sum()) / 2 / 0.1
    low, high = finding["arms"]["decoder_full"]["ci95"]
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, len(documents) - 2) * error, rel=0.05)


# -- verdicts


def test_an_arm_that_closes_much_mitigates_and_contradicts(tmp_path):
    finding, table = found_of(tmp_path, asked(["decoder_full", "decoder_lora"]), planted(2, decoder_full=0.08))
    assert finding["arms"]["decoder_full"]["verdict"] == "mitigates"
    assert finding["arms"]["decoder_lora"]["verdict"] == "worsens"  # longer training closes a fifth, it nothing
    assert finding["arms"]["longer"]["verdict"] == "does not mitigate"
    assert (finding["verdict"], finding["best_arm"]) == ("contradicted", "decoder_full")
    assert finding["effect"] == pytest.approx(0.6, abs=0.05)
    named = table[table["verdict"] != ""]
    assert set(named["encoder"]) == {"all"}
    assert set(named["arm"]) == {"longer", "decoder_full", "decoder_lora"}


def test_where_no_arm_does_more_than_longer_training_the_statement_is_supported(tmp_path):
    gains = dict.fromkeys(["decoder_full", "decoder_lora"], 0.02)
    finding, _ = found_of(tmp_path, asked(list(gains)), planted(3, **gains))
    assert {finding["arms"][arm]["verdict"] for arm in gains} == {"does not mitigate"}
    assert finding["verdict"] == "supported"


def test_noise_leaves_it_open(tmp_path):
    finding, _ = found_of(tmp_path, asked(["decoder_full"]), planted(4, noise=0.02, decoder_full=0.03))
    assert finding["arms"]["decoder_full"]["verdict"] == "inconclusive"
    assert finding["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("spec", "how", "reason"),
    [
        (
            asked(["decoder_full"]),
            {"used": lambda cell: cell.arm != ""},
            "a compressor without help ignores its memory",
        ),
        (asked(["decoder_full"], seeds=(0,)), {}, "1 training seed(s); at least 2 are needed"),
        (asked(["decoder_full"], min_documents=100), {}, "24 clusters (document_id); at least 100 are needed"),
    ],
)
def test_too_little_is_said(tmp_path, spec, how, reason):
    finding, _ = found_of(tmp_path, spec, planted(6, decoder_full=0.08), **how)
    assert finding["verdict"] == finding["arms"]["decoder_full"]["verdict"] == "inconclusive"
    assert finding["reason"] == reason


def test_without_a_gap_there_is_no_share(tmp_path):
    def quality(cell: ArmCell, count: int) -> float:
        return 0.5 - (0.1 if cell.encoder == cell.decoder else 0.0)

    finding, table = found_of(tmp_path, asked(["decoder_full"]), quality)
    assert finding["verdict"] == "inconclusive"
    assert finding["reason"].startswith("no gap is shown to close: -0.1")
    assert table["share_closed"].isna().all()
    assert finding["effect"] is None


def test_an_arm_that_ignores_its_memory_is_not_judged(tmp_path):
    spec = asked(["decoder_full", "decoder_lora"])
    finding, table = found_of(
        tmp_path,
        spec,
        planted(7, decoder_full=0.08, decoder_lora=0.08),
        used=lambda cell: cell.arm != "decoder_full" or cell.seed > 0,
    )
    assert finding["arms"]["decoder_full"]["verdict"] == "inconclusive"
    assert finding["arms"]["decoder_lora"]["verdict"] == "mitigates"
    rows = table[table["encoder"] == "all"].set_index("arm")
    assert rows.loc["decoder_full", "memory_used"] == pytest.approx(2 / 3)
    assert rows.loc["decoder_lora", "memory_used"] == 1


def test_the_step_writes_finding_and_table(tmp_path):
    spec = asked(["decoder_full"])
    texts, tables, _ = told(tmp_path, spec, planted(8, decoder_full=0.08))
    options = ["--passages", *texts, "--reconstructions", *tables]
    options += ["--finding", tmp_path / "f.json", "--table", tmp_path / "t.csv"]
    assert main(["analysis", "mitigation", "--spec", spec.line(), *map(str, options)]) == 0
    finding = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    assert {"effect", "ci95", "n", "verdict"} <= set(finding) & set(finding["arms"]["decoder_full"])
    assert list(pd.read_csv(tmp_path / "t.csv").columns) == TABLE
