"""A study that helps a mismatched pair in every way: what is planned, and what comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from contextpress.analysis.arms import TABLE
from contextpress.analysis.infused import TABLE as DOSES
from contextpress.arms import ARMS, MitigationConfig
from tests.workflow.running import snakemake, would_run, write_yaml

pytestmark = pytest.mark.workflow
SHAPE = {"layers": 1, "width": 32, "heads": 2, "intermediate": 64, "context": 128}
HELPED = {
    "study": "helped",
    "lm": {
        "shapes": [{"name": "base", **SHAPE}, {"name": "large", **SHAPE, "width": 48, "heads": 3}],
        "warmup": {"schedule": {"steps": 4, "batch": 4, "learning_rate": 0.01}},
        "pretraining": {"schedule": {"steps": 4, "batch": 8, "learning_rate": 0.01}},
    },
    "compressor": {"schedule": {"steps": 8, "batch": 6, "learning_rate": 0.01}},
    "mitigation": {
        "pairs": [{"encoder": "D1", "decoder": "D6"}],
        "arms": [arm for arm in ARMS if arm != "longer"],
        "larger_shape": "large",
        "infusion": {"doses": [{"share": 0.5, "steps": 1}, {"share": 1.0, "steps": 1}]},
        "debias": {"passages": 6, "schedule": {"steps": 1, "batch": 4, "learning_rate": 0.01}},
    },
}
TRIED = MitigationConfig.read(HELPED["mitigation"]).tried()


@pytest.fixture(scope="module")
def overlay(tmp_path_factory) -> Path:
    return write_yaml(tmp_path_factory.mktemp("helped") / "helped.yaml", HELPED)


def test_arms_are_planned_beside_the_study(checkout, overlay):
    jobs = would_run(checkout, overlay)
    helped = sum(2 if arm.controlled else 1 for arm in TRIED.values())
    assert jobs["reconstruct"] == 4 + helped
    # What is trained on mistakes begins at a compressor of its own, and is trained by another rule.
    assert (jobs["compressor"], jobs["mistakes"], jobs["debias"]) == (4 + helped, 2, 2)
    assert (jobs["merge"], jobs["infuse"]) == (3, 4)
    # The larger ones: encoders of D1 and D6 (for the matched pair), and the decoder, of another seed.
    assert (jobs["warmup"], jobs["pretrain"]) == (2, 4 + 3)
    # They are no part of the study's own analysis. Scored are the encoders of the curves: infused, and the larger one.
    assert (jobs["score"], jobs["cram"], jobs["observations"]) == (4 + 4 + 1, 2, 1)


def test_a_misfit_is_told_in_one_line(checkout, tmp_path):
    wrong = HELPED | {"mitigation": HELPED["mitigation"] | {"larger_shape": "huge"}}
    done = snakemake(checkout, "-n", overlay=write_yaml(tmp_path / "wrong.yaml", wrong))
    assert done.returncode != 0
    why = "mitigation.arms has larger_encoder, so larger_shape must be one of lm.shapes: base, large"
    assert f"contextpress: config key {why}" in (done.stdout + done.stderr).splitlines()


@pytest.mark.slow
def test_a_helped_pair_comes_to_its_finding(checkout, overlay):
    results = checkout / "results/helped"
    names = ("findings/mitigation.json", "figures/mitigation.png", "findings/infusion.json", "figures/infusion.png")
    wanted = [f"results/helped/{name}" for name in names]
    done = snakemake(checkout, *wanted, overlay=overlay, timeout=3000)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    finding = json.loads((results / "findings/mitigation.json").read_text(encoding="utf-8"))
    assert list(finding["arms"]) == list(TRIED)
    assert finding["verdict"] == "inconclusive"  # of one seed, and of compressors that learned nothing
    table = pd.read_csv(results / "tables/arms.csv")
    assert list(table.columns) == TABLE
    assert set(TRIED) | {"none", "matched", "matched_longer"} <= set(table["arm"])
    assert table["memory_used"].notna().all()
    helped = table[table["arm"].isin(TRIED)]
    assert (helped["flops"] <= 1.5 * table["flops"].iloc[0]).all()
    doses = pd.read_csv(results / "tables/infusion.csv")
    assert list(doses.columns) == DOSES
    assert doses[["size", "dose"]].to_numpy().tolist() == [[size, n] for size in ("base", "large") for n in range(3)]
    assert doses[["own_nll", "other_nll", "quality"]].notna().all().all()
    assert (doses.loc[doses["dose"] == 0, ["lost", "learned", "gained", "tokens"]] == 0).all().all()
    debiased = json.loads((results / "compressors/D1-D6-mean_pool-r4-s0-debias/record.json").read_text("utf-8"))
    assert debiased["command"] == ["compressor", "debias"]
