"""A study that is killed and started again with the plain command ends with the bytes of an undisturbed one."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.workflow.chaos import KILLS, RESULTS, differing, killed_run, strays

pytestmark = pytest.mark.workflow

# A part of the study: one language model and what of the rest shows that it came out the same.
LOST = ("lm/D6-s1", "compressors/D1-D6-mean_pool-r4-s0")


def test_a_study_that_is_killed_ends_with_the_same_bytes(finished, tree):
    for name in LOST:
        shutil.rmtree(tree / RESULTS / name)
    chance = random.Random(0)
    for whom, number in KILLS:
        assert killed_run(tree, whom, number, chance.uniform(3, 8))
    assert killed_run(tree, *KILLS[0], wait=float("inf")) is None
    assert differing(tree, finished) == []
    assert strays(tree) == []
