"""A study handed on: packed in one place, unpacked in a fresh checkout, and compared."""

from __future__ import annotations

import re
import sys

import pytest

from tests.workflow.running import NOTHING, copy_project, run, snakemake, would_run

pytestmark = pytest.mark.workflow

BUNDLE = "results/bundles/smoke.tar.gz"


@pytest.fixture
def unpacked(tree, tmp_path):
    """A fresh checkout in which a bundle of the finished study was unpacked, as the README says."""
    done = snakemake(tree, "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    fresh = copy_project(tmp_path / "fresh")
    done = run(fresh, "tar", "-xf", tree / BUNDLE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return fresh


def test_a_bundle_in_a_fresh_checkout_leaves_nothing_to_do_and_is_the_same_study(tree, unpacked, tmp_path):
    assert would_run(unpacked) == {}
    # The study's config comes with it.
    stored = [sys.executable, "-m", "snakemake", "-n", "--configfile", "results/smoke/config.json"]
    done = run(unpacked, *stored)
    assert done.returncode == 0
    assert NOTHING in done.stdout + done.stderr
    # Its parts are alive: what is lost there is made again, and nothing else.
    table = unpacked / "results/smoke/tables/ladder.csv"
    before = table.read_bytes()
    table.unlink()
    assert would_run(unpacked).keys() >= {"ladder_table"}
    table.write_bytes(before)
    # The bundle against the study that it was made of.
    package = f"PYTHONPATH={unpacked / 'workflow'}"
    done = run(unpacked, "env", package, "contextpress", "compare", "smoke", tree / BUNDLE, "--output", "page.html")
    assert done.returncode == 0, done.stderr
    assert "no config key differs" in done.stdout
    measured = [re.split("  +", line) for line in done.stdout.splitlines() if line.startswith("token ")]
    assert len(measured) == 2
    for _, one, two, difference in measured:
        assert one == two
        assert difference == "0 [0, 0]"
    assert (unpacked / "page.html").stat().st_size > 100_000  # with the figures
    # Packed again, it is the same file.
    done = snakemake(unpacked, "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (unpacked / BUNDLE).read_bytes() == (tree / BUNDLE).read_bytes()
