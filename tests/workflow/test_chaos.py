"""A study that is killed and started again with the plain command ends with the bytes of an undisturbed one."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.workflow.chaos import KILLS, RESULTS, differing, killed_run, strays

pytestmark = pytest.mark.workflow

# A part of the study, from a training to a verdict; `make chaos` has all of it.
COMPRESSOR = "D1-D6-mean_pool-r4-s0"
CARD = f"compressors/{COMPRESSOR}/README.md"  # goes with the folder of the weights
LOST = [f"reconstructions/{COMPRESSOR}.parquet", "tables/observations.parquet", "findings/c1.json"]


def test_a_study_that_is_killed_ends_with_the_same_bytes(finished, tree):
    weights = RESULTS / "compressors" / COMPRESSOR / "compressor.safetensors"
    checkpoint = RESULTS / "checkpoints/compressors" / COMPRESSOR / "checkpoint.safetensors"
    shutil.rmtree((tree / weights).parent)
    assert killed_run(tree, *KILLS[0], wait=0, since=str(checkpoint), targets=[str(weights)])
    assert "\ncontextpress: compressor train was killed; " in (tree / "snakemake.log").read_text()
    assert killed_run(tree, *KILLS[0], wait=float("inf"), targets=[str(weights)]) is None
    assert "going on after step" in (tree / RESULTS / "logs/compressors" / f"{COMPRESSOR}.log").read_text()
    shutil.rmtree((tree / weights).parent)
    for name in LOST:
        (tree / RESULTS / name).unlink()
    targets = [str(RESULTS / name) for name in [*LOST, CARD]]
    chance = random.Random(0)
    for whom, number in KILLS[1:]:
        assert killed_run(tree, whom, number, chance.uniform(0, 3), targets=targets)
    assert killed_run(tree, *KILLS[0], wait=float("inf"), targets=targets) is None
    assert not (tree / checkpoint).exists()
    assert differing(tree, finished) == []
    assert strays(tree) == []
