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
    shutil.rmtree(tree / RESULTS / "compressors" / COMPRESSOR)
    for name in LOST:
        (tree / RESULTS / name).unlink()
    targets = [str(RESULTS / name) for name in [*LOST, CARD]]
    checkpoint = RESULTS / "checkpoints/compressors" / COMPRESSOR / "checkpoint.safetensors"
    kills = [killed_run(tree, *KILLS[0], wait=0, since=str(checkpoint), targets=targets)]
    assert "\ncontextpress: compressor train was killed; " in (tree / "snakemake.log").read_text()
    chance = random.Random(0)
    for whom, number in KILLS[1:]:
        kills.append(killed_run(tree, whom, number, chance.uniform(0, 3), targets=targets))
    assert killed_run(tree, *KILLS[0], wait=float("inf"), targets=targets) is None
    assert all(kills)
    # Of a training that was done when Snakemake was killed, the last log tells nothing: it was made anew.
    log = (tree / RESULTS / "logs/compressors" / f"{COMPRESSOR}.log").read_text()
    assert any(kill["resumed"] for kill in kills) or "going on after step" in log
    assert not (tree / checkpoint).exists()
    assert differing(tree, finished) == []
    assert strays(tree) == []
